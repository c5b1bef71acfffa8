"""Variants: the ways to compose a network and to train it, by names."""

import dataclasses

from experiments.lab.config.vocabulary import BRANCH_SCALES, INITS, NORMS, OF_VARIANTS


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to compose a network, and (the fields with defaults) to train it."""

    norm: str
    order: str
    shortcut: str
    branch_scale: str
    init: str
    optimizer: str = "momentum"
    warmup: str = "none"
    shortcut_schedule: str = "constant"

    def names(self) -> tuple[str, ...]:
        """Returns its fields, in order."""
        return dataclasses.astuple(self)

    @property
    def is_silent(self) -> bool:
        """Whether the last weights of each branch start at zero."""
        scale, init = BRANCH_SCALES.get(self.branch_scale), INITS.get(self.init)
        return bool((scale and scale.silent) or (init and init.silent))

    def carries(self, shortcut_weight: float) -> bool:
        """Whether its networks pass on what enters: by shortcuts, or by branches of full size."""
        scale = BRANCH_SCALES.get(self.branch_scale)
        return shortcut_weight != 0 or bool(scale and scale.full and not self.is_silent)


#: The lecture's network with batch normalisation, as it is trained without flags.
USUAL = Variant("batch", "original", "A", "one", "he")

VARIANT_FIELDS = tuple(OF_VARIANTS)

#: Those that say what the network is; the others say how it is trained.
NETWORK_FIELDS = tuple(
    field.name for field in dataclasses.fields(Variant) if field.default is dataclasses.MISSING
)

_PRE_ACTIVATION = dataclasses.replace(USUAL, order="pre_activation")

#: The kinds of network whose propagation theory tells apart, of every normalisation that there is;
#: plain and residual ones share them.
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
