"""Runs the study: ``python -m experiments.lesion``."""

import sys

from experiments.lesion.study import main

sys.exit(main())
