"""Shortcut strength: how strong must shortcuts be, at each depth, for a network to be trainable?

Every depth is trained with shortcut weights from 0 (plain) to 1 (residual), as one population.  The
measured boundary is shown next to theory's: where gradients explode as much as in plain networks at
their boundary, or, if plain gradients do not explode (as without batch normalisation), where inputs
look as much alike.  In other networks, shortcut weights are annealed to 0 during training, so that
they end as plain networks.  Finally, the shortcuts of the trained networks are turned down.
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
