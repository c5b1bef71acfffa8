"""Figures, pages and terminal tables that all studies share."""
