"""Compares configurations as initialised with theory: what was measured at every block.

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

#: The quantities that are followed over the blocks, as named in a table of curves.
QUANTITIES = ("power", "gradient", "cosine", "gradient_correlation")

#: The fields of a variant that make up the name of its networks: all but the normalisation.
OF_KIND = tuple(field for field in VARIANT_FIELDS if field != "norm")

#: The quantities that grow or shrink by factors: their logarithms are averaged.
FACTORS = ("power", "gradient")


#: The rounding error in a curve that single precision computes from block to block.
_ROUNDING = 1e-4

#: The deviation from theory that cosines and correlations of finite networks may have.
OFF = 0.05

#: The significance level of the t-test between theory and measurement: its rate of false alarms.
FALSE_ALARMS = 1e-4


class Curve(NamedTuple):
    """Holds a quantity over the blocks ``[blocks + 1]``.

    Attributes:
      mean: mean over seeds; for a factor, the mean of the lognormal distribution fitted to them.
      low, high: 95% confidence interval of the mean.
      theory: prediction of theory; NaN where there is none.
      z: standard errors between mean and theory; NaN where the seeds do not differ.
      fit: "yes" where a t-test at the level :data:`FALSE_ALARMS` does not reject theory; "near"
        where it does not if the deviation of finite networks is added (:func:`allowance`; for
        cosines :data:`OFF`); "no" elsewhere; empty where there is no theory or no test.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    theory: np.ndarray
    z: np.ndarray
    fit: np.ndarray


class Configuration(NamedTuple):
    """Holds the measurements of one configuration.

    Attributes:
      variant: how its networks are composed.
      shortcut_weight: weight of their shortcuts.
      depth: their depth.
      curves: curves by quantity.
      verdict: see :mod:`experiments.lab.analysis.verdicts`.
    """

    variant: Variant
    shortcut_weight: float
    depth: int
    curves: dict[str, Curve]
    verdict: str

    @property
    def carries(self) -> bool:
        """Returns whether signals pass: a plain network needs its branches at full size."""
        return self.variant.carries(self.shortcut_weight)

    @property
    def name(self) -> str:
        """Returns the name of its networks, without their normalisation."""
        return name_of(self.shortcut_weight, self.variant)


def name_of(shortcut_weight: float, variant: Variant) -> str:
    """Returns the name of networks, without their normalisation."""
    return ", ".join([labels.kind(shortcut_weight), *_unusual(variant)])


def way(variant: Variant) -> str:
    """Returns in words how networks are made, without shortcut weight and normalisation."""
    return ", ".join(_unusual(variant)) or "the lecture's block"


def _unusual(variant: Variant) -> list[str]:
    """Returns in words the fields, except normalisation, in which a variant is unusual."""
    names = {field: getattr(variant, field) for field in OF_KIND}
    return [
        labels.words(field, name) for field, name in names.items() if name != getattr(USUAL, field)
    ]


def allowance(passed: np.ndarray, width: int, batch: int | None) -> np.ndarray:
    """Returns how far log power and log gradient may be from the theory of infinite networks.

    It is 1/width for each block, plus 1/batch where normalisations average over the batch:
    corrections to a layer are of these orders, and add up over depth.

    Args:
      passed: number of blocks between the start of theory and each place.
      width: width of the layers, in units or channels.
      batch: number of examples; None if normalisations do not average over them.
    """
    return passed * (1 / width + (1 / batch if batch else 0.0))


def of_blocks(
    blocks: pd.DataFrame, follows_theory: bool, step: int = 0, width: int = 0, batch: int = 0
) -> list[Configuration]:
    """Returns the configurations in a table of readings between blocks, at one step.

    Args:
      blocks: table of readings, with one rate for each configuration.
      follows_theory: whether theory covers the networks' blocks, as initialised.
      step: step at which they were read.
      width: width of their layers, for :func:`allowance`; 0 for no allowance.
      batch: number of examples in the batch that was read.
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
    """Returns whether a variant's normalisation averages over the batch."""
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
    """Returns the mean over seeds and its 95% interval, at every place ``[places]``.

    Args:
      values: values ``[seeds, places]``.
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
    """Returns half a t-interval of level 1 - ``error``, in standard errors; NaN for one seed."""
    from scipy import stats  # as in resnet_jax.statistics

    return float(stats.t.ppf(1 - error / 2, seeds - 1)) if seeds > 1 else np.nan


def summary(found: list[Configuration]) -> pd.DataFrame:
    """Returns a row a configuration: one end of every curve, and the verdict.

    ``cosine`` is at the last block's output, and so is ``power``, over that at the first block's
    input; gradients and their correlation are at the first block's input.
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
    """Returns every curve of every configuration: a row a quantity and place between blocks."""
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
            ):  # no more digits than are meaningful
                columns[column] = np.char.mod("%.5g", columns[column]).astype(float)
            tables.append(pd.DataFrame({**of, **places, **columns}))
    return pd.concat(tables, ignore_index=True)


def worst_fit(curve: Curve) -> str:
    """Returns how well a curve fits theory, at its worst place."""
    return max(curve.fit, key=("", "yes", "near", "no").index)


def by_verdict(found: list[Configuration]) -> Iterator[tuple[str, list[Configuration]]]:
    """Yields each verdict with its configurations, in the order of :data:`verdicts.VERDICTS`."""
    for name in verdicts.VERDICTS:
        these = [configuration for configuration in found if configuration.verdict == name]
        if these:
            yield name, these
