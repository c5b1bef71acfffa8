"""Lesion: does a trained network need each of its blocks, their order, and its long paths?

Blocks of trained networks are removed, one at a time and several at random, and exchanged (Veit et
al. 2016).  The gradient along paths through each number of branches is measured before and after
training.
"""

from experiments.lab.build import readings
from experiments.lab.build.readings import Reading
from experiments.lab.config.config import Config
from experiments.lab.run.study import Study, later

STUDY = Study(
    "lesion",
    __doc__,
    Config(
        depths=(16, 56),
        learning_rates=(0.05, 0.02),
        deepest_plain=16,
        order=("original", "pre_activation"),
    ),
    later("experiments.lesion.report", "report"),
    Reading(readings.at_end, later("experiments.lesion.reading", "of_blocks")),
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
