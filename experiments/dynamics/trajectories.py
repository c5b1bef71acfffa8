"""Follows signals and gradients step by step while networks train.

Only runs at the chosen rates are used.  After a run diverges it has no numbers, and is counted.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import configurations, labels
from experiments.lab.analysis.wording import percent
from experiments.lab.config.grid import RUN_COLUMNS
from experiments.lab.config.variants import Variant

#: The training error below which a network has begun to learn, as in the warm-up of He et al. 2015
#: (section 4.2).
BEGUN = 0.8

#: The measures that are followed over the steps.
LOSS, ERROR = "train_loss", "train_error"
FIRST, LAST, CORRELATION = "first_gradient", "last_gradient", "gradient_correlation"
COSINE, DEAD, UPDATE = "cosine", "dead", "first_update"


class Trajectory(NamedTuple):
    """Holds the trajectory of one configuration.

    Attributes:
      variant: how its networks are composed.
      shortcut_weight: weight of their shortcuts.
      depth: their depth.
      name: their name, without the normalisation.
      steps: steps at which they were measured ``[steps]``.
      measures: measures ``[steps, seeds]`` by name, NaN where a number is not finite: training loss
        (nats) and error; norms of the loss's gradient at the first block's input and at the last
        block's output; correlation of two inputs' gradients at the former; cosine of two inputs at
        the latter; share of dead features, mean over the layers after the stem; norm of the stem's
        weight update in the next step over the norm of its weights (if there are steps).
      verdicts: verdicts on the networks at each step ``[steps]``.
      diverged: number of runs that diverged.
    """

    variant: Variant
    shortcut_weight: float
    depth: int
    name: str
    steps: np.ndarray
    measures: Mapping[str, np.ndarray]
    verdicts: Sequence[str]
    diverged: int

    def middle(self, name: str) -> np.ndarray:
        """Returns the median over the seeds that have a number ``[steps]``."""
        return pd.DataFrame(self.measures[name]).median(axis=1).to_numpy()

    def growth(self) -> np.ndarray:
        """Returns the gradient at the first block over that at the last ``[steps, seeds]``."""
        with np.errstate(divide="ignore", invalid="ignore"):  # either may be zero
            return self.measures[FIRST] / self.measures[LAST]

    def begins(self) -> float:
        """Returns the first step measured with a median training error below 80%, or NaN."""
        below = self.steps[self.middle(ERROR) < BEGUN]
        return float(below[0]) if len(below) else np.nan


def of_runs(
    chosen: pd.DataFrame, history: pd.DataFrame, blocks: pd.DataFrame, layers: pd.DataFrame
) -> list[Trajectory]:
    """Returns the trajectory of every configuration through which signals pass.

    Args:
      chosen: runs at the chosen rates.
      history: their history.
      blocks: their readings between blocks.
      layers: their readings of layers.
    """
    blocks, layers = finite(blocks, "rms"), finite(layers, "input_rms")
    steps = sorted(blocks.step.unique())
    read = [configurations.of_blocks(blocks, False, step) for step in steps]
    found = []
    for first, *later in zip(*read, strict=True):
        if not first.carries:
            continue
        key = (*first.variant.names(), first.shortcut_weight)
        here = lambda table, key=key, depth=first.depth: labels.of(table[table.depth == depth], key)
        found.append(
            Trajectory(
                first.variant,
                first.shortcut_weight,
                first.depth,
                first.name,
                np.array(steps),
                _losses(here(history), steps) | _signals(here(blocks), here(layers)),
                [each.verdict for each in (first, *later)],
                int((here(chosen).status == "diverged").sum()),
            )
        )
    variants = list(dict.fromkeys(each.variant for each in found))
    return sorted(found, key=lambda each: (variants.index(each.variant), each.shortcut_weight))


def finite(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Returns a table with NaN in the rows where the power of activations overflows.

    Args:
      table: table of readings.
      column: column with the square root of the power, measured in single precision.
    """
    measured = table.columns.difference([*RUN_COLUMNS, "step", "place"])
    with np.errstate(over="ignore"):
        sound = np.isfinite(table[column].astype(np.float32) ** 2)
    return table.assign(**table[measured].where(sound))


def _losses(history: pd.DataFrame, steps: Sequence[int]) -> dict[str, np.ndarray]:
    read = history[history.step.isin(steps)]
    return {name: _by_seed(read[read.metric == name], "value") for name in (LOSS, ERROR)}


def _signals(blocks: pd.DataFrame, layers: pd.DataFrame) -> dict[str, np.ndarray]:
    first, last = blocks[blocks.place == 0], blocks[blocks.place == blocks.place.max()]
    behind = layers[layers.place > 0].groupby(["step", "seed"], as_index=False)
    updates = "update_to_weight"
    stem = layers[layers.place == 0]
    return {
        **({UPDATE: _by_seed(stem, updates)} if updates in stem else {}),
        FIRST: _by_seed(first, "gradient"),
        LAST: _by_seed(last, "gradient"),
        CORRELATION: _by_seed(first, "gradient_correlation"),
        COSINE: _by_seed(last, "cosine"),
        DEAD: _by_seed(behind.dead.agg(lambda values: values.mean(skipna=False)), "dead"),
    }


def _by_seed(table: pd.DataFrame, column: str) -> np.ndarray:
    values = table.pivot(index="step", columns="seed", values=column).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def deepest(found: Sequence[Trajectory]) -> list[Trajectory]:
    """Returns the trajectories of the greatest depth."""
    depth = max((each.depth for each in found), default=0)
    return [each for each in found if each.depth == depth]


def by_kind(found: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    """Groups trajectories that differ only in normalisation and shortcut weight."""
    kinds: dict[Variant, list[Trajectory]] = {}
    for each in found:
        kinds.setdefault(dataclasses.replace(each.variant, norm=""), []).append(each)
    return {configurations.way(these[0].variant): these for these in kinds.values()}


def sentences(found: Sequence[Trajectory]) -> list[str]:
    """Returns sentences on when the deepest plain networks begin to learn, and their gradients.

    Each is compared with the same network with the greatest shortcut weight trained.
    """
    here = deepest(found)
    lines = []
    for each in here:
        if each.shortcut_weight == 0:
            with_shortcuts = [
                other for other in here if other.variant == each.variant and other.shortcut_weight
            ]
            lines.append(_story(each) + "".join(map(_beside, with_shortcuts[-1:])))
    return lines


def _story(each: Trajectory) -> str:
    loss = each.middle(LOSS)
    loss = loss[np.isfinite(loss)]
    losses = (
        f"{loss[0]:.2g} at first and {loss.min():.2g} at its least" if len(loss) else "infinite"
    )
    return (
        f"{each.name[0].upper()}{each.name[1:]}, {labels.with_norm(each.variant.norm)}, "
        f"{each.depth} layers: gradients at the first block are {_ratios(each)}; the verdict is "
        f"{_verdicts(each)}{_updates(each)}; training loss is {losses}; training error "
        f"{_ends(each)}."
    )


def _updates(each: Trajectory) -> str:
    """Returns a clause on the first layer's first update, and one before the rate is zero."""
    if UPDATE not in each.measures:
        return ""
    first, later = each.middle(UPDATE)[[0, max(len(each.steps) - 3, 0)]]
    step = each.steps[max(len(each.steps) - 3, 0)]
    return (
        f"; updates of the first layer are {first:.2g} (step 0) and {later:.2g} (step {step}) of "
        "its weights' norm"
    )


def _beside(other: Trajectory) -> str:
    return f" With shortcuts they are {_ratios(other)}, and training error {_ends(other)}."


def _ratios(each: Trajectory) -> str:
    """Returns the gradient ratios of first to last block at both ends and as learning begins."""
    ratios = pd.DataFrame(each.growth()).median(axis=1).to_numpy()
    begins = each.begins()
    at = [0, len(ratios) - 1]
    if each.steps[0] < begins < each.steps[-1]:
        at.insert(1, int(np.flatnonzero(each.steps == begins)[0]))
    known = [index for index in sorted(set(at)) if not np.isnan(ratios[index])]
    text = ", ".join(f"{ratios[index]:.2g} (step {each.steps[index]})" for index in known)
    return f"{text} times those at the last" if text else "finite at no step"


def _verdicts(each: Trajectory) -> str:
    """Returns the verdicts in words, and the step from which each holds."""
    changes = [
        index
        for index, verdict in enumerate(each.verdicts)
        if not index or verdict != each.verdicts[index - 1]
    ]
    return ", ".join(f"{each.verdicts[index]} from step {each.steps[index]}" for index in changes)


def _ends(each: Trajectory) -> str:
    begins, end = each.begins(), percent(each.middle(ERROR)[-1])
    lost = f" ({each.diverged} runs diverged)" if each.diverged else ""
    if np.isnan(begins):
        return f"is never below {percent(BEGUN)} and ends at {end}{lost}"
    return f"is below {percent(BEGUN)} from step {begins:.0f} and ends at {end}{lost}"
