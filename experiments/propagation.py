"""Propagation: what happens to signals and gradients, block by block, in networks as initialised?

Measured over seeds beside what theory predicts for infinitely wide networks (lines), with a verdict
for every configuration: vanishing, exploding, BN-explosion, angle collapse, shattered or healthy.
"""

import pathlib
import sys
from typing import TYPE_CHECKING

from experiments import manifest, readings, runner, store, validation
from experiments.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from experiments.configurations import Configuration

_CAPTIONS = {
    "propagation": "Over the blocks: mean over seeds, 95% interval, and theory for infinite width.",
    "shattering": "Gradient of one logit along a line of inputs: autocorrelation over distance.",
}

_KINDS = (
    ("original", "one", "he"),
    ("pre_activation", "one", "he"),
    ("pre_activation", "inverse_sqrt", "he"),
    ("pre_activation", "one", "zero_last"),
)
_NORMS = ("none", "batch", "layer")


def report(workdir: pathlib.Path) -> None:
    """Writes summary.csv, figures/ and report.html, and prints what was found.

    A pure function of config.json and of the readings (or the records that these are made from).
    """
    from experiments import configurations, figures, labels, profiles, results, terminal

    settings = manifest.read(workdir)["settings"]
    knows = not settings.get("own_block") and settings.get("family") == "dense"
    found = configurations.of_blocks(results.readings_of(workdir, "blocks", terminal.warn), knows)
    line = results.readings_of(workdir, "line", terminal.warn)
    table = configurations.summary(found)
    store.write_text(workdir / store.SUMMARY, table.to_csv(index=False, lineterminator="\n"))
    seen = [labels.variant_of(row).carries(row.shortcut_weight) for _, row in line.iterrows()]
    name_of = lambda runs: configurations.name_of(
        runs.iloc[0].shortcut_weight, labels.variant_of(runs.iloc[0])
    )
    drawn = {
        "propagation": profiles.over_blocks([each for each in found if each.carries]),
        "shattering": profiles.along_lines(line[seen], name_of),
    }
    for name, figure in drawn.items():
        figures.save(figure, workdir / store.FIGURES, name)
    sentences = _sentences(found)
    terminal.show_table(*_texts(table))
    terminal.show_lines([*sentences, _notes(table), f"Tables, figures and report: {workdir}"])
    store.write_text(workdir / store.REPORT, _page(workdir, settings, table, sentences))


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
    ranked = table.sort_values("norm", key=lambda norms: norms.map(_NORMS.index), kind="stable")
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
        names = [f"{each.name} {labels.norm(each.variant.norm)}" for each in these]
        lines.append(f"{verdict[0].upper()}{verdict[1:]}: {'; '.join(names)}.")
    healthy = sum(each.verdict == "healthy" for each in found)
    return [f"{healthy} of {len(found)} configurations are healthy as initialised.", *lines]


def _page(
    workdir: pathlib.Path, settings: dict, table: "pd.DataFrame", sentences: list[str]
) -> str:
    from experiments import page, results

    return page.html(
        page.Page(
            title="What happens to signals and gradients over depth?",
            about=f"{settings.get('num_seeds')} seeds of each configuration as initialised, "
            f"a batch of {settings.get('dataset')}.",
            found=sentences,
            warnings=results.failures_of(workdir),
            figures=[
                page.picture(workdir / store.FIGURES / f"{name}.svg", caption)
                for name, caption in _CAPTIONS.items()
            ],
            tables=[page.Table("", *_texts(table), _notes(table))],
            listings=results.listings(workdir, settings),
            footer=page.FOOTER,
        )
    )


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
        norm=tuple(norm for norm in _NORMS for _ in _KINDS),
        order=tuple(order for order, _, _ in _KINDS) * len(_NORMS),
        branch_scale=tuple(scale for _, scale, _ in _KINDS) * len(_NORMS),
        init=tuple(init for _, _, init in _KINDS) * len(_NORMS),
    ),
    report,
    _reading,
    problems=validation.problems_without_blocks,
    of_family=_OF_FAMILY,
)


def main(argv: list[str] | None = None, **own_block) -> int:
    """Runs the study as a command; see :func:`experiments.runner.main` for ``own_block``."""
    return runner.main(STUDY, argv, **own_block)


if __name__ == "__main__":
    sys.exit(main())
