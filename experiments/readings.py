"""Readings: what a study measures of its runs besides losses and errors, and when."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import jax

from experiments.config import Config
from experiments.grid import Cell
from resnet_jax.networks import ResidualNetwork
from resnet_jax.training import Data, Run, State, Training

#: Tables of columns, each an array ``[places]``, by name.
Tables = Mapping[str, Mapping[str, jax.Array]]

#: Of one run.
Read = Callable[[State, Run, Data], Tables]


class Reading(NamedTuple):
    """What is read, by a compiled program of its own: training is no slower for it.

    Attributes:
      at: the steps at which a study reads, of those at which it measures.
      of: what it reads of each run of a cell.
    """

    at: Callable[[Config], Collection[int]]
    of: Callable[[Cell, Config, ResidualNetwork, Training], Read]


def at_start(_: Config) -> Collection[int]:
    """Before the first step."""
    return (0,)


def at_end(config: Config) -> Collection[int]:
    """After the last step."""
    return (config.steps,)


def always(config: Config) -> Collection[int]:
    """Whenever losses are measured."""
    return range(config.steps + 1)
