"""Runs the study: ``python -m experiments.landscape``."""

import sys

from experiments.landscape.study import main

sys.exit(main())
