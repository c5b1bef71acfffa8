"""Studies propagation; :mod:`experiments.propagation.study` has the question."""

from experiments.propagation.study import STUDY as STUDY
from experiments.propagation.study import main as main
