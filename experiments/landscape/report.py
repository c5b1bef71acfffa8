"""The report of :mod:`experiments.landscape`."""

from experiments.lab.analysis import summary
from experiments.lab.report import page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results
from experiments.landscape import figures, sharpness

_CAPTIONS = {
    "planes": "Training loss over the plane of two random filter-normalised directions, first seed "
    "at the chosen rates; the same levels everywhere, × is the trained network.",
    "lines": "Along the first direction, a line a seed; dashes are the expansion to second order.",
    "every_seed": "The plane of every seed at the greatest depth.",
}


def report(results: Results) -> Presentation:
    """Says what the study found."""
    settings = results.settings
    runs = results.runs
    chosen = summary.choose_rates(runs)
    lines, plane, curvatures = (
        summary.at_chosen_rates(results.readings(name), chosen)
        for name in ("lines", "plane", "curvatures")
    )
    table = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary.summarise(runs))
    drawn = {
        "planes": lambda: figures.planes(plane, chosen),
        "lines": lambda: figures.along_lines(lines, curvatures),
        "every_seed": lambda: figures.every_seed(plane, chosen),
    }
    return Presentation(
        title="What does the loss look like around trained networks?",
        about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
        f"{settings.get('dataset')}; final step.",
        found=sharpness.sentences(table),
        figures=drawn,
        captions=_CAPTIONS,
        shown=[page.Table("", *sharpness.texts(table), sharpness.NOTE)],
        summary=table,
    )
