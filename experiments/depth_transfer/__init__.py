"""Studies depth transfer; :mod:`experiments.depth_transfer.study` has the question."""

from experiments.depth_transfer.study import STUDY as STUDY
from experiments.depth_transfer.study import main as main
