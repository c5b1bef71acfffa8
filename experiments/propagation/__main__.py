"""Runs the study: ``python -m experiments.propagation``."""

import sys

from experiments.propagation.study import main

sys.exit(main())
