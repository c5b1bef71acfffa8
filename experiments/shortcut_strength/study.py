"""Shortcut strength: how strong must shortcuts be for a network to become trainable, by its depth?

Every depth is trained with shortcut weights from 0 (plain) to 1 (residual), as one population, and
beside the boundary stands theory's: where gradients explode as much as in plain networks at theirs,
or inputs look as much alike where, as without batch normalisation, plain gradients do not explode.
Others have whole shortcuts annealed to none while they train, so that in the end they are plain
networks.  The trained networks then have their shortcuts turned down.
"""

from experiments.lab.build import readings
from experiments.lab.build.readings import Reading
from experiments.lab.config.config import Config
from experiments.lab.run.study import Study, later

STUDY = Study(
    "shortcut_strength",
    __doc__,
    Config(
        depths=(8, 12, 16, 20, 24, 32, 48, 64, 96),
        num_seeds=6,
        learning_rates=(0.05, 0.02),
        shortcut_weights=(0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0),
        shortcut_schedule=("constant", "annealed"),
    ),
    later("experiments.shortcut_strength.report", "report"),
    Reading(readings.at_end, later("experiments.shortcut_strength.reading", "of_shortcuts")),
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
