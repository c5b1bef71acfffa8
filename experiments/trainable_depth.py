"""Trainable depth: how deep do networks train, plain and residual, with each of their remedies?

Shortcuts, normalisations, orders of a block, branches scaled down or silent at first,
initialisations, a warm-up: to which depth does training error stay below 5%, with a learning rate
chosen for each depth?  Beside it stands what theory says of the networks as initialised.
"""

import functools
import pathlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments import manifest, runner, store
from experiments.config import USUAL, Config

if TYPE_CHECKING:
    from experiments.remedies import Remedy

#: The table of remedies, a row each.
_TABLE = "remedies.csv"

_CAPTIONS = {
    "trainable_depth": "How deep each remedy trains: bars for the mean over seeds, points for each "
    "seed alone, as far as the first depth that fails; an arrow where none does. Rings: where "
    "theory first finds explosion or collapse.",
    "error_over_depth": "Training error over depth at the chosen rates: mean line, 95% interval, a "
    "point a seed.",
}


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, remedies.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json and results.csv (or the records that this is made from).
    """
    from experiments import charts, page, remedies, results, summary, terminal
    from experiments.presentation import Drawn, Presentation, publish

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    knows = results.theory_knows(settings)
    found = remedies.of_results(runs, knows)
    drawn = {"trainable_depth": charts.reaches(found), "error_over_depth": charts.errors(found)}
    publish(
        workdir,
        Presentation(
            title="How deep do networks train?",
            about=f"{settings.get('num_seeds')} seeds of each network and depth, "
            f"{settings.get('steps')} steps on {settings.get('dataset')}; final step.",
            found=remedies.sentences(found),
            figures={name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()},
            shown=[page.Table("", _columns(), _texts(found), " ".join(_notes()))],
            written={store.SUMMARY: summary.summarise(runs), _TABLE: remedies.table(found)},
        ),
    )


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


_PRE_ACTIVATION = replace(USUAL, order="pre_activation")

_REMEDIES = (
    USUAL,
    replace(USUAL, warmup="error:0.8"),
    replace(USUAL, init="orthogonal"),
    _PRE_ACTIVATION,
    replace(_PRE_ACTIVATION, branch_scale="inverse_sqrt"),
    replace(USUAL, norm="layer"),
    replace(USUAL, norm="none"),
    replace(_PRE_ACTIVATION, norm="none", branch_scale="learned"),
    replace(USUAL, norm="none", branch_scale="fixup"),
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
    ).comparing(_REMEDIES),
    report,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
