"""What a study will need, predicted from shapes alone, so that what cannot fit is never started."""

import os

from experiments.config import Config
from experiments.errors import UserError
from resnet_jax.counting import Counts

_FLOAT = 4
_SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2}
#: Tensors of the size of a layer's output that are kept for its gradient, normalisation included.
_KEPT_PER_LAYER = 4


def peak_bytes(
    config: Config, depth: int, counts: Counts, data_bytes: int, at_once: int, measured: int = 0
) -> int:
    """Bytes that training all runs of one depth in one program takes.

    Args:
      config: of the study.
      depth: of the networks.
      counts: of one of them.
      data_bytes: of the data set, all copies of it.
      at_once: how many runs are in the middle of a step at the same moment.
      measured: examples that a measurement takes at a time.
    """
    kinds = len(config.shortcut_weights_at(depth))
    runs = config.num_seeds * kinds * len(config.learning_rates)
    states = runs * counts.parameters * (1 + _SLOTS[config.optimizer]) * 2  # read, and written
    gradients = min(runs, at_once) * counts.parameters * 2
    step = config.batch_size * counts.activations * _KEPT_PER_LAYER
    measurement = measured * counts.largest * _KEPT_PER_LAYER  # layer by layer; nothing is kept
    working = min(runs, at_once) * max(step, measurement)
    return _FLOAT * (states + gradients + working) + data_bytes


def available_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_what_cannot_fit(depth: int, counts: Counts, needed: int) -> None:
    """Raises :class:`UserError`, with the figures, where a depth needs more than this machine."""
    if needed > available_bytes():
        raise UserError(
            f"--depths: depth {depth} needs about {_gigabytes(needed)} "
            f"({counts.parameters:,} parameters a run, {counts.activations:,} activations an "
            f"example), and this machine has {_gigabytes(available_bytes())}; take fewer layers, "
            "channels, seeds or examples a step"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
