"""Runs the study: ``python -m experiments.degradation``."""

import sys

from experiments.degradation.study import main

sys.exit(main())
