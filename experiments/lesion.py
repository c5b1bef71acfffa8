"""Lesion."""
