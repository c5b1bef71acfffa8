"""From tables of runs to what they say: pure functions of data frames."""
