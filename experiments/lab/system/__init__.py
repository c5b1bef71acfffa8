"""Handles the machine and its users: files, locks, memory, interrupts, versions, errors."""
