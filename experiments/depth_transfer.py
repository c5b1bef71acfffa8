"""Depth transfer: does the best learning rate move as networks get deeper?

Residual networks of every depth are trained at a grid of rates: as they are, with branches scaled
by 1/√blocks, and with branches and rates scaled by depth (depth-μP and CompleteP), by momentum and
by Adam.  Beside the best rates stands the coordinate check: how far the first steps move the
features at one rate.  Where a parametrisation transfers, neither depends on depth.
"""

import functools
import pathlib
import sys
from collections.abc import Iterator

from experiments import manifest, readings, runner, store
from experiments.config import Config, Variant

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
        optima,
        page,
        rate_curves,
        results,
        terminal,
        transfers,
    )
    from experiments.presentation import Drawn, Presentation, publish

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    read = results.readings_of(workdir, coordinate_check.FEATURES, terminal.warn)
    best, changes = optima.of_seeds(runs), coordinate_check.at_lowest_rates(read)
    summary = optima.over_seeds(best)
    knows = results.theory_knows(settings)
    theory = transfers.predicted(changes, knows)
    slopes = transfers.of_parametrisations(runs, best, changes, theory)
    drawn = {
        "loss_over_rate": rate_curves.loss_over_rate(runs, summary),
        "best_rate": rate_curves.best_rate_over_depth(best, summary, theory),
        "feature_change": rate_curves.feature_change(changes, theory),
    }
    texts = transfers.rate_texts(slopes, summary), transfers.change_texts(slopes)
    publish(
        workdir,
        Presentation(
            title="Does the best learning rate move with depth?",
            about=f"{settings.get('num_seeds')} seeds of each depth, parametrisation and rate, on "
            f"{settings.get('dataset')}; training loss after {settings.get('steps')} steps.",
            found=transfers.sentences(slopes),
            figures={name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()},
            shown=[
                page.Table(title, *these, note)
                for title, these, note in zip(_TITLES, texts, _NOTES, strict=True)
            ],
            written={store.SUMMARY: summary, SLOPES: slopes},
        ),
    )


_TITLES = ("Best rates", "Coordinate check")
_NOTES = (
    "Best rate: each seed's own, geometric mean. Slopes: of the logarithm over that of depth, with "
    "a 95% interval over seeds. ↓ and ↑: in some seeds the lowest or highest rate tried. Kept: the "
    "best rate of the shallowest networks, at the deepest. Loss: at each seed's best rate.",
    "Second table: slopes of the change of the features behind the last block, after so many steps "
    "at the lowest rate tried. Theory is of one step.",
)


def _reading() -> readings.Reading:
    from experiments import coordinate_check

    return readings.Reading(coordinate_check.at_steps, coordinate_check.of_features)


def _problems(config: Config) -> Iterator[str]:
    if config.steps < 1:
        yield f"--steps={config.steps} trains nothing, so that no rate is best; take 1 or more"
    if len(config.learning_rates) < 3:
        yield "--learning_rates: no best one lies between two or fewer; give three or more"


_PARAMETRISATIONS = tuple(
    Variant("layer", "pre_activation", "A", scale, "he", optimizer)
    for optimizer in ("momentum", "adam")
    for scale in ("one", "inverse_sqrt", "depth:0.5", "depth:1")
)

STUDY = runner.Study(
    "depth_transfer",
    __doc__,
    Config(
        depths=(6, 18, 50, 130),
        num_seeds=6,
        learning_rates=tuple(2.0**-power for power in range(8)),
        adaptive_share=2.0**-2,
        shortcut_weights=(1.0,),
        width=32,
        steps=60,
        schedule="constant",
        # At the lowest rate the first step moves features by 0.0035 of their size; rounding the
        # factors of products to bfloat16 makes that 0.0046.
        matmul_precision="highest",
    ).comparing(_PARAMETRISATIONS),
    report,
    _reading,
    _problems,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
