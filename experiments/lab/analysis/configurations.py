"""Configurations as initialised: what was measured at every block, beside what theory says.

A configuration is a variant at one depth and shortcut weight; its seeds are its sample.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import labels, predictions, verdicts
from experiments.lab.config.families import FAMILIES
from experiments.lab.config.variants import USUAL, VARIANT_FIELDS, Variant
from experiments.lab.config.vocabulary import NORMS
from resnet_jax.statistics import log_interval, t_interval
from resnet_jax.theory.propagation import Propagation

#: What is followed over the blocks, and how it reads in the table of what passes between them.
QUANTITIES = ("power", "gradient", "cosine", "gradient_correlation")

#: The fields of a variant that networks are called by: all but their normalisation.
OF_KIND = tuple(field for field in VARIANT_FIELDS if field != "norm")

#: Those that grow or shrink by factors: their logarithms are averaged.
FACTORS = ("power", "gradient")


#: Of what single precision computes from block to block, in a curve.
_ROUNDING = 1e-4

#: By how much cosines and correlations of finite networks may be off.
OFF = 0.05

#: Theory is held to a t-test that errs once in so many curves where it is right.
FALSE_ALARMS = 1e-4


class Curve(NamedTuple):
    """A quantity over the blocks ``[blocks + 1]``.

    Attributes:
      mean: over seeds; of a factor, the mean of the lognormal distribution that fits them.
      low, high: its 95% interval.
      theory: NaN where there is none.
      z: standard errors between mean and theory; NaN where the seeds do not differ.
      fit: "yes" where they are no farther apart than a t-test at :data:`FALSE_ALARMS` leaves
        open, "near" where what finite networks are allowed (:func:`allowance`, of cosines
        :data:`OFF`) is needed besides, "no" beyond; empty where there is no theory or no test.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    theory: np.ndarray
    z: np.ndarray
    fit: np.ndarray


class Configuration(NamedTuple):
    """What was found of one configuration.

    Attributes:
      variant: how its networks are composed.
      shortcut_weight: of theirs.
      depth: of theirs.
      curves: by quantity.
      verdict: see :mod:`experiments.lab.analysis.verdicts`.
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


def allowance(passed: np.ndarray, width: int, batch: int | None) -> np.ndarray:
    """How far off theory of infinitely large networks may be in logarithms of power and gradient.

    One in the width a block, and one in the batch where that is normalised by: corrections to a
    layer are of those orders, and add up over depth.

    Args:
      passed: blocks, between where theory starts and each place.
      width: of the layers, in units or channels.
      batch: examples, None where normalisations do not see it.
    """
    return passed * (1 / width + (1 / batch if batch else 0.0))


def of_blocks(
    blocks: pd.DataFrame, follows_theory: bool, step: int = 0, width: int = 0, batch: int = 0
) -> list[Configuration]:
    """The configurations of a table of blocks at a step.

    Args:
      blocks: of the readings, of one rate of each configuration.
      follows_theory: whether theory knows the networks' blocks, as initialised.
      step: at which they were read.
      width: of their layers, for what theory of infinite width is allowed to miss; 0 for nothing.
      batch: examples that were looked at.
    """
    keys = [*VARIANT_FIELDS, "shortcut_weight", "depth"]
    then = blocks[blocks.step == step]
    return [
        _configuration(key, runs, follows_theory, width, batch)
        for key, runs in then.groupby(keys, sort=False, dropna=False)
    ]


def _configuration(
    key: tuple, runs: pd.DataFrame, follows_theory: bool, width: int, batch: int
) -> Configuration:
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
    is_dense = "family" not in runs or not FAMILIES[runs.family.iloc[0]].convolutional
    theory = None
    if follows_theory and (is_dense or "side" in runs):  # older readings have no sides
        sides = None if is_dense else table("side")[0]
        theory = _theory(variant, weight, samples, sides)
    passed = np.arange(gradient.shape[1])
    room = (
        allowance(passed, width, batch if _over_batch(variant) else None) if width else 0.0 * passed
    )
    rooms = {"power": room, "gradient": room[::-1]}
    curves = {
        name: _curve(
            values, name in FACTORS, getattr(theory, name) if theory else None, rooms.get(name, OFF)
        )
        for name, values in samples.items()
    }
    power, gradient, cosine, correlation = (curves[name].mean for name in QUANTITIES)
    ends = verdicts.ends(power, gradient, cosine, correlation, _over_batch(variant))
    return Configuration(variant, weight, depth, curves, verdicts.verdict(ends))


def _over_batch(variant: Variant) -> bool:
    """Whether a variant's normalisation averages over the batch."""
    norm = NORMS.get(variant.norm)
    return bool(norm and norm.over_batch)


def _theory(
    variant: Variant, weight: float, samples: dict[str, np.ndarray], sides: np.ndarray | None
) -> Propagation | None:
    start = {name: float(values[:, 0].mean()) for name, values in samples.items()}
    end = float(np.clip(samples["gradient_correlation"][:, -1].mean(), -1, 1))
    blocks = samples["power"].shape[1] - 1
    return predictions.of_blocks(
        variant, weight, blocks, start["power"], start["cosine"], end, sides
    )


def spread(values: np.ndarray, factor: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over seeds and its 95% interval, at every place ``[places]``.

    Args:
      values: ``[seeds, places]``.
      factor: whether they grow or shrink by factors, so that logarithms are averaged.
    """
    intervals = [(log_interval if factor else t_interval)(column) for column in values.T]
    mean, low, high = np.array(intervals).T
    return mean, low, high


def _curve(
    values: np.ndarray, factor: bool, theory: np.ndarray | None, room: np.ndarray | float
) -> Curve:
    mean, low, high = spread(values, factor)
    theory = np.full(len(mean), np.nan) if theory is None else theory
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.log if factor else np.asarray
        half = (place(high) - place(low)) / 2
        error = np.where(half > 0, half / _quantile(len(values)), np.nan)
        apart = place(mean) - place(theory)
        z = apart / error
    noise = np.nan_to_num(_quantile(len(values), FALSE_ALARMS) * error) + _ROUNDING
    is_unknown = np.isnan(theory) | np.isnan(mean) | (len(values) < 2)
    kinds = [is_unknown, abs(apart) <= noise, abs(apart) <= noise + room]
    return Curve(mean, low, high, theory, z, np.select(kinds, ["", "yes", "near"], "no"))


def _quantile(seeds: int, error: float = 0.05) -> float:
    """Of Student's distribution: half an interval that errs so often, in standard errors."""
    from scipy import stats  # as in resnet_jax.statistics

    return float(stats.t.ppf(1 - error / 2, seeds - 1)) if seeds > 1 else np.nan


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
        row[f"{name}_fit"] = curve.fit[place]
    return row | {"verdict": configuration.verdict}


def curves(found: list[Configuration]) -> pd.DataFrame:
    """Every curve of every configuration: a row a quantity and place between blocks."""
    tables = []
    for configuration in found:
        of: dict = {"norm": configuration.variant.norm, "network": configuration.name}
        of |= {"depth": configuration.depth}
        for name, curve in configuration.curves.items():
            places = {"quantity": name, "place": np.arange(len(curve.mean))}
            columns = curve._asdict()
            for column in (
                "mean",
                "low",
                "high",
                "theory",
                "z",
            ):  # no more digits than say something
                columns[column] = np.char.mod("%.5g", columns[column]).astype(float)
            tables.append(pd.DataFrame({**of, **places, **columns}))
    return pd.concat(tables, ignore_index=True)


def worst_fit(curve: Curve) -> str:
    """How well a whole curve fits theory: as it does at its worst place."""
    return max(curve.fit, key=("", "yes", "near", "no").index)


def by_verdict(found: list[Configuration]) -> Iterator[tuple[str, list[Configuration]]]:
    """The configurations of each verdict, in the order of :data:`verdicts.VERDICTS`."""
    for name in verdicts.VERDICTS:
        these = [configuration for configuration in found if configuration.verdict == name]
        if these:
            yield name, these
