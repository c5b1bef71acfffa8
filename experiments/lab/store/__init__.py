"""Keeps the work directory: durable records, checkpoints, and the tables made from them."""
