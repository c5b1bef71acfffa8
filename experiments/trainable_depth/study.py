"""Trainable depth: how deep do plain and residual networks train, with each proposed remedy?

The remedies are shortcuts, normalisations, orders of a block, branches scaled down or silent at
first, initialisations, and a warm-up.  To which depth does training error stay below 5%, with a
learning rate chosen for each depth?  Theory of the networks as initialised is shown next to it.
"""

from dataclasses import replace

from experiments.lab.config.config import Config
from experiments.lab.config.variants import USUAL
from experiments.lab.run.study import Study, later

_PRE_ACTIVATION = replace(USUAL, order="pre_activation")


_REMEDIES = (
    USUAL,
    replace(USUAL, warmup="error:0.8"),
    replace(USUAL, init="orthogonal"),
    _PRE_ACTIVATION,
    replace(_PRE_ACTIVATION, branch_scale="inverse_sqrt"),
    replace(USUAL, norm="layer"),
    replace(USUAL, norm="none"),
    replace(_PRE_ACTIVATION, norm="none", branch_scale="learned"),
    replace(USUAL, norm="none", branch_scale="fixup"),
)


STUDY = Study(
    "trainable_depth",
    __doc__,
    Config(
        depths=(8, 16, 32, 64, 128),
        num_seeds=3,
        learning_rates=(0.1, 0.03, 0.01),
        silent_plain=False,
        steps=150,
        deepest_plain=64,
    ).comparing(_REMEDIES),
    later("experiments.trainable_depth.report", "report"),
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
