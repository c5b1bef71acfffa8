"""Compares remedies, ways to build and train deep networks: how deep they train, and theory.

The depth is the :mod:`experiments.lab.analysis.reach` of the mean training error over seeds at the
rate chosen for each depth (see :mod:`experiments.lab.analysis.summary`).  It is also computed for
each seed alone, at the same rates.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.lab.analysis import configurations, labels, predictions, verdicts
from experiments.lab.analysis.reach import TRAINED, Reach, reach
from experiments.lab.analysis.summary import choose_rates, summarise
from experiments.lab.analysis.wording import EDGES, percent
from experiments.lab.config.variants import NETWORK_FIELDS, VARIANT_FIELDS, Variant
from experiments.lab.config.vocabulary import NORMS

#: Other limits than 5%, to show how much the answer depends on the limit.
LIMITS = (0.01, 0.2)

#: The verdicts that find neither explosion nor collapse.
_SOUND = ("healthy", "shattered")

_BEST_FIRST = verdicts.VERDICTS[::-1]


class Remedy(NamedTuple):
    """Holds a way to build and train networks, of one shortcut weight, and how deep they train.

    Attributes:
      variant: how its networks are composed.
      shortcut_weight: weight of their shortcuts.
      curve: rows of the summary, shallow ones first.
      runs: runs at the chosen rates.
      reach: reach of the mean over seeds.
      seeds: reach of each seed alone, the least first.
      others: reach of the mean, at each of :data:`LIMITS`.
      theory: theory's verdicts on the networks as initialised, by depth; empty if there are none.
    """

    variant: Variant
    shortcut_weight: float
    curve: pd.DataFrame
    runs: pd.DataFrame
    reach: Reach
    seeds: list[Reach]
    others: list[Reach]
    theory: dict[int, str]

    @property
    def network(self) -> str:
        """Returns the name of its networks, without their normalisation."""
        return configurations.name_of(self.shortcut_weight, self.variant)

    @property
    def name(self) -> str:
        """Returns the name of its networks."""
        return f"{self.network}, {labels.norm(self.variant.norm)}"

    @property
    def failed_at_lowest_rate(self) -> bool:
        """Returns whether the rate chosen at the first depth that fails is the lowest tried."""
        first = self.curve[self.curve.depth == self.reach.fails]
        return bool((first.rate_at_edge == "lowest").any())

    def failure(self) -> tuple[str, str]:
        """Returns error and rate at the first depth that fails, in words; empty if none fails."""
        for row in self.curve[self.curve.depth == self.reach.fails].itertuples():
            lost = f" ({row.diverged} of {row.seeds} diverged)" if row.diverged else ""
            return (
                f"{percent(row.train_error)}{lost}",
                f"{row.learning_rate:g}{EDGES[row.rate_at_edge].strip()}",
            )
        return "", ""

    @property
    def ill_from(self) -> float:
        """Returns the first depth tried with explosion or collapse by theory; NaN for none."""
        ill = [depth for depth, verdict in self.theory.items() if verdict not in _SOUND]
        return float(min(ill, default=np.nan))

    def foretold(self) -> str:
        """Returns theory's verdicts in words; from the second on, with their least depth."""
        first: dict[str, int] = {}
        for depth, verdict in self.theory.items():
            first.setdefault(verdict, depth)
        words = [f"{verdict} from {depth}" for verdict, depth in first.items()]
        return ", ".join([*list(first)[:1], *words[1:]]) or "no theory"


def of_results(results: pd.DataFrame, knows: bool) -> list[Remedy]:
    """Returns every remedy in a results table, those that train deepest first.

    Among equals, the one with the lower training error at its deepest depth comes first.

    Args:
      results: results of a study.
      knows: whether theory covers the networks' blocks.
    """
    summary, chosen = summarise(results), choose_rates(results)
    found = [
        _remedy(labels.of(summary, key), labels.of(chosen, key), knows)
        for key in labels.series(summary)
    ]
    return sorted(found, key=lambda each: (-each.reach.order, each.curve.train_error.iloc[-1]))


def _remedy(curve: pd.DataFrame, runs: pd.DataFrame, knows: bool) -> Remedy:
    curve = curve.sort_values("depth")
    variant, weight = labels.variant_of(curve.iloc[0]), float(curve.shortcut_weight.iloc[0])
    errors = curve.set_index("depth").train_error
    alone = [reach(run.set_index("depth").train_error) for _, run in runs.groupby("seed")]
    said = {depth: foretold(variant, weight, depth) for depth in errors.index if knows}
    return Remedy(
        variant,
        weight,
        curve,
        runs,
        reach(errors),
        sorted(alone, key=lambda seed: seed.order),
        [reach(errors, limit) for limit in LIMITS],
        {depth: verdict for depth, verdict in said.items() if verdict},
    )


def foretold(variant: Variant, weight: float, depth: int) -> str:
    """Returns theory's verdict on an infinitely wide dense network; empty if it has none.

    The start is the usual one: inputs have nothing in common after the stem.
    """
    blocks = (depth - 2) // 2
    known = predictions.setting_of(variant, weight, blocks) if blocks else None
    if known is None:
        return ""
    follow, setting = known
    there = follow(blocks, setting)
    ends = verdicts.ends(
        there.power,
        there.gradient,
        there.cosine,
        there.gradient_correlation,
        batch_norm=NORMS[variant.norm].over_batch,
    )
    return verdicts.verdict(ends)


def table(found: Sequence[Remedy]) -> pd.DataFrame:
    """Returns a row a remedy; depths are empty if there are none, as in :class:`Reach`."""
    return pd.DataFrame([_row(remedy) for remedy in found])


def _row(remedy: Remedy) -> dict:
    row: dict = dict(zip(VARIANT_FIELDS, remedy.variant.names(), strict=True))
    row |= {"shortcut_weight": remedy.shortcut_weight, "network": remedy.name}
    row |= {"limit": TRAINED, "trains_to": remedy.reach.trains, "fails_at": remedy.reach.fails}
    row |= {"trains_again_at": " ".join(map(str, remedy.reach.again))}
    row |= {"failed_at_lowest_rate": remedy.failed_at_lowest_rate, "seeds": len(remedy.seeds)}
    row |= {"least_seed_trains_to": remedy.seeds[0].trains}
    row |= {"greatest_seed_trains_to": remedy.seeds[-1].trains}
    for limit, other in zip(LIMITS, remedy.others, strict=True):
        row |= {f"trains_to_at_{limit:g}": other.trains, f"fails_at_at_{limit:g}": other.fails}
    row |= {"diverged": int((remedy.runs.status == "diverged").sum())}
    return row | {"theory": "; ".join(f"{depth} {said}" for depth, said in remedy.theory.items())}


def sentences(found: Sequence[Remedy]) -> list[str]:
    """Returns sentences on which remedies train deepest, how sure that is, and on theory."""
    plain = [each for each in found if each.shortcut_weight == 0]
    shortcuts = [each for each in found if each.shortcut_weight != 0]
    lines = [
        _deepest(kind, these)
        for kind, these in (("Without shortcuts", plain), ("With shortcuts", shortcuts))
        if these
    ]
    return [*lines, *_doubts(found), *_of_theory(found)]


def _deepest(kind: str, found: list[Remedy]) -> str:
    best = [each for each in found if each.reach.order == found[0].reach.order]
    if not best[0].reach.order:
        return f"{kind}, none of {len(found)} trains at any depth tried."
    names = "; ".join(each.name for each in best)
    deepest = "" if all(each.reach.known for each in best) else ", the deepest tried"
    least = found[-1]
    rest = f". Least deep, {least.reach.words}: {least.name}" if len(best) < len(found) else ""
    reach = f"{best[0].reach.trains:.0f} layers{deepest}"
    return f"{kind}, {len(best)} of {len(found)} train deepest, to {reach}: {names}{rest}."


def _doubts(found: Sequence[Remedy]) -> Iterator[str]:
    """Yields sentences on what the answer depends on: seeds, limit, deeper successes, rates."""
    alike = sum(each.seeds[0].order == each.seeds[-1].order for each in found)
    yield f"In {alike} of {len(found)}, every seed alone comes to the same depth."
    for place, limit in enumerate(LIMITS):
        same = sum(each.others[place].order == each.reach.order for each in found)
        yield f"With {100 * limit:g}% as the limit, {same} of {len(found)} come to the same depth."
    for each in found:
        if each.reach.again:
            fails, again = f"{each.reach.fails:.0f}", ", ".join(map(str, each.reach.again))
            yield f"Fails at {fails} layers and trains again at {again} (*): {each.name}."
    failed = [each for each in found if each.reach.known]
    lowest = sum(each.failed_at_lowest_rate for each in failed)
    if lowest:
        yield (
            f"{lowest} of {len(failed)} that fail somewhere chose the lowest rate tried where they "
            "first do (↓), so that a lower one may do better."
        )


def _of_theory(found: Sequence[Remedy]) -> Iterator[str]:
    """Yields a sentence on how many of the networks with each of theory's verdicts train."""
    trains: dict[tuple, bool] = {}
    for each in found:
        errors = each.curve.set_index("depth").train_error
        network = [getattr(each.variant, field) for field in NETWORK_FIELDS]
        for depth, verdict in each.theory.items():
            key = (verdict, depth, each.shortcut_weight, *network)
            trains[key] = trains.get(key, False) or bool(errors[depth] < TRAINED)
    ends = {name: [end for key, end in trains.items() if key[0] == name] for name in _BEST_FIRST}
    told = [f"{name} {sum(these)} of {len(these)}" for name, these in ends.items() if these]
    if told:
        yield (
            f"Of theory's verdicts on {len(trains)} different networks as initialised, so many "
            f"train in one of the ways tried: {', '.join(told)}."
        )
