"""Runs the study: ``python -m experiments.shortcut_strength``."""

import sys

from experiments.shortcut_strength.study import main

sys.exit(main())
