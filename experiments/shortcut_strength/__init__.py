"""Studies shortcut strength; :mod:`experiments.shortcut_strength.study` states the question."""

from experiments.shortcut_strength.study import STUDY as STUDY
from experiments.shortcut_strength.study import main as main
