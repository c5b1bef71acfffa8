"""Predicts what training will cost: memory, time, and the groups that fit."""
