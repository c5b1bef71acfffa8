"""Runs the study: ``python -m experiments.trainable_depth``."""

import sys

from experiments.trainable_depth.study import main

sys.exit(main())
