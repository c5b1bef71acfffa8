"""Builds networks, trainings and compiled populations from names."""
