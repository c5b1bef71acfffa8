"""Studies the landscape of the loss; :mod:`experiments.landscape.study` has the question."""

from experiments.landscape.study import STUDY as STUDY
from experiments.landscape.study import main as main
