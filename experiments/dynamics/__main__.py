"""Runs the study: ``python -m experiments.dynamics``."""

import sys

from experiments.dynamics.study import main

sys.exit(main())
