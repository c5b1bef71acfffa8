"""Data sets and weights from files for which nobody vouches."""
