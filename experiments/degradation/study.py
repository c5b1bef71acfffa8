"""Degradation: does training error rise with depth, and do shortcuts keep it from rising?

The question of He et al. 2015 (Figures 1 and 6) and of the lecture's main figure: plain networks
and residual ones, the same in everything but the shortcut weight, at one depth after the other.
"""

from experiments.lab.config.config import Config
from experiments.lab.run.study import Study, later

STUDY = Study("degradation", __doc__, Config(), later("experiments.degradation.report", "report"))

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
