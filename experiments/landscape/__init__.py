"""The study of landscape; :mod:`experiments.landscape.study` has its question."""

from experiments.landscape.study import STUDY as STUDY
from experiments.landscape.study import main as main
