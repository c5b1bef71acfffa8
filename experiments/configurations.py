"""Configurations as initialised: what was measured at every block, beside what theory says.

A configuration is a variant at one depth and shortcut weight; its seeds are its sample.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments import labels, predictions, verdicts
from experiments.config import USUAL, VARIANT_FIELDS, Variant
from resnet_jax.propagation import Propagation
from resnet_jax.statistics import log_interval, t_interval

#: What is followed over the blocks, and how it reads in the table of what passes between them.
QUANTITIES = ("power", "gradient", "cosine", "gradient_correlation")

#: The fields of a variant that networks are called by: all but their normalisation.
OF_KIND = tuple(field for field in VARIANT_FIELDS if field != "norm")

#: Those that grow or shrink by factors: their logarithms are averaged.
FACTORS = ("power", "gradient")


class Curve(NamedTuple):
    """A quantity over the blocks ``[blocks + 1]``.

    Attributes:
      mean: over seeds; of a factor, the mean of the lognormal distribution that fits them.
      low, high: its 95% interval.
      theory: NaN where there is none.
      z: standard errors between mean and theory; NaN where the seeds do not differ.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    theory: np.ndarray
    z: np.ndarray


class Configuration(NamedTuple):
    """What was found of one configuration.

    Attributes:
      variant: how its networks are composed.
      shortcut_weight: of theirs.
      depth: of theirs.
      curves: by quantity.
      verdict: see :mod:`experiments.verdicts`.
    """

    variant: Variant
    shortcut_weight: float
    depth: int
    curves: dict[str, Curve]
    verdict: str

    @property
    def carries(self) -> bool:
        """Whether anything passes: a plain network needs its branches at full size."""
        return self.variant.carries(self.shortcut_weight)

    @property
    def name(self) -> str:
        """What its networks are called, but for their normalisation."""
        return name_of(self.shortcut_weight, self.variant)


def name_of(shortcut_weight: float, variant: Variant) -> str:
    """What networks are called, but for their normalisation."""
    return ", ".join([labels.kind(shortcut_weight), *_unusual(variant)])


def way(variant: Variant) -> str:
    """How networks are composed and trained, but for shortcut weight and normalisation."""
    return ", ".join(_unusual(variant)) or "the lecture's block"


def _unusual(variant: Variant) -> list[str]:
    """In which fields, but for the normalisation, a variant is not the usual one."""
    names = {field: getattr(variant, field) for field in OF_KIND}
    return [
        labels.words(field, name) for field, name in names.items() if name != getattr(USUAL, field)
    ]


def of_blocks(blocks: pd.DataFrame, follows_theory: bool, step: int = 0) -> list[Configuration]:
    """The configurations of a table of blocks at a step.

    Args:
      blocks: of the readings, of one rate of each configuration.
      follows_theory: whether theory knows the networks' blocks, as initialised.
      step: at which they were read.
    """
    keys = [*VARIANT_FIELDS, "shortcut_weight", "depth"]
    then = blocks[blocks.step == step]
    return [
        _configuration(key, runs, follows_theory)
        for key, runs in then.groupby(keys, sort=False, dropna=False)
    ]


def _configuration(key: tuple, runs: pd.DataFrame, follows_theory: bool) -> Configuration:
    *names, weight, depth = key
    variant = Variant(*names)
    table = lambda column: runs.pivot(index="seed", columns="place", values=column).to_numpy()
    gradient = table("gradient")
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = {
            "power": table("rms") ** 2,
            "gradient": (gradient / gradient[:, -1:]) ** 2,
            "cosine": table("cosine"),
            "gradient_correlation": table("gradient_correlation"),
        }
    theory = _theory(variant, weight, samples) if follows_theory else None
    curves = {
        name: _curve(values, name in FACTORS, getattr(theory, name) if theory else None)
        for name, values in samples.items()
    }
    power, gradient, cosine, correlation = (curves[name].mean for name in QUANTITIES)
    ends = verdicts.ends(power, gradient, cosine, correlation, variant.norm == "batch")
    return Configuration(variant, weight, depth, curves, verdicts.verdict(ends))


def _theory(variant: Variant, weight: float, samples: dict[str, np.ndarray]) -> Propagation | None:
    start = {name: float(values[:, 0].mean()) for name, values in samples.items()}
    end = float(np.clip(samples["gradient_correlation"][:, -1].mean(), -1, 1))
    blocks = samples["power"].shape[1] - 1
    return predictions.of_blocks(variant, weight, blocks, start["power"], start["cosine"], end)


def _curve(values: np.ndarray, factor: bool, theory: np.ndarray | None) -> Curve:
    intervals = [(log_interval if factor else t_interval)(column) for column in values.T]
    mean, low, high = np.array(intervals).T
    theory = np.full(len(mean), np.nan) if theory is None else theory
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.log if factor else np.asarray
        half = (place(high) - place(low)) / 2
        error = np.where(half > 0, half / _quantile(len(values)), np.nan)
        z = (place(mean) - place(theory)) / error
    return Curve(mean, low, high, theory, z)


def _quantile(seeds: int) -> float:
    """Of Student's distribution: half a 95% interval in standard errors."""
    from scipy import stats  # as in resnet_jax.statistics

    return float(stats.t.ppf(0.975, seeds - 1)) if seeds > 1 else np.nan


def summary(found: list[Configuration]) -> pd.DataFrame:
    """A row a configuration: both ends of every curve, and the verdict.

    Of ``power`` and ``cosine`` the last block's output, of power over the first one's input; of
    gradients the first one's input.
    """
    return pd.DataFrame([_row(configuration) for configuration in found])


def _row(configuration: Configuration) -> dict:
    row: dict = dict(zip(VARIANT_FIELDS, configuration.variant.names(), strict=True))
    row |= {"shortcut_weight": configuration.shortcut_weight, "depth": configuration.depth}
    row |= {"network": configuration.name}
    for name, curve in configuration.curves.items():
        place = -1 if name in ("power", "cosine") else 0
        over = curve.mean[0] if name == "power" else 1.0
        values = {"": curve.mean, "_low": curve.low, "_high": curve.high, "_theory": curve.theory}
        with np.errstate(divide="ignore", invalid="ignore"):
            row |= {f"{name}{end}": array[place] / over for end, array in values.items()}
        row[f"{name}_z"] = curve.z[place]
    return row | {"verdict": configuration.verdict}


def by_verdict(found: list[Configuration]) -> Iterator[tuple[str, list[Configuration]]]:
    """The configurations of each verdict, in the order of :data:`verdicts.VERDICTS`."""
    for name in verdicts.VERDICTS:
        these = [configuration for configuration in found if configuration.verdict == name]
        if these:
            yield name, these
