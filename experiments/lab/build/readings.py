"""Defines readings: what a study measures of its runs besides losses and errors, and when."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from experiments.lab.config.config import Config

if TYPE_CHECKING:  # a study names its reading before JAX is imported
    import jax

    from resnet_jax.nn.networks import ResidualNetwork
    from resnet_jax.training.run import Data, Run, State, Training

#: Tables by name, each of columns by name, each an array ``[places]``.
ReadTables = Mapping[str, Mapping[str, "jax.Array"]]

#: A function that reads one run.
Reader = Callable[["State", "Run", "Data"], ReadTables]


class Reading(NamedTuple):
    """Describes what a study reads, by a separate compiled program, so that training is no slower.

    Attributes:
      at: function to the steps at which a study reads.  Losses are measured there as well.
      of: function from the network, the training and the configuration to a reader of each run.
    """

    at: Callable[[Config], Collection[int]]
    of: Callable[["ResidualNetwork", "Training", Config], Reader]


def at_start(_: Config) -> Collection[int]:
    """Reads before the first step."""
    return (0,)


def at_end(config: Config) -> Collection[int]:
    """Reads after the last step."""
    return (config.steps,)


def log_spaced(config: Config) -> Collection[int]:
    """Reads before the first step, after 1, 2, 5, 10, 20, 50 and so on, and after the last."""
    magnitudes = range(len(f"{config.steps}"))
    round_numbers = {digit * 10**power for power in magnitudes for digit in (1, 2, 5)}
    return sorted({0, *(step for step in round_numbers if step <= config.steps), config.steps})
