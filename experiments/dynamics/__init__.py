"""Studies dynamics; :mod:`experiments.dynamics.study` states the question."""

from experiments.dynamics.study import STUDY as STUDY
from experiments.dynamics.study import main as main
