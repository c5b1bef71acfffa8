"""Degradation: does training error rise with depth, and do shortcuts keep it from rising?

The question of He et al. 2015 (Figures 1 and 6) and of the lecture's main figure: plain networks
and residual ones, the same in everything but the shortcut weight, at one depth after the other.
"""

import functools
import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, runner, store
from experiments.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from experiments import presentation

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
    from experiments import (
        findings,
        labels,
        page,
        presentation,
        published,
        results,
        summary,
        terminal,
    )

    settings = manifest.read(workdir)["settings"]
    runs, history = results.tables_of(workdir, terminal.warn)
    table = summary.summarise(runs)
    held_out = bool(settings.get("holdout"))
    written = {store.SUMMARY: table}
    shown = [
        page.Table(name, findings.COLUMNS, [[*row.values()] for row in findings.texts(rows)])
        for key, name in labels.variants(table).items()
        for rows in [labels.of(table, key)]
    ]
    shown[-1] = shown[-1]._replace(note=" ".join(findings.notes(table, held_out)))
    paper, beside = settings.get("compare"), None
    if paper in published.PAPERS:
        beside, notes = published.compare(paper, table), published.notes(paper, settings)
        written[store.PAPER] = beside
        shown.append(page.Table(published.TITLE, *published.texts(beside), " ".join(notes)))
    presentation.write(
        workdir,
        presentation.Presentation(
            title="Does training error rise with depth?",
            about=f"{table.seeds.sum()} runs at the chosen rates, {table.seeds.max()} seeds of "
            f"each kind and depth, on {settings.get('dataset')}; final step.",
            found=findings.sentences(table),
            figures=_figures(runs, history, "Validation" if held_out else "Test"),
            shown=shown,
            written=written,
        ),
    )
    terminal.show(table, workdir, held_out)
    if beside is not None:
        terminal.show_paper(beside, notes)


def _figures(
    runs: "pd.DataFrame", history: "pd.DataFrame", tested: str
) -> "dict[str, presentation.Drawn]":
    from experiments import figures
    from experiments.presentation import Drawn

    errors = {"train_error": "Training error", "test_error": f"{tested} error"}
    losses = {"train_loss": "Training loss", "test_loss": f"{tested} loss"}
    drawn = {
        "error_over_depth": figures.over_depth(runs, errors),
        "loss_over_depth": figures.over_depth(runs, losses),
        "training_curves": figures.training_curves(runs, history, "train_error"),
        "learning_rates": figures.rates(runs),
    }
    return {name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()}


STUDY = runner.Study("degradation", __doc__, Config(), report)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
