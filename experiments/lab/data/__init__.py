"""Loads data sets and weights, from files that are not trusted."""
