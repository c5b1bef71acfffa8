"""Propagation: what happens to signals and gradients, block by block, in networks as initialised?

Measured over seeds beside what theory predicts for infinitely wide networks (lines), with a verdict
for every configuration: vanishing, exploding, BN-explosion, angle collapse, shattered or healthy.
"""

import functools
import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, readings, runner, store, validation
from experiments.config import Config
from experiments.kinds import KINDS, NORMS

if TYPE_CHECKING:
    import pandas as pd

    from experiments.configurations import Configuration

_CAPTIONS = {
    "propagation": "Over the blocks: mean over seeds, 95% interval, and theory for infinite width.",
    "shattering": "Gradient of one logit along a line of inputs: autocorrelation over distance.",
}


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json and of the readings (or the records that these are made from).
    """
    from experiments import configurations, labels, page, profiles, results, terminal
    from experiments.presentation import Drawn, Presentation, publish

    settings = manifest.read(workdir)["settings"]
    knows = results.theory_knows(settings)
    found = configurations.of_blocks(results.readings_of(workdir, "blocks", terminal.warn), knows)
    line = results.readings_of(workdir, "line", terminal.warn)
    table = configurations.summary(found)
    seen = [labels.variant_of(row).carries(row.shortcut_weight) for _, row in line.iterrows()]
    name_of = lambda runs: configurations.name_of(
        runs.iloc[0].shortcut_weight, labels.variant_of(runs.iloc[0])
    )
    drawn = {
        "propagation": profiles.over_blocks([each for each in found if each.carries]),
        "shattering": profiles.along_lines(line[seen], name_of),
    }
    publish(
        workdir,
        Presentation(
            title="What happens to signals and gradients over depth?",
            about=f"{settings.get('num_seeds')} seeds of each configuration as initialised, "
            f"a batch of {settings.get('dataset')}.",
            found=_sentences(found),
            figures={name: Drawn(figure, _CAPTIONS[name]) for name, figure in drawn.items()},
            shown=[page.Table("", *_texts(table), _notes(table))],
            written={store.SUMMARY: table},
        ),
    )


#: Measures in the table, and how they are called there.
_MEASURES = {
    "power": "power",
    "gradient": "gradient²",
    "cosine": "cosine",
    "gradient_correlation": "correlation",
}


def _is_predicted(table: "pd.DataFrame") -> bool:
    """Whether theory says anything of any network."""
    return bool(table.power_theory.notna().any())


def _notes(table: "pd.DataFrame") -> str:
    """What a reader of the table has to know."""
    theory = "Theory is drawn for fully connected networks of our own blocks only."
    if _is_predicted(table):
        theory = (
            "*: theory for infinite width, from which a finite one departs with depth; summary.csv "
            "says by how many standard errors."
        )
    return (
        "Power: of what leaves the last block, over that of what enters the first. Gradient² and "
        "correlation: at the first block, the one over that at the last, the other between two "
        f"inputs. Cosine: of two inputs behind the last. {theory}"
    )


def _texts(table: "pd.DataFrame") -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table, those of theory where there is any."""
    ends = {"": "", "_theory": "*"} if _is_predicted(table) else {"": ""}
    measured = [f"{name}{mark}" for name in _MEASURES.values() for mark in ends.values()]
    ranked = table.sort_values("norm", key=lambda norms: norms.map(NORMS.index), kind="stable")
    number = lambda value: "" if value != value else f"{value:.2g}"  # NaN where there is none
    rows = [
        [row["norm"], row["network"]]
        + [number(row[f"{name}{end}"]) for name in _MEASURES for end in ends]
        + [row["verdict"]]
        for _, row in ranked.iterrows()
    ]
    return ["norm", "network", *measured, "verdict"], rows


def _sentences(found: "list[Configuration]") -> list[str]:
    """What was found, in words computed from it."""
    from experiments import configurations, labels

    lines = []
    for verdict, these in configurations.by_verdict(found):
        names = [f"{each.name} {labels.with_norm(each.variant.norm)}" for each in these]
        lines.append(f"{verdict[0].upper()}{verdict[1:]}: {'; '.join(names)}.")
    healthy = sum(each.verdict == "healthy" for each in found)
    return [f"{healthy} of {len(found)} configurations are healthy as initialised.", *lines]


def _reading() -> readings.Reading:
    from experiments import layerwise

    return readings.Reading(readings.at_start, layerwise.of_network_and_line)


#: Convolutions compile for longer: fewer kinds, and no layer norm, with which they are rare.
_CONVOLUTIONS = {
    "num_seeds": 8,
    "silent_plain": False,
    "norm": ("none", "batch") * 3,
    "order": ("original",) * 2 + ("pre_activation",) * 4,
    "branch_scale": ("one",) * 2 + ("inverse_sqrt",) * 2 + ("one",) * 2,
    "init": ("he",),
    "width": 16,
}
_OF_FAMILY = {
    "cifar": {**_CONVOLUTIONS, "depths": (56,)},
    "imagenet": {**_CONVOLUTIONS, "depths": (34,)},
}

STUDY = runner.Study(
    "propagation",
    __doc__,
    Config(
        depths=(202,),
        num_seeds=32,
        learning_rates=(0.1,),
        steps=0,
        width=128,
        examples=128,
    ).comparing(KINDS),
    report,
    _reading,
    problems=validation.problems_without_blocks,
    of_family=_OF_FAMILY,
)


#: The study as a command; see :func:`experiments.runner.main`.
main = functools.partial(runner.main, STUDY)

if __name__ == "__main__":
    sys.exit(main())
