"""Runs studies and commands: from flags to a finished work directory."""
