"""Builds networks: the parts of a block, blocks, and whole networks by depth."""
