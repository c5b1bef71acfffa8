"""Depth transfer: does the best learning rate move as networks get deeper?

Residual networks of every depth are trained at a grid of rates, with momentum and with Adam: as
they are, with branches scaled by 1/√blocks, and with branches and rates scaled by depth (depth-μP
and CompleteP).  Next to the best rates, the coordinate check shows how far the first steps move the
features at one rate.  If a parametrisation transfers, neither depends on depth.
"""

from collections.abc import Collection, Iterator

from experiments.lab.build.readings import Reading
from experiments.lab.config.config import Config
from experiments.lab.config.variants import Variant
from experiments.lab.run.study import Study, later


def _at_steps(config: Config) -> Collection[int]:
    """Reads after a few of the first steps, as far as training goes."""
    return [step for step in _STEPS if step <= config.steps]


def _problems(config: Config) -> Iterator[str]:
    if config.steps < 1:
        yield f"--steps={config.steps} trains nothing, so that no rate is best; take 1 or more"
    if len(config.learning_rates) < 3:
        yield "--learning_rates: no best one lies between two or fewer; give three or more"


#: The numbers of updates after which the features are measured.
_STEPS = (1, 5, 20)

_PARAMETRISATIONS = tuple(
    Variant("layer", "pre_activation", "A", scale, "he", optimizer)
    for optimizer in ("momentum", "adam")
    for scale in ("one", "inverse_sqrt", "depth:0.5", "depth:1")
)


STUDY = Study(
    "depth_transfer",
    __doc__,
    Config(
        depths=(6, 18, 50, 130),
        num_seeds=6,
        learning_rates=tuple(2.0**-power for power in range(8)),
        adaptive_share=2.0**-2,
        shortcut_weights=(1.0,),
        width=32,
        steps=60,
        schedule="constant",
        # At the lowest rate the first step moves features by 0.0035 of their size; rounding the
        # factors of products to bfloat16 makes that 0.0046.
        matmul_precision="highest",
    ).comparing(_PARAMETRISATIONS),
    later("experiments.depth_transfer.report", "report"),
    Reading(_at_steps, later("experiments.depth_transfer.reading", "of_features")),
    _problems,
)

#: The study as a command; see :meth:`experiments.lab.run.study.Study.main`.
main = STUDY.main
