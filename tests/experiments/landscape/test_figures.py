"""Contours and lines of slices, drawn of readings made up."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.landscape import figures

X = np.linspace(-1, 1, 5)


def tables(variants, seeds=2):
    """Planes, lines and curvatures of variants, and their results; the last seed is lost."""
    planes, lines, curvatures, results = [], [], [], []
    for variant in variants:
        for weight in (0.0, 1.0):
            for seed in range(seeds):
                run = dict(zip(VARIANT_FIELDS, variant.names(), strict=True))
                run |= {"shortcut_weight": weight, "depth": 8, "seed": seed}
                loss = np.nan if seeds > 1 and seed == seeds - 1 else 1.0
                results.append(run | {"train_error": 0.5})
                planes += [
                    run | {"x": x, "y": y, "train_loss": loss * (0.1 + x * x + y * y)}
                    for x in X
                    for y in X
                ]
                measured = {"train_error": loss * 0.5, "held_loss": loss, "direction": 0.0}
                lines += [run | {"distance": x, "train_loss": loss * x * x} | measured for x in X]
                bent = {"least": -loss, "greatest": 2 * loss, "along_start": loss}
                curvatures += [run | {"distance": x} | bent for x in X]
    return [*map(pd.DataFrame, (planes, lines, curvatures, results))]


def test_diverged_networks_stand_beside_the_others():
    planes, lines, curvatures, results = tables([Variant("batch", "original", "A", "one", "he")])
    titles = [axes.get_title() for axes in figures.every_seed(planes, results).axes]
    assert titles[:2] == [f"plain, 8 layers, seed {n}\ntraining error 50.0%" for n in (0, 1)]
    figures.planes(planes, results)
    drawn = figures.along_lines(lines, curvatures).axes[0].lines
    assert sum(np.isfinite(line.get_ydata()).any() for line in drawn) == 2 + 2  # and second orders
    plt.close("all")


def test_where_all_are_lost_that_is_shown():
    tables_ = tables([Variant("batch", "original", "A", "one", "he")])
    planes, lines, curvatures = (table[table.seed == 1] for table in tables_[:3])
    figure = figures.planes(planes, tables_[3])
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["diverged"] * 2
    figures.along_lines(lines, curvatures)
    plt.close("all")


def test_variants_are_told_apart():
    planes, *_, results = tables(
        [Variant(n, "original", "A", "one", "he") for n in ("batch", "layer")]
    )
    titles = [axes.get_title().split("\n")[0] for axes in figures.planes(planes, results).axes[:4]]
    assert len(set(titles)) == 4 and "plain (norm layer), 8 layers, seed 0" in titles
    plt.close("all")
