"""Degradation: does training error rise with depth, and do shortcuts keep it from rising?

The question of He et al. 2015 (Figures 1 and 6) and of the lecture's main figure: plain networks
and residual ones, the same in everything but the shortcut weight, at one depth after the other.
"""

import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, runner, store
from experiments.config import Config

if TYPE_CHECKING:
    import pandas as pd

_CAPTIONS = {
    "error_over_depth": "Error over depth: mean line, 95% interval, a point a seed.",
    "loss_over_depth": "Cross-entropy over depth, in nats.",
    "training_curves": "Training error over the steps, a panel a depth, a thin line a seed.",
    "learning_rates": "The choice of the rate: final training error over the rates tried.",
}


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, paper.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json, results.csv and history.csv (or the records that these are made
    from) and, for the page, environment.json.
    """
    # Seconds, which --help need not wait for.
    from experiments import figures, published, summary, terminal
    from experiments.results import tables_of

    settings = manifest.read(workdir)["settings"]
    results, history = tables_of(workdir, terminal.warn)
    table = summary.summarise(results)
    store.write_text(workdir / store.SUMMARY, table.to_csv(index=False, lineterminator="\n"))
    held_out = bool(settings.get("holdout"))
    tested = "Validation" if held_out else "Test"
    errors = {"train_error": "Training error", "test_error": f"{tested} error"}
    losses = {"train_loss": "Training loss", "test_loss": f"{tested} loss"}
    drawn = {
        "error_over_depth": figures.over_depth(results, errors),
        "loss_over_depth": figures.over_depth(results, losses),
        "training_curves": figures.training_curves(results, history, "train_error"),
        "learning_rates": figures.rates(results),
    }
    for name, figure in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    terminal.show(table, workdir, held_out)
    beside, paper = None, settings.get("compare")
    if paper in published.PAPERS:
        beside = published.compare(paper, table)
        store.write_text(workdir / store.PAPER, beside.to_csv(index=False, lineterminator="\n"))
        terminal.show_paper(beside, published.notes(paper, settings))
    store.write_text(workdir / store.REPORT, _page(workdir, settings, table, beside, held_out))


def _page(
    workdir: pathlib.Path,
    settings: dict,
    summary: "pd.DataFrame",
    beside: "pd.DataFrame | None",
    held_out: bool,
) -> str:
    """The report as a page."""
    from experiments import findings, labels, page, published, results

    shown = [
        page.Table(name, findings.COLUMNS, [[*row.values()] for row in findings.texts(rows)])
        for key, name in labels.variants(summary).items()
        for rows in [labels.of(summary, key)]
    ]
    shown[-1] = shown[-1]._replace(note=" ".join(findings.notes(summary, held_out)))
    if beside is not None:
        note = " ".join(published.notes(settings["compare"], settings))
        shown.append(page.Table(published.TITLE, *published.texts(beside), note))
    return page.html(
        page.Page(
            title="Does training error rise with depth?",
            about=f"{summary.seeds.sum()} runs at the chosen rates, {summary.seeds.max()} seeds of "
            f"each kind and depth, on {settings.get('dataset')}; final step.",
            found=findings.sentences(summary),
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in _CAPTIONS.items()
            ],
            tables=shown,
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


STUDY = runner.Study("degradation", __doc__, Config(), report)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
