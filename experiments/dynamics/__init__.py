"""The study of dynamics; :mod:`experiments.dynamics.study` has its question."""

from experiments.dynamics.study import STUDY as STUDY
from experiments.dynamics.study import main as main
