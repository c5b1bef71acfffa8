"""The kinds of network whose propagation theory tells apart, as variants to compare."""

import dataclasses

from experiments.lab.config.config import USUAL

NORMS = ("none", "batch", "layer")

_PRE_ACTIVATION = dataclasses.replace(USUAL, order="pre_activation")

#: In the order of their figures, for each normalisation; plain and residual ones share them.
KINDS = tuple(
    dataclasses.replace(kind, norm=norm)
    for norm in NORMS
    for kind in (
        USUAL,
        _PRE_ACTIVATION,
        dataclasses.replace(_PRE_ACTIVATION, branch_scale="inverse_sqrt"),
        dataclasses.replace(_PRE_ACTIVATION, init="zero_last"),
    )
)
