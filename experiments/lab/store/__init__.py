"""The work directory: records that last, checkpoints, and the tables made from them."""
