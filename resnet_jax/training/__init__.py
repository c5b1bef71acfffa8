"""Trains networks: one run as pure functions, and populations of runs in one program."""
