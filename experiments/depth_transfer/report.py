"""The report of :mod:`experiments.depth_transfer`."""

from experiments.depth_transfer import figures, optima, reading, transfers
from experiments.lab.analysis import predictions
from experiments.lab.report import page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results

#: Beside the summary of every cell: how each parametrisation moves with depth.
SLOPES = "slopes.csv"


_CAPTIONS = {
    "loss_over_rate": "Final training loss over the learning rate, geometric means over seeds; "
    "rings: the best rate of each depth.",
    "best_rate": "The best learning rate over depth: geometric mean over seeds, 95% interval, a "
    "point a seed; dashes: theory.",
    "feature_change": "Coordinate check: how far the first steps move the features behind the last "
    "block, at the lowest rate tried; dashes: theory, of one step.",
}


def report(results: Results) -> Presentation:
    """Says what the study found."""
    settings = results.settings
    runs = results.runs
    read = results.readings(reading.FEATURES)
    best, changes = optima.of_seeds(runs), reading.at_lowest_rates(read)
    summary = optima.over_seeds(best)
    knows = predictions.knows(settings)
    theory = transfers.predicted(changes, knows)
    slopes = transfers.of_parametrisations(runs, best, changes, theory)
    drawn = {
        "loss_over_rate": lambda: figures.loss_over_rate(runs, summary),
        "best_rate": lambda: figures.best_rate_over_depth(best, summary, theory),
        "feature_change": lambda: figures.feature_change(changes, theory),
    }
    texts = transfers.rate_texts(slopes, summary), transfers.change_texts(slopes)
    return Presentation(
        title="Does the best learning rate move with depth?",
        about=f"{settings.get('num_seeds')} seeds of each depth, parametrisation and rate, on "
        f"{settings.get('dataset')}; training loss after {settings.get('steps')} steps.",
        found=transfers.sentences(slopes),
        figures=drawn,
        captions=_CAPTIONS,
        shown=[
            page.Table(title, *these, note)
            for title, these, note in zip(_TITLES, texts, _NOTES, strict=True)
        ],
        summary=summary,
        more={SLOPES: slopes},
    )


_TITLES = ("Best rates", "Coordinate check")


_NOTES = (
    "Best rate: each seed's own, geometric mean. Slopes: of the logarithm over that of depth, with "
    "a 95% interval over seeds. ↓ and ↑: in some seeds the lowest or highest rate tried. Kept: the "
    "best rate of the shallowest networks, at the deepest. Loss: at each seed's best rate.",
    "Second table: slopes of the change of the features behind the last block, after so many steps "
    "at the lowest rate tried. Theory is of one step.",
)
