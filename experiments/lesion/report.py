"""The report of :mod:`experiments.lesion`."""

import pandas as pd

from experiments.lab.analysis import summary
from experiments.lab.analysis.summary import KIND
from experiments.lab.report import page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results
from experiments.lesion import curves, figures, findings
from experiments.lesion.curves import Lesioned

_CAPTIONS = {
    "lesions": "Training error without one block, without several at random, and with random pairs "
    "exchanged: mean over seeds, 95% interval.",
    "paths": "The gradient of the loss by the number of branches on its way: norm along single "
    "paths, that times their number, and what all paths of a length bring together.",
}


def report(results: Results) -> Presentation:
    """Says what the study found."""
    settings = results.settings
    runs = results.runs
    removed, swapped, paths = (results.readings(name) for name in ("removed", "swapped", "paths"))
    found = curves.of_tables(removed, swapped, paths, summary.choose_rates(runs))
    drawn = {"lesions": lambda: figures.lesions(found), "paths": lambda: figures.paths(found)}
    rows, notes = findings.texts(found), " ".join(findings.NOTES)
    return Presentation(
        title="Does a trained network need each of its blocks?",
        about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
        f"{settings.get('dataset')}; final step.",
        found=findings.sentences(found),
        figures=drawn,
        captions=_CAPTIONS,
        shown=[page.Table("", findings.COLUMNS, rows, notes)],
        summary=_summary(summary.summarise(runs), found),
    )


def _summary(table: pd.DataFrame, found: list[Lesioned]) -> pd.DataFrame:
    """The usual summary, and what lesions did, a row a depth and kind."""
    rows = [
        {**each.removed.iloc[0][KIND].to_dict(), **findings.summary_columns(each)} for each in found
    ]
    return table.merge(pd.DataFrame(rows), on=KIND)
