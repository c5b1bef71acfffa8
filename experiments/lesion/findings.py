"""States the findings of lesions, in sentences and in a table computed from the readings."""

from collections.abc import Iterator

import numpy as np

from experiments.lab.analysis.wording import percent
from experiments.lesion.curves import Lesioned, at_depths, least_length
from resnet_jax import theory
from resnet_jax.statistics import Interval

COLUMNS = (
    "depth",
    "network",
    "intact",
    "one removed",
    "anew",
    "missed most",
    "half removed",
    "exchanged",
    "path, initial",
    "trained",
)

NOTES = (
    "Training error of networks at their chosen rates, mean over seeds. One removed: mean "
    "over all single blocks [95% interval]; anew: the same with normalisations measured anew. "
    "Missed most: the block without which the error is highest. Exchanged: after twice as many "
    "exchanges of random pairs as there are blocks. Path: mean number of branches on the "
    "gradient's way, of all.",
)

#: The part of the sum of count times norm over lengths of paths that sentences report.
_PART = 0.95


def texts(found: list[Lesioned]) -> list[list[str]]:
    """Returns the rows of the table."""
    return [_row(each) for _, these in at_depths(found) for each in these]


def _row(each: Lesioned) -> list[str]:
    block, error = each.most_missed()
    anew = percent(each.without(1, "remeasured_error").mean)
    means = [end.mean_length.mean for end in each.paths]
    lengths = ["" if np.isnan(mean) else f"{mean:.1f} of {each.blocks}" for mean in means]
    return [
        f"{each.depth}",
        each.name,
        percent(each.without(0).mean),
        _interval(each.without(1)),
        anew,
        f"{block}: {percent(error)}",
        f"{each.half()}: {percent(each.without(each.half()).mean)}",
        percent(each.shuffled().mean),
        *(lengths or ["", ""]),
    ]


def _interval(value: Interval) -> str:
    if np.isnan(value.low):
        return percent(value.mean)
    ends = ", ".join(f"{100 * np.clip(end, 0, 1):.1f}" for end in value[1:])
    return f"{percent(value.mean)} [{ends}]"


def summary_columns(each: Lesioned) -> dict[str, float]:
    """Returns the columns of the summary about lesions; errors are fractions."""
    half = {"half": each.half()} if each.blocks else {}
    removed = {"one": 1, **half} if each.blocks else {}
    row: dict[str, float] = {"blocks": each.blocks}
    for name, count in removed.items():
        row |= _columns(f"{name}_removed", each.without(count))
        row |= {f"{name}_removed_remeasured": each.without(count, "remeasured_error").mean}
    row |= _columns("exchanged", each.shuffled())
    row |= {"exchanged_remeasured": each.shuffled("remeasured_error").mean}
    for name, paths in zip(("initial", "trained"), each.paths, strict=False):
        row[f"path_length_{name}"] = paths.mean_length.mean
    return row


def _columns(name: str, value: Interval) -> dict[str, float]:
    low, high = np.clip(value[1:], 0, 1)
    return {name: value.mean, f"{name}_low": low, f"{name}_high": high}


def sentences(found: list[Lesioned]) -> list[str]:
    """Returns sentences on the findings, depth by depth."""
    lines = [line for depth, these in at_depths(found) for line in _of_depth(depth, these)]
    return lines or ["Networks of 2 layers have no blocks, so that none can be removed."]


def _of_depth(depth: int, these: list[Lesioned]) -> Iterator[str]:
    blocks = these[0].blocks
    rises = [
        f"{each.name} from {percent(each.without(0).mean)} to {percent(each.without(1).mean)}"
        for each in these
    ]
    yield (
        f"At {depth} layers, removing one of {blocks} blocks takes the mean training error of "
        f"{'; '.join(rises)}."
    )
    for each in (each for each in these if each.residual):
        yield " ".join(_of_residual(each))


def _of_residual(each: Lesioned) -> Iterator[str]:
    block, error = each.most_missed()
    half = each.half()
    yield (
        f"At {each.depth} layers, {each.name}: block {block} is missed most ({percent(error)}); "
        f"without {half} of {each.blocks} blocks the error is {percent(each.without(half).mean)}, "
        f"with normalisations measured anew "
        f"{percent(each.without(half, 'remeasured_error').mean)}; after the most exchanges "
        f"{percent(each.shuffled().mean)}."
    )
    initial, trained = each.paths
    if np.isnan([initial.mean_length.mean, trained.mean_length.mean]).any():
        return  # for example where networks diverge
    yield (
        f"Its gradient comes along {initial.mean_length.mean:.1f} branches on average at first and "
        f"along {trained.mean_length.mean:.1f} after training (the mean of all paths takes "
        f"{each.blocks / 2:g})" + _by_product(least_length(trained, _PART), each.blocks)
    )


def _by_product(least: int, blocks: int) -> str:
    if least < 0:
        return "."
    count = theory.path_lengths(blocks)[: least + 1].sum()
    return (
        f"; by count times norm, paths of at most {least} branches bring {_PART:.0%} of it, "
        f"and are {100 * count:.2g}% of all paths."
    )
