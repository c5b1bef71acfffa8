"""The singular: ``python -m experiment ...`` is ``python -m experiments ...``."""

import sys

from experiments import __path__ as __path__  # so that experiment.<study> is found as well
from experiments.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
