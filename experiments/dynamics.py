"""Dynamics: when do plain networks fail while they train, and did networks as initialised foretell?

The layers of plain and residual networks are read at chosen steps of their training: signals,
gradients, updates, dead units.  The verdict on every configuration as initialised, that of
``propagation``, is then held against whether it trains.
"""

import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, readings, runner, store, validation
from experiments.config import Config

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from experiments.trajectories import Trajectory

_KINDS = (
    ("original", "one", "he"),
    ("pre_activation", "one", "he"),
    ("pre_activation", "inverse_sqrt", "he"),
    ("pre_activation", "one", "zero_last"),
)
_NORMS = ("none", "batch", "layer")

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
    from experiments import agreement, configurations, figures, results, summary, terminal
    from experiments import trajectories as tracks

    settings = manifest.read(workdir)["settings"]
    runs, history = results.tables_of(workdir, terminal.warn)
    chosen = summary.choose_rates(runs)
    read = lambda name: results.readings_of(workdir, name, terminal.warn)
    tables = {name: summary.at_chosen_rates(read(name), chosen) for name in ("blocks", "layers")}
    at = lambda step: configurations.of_blocks(tables["blocks"], False, step)
    ends = at(0), at(tables["blocks"].step.max())
    table = agreement.of_configurations(summary.summarise(runs), *ends)
    store.write_text(workdir / store.SUMMARY, table.to_csv(index=False, lineterminator="\n"))
    found = tracks.of_runs(chosen, summary.at_chosen_rates(history, chosen), **tables)
    judged = agreement.judged(table)
    drawn = _figures(tables, tracks.deepest(found), judged, chosen)
    for name, (figure, _) in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    captions = {name: caption for name, (_, caption) in drawn.items()}
    sentences = [*tracks.sentences(found), *agreement.sentences(judged)]
    terminal.show_table(_COLUMNS, _texts(judged))
    terminal.show_lines([*sentences, *_NOTES, f"Tables, figures and report: {workdir}"])
    page = _page(workdir, settings, captions, _texts(judged), sentences)
    store.write_text(workdir / store.REPORT, page)


def _figures(
    tables: "dict[str, pd.DataFrame]",
    deepest: "list[Trajectory]",
    judged: "pd.DataFrame",
    chosen: "pd.DataFrame",
) -> "dict[str, tuple[Figure, str]]":
    """Figures and their captions by name; none where there is nothing to draw."""
    from experiments import evolution, trajectories

    if not deepest:
        return {}
    depth = deepest[0].depth
    drawn = {
        "errors_by_verdict": (
            evolution.errors_by_verdict(judged, chosen),
            "Final training error by the verdict on the networks as initialised; a point is a "
            "seed, and below the dotted line networks count as trained.",
        ),
        "over_steps": (
            evolution.over_steps(deepest),
            f"Over the steps, {depth} layers: thin lines are seeds, thick ones medians.",
        ),
    }
    for number, (kind, these) in enumerate(trajectories.by_kind(deepest).items(), 1):
        drawn["over_layers" if number == 1 else f"over_layers_{number}"] = (
            evolution.over_layers(tables, these),
            f"Over the layers, {depth} of them, {kind}: median over seeds, from the lowest to the "
            "highest.",
        )
    return drawn


def _texts(judged: "pd.DataFrame") -> list[list[str]]:
    """The rows of the table, by :data:`_COLUMNS`."""
    from experiments import findings

    rank = lambda values: values.map(_NORMS.index) if values.name == "norm" else values
    ranked = judged.sort_values(["depth", "norm"], key=rank, kind="stable")
    shown = ("training error", "95% interval", "rate", "failed")
    return [
        [f"{row.depth}", row.norm, row.network, row.verdict, row.verdict_at_end]
        + [texts[name] for name in shown]
        + ["yes" if row.trains else "no"]
        for row, texts in zip(ranked.itertuples(), findings.texts(ranked), strict=True)
    ]


def _page(
    workdir: pathlib.Path,
    settings: dict,
    captions: dict[str, str],
    rows: list[list[str]],
    sentences: list[str],
) -> str:
    from experiments import page, results

    return page.html(
        page.Page(
            title="When do plain networks fail, and was it foretold?",
            about=f"{settings.get('num_seeds')} seeds of each configuration and rate, on "
            f"{settings.get('dataset')}, read at chosen steps of their training.",
            found=sentences,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in captions.items()
            ],
            tables=[page.Table("", _COLUMNS, rows, " ".join(_NOTES))],
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


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
        norm=tuple(norm for norm in _NORMS for _ in _KINDS),
        order=tuple(order for order, _, _ in _KINDS) * len(_NORMS),
        branch_scale=tuple(scale for _, scale, _ in _KINDS) * len(_NORMS),
        init=tuple(init for _, _, init in _KINDS) * len(_NORMS),
    ),
    report,
    _reading,
    validation.problems_without_blocks,
)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
