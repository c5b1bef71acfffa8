"""Builds the report of :mod:`experiments.propagation`."""

import pandas as pd

from experiments.lab.analysis import configurations, labels, predictions
from experiments.lab.analysis.configurations import Configuration
from experiments.lab.build.layerwise import EXAMPLES
from experiments.lab.config.config import Config
from experiments.lab.config.vocabulary import NORMS
from experiments.lab.report import page
from experiments.lab.report.presentation import Presentation
from experiments.lab.store.results import Results
from experiments.propagation import figures

_CAPTIONS = {
    "propagation": "Over the blocks: mean over seeds, 95% interval, and theory for infinite width.",
    "layers": "Over the blocks and their layers: mean over seeds, 95% interval. Branch over "
    "shortcut: ratio of their parts in a block's output. Effective rank: of a batch's activations. "
    "Response: standard deviation after a layer and its normalisation, as in Fig. 7 of He et al. "
    "2015. Gradient: of the loss with respect to a layer's weights, over the weights' size.",
    "shattering": "Gradient of one logit along a line of inputs: autocorrelation over distance, in "
    "units of the distance between two of them; mean over seeds, 95% interval.",
}


def report(results: Results) -> Presentation:
    """Returns the study's findings, tables and figures."""
    settings = results.settings
    knows = predictions.knows(settings) or predictions.knows_images(settings)
    blocks, layers, line = (results.readings(name) for name in ("blocks", "layers", "line"))
    found = configurations.of_blocks(blocks, knows, 0, *_sizes(settings))
    table = configurations.summary(found)
    carrying = [each for each in found if each.carries]
    drawn = {
        "propagation": lambda: figures.over_blocks(carrying),
        "layers": lambda: figures.over_layers(carrying, blocks, layers),
        "shattering": lambda: figures.along_lines(carrying, line),
    }
    return Presentation(
        title="What happens to signals and gradients over depth?",
        about=f"{settings.get('num_seeds')} seeds of each configuration as initialised, "
        f"a batch of {settings.get('dataset')}.",
        found=[*_sentences(found), *_fits(carrying, *_sizes(settings))],
        figures=drawn,
        captions=_CAPTIONS,
        shown=[page.Table("", *_texts(table), _notes(table))],
        summary=table,
        more={"curves.csv": configurations.curves(found)},
    )


#: The measures in the table, with their column titles.
_MEASURES = {
    "power": "power",
    "gradient": "gradient²",
    "cosine": "cosine",
    "gradient_correlation": "correlation",
}


def _is_predicted(table: pd.DataFrame) -> bool:
    """Returns whether theory covers any of the networks."""
    return bool(table.power_theory.notna().any())


def _notes(table: pd.DataFrame) -> str:
    """Returns the notes below the table."""
    theory = (
        "Theory is shown for fully connected networks and plain convolutions, with built-in blocks."
    )
    if _is_predicted(table):
        theory = (
            "*: theory for infinite width; ~: it is off by more than noise (a t-test that errs "
            "once in 10,000); ≠: also by more than the tolerance for finite networks. "
            "summary.csv and curves.csv say by how many standard errors."
        )
    return (
        "Power: at the last block's output, over that at the first block's input. Gradient²: at "
        "the first block, over that at the last. Correlation: between the gradients of two inputs, "
        f"at the first block. Cosine: of two inputs, after the last. {theory}"
    )


def _texts(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Returns columns and rows of the table, with columns of theory if theory covers anything."""
    ends = {"": "", "_theory": "*"} if _is_predicted(table) else {"": ""}
    measured = [f"{name}{mark}" for name in _MEASURES.values() for mark in ends.values()]
    ranked = table.sort_values("norm", key=lambda norms: norms.map(NORMS.rank), kind="stable")
    number = lambda value: "" if value != value else f"{value:.2g}"  # NaN if there is no value
    marks = {"near": "~", "no": "≠"}
    mark = lambda row, name, end: marks.get(row[f"{name}_fit"], "") if end else ""
    rows = [
        [row["norm"], row["network"]]
        + [number(row[f"{name}{end}"]) + mark(row, name, end) for name in _MEASURES for end in ends]
        + [row["verdict"]]
        for _, row in ranked.iterrows()
    ]
    return ["norm", "network", *measured, "verdict"], rows


def _sentences(found: list[Configuration]) -> list[str]:
    """Returns sentences that list the configurations by verdict."""
    lines = []
    for verdict, these in configurations.by_verdict(found):
        names = [f"{each.name} {labels.with_norm(each.variant.norm)}" for each in these]
        lines.append(f"{verdict[0].upper()}{verdict[1:]}: {'; '.join(names)}.")
    healthy = sum(each.verdict == "healthy" for each in found)
    return [f"{healthy} of {len(found)} configurations are healthy as initialised.", *lines]


def _fits(found: list[Configuration], width: int, batch: int) -> list[str]:
    """Returns a sentence on how many curves theory fits at every block, and on the others."""
    parted, counts = [], dict.fromkeys(("yes", "near", "no"), 0)
    for each in found:
        for name, curve in each.curves.items():
            fit = configurations.worst_fit(curve)
            if not fit or predictions.branches_are_silent(each.variant):  # nothing is predicted
                continue
            counts[fit] += 1
            if fit == "no":
                norm = labels.with_norm(each.variant.norm)
                parted.append(f"{_MEASURES[name]} of {each.name} {norm}")
    if not sum(counts.values()):
        return []
    apart = f" It does not fit {'; '.join(parted)}." if parted else ""
    return [
        f"Of {sum(counts.values())} curves theory fits {counts['yes']} within noise at every "
        f"block, and {counts['near']} more if cosines and correlations may be off by "
        f"{configurations.OFF:g}, and powers and gradients by 1/{width} a block passed (with batch "
        f"norm by 1/{batch} besides).{apart}"
    ]


def _sizes(settings: dict) -> tuple[int, int]:
    """Returns the width of the layers, and the number of examples measured."""
    config = Config(family=settings["family"], width=settings["width"])
    width = config.base_width() * settings.get("width_factor", 1)
    return width, min(EXAMPLES, settings.get("examples") or EXAMPLES)
