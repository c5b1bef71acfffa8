"""Studies trainable depth; :mod:`experiments.trainable_depth.study` has the question."""

from experiments.trainable_depth.study import STUDY as STUDY
from experiments.trainable_depth.study import main as main
