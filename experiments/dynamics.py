"""Dynamics: when do plain networks fail while they train, and did networks as initialised foretell?

The layers of plain and residual networks are read at chosen steps of their training: signals,
gradients, updates, dead units.  The verdict on every configuration as initialised, that of
``propagation``, is then held against whether it trains.
"""

import functools
import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, readings, runner, store, validation
from experiments.config import Config
from experiments.kinds import KINDS, NORMS

if TYPE_CHECKING:
    import pandas as pd

    from experiments.presentation import Drawn
    from experiments.trajectories import Trajectory

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
    "them tell how far so few can be trusted.",
)


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json, results.csv, history.csv and the readings (or the records that
    these are made from).
    """
    from experiments import agreement, configurations, page, results, summary, terminal
    from experiments import trajectories as tracks
    from experiments.presentation import Presentation, publish

    settings = manifest.read(workdir)["settings"]
    runs, history = results.tables_of(workdir, terminal.warn)
    chosen = summary.choose_rates(runs)
    read = lambda name: results.readings_of(workdir, name, terminal.warn)
    tables = {name: summary.at_chosen_rates(read(name), chosen) for name in ("blocks", "layers")}
    at = lambda step: configurations.of_blocks(tables["blocks"], False, step)
    ends = at(0), at(tables["blocks"].step.max())
    table = agreement.of_configurations(summary.summarise(runs), *ends)
    found = tracks.of_runs(chosen, summary.at_chosen_rates(history, chosen), **tables)
    judged = agreement.judged(table)
    publish(
        workdir,
        Presentation(
            title="When do plain networks fail, and was it foretold?",
            about=f"{settings.get('num_seeds')} seeds of each configuration and rate, on "
            f"{settings.get('dataset')}, read at chosen steps of their training.",
            found=[*tracks.sentences(found), *agreement.sentences(judged)],
            figures=_figures(tables, found, judged, chosen),
            shown=[page.Table("", _COLUMNS, _texts(judged), " ".join(_NOTES))],
            written={store.SUMMARY: table},
        ),
    )


def _figures(
    tables: "dict[str, pd.DataFrame]",
    found: "list[Trajectory]",
    judged: "pd.DataFrame",
    chosen: "pd.DataFrame",
) -> "dict[str, Drawn]":
    """Figures and their captions by name; none where there is nothing to draw."""
    from experiments import evolution, trajectories
    from experiments.presentation import Drawn

    deepest = trajectories.deepest(found)
    if not deepest:
        return {}
    depth, names = deepest[0].depth, list(dict.fromkeys(each.name for each in found))
    drawn = {
        "errors_by_verdict": Drawn(
            evolution.errors_by_verdict(judged, chosen, names),
            "Final training error by the verdict on the networks as initialised; a point is a "
            "seed, and below the dotted line networks count as trained.",
        ),
        "over_steps": Drawn(
            evolution.over_steps(deepest, names),
            f"Over the steps, {depth} layers: thin lines are seeds, thick ones medians.",
        ),
    }
    for number, (kind, these) in enumerate(trajectories.by_kind(deepest).items(), 1):
        drawn["over_layers" if number == 1 else f"over_layers_{number}"] = Drawn(
            evolution.over_layers(tables, these),
            f"Over the layers, {depth} of them, {kind}: median over seeds, from the lowest to the "
            "highest.",
        )
    return drawn


def _texts(judged: "pd.DataFrame") -> list[list[str]]:
    """The rows of the table, by :data:`_COLUMNS`."""
    from experiments import findings

    rank = lambda values: values.map(NORMS.index) if values.name == "norm" else values
    ranked = judged.sort_values(["depth", "norm"], key=rank, kind="stable")
    shown = ("training error", "95% interval", "rate", "failed")
    return [
        [f"{row.depth}", row.norm, row.network, row.verdict, row.verdict_at_end]
        + [texts[name] for name in shown]
        + ["yes" if row.trains else "no"]
        for row, texts in zip(ranked.itertuples(), findings.texts(ranked), strict=True)
    ]


def _reading() -> readings.Reading:
    from experiments import layerwise

    return readings.Reading(readings.log_spaced, layerwise.of_network)


STUDY = runner.Study(
    "dynamics",
    __doc__,
    Config(
        depths=(56,),
        num_seeds=3,
        silent_plain=False,
        learning_rates=(0.03, 0.01, 0.003, 0.001),
    ).comparing(KINDS),
    report,
    _reading,
    validation.problems_without_blocks,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
