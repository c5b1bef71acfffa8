"""Builds the report of :mod:`experiments.shortcut_strength`."""

import pandas as pd

from experiments.lab.analysis import predictions, summary
from experiments.lab.report import depth_curves, page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results
from experiments.shortcut_strength import boundaries, figures
from experiments.shortcut_strength.boundaries import Boundary

_CAPTIONS = {
    "shortcut_strength": "Training error over shortcut weight and depth, mean over seeds at the "
    "chosen rates. White: the boundary, between the last depth that trains and the next tried.",
    "annealed": "Training error over depth of plain and residual networks, and of those whose "
    "shortcuts are annealed in training, measured without them: mean over seeds, 95% interval, a "
    "point a seed.",
    "turned_down": "Training error of networks trained with shortcuts, as these are turned down: "
    "mean over seeds, 95% interval.",
}


#: The caption of theory's band, with a place for the words of its criterion.
_SHADED = (
    " Shaded: depths that theory leaves open; above them {} as in the shallowest plain network "
    "that fails, below them no more than in the deepest that trains."
)


def report(results: Results) -> Presentation:
    """Returns the study's findings, tables and figures."""
    settings = results.settings
    runs = results.runs
    table = summary.summarise(runs)
    turned = results.readings("turned_down")
    turned = summary.at_chosen_rates(turned, summary.choose_rates(runs))
    turned = boundaries.with_constant_shortcuts(turned)
    found = boundaries.of_weights(table, predictions.knows(settings))
    annealed = boundaries.measured_of(boundaries.with_annealed_shortcuts(table))
    drawn = {"shortcut_strength": lambda: figures.over_weight_and_depth(table, found)}
    if annealed:
        drawn["annealed"] = lambda: depth_curves.over_depth(
            _plain_in_the_end(runs), {"train_error": "Training error"}
        )
    captions = dict(_CAPTIONS)
    if found[0].criterion:
        captions["shortcut_strength"] += _SHADED.format(found[0].criterion.words)
    drawn["turned_down"] = lambda: figures.turned_down(turned)
    return Presentation(
        title="How strong must shortcuts be?",
        about=f"{settings.get('num_seeds')} seeds of each weight and depth, on "
        f"{settings.get('dataset')}; final step.",
        found=[
            *boundaries.sentences(found),
            *boundaries.sentences_annealed(found, annealed),
            *boundaries.sentences_turned_down(turned),
        ],
        figures=drawn,
        captions=captions,
        shown=[page.Table("", *_texts(found, annealed))],
        summary=table,
    )


def _plain_in_the_end(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs with annealed shortcuts, and those with weight 0 or their first weight."""
    constant = boundaries.with_constant_shortcuts(runs)
    annealed = boundaries.with_annealed_shortcuts(runs)
    beside = constant[constant.shortcut_weight.isin([0, *annealed.shortcut_weight.unique()])]
    return pd.concat([beside, annealed])


def _texts(
    found: list[Boundary], annealed: list[Boundary]
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Returns columns and rows of the table of boundaries."""
    depth = lambda value: "" if value != value else f"{value:.0f}"  # NaN if it is not known
    theory = lambda each: each.theory.words if each.theory else ""
    columns = ("shortcut weight", "trains to", "next tried", "theory says")
    rows = [
        [f"{each.weight:g}{end}", each.reach.words, depth(each.reach.fails), theory(each)]
        for boundaries, end in ((found, ""), (annealed, "→0, annealed"))
        for each in boundaries
    ]
    return columns, rows
