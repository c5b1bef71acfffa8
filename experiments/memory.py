"""What a study will need, predicted from shapes alone, so that what cannot fit is never started."""

import os
from typing import NamedTuple

from experiments.config import Config
from experiments.errors import UserError

_FLOAT = 4
_SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2}
#: Tensors ``[batch, width]`` that a layer keeps for its gradient, normalisation included.
_KEPT_PER_LAYER = 4


class Cost(NamedTuple):
    """Predicted cost of one depth: parameters of one network, and peak bytes of all its runs."""

    parameters: int
    peak_bytes: int


def count_parameters(config: Config, depth: int, norm: str, features: int, classes: int) -> int:
    """Parameters of a dense network with the default block (branch scales not counted)."""
    width, hidden = config.width, depth - 1  # layers that end in ``width`` units
    weights = features * width + (hidden - 1) * width * width + width * classes
    per_hidden = width if norm == "none" else 2 * width
    return weights + hidden * per_hidden + classes


def predict(config: Config, depth: int, features: int, classes: int, devices: int) -> Cost:
    """The cost of training all runs of one depth in one program."""
    parameters = max(
        count_parameters(config, depth, norm, features, classes) for norm in config.norm
    )
    kinds = len(config.shortcut_weights_at(depth))
    runs = config.num_seeds * kinds * len(config.learning_rates)
    at_once = runs if config.map == "vmap" else min(runs, devices)
    states = runs * parameters * (1 + _SLOTS[config.optimizer]) * 2  # those read, those written
    gradients = at_once * parameters * 2
    activations = at_once * config.batch_size * config.width * depth * _KEPT_PER_LAYER
    return Cost(parameters, _FLOAT * (states + gradients + activations))


def available_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_what_cannot_fit(config: Config, features: int, classes: int, devices: int) -> None:
    """Raises :class:`UserError`, with the figure, for a study larger than this machine."""
    for depth in config.depths:
        cost = predict(config, depth, features, classes, devices)
        if cost.peak_bytes > available_bytes():
            raise UserError(
                f"--depths: depth {depth} at --width={config.width} needs about "
                f"{_gigabytes(cost.peak_bytes)} ({cost.parameters:,} parameters a run), and this "
                f"machine has {_gigabytes(available_bytes())}; take fewer layers, units or seeds"
            )


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
