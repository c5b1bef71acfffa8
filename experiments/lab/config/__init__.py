"""Reads what was asked for: flags, names, variants, and the grid of runs that they span."""
