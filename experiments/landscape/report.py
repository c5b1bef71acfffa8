"""The report of :mod:`experiments.landscape`."""

import pathlib

from experiments.lab.analysis import summary
from experiments.lab.report import page, terminal
from experiments.lab.report.presentation import Drawn, Presentation, publish
from experiments.lab.store import layout, manifest, results
from experiments.landscape import figures, sharpness

_CAPTIONS = {
    "planes": "Training loss over the plane of two random filter-normalised directions, first seed "
    "at the chosen rates; the same levels everywhere, × is the trained network.",
    "lines": "Along the first direction, a line a seed; dashes are the expansion to second order.",
    "every_seed": "The plane of every seed at the greatest depth.",
}


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json, results.csv, history.csv and the readings (or the records that
    these are made from).
    """
    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    chosen = summary.choose_rates(runs)
    lines, plane, curvatures = (
        summary.at_chosen_rates(results.readings_of(workdir, name, terminal.warn), chosen)
        for name in ("lines", "plane", "curvatures")
    )
    table = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary.summarise(runs))
    drawn = {
        "planes": figures.planes(plane, chosen),
        "lines": figures.along_lines(lines, curvatures),
        "every_seed": figures.every_seed(plane, chosen),
    }
    publish(
        workdir,
        Presentation(
            title="What does the loss look like around trained networks?",
            about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
            f"{settings.get('dataset')}; final step.",
            found=sharpness.sentences(table),
            figures={name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()},
            shown=[page.Table("", *sharpness.texts(table), sharpness.NOTE)],
            written={layout.SUMMARY: table},
        ),
    )
