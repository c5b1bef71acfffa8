"""Dynamics: when do plain networks fail while they train, and did networks as initialised foretell?

The layers of plain and residual networks are read at chosen steps of their training: signals,
gradients, updates, dead units.  The verdict on every configuration as initialised, that of
``propagation``, is then held against whether it trains.
"""

from experiments.lab.build import readings
from experiments.lab.build.readings import Reading
from experiments.lab.config import validation
from experiments.lab.config.config import Config
from experiments.lab.config.variants import KINDS
from experiments.lab.run.study import Study, later

STUDY = Study(
    "dynamics",
    __doc__,
    Config(
        depths=(56,),
        num_seeds=3,
        silent_plain=False,
        learning_rates=(0.03, 0.01, 0.003, 0.001),
    ).comparing(KINDS),
    later("experiments.dynamics.report", "report"),
    Reading(readings.log_spaced, later("experiments.lab.build.layerwise", "of_network")),
    validation.problems_without_blocks,
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
