"""The report of :mod:`experiments.lesion`."""

import pathlib

import pandas as pd

from experiments.lab.analysis import summary
from experiments.lab.analysis.summary import KIND
from experiments.lab.report import page, terminal
from experiments.lab.report.presentation import Drawn, Presentation, publish
from experiments.lab.store import layout, manifest, results
from experiments.lesion import curves, figures, findings
from experiments.lesion.curves import Lesioned

_CAPTIONS = {
    "lesions": "Training error without one block, without several at random, and with random pairs "
    "exchanged: mean over seeds, 95% interval.",
    "paths": "The gradient of the loss by the number of branches on its way: norm along single "
    "paths, that times their number, and what all paths of a length bring together.",
}


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json, results.csv and the readings (or the records that these are made
    from).
    """
    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    removed, swapped, paths = (
        results.readings_of(workdir, name, terminal.warn)
        for name in ("removed", "swapped", "paths")
    )
    found = curves.of_tables(removed, swapped, paths, summary.choose_rates(runs))
    drawn = {"lesions": figures.lesions(found), "paths": figures.paths(found)}
    rows, notes = findings.texts(found), " ".join(findings.NOTES)
    publish(
        workdir,
        Presentation(
            title="Does a trained network need each of its blocks?",
            about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
            f"{settings.get('dataset')}; final step.",
            found=findings.sentences(found),
            figures={name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()},
            shown=[page.Table("", findings.COLUMNS, rows, notes)],
            written={layout.SUMMARY: _summary(summary.summarise(runs), found)},
        ),
    )


def _summary(table: pd.DataFrame, found: list[Lesioned]) -> pd.DataFrame:
    """The usual summary, and what lesions did, a row a depth and kind."""
    rows = [
        {**each.removed.iloc[0][KIND].to_dict(), **findings.summary_columns(each)} for each in found
    ]
    return table.merge(pd.DataFrame(rows), on=KIND)
