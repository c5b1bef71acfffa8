"""Landscape: what does the loss look like around trained plain and residual networks?

Slices along random filter-normalised directions (Li et al. 2018), the same for plain and residual
networks of a seed: contours over a plane, lines of all seeds, and the curvature of the Hessian.
"""

import pathlib
import sys

from experiments import manifest, readings, runner, store
from experiments.config import Config

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
    from experiments import contours, figures, results, sharpness, summary, terminal

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    chosen = summary.choose_rates(runs)
    lines, plane, curvatures = (
        summary.at_chosen_rates(results.readings_of(workdir, name, terminal.warn), chosen)
        for name in ("lines", "plane", "curvatures")
    )
    table = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary.summarise(runs))
    store.write_text(workdir / store.SUMMARY, table.to_csv(index=False, lineterminator="\n"))
    drawn = {
        "planes": contours.planes(plane, chosen),
        "lines": contours.along_lines(lines, curvatures),
        "every_seed": contours.every_seed(plane, chosen),
    }
    for name, figure in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    sentences = sharpness.sentences(table)
    texts = sharpness.texts(table)
    terminal.show_table(*texts)
    terminal.show_lines([*sentences, sharpness.NOTE, f"Tables, figures and report: {workdir}"])
    store.write_text(workdir / store.REPORT, _page(workdir, settings, texts, sentences))


def _page(
    workdir: pathlib.Path,
    settings: dict,
    texts: tuple[tuple[str, ...], list[list[str]]],
    sentences: list[str],
) -> str:
    from experiments import page, results, sharpness

    return page.html(
        page.Page(
            title="What does the loss look like around trained networks?",
            about=f"{settings.get('num_seeds')} seeds of each kind and depth, on "
            f"{settings.get('dataset')}; final step.",
            found=sentences,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in _CAPTIONS.items()
            ],
            tables=[page.Table("", *texts, sharpness.NOTE)],
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


def _reading() -> readings.Reading:
    from experiments import slices

    return readings.Reading(readings.at_end, slices.of_network)


STUDY = runner.Study(
    "landscape",
    __doc__,
    Config(depths=(8, 32), num_seeds=6, learning_rates=(0.05, 0.02)),
    report,
    _reading,
)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
