"""Studies lesions; :mod:`experiments.lesion.study` has the question."""

from experiments.lesion.study import STUDY as STUDY
from experiments.lesion.study import main as main
