"""Depth transfer: does the best learning rate move as networks get deeper?

Residual networks of every depth are trained at a grid of rates: as they are, with branches scaled
by 1/√blocks, and with branches and rates scaled by depth (depth-μP and CompleteP), by momentum and
by Adam.  Beside the best rates stands the coordinate check: how far the first steps move the
features at one rate.  Where a parametrisation transfers, neither depends on depth.
"""

import pathlib
import sys
from collections.abc import Iterator

from experiments import manifest, readings, runner, store
from experiments.config import Config

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


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, slopes.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json, results.csv and the readings (or the records that these are
    made from).
    """
    from experiments import (
        coordinate_check,
        figures,
        optima,
        rate_curves,
        results,
        terminal,
        transfers,
    )

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    read = results.readings_of(workdir, coordinate_check.FEATURES, terminal.warn)
    best, changes = optima.of_seeds(runs), coordinate_check.at_lowest_rates(read)
    summary = optima.over_seeds(best)
    knows = settings.get("family") == "dense" and not settings.get("own_block")
    theory = transfers.predicted(changes, knows)
    slopes = transfers.of_parametrisations(runs, best, changes, theory)
    for name, table in ((store.SUMMARY, summary), (SLOPES, slopes)):
        store.write_text(workdir / name, table.to_csv(index=False, lineterminator="\n"))
    drawn = {
        "loss_over_rate": rate_curves.loss_over_rate(runs, summary),
        "best_rate": rate_curves.best_rate_over_depth(best, summary, theory),
        "feature_change": rate_curves.feature_change(changes, theory),
    }
    for name, figure in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    tables = [transfers.rate_texts(slopes, summary), transfers.change_texts(slopes)]
    sentences = transfers.sentences(slopes)
    for texts in tables:
        terminal.show_table(*texts)
    terminal.show_lines([*sentences, *_NOTES, f"Tables, figures and report: {workdir}"])
    store.write_text(workdir / store.REPORT, _page(workdir, settings, tables, sentences))


_NOTES = (
    "Best rate: each seed's own, geometric mean. Slopes: of the logarithm over that of depth, with "
    "a 95% interval over seeds. ↓ and ↑: in some seeds the lowest or highest rate tried. Kept: the "
    "best rate of the shallowest networks, at the deepest. Loss: at each seed's best rate.",
    "Second table: slopes of the change of the features behind the last block, after so many steps "
    "at the lowest rate tried. Theory is of one step.",
)


#: Columns and rows.
Texts = tuple[list[str], list[list[str]]]


def _page(workdir: pathlib.Path, settings: dict, tables: list[Texts], sentences: list[str]) -> str:
    from experiments import page, results

    titles = zip(("Best rates", "Coordinate check"), tables, _NOTES, strict=True)
    return page.html(
        page.Page(
            title="Does the best learning rate move with depth?",
            about=f"{settings.get('num_seeds')} seeds of each depth, parametrisation and rate, on "
            f"{settings.get('dataset')}; training loss after {settings.get('steps')} steps.",
            found=sentences,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in _CAPTIONS.items()
            ],
            tables=[page.Table(title, *texts, note=note) for title, texts, note in titles],
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


def _reading() -> readings.Reading:
    from experiments import coordinate_check

    return readings.Reading(coordinate_check.at_steps, coordinate_check.of_features)


def _problems(config: Config) -> Iterator[str]:
    if config.steps < 1:
        yield f"--steps={config.steps} trains nothing, so that no rate is best; take 1 or more"
    if len(config.learning_rates) < 3:
        yield "--learning_rates: no best one lies between two or fewer; give three or more"


_SCALES = ("one", "inverse_sqrt", "depth:0.5", "depth:1")
_OPTIMIZERS = ("momentum", "adam")

STUDY = runner.Study(
    "depth_transfer",
    __doc__,
    Config(
        depths=(6, 18, 50, 130),
        num_seeds=6,
        learning_rates=tuple(2.0**power for power in range(1, -7, -1)),
        adaptive_share=2.0**-3,
        shortcut_weights=(1.0,),
        width=32,
        steps=60,
        schedule="constant",
        norm=("layer",),
        order=("pre_activation",),
        branch_scale=_SCALES * len(_OPTIMIZERS),
        optimizer=tuple(name for name in _OPTIMIZERS for _ in _SCALES),
    ),
    report,
    _reading,
    _problems,
)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
