"""The study of propagation; :mod:`experiments.propagation.study` has its question."""

from experiments.propagation.study import STUDY as STUDY
from experiments.propagation.study import main as main
