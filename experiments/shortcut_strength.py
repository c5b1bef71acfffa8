"""Shortcut strength: how strong must shortcuts be for a network to become trainable, by its depth?

Every depth is trained with shortcut weights from 0 (plain) to 1 (residual), as one population, and
beside the boundary stands theory's: where gradients explode as much as in plain networks at theirs,
or inputs look as much alike where, as without batch normalisation, plain gradients do not explode.
Others have whole shortcuts annealed to none while they train, so that in the end they are plain
networks.  The trained networks then have their shortcuts turned down.
"""

import functools
import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, readings, runner, store
from experiments.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from experiments.boundaries import Boundary

_CAPTIONS = {
    "shortcut_strength": "Training error over shortcut weight and depth, mean over seeds at the "
    "chosen rates. White: the boundary, between the last depth that trains and the next tried.",
    "annealed": "Training error over depth of plain and residual networks, and of those whose "
    "shortcuts are annealed in training, measured without them: mean over seeds, 95% interval, a "
    "point a seed.",
    "turned_down": "Training error of networks trained with shortcuts, as these are turned down: "
    "mean over seeds, 95% interval.",
}


#: Of theory's band, with what its criterion sees.
_SHADED = (
    " Shaded: depths that theory leaves open; above them {} as in the shallowest plain network "
    "that fails, below them no more than in the deepest that trains."
)


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json, results.csv, history.csv and the readings (or the records that
    these are made from).
    """
    from experiments import boundaries, figures, heatmaps, page, results, summary, terminal
    from experiments.presentation import Drawn, Presentation, publish

    settings = manifest.read(workdir)["settings"]
    runs, _ = results.tables_of(workdir, terminal.warn)
    table = summary.summarise(runs)
    turned = results.readings_of(workdir, "turned_down", terminal.warn)
    turned = summary.at_chosen_rates(turned, summary.choose_rates(runs))
    turned = boundaries.with_constant_shortcuts(turned)
    found = boundaries.of_weights(table, results.theory_knows(settings))
    annealed = boundaries.measured_of(boundaries.with_annealed_shortcuts(table))
    drawn = {"shortcut_strength": heatmaps.over_weight_and_depth(table, found)}
    if annealed:
        drawn["annealed"] = figures.over_depth(
            _plain_in_the_end(runs), {"train_error": "Training error"}
        )
    captions = dict(_CAPTIONS)
    if found[0].criterion:
        captions["shortcut_strength"] += _SHADED.format(found[0].criterion.words)
    drawn["turned_down"] = heatmaps.turned_down(turned)
    publish(
        workdir,
        Presentation(
            title="How strong must shortcuts be?",
            about=f"{settings.get('num_seeds')} seeds of each weight and depth, on "
            f"{settings.get('dataset')}; final step.",
            found=[
                *boundaries.sentences(found),
                *boundaries.sentences_annealed(found, annealed),
                *boundaries.sentences_turned_down(turned),
            ],
            figures={name: Drawn(figure, captions[name]) for name, figure in drawn.items()},
            shown=[page.Table("", *_texts(found, annealed))],
            written={store.SUMMARY: table},
        ),
    )


def _plain_in_the_end(runs: "pd.DataFrame") -> "pd.DataFrame":
    """The runs whose shortcuts are annealed, and beside them those without and with whole ones."""
    import pandas as pd

    from experiments import boundaries

    constant = boundaries.with_constant_shortcuts(runs)
    annealed = boundaries.with_annealed_shortcuts(runs)
    beside = constant[constant.shortcut_weight.isin([0, *annealed.shortcut_weight.unique()])]
    return pd.concat([beside, annealed])


def _texts(
    found: "list[Boundary]", annealed: "list[Boundary]"
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns and rows of the table of boundaries."""
    depth = lambda value: "" if value != value else f"{value:.0f}"  # NaN where it is not known
    theory = lambda each: each.theory.words if each.theory else ""
    columns = ("shortcut weight", "trains to", "next tried", "theory says")
    rows = [
        [f"{each.weight:g}{end}", each.reach.words, depth(each.reach.fails), theory(each)]
        for boundaries, end in ((found, ""), (annealed, "→0, annealed"))
        for each in boundaries
    ]
    return columns, rows


def _reading() -> readings.Reading:
    from experiments import turning_down

    return readings.Reading(readings.at_end, turning_down.of_shortcuts)


STUDY = runner.Study(
    "shortcut_strength",
    __doc__,
    Config(
        depths=(8, 12, 16, 20, 24, 32, 48, 64, 96),
        num_seeds=6,
        learning_rates=(0.05, 0.02),
        shortcut_weights=(0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0),
        shortcut_schedule=("constant", "annealed"),
    ),
    report,
    _reading,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
