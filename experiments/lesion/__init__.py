"""The study of lesion; :mod:`experiments.lesion.study` has its question."""

from experiments.lesion.study import STUDY as STUDY
from experiments.lesion.study import main as main
