"""Builds the report of :mod:`experiments.degradation`."""

from experiments.degradation import figures, findings, published
from experiments.lab.analysis import labels, summary, wording
from experiments.lab.report import depth_curves, page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results

#: The name of the table that compares a paper's test errors with the study's.
PAPER = "paper.csv"

_CAPTIONS = {
    "error_over_depth": "Error over depth: mean line, 95% interval, a point a seed.",
    "loss_over_depth": "Cross-entropy over depth, in nats.",
    "training_curves": "Training error over the steps, a panel a depth, a thin line a seed.",
    "learning_rates": "Choice of the learning rate: final training error over the rates tried.",
}


def report(results: Results) -> Presentation:
    """Returns the study's findings, tables and figures."""
    settings, runs, history = results.settings, results.runs, results.history
    table, held_out = summary.summarise(runs), bool(settings.get("holdout"))
    shown = [
        page.Table(
            name,
            wording.COLUMNS,
            [[*row.values()] for row in wording.texts(labels.of(table, key))],
            wide=("training loss", "test error"),
        )
        for key, name in labels.variants(table).items()
    ]
    shown[-1] = shown[-1]._replace(note=" ".join(findings.notes(table, held_out)))
    paper, more = settings.get("compare"), {}
    if paper in published.PAPERS:
        more[PAPER] = published.compare(paper, table)
        notes = " ".join(published.notes(paper, settings))
        shown.append(page.Table(published.TITLE, *published.texts(more[PAPER]), notes))
    tested = "Validation" if held_out else "Test"
    errors = {"train_error": "Training error", "test_error": f"{tested} error"}
    losses = {"train_loss": "Training loss", "test_loss": f"{tested} loss"}
    return Presentation(
        title="Does training error rise with depth?",
        about=f"{table.seeds.sum()} runs at the chosen rates, {table.seeds.max()} seeds of each "
        f"kind and depth, on {settings.get('dataset')}; final step.",
        found=findings.sentences(table),
        summary=table,
        figures={
            "error_over_depth": lambda: depth_curves.over_depth(runs, errors),
            "loss_over_depth": lambda: depth_curves.over_depth(runs, losses),
            "training_curves": lambda: figures.training_curves(runs, history, "train_error"),
            "learning_rates": lambda: figures.rates(runs),
        },
        captions=_CAPTIONS,
        shown=shown,
        more=more,
    )
