"""Degradation: does training error rise with depth, and do shortcuts keep it from rising?

This is the question of He et al. 2015 (Figures 1 and 6) and of the lecture's main figure.  Plain
and residual networks, which differ only in the shortcut weight, are trained at several depths.
"""

import dataclasses

from experiments.lab.config.config import REPORT, Config, option
from experiments.lab.config.entries import Entry, Names
from experiments.lab.run.study import Study, later

#: The papers whose numbers a report can show next to ours.
PAPERS = Names(
    "compare",
    *map(Entry, ("none", "he2015", "he2016_orders", "he2016_shortcuts", "li2018")),
)


@dataclasses.dataclass(frozen=True)
class DegradationConfig(Config):
    """Describes what a study of degradation trains and shows."""

    compare: str = option(
        "none", "a paper whose numbers the report shows next to these", REPORT, PAPERS
    )


STUDY = Study(
    "degradation", __doc__, DegradationConfig(), later("experiments.degradation.report", "report")
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
