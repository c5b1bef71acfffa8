"""The study of depth transfer; :mod:`experiments.depth_transfer.study` has its question."""

from experiments.depth_transfer.study import STUDY as STUDY
from experiments.depth_transfer.study import main as main
