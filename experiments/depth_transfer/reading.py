"""Reads the coordinate check: how far the first steps move features, along the network.

If a parametrisation transfers, that does not depend on depth (Yang et al. 2022, arXiv 2203.03466,
appendix D.1, over width; Bordelon et al. 2023, arXiv 2309.16620, over depth).
"""

import jax.numpy as jnp
import numpy as np
import pandas as pd

from experiments.lab.build.readings import Reader
from experiments.lab.config.config import Config
from experiments.lab.config.grid import RUN_COLUMNS
from experiments.lab.config.variants import VARIANT_FIELDS
from resnet_jax import diagnostics
from resnet_jax.nn.networks import ResidualNetwork
from resnet_jax.training.run import Training

#: The name of the table.
FEATURES = "features"

#: The places where features are measured, as shares of the blocks before them.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

#: The number of training examples, from the first, whose features are measured.
EXAMPLES = 128


def of_features(network: ResidualNetwork, training: Training, _: Config) -> Reader:
    """Returns a reader of the features' size and relative change since the start."""
    blocks = sum(shape.blocks for shape in network.stages)
    places = np.array([round(share * blocks) for share in SHARES])

    def read(state, run, data):
        start, x = training.start(run, data), data.x_train[:EXAMPLES]
        weight = training.shortcut_weight(run, state.step)
        moved = diagnostics.feature_change(network, start.params, state.params, x, weight)
        at = lambda values: values[places] if blocks else jnp.full(len(SHARES), jnp.nan)
        columns = {name: at(values) for name, values in moved._asdict().items()}
        return {FEATURES: {"share": jnp.array(SHARES), **columns}}

    return read


def at_lowest_rates(read: pd.DataFrame) -> pd.DataFrame:
    """Returns the last features' change at the lowest rate of each variant, a row a run and step.

    At that rate a few steps are nearly straight at every depth.  Columns: those of the table,
    ``log_change`` to base 2, and ``power``, the mean square of the first block's input.
    """
    lowest = read.groupby(list(VARIANT_FIELDS)).learning_rate.transform("min")
    first, last = (read[(read.learning_rate == lowest) & (read.share == share)] for share in (0, 1))
    power = first[[*RUN_COLUMNS, "step"]].assign(power=first.rms**2)
    with np.errstate(divide="ignore"):
        last = last.assign(log_change=np.log2(last.change))
    return last.merge(power, on=[*RUN_COLUMNS, "step"])
