"""Names become networks, trainings and compiled populations."""
