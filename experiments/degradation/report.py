"""The report of :mod:`experiments.degradation`."""

import pathlib

import pandas as pd

from experiments.degradation import findings, published, screen
from experiments.lab.analysis import labels, summary, wording
from experiments.lab.report import figures, page, presentation, terminal
from experiments.lab.report.presentation import Drawn
from experiments.lab.store import layout, manifest, results

#: The table of a paper's numbers and ours.
PAPER = "paper.csv"

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

    settings = manifest.read(workdir)["settings"]
    runs, history = results.tables_of(workdir, terminal.warn)
    table = summary.summarise(runs)
    held_out = bool(settings.get("holdout"))
    written = {layout.SUMMARY: table}
    shown = [
        page.Table(name, wording.COLUMNS, [[*row.values()] for row in wording.texts(rows)])
        for key, name in labels.variants(table).items()
        for rows in [labels.of(table, key)]
    ]
    shown[-1] = shown[-1]._replace(note=" ".join(findings.notes(table, held_out)))
    paper, beside = settings.get("compare"), None
    if paper in published.PAPERS:
        beside, notes = published.compare(paper, table), published.notes(paper, settings)
        written[PAPER] = beside
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
    screen.show(table, workdir, held_out)
    if beside is not None:
        screen.show_paper(beside, notes)


def _figures(
    runs: pd.DataFrame, history: pd.DataFrame, tested: str
) -> dict[str, presentation.Drawn]:

    errors = {"train_error": "Training error", "test_error": f"{tested} error"}
    losses = {"train_loss": "Training loss", "test_loss": f"{tested} loss"}
    drawn = {
        "error_over_depth": figures.over_depth(runs, errors),
        "loss_over_depth": figures.over_depth(runs, losses),
        "training_curves": figures.training_curves(runs, history, "train_error"),
        "learning_rates": figures.rates(runs),
    }
    return {name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()}
