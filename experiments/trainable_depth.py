"""Trainable depth: how deep do networks train, plain and residual, with each of their remedies?

Shortcuts, normalisations, orders of a block, branches scaled down or silent at first,
initialisations, a warm-up: to which depth does training error stay below 5%, with a learning rate
chosen for each depth?  Beside it stands what theory says of the networks as initialised.
"""

import pathlib
import sys
from typing import TYPE_CHECKING, NamedTuple

from experiments import manifest, runner, store
from experiments.config import Config

if TYPE_CHECKING:
    from experiments.remedies import Remedy

#: The table of remedies, a row each.
_REMEDIES = "remedies.csv"

_CAPTIONS = {
    "trainable_depth": "How deep each remedy trains: bars for the mean over seeds, points for each "
    "seed alone, as far as the first depth that fails; an arrow where none does. Upright strokes: "
    "where theory first finds explosion or collapse.",
    "error_over_depth": "Training error over depth at the chosen rates: mean line, 95% interval, a "
    "point a seed.",
}


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, remedies.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json and results.csv (or the records that this is made from).
    """
    from experiments import charts, figures, remedies, results, summary, terminal

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    knows = not settings.get("own_block") and settings.get("family") == "dense"
    found = remedies.of_results(runs, knows)
    tables = {store.SUMMARY: summary.summarise(runs), _REMEDIES: remedies.table(found)}
    for name, table in tables.items():
        store.write_text(workdir / name, table.to_csv(index=False, lineterminator="\n"))
    drawn = {"trainable_depth": charts.reaches(found), "error_over_depth": charts.errors(found)}
    for name, figure in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    sentences = remedies.sentences(found)
    terminal.show_table(_columns(), _texts(found))
    terminal.show_lines([*sentences, *_notes(), f"Tables, figures and report: {workdir}"])
    store.write_text(workdir / store.REPORT, _page(workdir, settings, found, sentences))


def _columns() -> tuple[str, ...]:
    from experiments.remedies import LIMITS

    first = ("trains to", "norm", "network", "each seed", "fails at", "error there", "rate")
    return (*first, *(f"at {100 * limit:g}%" for limit in LIMITS), "theory, as initialised")


def _notes() -> list[str]:
    """What a reader of the table has to know."""
    from experiments.reach import TRAINED

    return [
        "Trains to: the greatest depth up to which, at every depth tried, the mean training error "
        f"over seeds is below {100 * TRAINED:g}%, at the rate chosen for it; ≥: nothing deeper was "
        "tried, <: nothing shallower. Each seed: the same of each alone, least and greatest. Error "
        "and rate: where it first fails; ↓ is the lowest tried and ↑ the highest. At other limits: "
        "the same. Theory: verdicts on infinitely wide networks, each but the first with the first "
        "depth tried that gets it."
    ]


def _texts(found: "list[Remedy]") -> list[list[str]]:
    """The rows of the table of remedies."""
    return [
        [
            each.reach.words + ("*" if each.reach.again else ""),
            each.variant.norm,
            each.network,
            " to ".join(dict.fromkeys((each.seeds[0].words, each.seeds[-1].words))),
            f"{each.reach.fails:.0f}" if each.reach.known else "",
            *each.failure(),
            *(other.words for other in each.others),
            each.foretold(),
        ]
        for each in found
    ]


def _page(
    workdir: pathlib.Path, settings: dict, found: "list[Remedy]", sentences: list[str]
) -> str:
    from experiments import page, results

    return page.html(
        page.Page(
            title="How deep do networks train?",
            about=f"{settings.get('num_seeds')} seeds of each network and depth, "
            f"{settings.get('steps')} steps on {settings.get('dataset')}; final step.",
            found=sentences,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in _CAPTIONS.items()
            ],
            tables=[page.Table("", _columns(), _texts(found), " ".join(_notes()))],
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


class _Way(NamedTuple):
    """What of a variant is tried, besides the shortcut weight."""

    norm: str = "batch"
    order: str = "original"
    branch_scale: str = "one"
    init: str = "he"
    warmup: str = "none"


_WAYS = (
    _Way(),
    _Way(warmup="error:0.8"),
    _Way(init="orthogonal"),
    _Way(order="pre_activation"),
    _Way(order="pre_activation", branch_scale="inverse_sqrt"),
    _Way("layer"),
    _Way("none"),
    _Way("none", order="pre_activation", branch_scale="learned"),
    _Way("none", branch_scale="fixup"),
)

STUDY = runner.Study(
    "trainable_depth",
    __doc__,
    Config(
        depths=(8, 16, 32, 64, 128),
        num_seeds=3,
        learning_rates=(0.1, 0.03, 0.01),
        silent_plain=False,
        steps=150,
        deepest_plain=64,
        norm=tuple(way.norm for way in _WAYS),
        order=tuple(way.order for way in _WAYS),
        branch_scale=tuple(way.branch_scale for way in _WAYS),
        init=tuple(way.init for way in _WAYS),
        warmup=tuple(way.warmup for way in _WAYS),
    ),
    report,
)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
