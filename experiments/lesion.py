"""Lesion: does a trained network need each of its blocks, their order, and its long paths?

Blocks of trained networks are removed, one at a time and several at random, and exchanged (Veit et
al. 2016); and the gradient is followed along paths through each number of branches, before training
and after it.
"""

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
        figures,
        lesion_curves,
        lesion_figures,
        lesion_findings,
        results,
        summary,
        terminal,
    )

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    removed, swapped, paths = (
        results.readings_of(workdir, name, terminal.warn)
        for name in ("removed", "swapped", "paths")
    )
    found = lesion_curves.of_tables(removed, swapped, paths, summary.choose_rates(runs))
    table = _summary(summary.summarise(runs), found)
    store.write_text(workdir / store.SUMMARY, table.to_csv(index=False, lineterminator="\n"))
    drawn = {"lesions": lesion_figures.lesions(found), "paths": lesion_figures.paths(found)}
    for name, figure in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    sentences = lesion_findings.sentences(found)
    terminal.show_table(lesion_findings.COLUMNS, lesion_findings.texts(found))
    said = [*sentences, *lesion_findings.NOTES, f"Tables, figures and report: {workdir}"]
    terminal.show_lines(said)
    store.write_text(workdir / store.REPORT, _page(workdir, settings, found, sentences))


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


def _page(
    workdir: pathlib.Path, settings: dict, found: "list[Lesioned]", sentences: list[str]
) -> str:
    from experiments import lesion_findings, page, results

    rows = lesion_findings.texts(found)
    return page.html(
        page.Page(
            title="Does a trained network need each of its blocks?",
            about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
            f"{settings.get('dataset')}; final step.",
            found=sentences,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in _CAPTIONS.items()
            ],
            tables=[page.Table("", lesion_findings.COLUMNS, rows, " ".join(lesion_findings.NOTES))],
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


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


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
