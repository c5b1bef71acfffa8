"""The machine and what users do to it: files, locks, memory, interrupts, versions, errors."""
