"""What training will take: memory, time, and the groups that fit."""
