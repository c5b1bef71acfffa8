"""Implements array operations, with custom gradients where XLA compiles the stock ones badly."""
