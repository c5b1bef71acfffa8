"""Studies degradation; :mod:`experiments.degradation.study` states the question."""

from experiments.degradation.study import STUDY as STUDY
from experiments.degradation.study import main as main
