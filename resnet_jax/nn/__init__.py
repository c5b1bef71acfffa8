"""Networks: what a block is composed of, blocks, and whole networks by depth."""
