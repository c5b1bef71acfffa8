"""Dynamics: when do plain networks fail while they train, and was it predicted at initialisation?

At chosen steps of training, signals, gradients, updates and dead units are measured in each layer
of plain and residual networks.  Every configuration gets the verdict of ``propagation`` as
initialised, which is then compared with whether the configuration trains.
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
