"""Landscape: what does the loss look like around trained plain and residual networks?

Slices along random filter-normalised directions (Li et al. 2018), the same for plain and residual
networks of a seed: contours over a plane, lines of all seeds, and the curvature of the Hessian.
"""

import functools
import pathlib
import sys
from collections.abc import Iterator

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
    from experiments import contours, page, results, sharpness, summary, terminal
    from experiments.presentation import Drawn, Presentation, publish

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    chosen = summary.choose_rates(runs)
    lines, plane, curvatures = (
        summary.at_chosen_rates(results.readings_of(workdir, name, terminal.warn), chosen)
        for name in ("lines", "plane", "curvatures")
    )
    table = sharpness.summarise(sharpness.of_runs(lines, curvatures), summary.summarise(runs))
    drawn = {
        "planes": contours.planes(plane, chosen),
        "lines": contours.along_lines(lines, curvatures),
        "every_seed": contours.every_seed(plane, chosen),
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
            written={store.SUMMARY: table},
        ),
    )


def _reading() -> readings.Reading:
    from experiments import slices

    return readings.Reading(readings.at_end, slices.of_network)


#: Forms of convolutions whose gradients have no gradients.
_ONCE = ("mapped", "packed")


def _problems(config: Config) -> Iterator[str]:
    if config.convolution in _ONCE:
        yield (
            f"--convolution={config.convolution}: its gradients cannot be differentiated again, as "
            "the curvature of the loss asks for; leave it away"
        )


STUDY = runner.Study(
    "landscape",
    __doc__,
    Config(
        depths=(8, 32),
        num_seeds=6,
        learning_rates=(0.05, 0.02),
        # The Hessian's least eigenvalue is a few hundredths of its greatest or less, and in
        # TF32 products err by some thousandths of that.
        matmul_precision="highest",
    ),
    report,
    _reading,
    _problems,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
