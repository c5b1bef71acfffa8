"""Degradation: does training error rise with depth, and do shortcuts keep it from rising?

The question of He et al. 2015 (Figures 1 and 6) and of the lecture's main figure: plain networks
and residual ones, the same in everything but the shortcut weight, at one depth after the other.
"""

import dataclasses

from experiments.lab.config.config import REPORT, Config, option
from experiments.lab.config.entries import Entry, Names
from experiments.lab.run.study import Study, later

#: Papers whose numbers a report can put beside ours.
PAPERS = Names(
    "compare",
    *map(Entry, ("none", "he2015", "he2016_orders", "he2016_shortcuts", "li2018")),
)


@dataclasses.dataclass(frozen=True)
class DegradationConfig(Config):
    """What a study of degradation trains, and shows."""

    compare: str = option(
        "none", "a paper whose numbers the report puts beside these", REPORT, PAPERS
    )


STUDY = Study(
    "degradation", __doc__, DegradationConfig(), later("experiments.degradation.report", "report")
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
