"""Figures, pages and terminal tables that all studies share."""

import os

# Matplotlib refuses to be imported under the name of a backend that it lacks, as notebooks leave
# behind for the programs they launch; figures here need no screen.
_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib as matplotlib
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
