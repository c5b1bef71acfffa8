"""Defines variants: the ways to compose a network and to train it, by names."""

import dataclasses

from experiments.lab.config.vocabulary import BRANCH_SCALES, INITS, NORMS, OF_VARIANTS


@dataclasses.dataclass(frozen=True)
class Variant:
    """Names one way to compose a network, and (the fields with defaults) to train it."""

    norm: str
    order: str
    shortcut: str
    branch_scale: str
    init: str
    optimizer: str = "momentum"
    warmup: str = "none"
    shortcut_schedule: str = "constant"

    def names(self) -> tuple[str, ...]:
        """Returns the values of its fields, in order."""
        return dataclasses.astuple(self)

    @property
    def is_silent(self) -> bool:
        """Returns whether the last weights of each branch start at zero."""
        scale, init = BRANCH_SCALES.get(self.branch_scale), INITS.get(self.init)
        return bool((scale and scale.silent) or (init and init.silent))

    def carries(self, shortcut_weight: float) -> bool:
        """Returns whether signals pass through its networks, by shortcuts or full-size branches."""
        scale = BRANCH_SCALES.get(self.branch_scale)
        return shortcut_weight != 0 or bool(scale and scale.full and not self.is_silent)


#: The lecture's network with batch normalisation, trained as by default.
USUAL = Variant("batch", "original", "A", "one", "he")

VARIANT_FIELDS = tuple(OF_VARIANTS)

#: The fields that describe the network; the others describe how it is trained.
NETWORK_FIELDS = tuple(
    field.name for field in dataclasses.fields(Variant) if field.default is dataclasses.MISSING
)

_PRE_ACTIVATION = dataclasses.replace(USUAL, order="pre_activation")

#: The kinds of network that theory distinguishes by their propagation, with every normalisation;
#: plain and residual networks share them.
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
