"""Propagation: what happens to signals and gradients, block by block, in networks as initialised?

Measurements over seeds are shown with predictions for infinitely wide networks (lines).  A verdict
is given: vanishing, exploding, BN-explosion, angle collapse, shattered or healthy.
"""

from experiments.lab.build import readings
from experiments.lab.build.readings import Reading
from experiments.lab.config import validation
from experiments.lab.config.config import Config
from experiments.lab.config.variants import KINDS
from experiments.lab.run.study import Study, later

_OF_FAMILY = {
    "cifar": {"depths": (56,), "width": 16},
    "imagenet": {"depths": (34,), "width": 16},
}


STUDY = Study(
    "propagation",
    __doc__,
    Config(
        depths=(202,),
        num_seeds=32,
        learning_rates=(0.1,),
        steps=0,
        width=128,
        examples=128,
        silent_plain=False,
        matmul_precision="highest",  # theory has no rounding error, and depth amplifies it
    ).comparing(KINDS),
    later("experiments.propagation.report", "report"),
    Reading(readings.at_start, later("experiments.lab.build.layerwise", "of_network_and_line")),
    problems=validation.problems_without_blocks,
    of_family=_OF_FAMILY,
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
