"""Lists results published in papers, and compares them with those of a study."""

from typing import NamedTuple

import pandas as pd

from experiments.lab.analysis import labels

#: The entry in tables of He et al. 2016 for a test error that stays above 20%.
FAILS = "fails (> 20)"

CURVES = "curves only"


class Published(NamedTuple):
    """Describes one network of a paper.

    Attributes:
      depth, block, order, shortcut, shortcut_weight: the network, as in the columns of results.
      test_error: test error on CIFAR-10 in percent, or the text that the paper gives instead.
    """

    depth: int
    test_error: float | str
    block: str = "basic"
    order: str = "original"
    shortcut: str = "A"
    shortcut_weight: float = 1.0


class Paper(NamedTuple):
    """Holds a paper's table of results on CIFAR-10."""

    source: str
    networks: tuple[Published, ...]


PAPERS = {
    "he2015": Paper(
        "He et al. 2015 (arXiv 1512.03385), table 6 (one run; 110: five) and Fig. 6",
        (
            Published(20, 8.75),
            Published(32, 7.51),
            Published(44, 7.17),
            Published(56, 6.97),
            Published(110, "6.61 ± 0.16 (best 6.43)"),
            Published(1202, 7.93),
            *(Published(depth, CURVES, shortcut_weight=0.0) for depth in (20, 32, 44, 56)),
            Published(110, "above 60 (Fig. 6)", shortcut_weight=0.0),
        ),
    ),
    "he2016_orders": Paper(
        "He et al. 2016 (arXiv 1603.05027), table 2, medians of 5",
        (
            Published(110, 6.61),
            Published(110, 8.17, order="norm_after_addition"),
            Published(110, 7.84, order="activation_before_addition"),
            Published(110, 6.71, order="activation_first"),
            Published(110, 6.37, order="pre_activation"),
            Published(164, 5.93, "bottleneck", "original", "B"),
            Published(164, 6.50, "bottleneck", "norm_after_addition", "B"),
            Published(164, 6.14, "bottleneck", "activation_before_addition", "B"),
            Published(164, 5.91, "bottleneck", "activation_first", "B"),
            Published(164, 5.46, "bottleneck", "pre_activation", "B"),
        ),
    ),
    "he2016_shortcuts": Paper(
        "He et al. 2016 (arXiv 1603.05027), table 1, medians of 5",
        (
            Published(110, 6.61),
            Published(110, FAILS, shortcut="constant:0/1"),
            Published(110, FAILS, shortcut="constant:0.5/1"),
            Published(110, 12.35, shortcut="constant:0.5/0.5"),
            Published(110, FAILS, shortcut="exclusive_gate:0"),
            Published(110, 8.70, shortcut="exclusive_gate:-6"),
            Published(110, 9.81, shortcut="exclusive_gate:-7"),
            Published(110, 12.86, shortcut="shortcut_gate:0"),
            Published(110, 6.91, shortcut="shortcut_gate:-6"),
            Published(110, 12.22, shortcut="C"),
            Published(110, FAILS, shortcut="dropout:0.5"),
        ),
    ),
    "li2018": Paper(
        "Li et al. 2018 (arXiv 1712.09913), rate 0.01 without shortcuts",
        (
            Published(20, 7.37),
            Published(56, 5.89),
            Published(110, 5.79),
            Published(20, 8.18, shortcut_weight=0.0),
            Published(56, 13.31, shortcut_weight=0.0),
            Published(110, 16.44, shortcut_weight=0.0),
        ),
    ),
}

#: The columns that distinguish the networks of a paper.
_KEY = ("depth", "block", "order", "shortcut", "shortcut_weight")

#: The settings that all networks of these papers share.
_COMMON = {"family": "cifar", "norm": "batch", "init": "he", "branch_scale": "one"}
_COMMON |= {"shortcut_schedule": "constant"}
_COMMON_SETTINGS = {"width": (0, 16), "width_factor": (1,), "own_block": ("",)}


def compare(paper: str, summary: pd.DataFrame) -> pd.DataFrame:
    """Returns the paper's and the study's test errors in percent: a row a network of the paper.

    If the study trained a network in several ways, the one with the lowest training error is taken,
    as for rates.  Columns: those that distinguish networks, ``kind``, ``paper``, and ``ours,
    ours_low, ours_high, seeds, learning_rate``, empty if the study did not train it.
    """
    known = summary[(summary[list(_COMMON)] == pd.Series(_COMMON)).all(axis=1)]
    rows = []
    for network in PAPERS[paper].networks:
        ours = known
        for name in _KEY:
            ours = ours[ours[name] == getattr(network, name)]
        ours = ours.sort_values("train_error", kind="stable")
        row = {name: getattr(network, name) for name in _KEY}
        row |= {"kind": labels.kind(network.shortcut_weight), "paper": network.test_error}
        for name in ("test_error", "test_error_low", "test_error_high"):
            value = 100 * ours[name].iloc[0] if len(ours) else None
            row[name.replace("test_error", "ours")] = value
        for name in ("seeds", "learning_rate"):
            row[name] = ours[name].iloc[0] if len(ours) else None
        rows.append(row)
    return pd.DataFrame(rows)


def deviations(settings: dict) -> list[str]:
    """Returns the flags in which a study's networks differ from the papers'; [] if none does."""
    return [
        f"--{name}={settings[name]}"
        for name, wanted in _COMMON_SETTINGS.items()
        if settings[name] not in wanted
    ]


#: The title of the table that :func:`texts` returns.
TITLE = "Test error, %"


def texts(beside: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Returns a comparison as a table for people: its column titles, and its rows of texts."""
    varying = [name for name in ("block", "order", "shortcut") if beside[name].nunique() > 1]
    rows = []
    for row in beside.to_dict("records"):
        ran = not pd.isna(row["ours"])
        known = ran and not pd.isna(row["ours_low"])
        rows.append(
            [
                f"{row['depth']}",
                row["kind"],
                *(row[name] for name in varying),
                f"{row['paper']}",
                f"{row['ours']:.2f}" if ran else "not run",
                f"[{row['ours_low']:.2f}, {row['ours_high']:.2f}]" if known else "",
                f"{row['seeds']:.0f}" if ran else "",
            ]
        )
    return ["depth", "network", *varying, "paper", "ours", "95% interval", "seeds"], rows


def notes(paper: str, settings: dict) -> list[str]:
    """Returns the notes below the table of a comparison."""
    measured_on = "validation" if settings["holdout"] else "test"
    lines = [
        f"Paper: {PAPERS[paper].source}, on CIFAR-10. Ours: {measured_on} set of "
        f"{settings['dataset']}, {settings['steps']:,} steps of {settings['batch_size']}, final "
        "step."
    ]
    if different := deviations(settings):
        lines.append(f"Not the paper's networks: {', '.join(different)}.")
    return lines
