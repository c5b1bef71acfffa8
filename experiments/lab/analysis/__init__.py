"""Analyses tables of runs: pure functions of data frames."""
