"""The engine of all studies; it knows none of them.  Rooms import each other downward only."""
