"""Studies propagation; :mod:`experiments.propagation.study` states the question."""

from experiments.propagation.study import STUDY as STUDY
from experiments.propagation.study import main as main
