"""The report of :mod:`experiments.trainable_depth`."""

from experiments.lab.analysis import predictions, summary
from experiments.lab.analysis.reach import TRAINED
from experiments.lab.report import page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results
from experiments.trainable_depth import figures, remedies
from experiments.trainable_depth.remedies import LIMITS, Remedy

#: The table of remedies, a row each.
_TABLE = "remedies.csv"


_CAPTIONS = {
    "trainable_depth": "How deep each remedy trains: bars for the mean over seeds, points for each "
    "seed alone, as far as the first depth that fails; an arrow where none does. Rings: where "
    "theory first finds explosion or collapse.",
    "error_over_depth": "Training error over depth at the chosen rates: mean line, 95% interval, a "
    "point a seed.",
}


def report(results: Results) -> Presentation:
    """Says what the study found."""
    settings = results.settings
    runs = results.runs
    knows = predictions.knows(settings)
    found = remedies.of_results(runs, knows)
    drawn = {
        "trainable_depth": lambda: figures.reaches(found),
        "error_over_depth": lambda: figures.errors(found),
    }
    return Presentation(
        title="How deep do networks train?",
        about=f"{settings.get('num_seeds')} seeds of each network and depth, "
        f"{settings.get('steps')} steps on {settings.get('dataset')}; final step.",
        found=remedies.sentences(found),
        figures=drawn,
        captions=_CAPTIONS,
        shown=[page.Table("", _columns(), _texts(found), " ".join(_notes()))],
        summary=summary.summarise(runs),
        more={_TABLE: remedies.table(found)},
    )


def _columns() -> tuple[str, ...]:

    first = ("trains to", "norm", "network", "each seed", "fails at", "error there", "rate")
    return (*first, *(f"at {100 * limit:g}%" for limit in LIMITS), "theory, as initialised")


def _notes() -> list[str]:
    """What a reader of the table has to know."""
    return [
        "Trains to: the greatest depth up to which, at every depth tried, the mean training error "
        f"over seeds is below {100 * TRAINED:g}%, at the rate chosen for it; ≥: nothing deeper was "
        "tried, <: nothing shallower. Each seed: the same of each alone, least and greatest. Error "
        "and rate: where it first fails; ↓ is the lowest tried and ↑ the highest. At other limits: "
        "the same. Theory: verdicts on infinitely wide networks, each but the first with the first "
        "depth tried that gets it."
    ]


def _texts(found: list[Remedy]) -> list[list[str]]:
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
