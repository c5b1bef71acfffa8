"""Lesion: does a trained network need each of its blocks, their order, and its long paths?

Blocks of trained networks are removed, one at a time and several at random, and exchanged (Veit et
al. 2016); and the gradient is followed along paths through each number of branches, before training
and after it.
"""

import functools
import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, readings, runner, store
from experiments.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from experiments.lesion_curves import Lesioned

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
    from experiments import (
        lesion_curves,
        lesion_figures,
        lesion_findings,
        page,
        results,
        summary,
        terminal,
    )
    from experiments.presentation import Drawn, Presentation, publish

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    removed, swapped, paths = (
        results.readings_of(workdir, name, terminal.warn)
        for name in ("removed", "swapped", "paths")
    )
    found = lesion_curves.of_tables(removed, swapped, paths, summary.choose_rates(runs))
    drawn = {"lesions": lesion_figures.lesions(found), "paths": lesion_figures.paths(found)}
    rows, notes = lesion_findings.texts(found), " ".join(lesion_findings.NOTES)
    publish(
        workdir,
        Presentation(
            title="Does a trained network need each of its blocks?",
            about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
            f"{settings.get('dataset')}; final step.",
            found=lesion_findings.sentences(found),
            figures={name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()},
            shown=[page.Table("", lesion_findings.COLUMNS, rows, notes)],
            written={store.SUMMARY: _summary(summary.summarise(runs), found)},
        ),
    )


def _summary(table: "pd.DataFrame", found: "list[Lesioned]") -> "pd.DataFrame":
    """The usual summary, and what lesions did, a row a depth and kind."""
    import pandas as pd

    from experiments import lesion_findings
    from experiments.summary import KIND

    rows = [
        {**each.removed.iloc[0][KIND].to_dict(), **lesion_findings.summary_columns(each)}
        for each in found
    ]
    return table.merge(pd.DataFrame(rows), on=KIND)


def _reading() -> readings.Reading:
    from experiments import lesioning

    return readings.Reading(readings.at_end, lesioning.of_blocks)


STUDY = runner.Study(
    "lesion",
    __doc__,
    Config(
        depths=(16, 56),
        learning_rates=(0.05, 0.02),
        deepest_plain=16,
        order=("original", "pre_activation"),
    ),
    report,
    _reading,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
