"""The study of degradation; :mod:`experiments.degradation.study` has its question."""

from experiments.degradation.study import STUDY as STUDY
from experiments.degradation.study import main as main
