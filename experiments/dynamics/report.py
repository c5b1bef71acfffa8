"""Builds the report of :mod:`experiments.dynamics`."""

import functools
from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from experiments.dynamics import agreement, figures, trajectories
from experiments.dynamics.trajectories import Trajectory
from experiments.lab.analysis import configurations, summary, wording
from experiments.lab.config.vocabulary import NORMS
from experiments.lab.report import page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results

_COLUMNS = (
    "depth",
    "norm",
    "network",
    "verdict at step 0",
    "at the end",
    "training error",
    "95% interval",
    "rate",
    "failed",
    "trains",
)


_NOTES = (
    "Verdicts: see propagation. Rates: of those tried, the one with the lowest mean training error "
    "over all seeds; ↓ was the lowest tried and ↑ the highest. A diverged run classifies nothing: "
    "its error counts as 100%. Configurations are no independent sample; intervals and tests over "
    "them show how far so few of them can be trusted.",
)


def report(results: Results) -> Presentation:
    """Returns the study's findings, tables and figures."""
    settings = results.settings
    runs, history = results.runs, results.history
    chosen = summary.choose_rates(runs)
    read = results.readings
    tables = {name: summary.at_chosen_rates(read(name), chosen) for name in ("blocks", "layers")}
    at = lambda step: configurations.of_blocks(tables["blocks"], False, step)
    ends = at(0), at(tables["blocks"].step.max())
    table = agreement.of_configurations(summary.summarise(runs), *ends)
    found = trajectories.of_runs(chosen, summary.at_chosen_rates(history, chosen), **tables)
    judged = agreement.judged(table)
    drawn, captions = _figures(tables, found, judged, chosen)
    return Presentation(
        title="When do plain networks fail, and was it predicted?",
        about=f"{settings.get('num_seeds')} seeds of each configuration and rate, on "
        f"{settings.get('dataset')}, read at chosen steps of their training.",
        found=[*trajectories.sentences(found), *agreement.sentences(judged)],
        figures=drawn,
        captions=captions,
        shown=[page.Table("", _COLUMNS, _texts(judged), " ".join(_NOTES))],
        summary=table,
    )


def _figures(
    tables: dict[str, pd.DataFrame],
    found: list[Trajectory],
    judged: pd.DataFrame,
    chosen: pd.DataFrame,
) -> tuple[dict[str, Callable[[], Figure]], dict[str, str]]:
    """Returns figures and their captions by name; none if there is nothing to draw."""
    deepest = trajectories.deepest(found)
    if not deepest:
        return {}, {}
    depth, names = deepest[0].depth, list(dict.fromkeys(each.name for each in found))
    drawn: dict[str, Callable[[], Figure]] = {
        "errors_by_verdict": lambda: figures.errors_by_verdict(judged, chosen, names),
        "over_steps": lambda: figures.over_steps(deepest, names),
    }
    captions = {
        "errors_by_verdict": "Final training error by the verdict on the networks as initialised; "
        "a point is a seed, and below the dotted line networks count as trained.",
        "over_steps": f"Over the steps, {depth} layers: thin lines are seeds, thick ones medians.",
    }
    for number, (kind, these) in enumerate(trajectories.by_kind(deepest).items(), 1):
        name = "over_layers" if number == 1 else f"over_layers_{number}"
        drawn[name] = functools.partial(figures.over_layers, tables, these)
        captions[name] = (
            f"Over the layers, {depth} of them, {kind}: median over seeds; bands reach from the "
            "lowest to the highest."
        )
    return drawn, captions


def _texts(judged: pd.DataFrame) -> list[list[str]]:
    """Returns the rows of the table, with the columns :data:`_COLUMNS`."""
    rank = lambda values: values.map(NORMS.rank) if values.name == "norm" else values
    ranked = judged.sort_values(["depth", "norm"], key=rank, kind="stable")
    shown = ("training error", "95% interval", "rate", "failed")
    return [
        [f"{row.depth}", row.norm, row.network, row.verdict, row.verdict_at_end]
        + [texts[name] for name in shown]
        + ["yes" if row.trains else "no"]
        for row, texts in zip(ranked.itertuples(), wording.texts(ranked), strict=True)
    ]
