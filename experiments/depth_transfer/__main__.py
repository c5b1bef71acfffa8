"""Runs the study: ``python -m experiments.depth_transfer``."""

import sys

from experiments.depth_transfer.study import main

sys.exit(main())
