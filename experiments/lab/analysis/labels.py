"""What networks are called in tables, figures and sentences."""

import pandas as pd

from experiments.lab.config.config import VARIANT_FIELDS, Variant

#: By the field of a variant.
_WORDS = {
    "order": {
        "pre_activation": "pre-activation",
        "original": "the lecture's order",
        "norm_after_addition": "norm after addition",
        "activation_before_addition": "ReLU before addition",
        "activation_first": "ReLU-only pre-activation",
    },
    "shortcut": {
        "A": "identity shortcut",
        "B": "projection where shapes change",
        "C": "projection everywhere",
        "constant": "shortcut/branch ×",
        "dropout": "dropout on the shortcut",
        "exclusive_gate": "exclusive gate",
        "shortcut_gate": "shortcut-only gate",
    },
    "branch_scale": {
        "one": "branch × 1",
        "stochastic_depth": "stochastic depth",
        "fixup": "Fixup",
        "inverse_sqrt": "branch × 1/√blocks",
        "learned": "learned branch scale",
        "depth": "depth-scaled, α =",
    },
    "init": {"zero_last": "zero-init", "orthogonal": "orthogonal weights"},
    "optimizer": {
        "sgd": "SGD",
        "momentum": "momentum",
        "nesterov": "Nesterov",
        "adam": "Adam",
        "adamw": "AdamW",
    },
    "warmup": {"none": "no warm-up", "error": "warm-up to error"},
    "shortcut_schedule": {"constant": "shortcuts kept", "annealed": "shortcuts annealed"},
}

_NORMS = {"none": "no normalisation", "batch": "batch norm", "layer": "layer norm"}


def kind(shortcut_weight: float) -> str:
    """What the networks of a shortcut weight are called."""
    return {0.0: "plain", 1.0: "residual"}.get(shortcut_weight, f"shortcut {shortcut_weight:g}")


def norm(name: str) -> str:
    """What a normalisation is called, wherever networks are told apart by it."""
    return _NORMS.get(name, name)


def with_norm(name: str) -> str:
    """What the networks of a normalisation are called."""
    return "without norm" if name == "none" else f"with {name} norm"


def variants(table: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """The variants in a table, in its order, and what tells them apart ("" for a single one)."""
    varying = [name for name in VARIANT_FIELDS if table[name].nunique() > 1]
    names = {}
    for row in table[list(VARIANT_FIELDS)].drop_duplicates().to_dict("records"):
        differing = [words(name, row[name]) for name in varying]
        names[tuple(row[name] for name in VARIANT_FIELDS)] = ", ".join(differing)
    return names


def words(field: str, value: str) -> str:
    """What the value of a variant's field is called."""
    name, _, numbers = value.partition(":")
    return f"{_WORDS.get(field, {}).get(name, f'{field} {name}')} {numbers}".rstrip()


def variant_of(row: pd.Series) -> Variant:
    """The variant of a row."""
    return Variant(*(row[name] for name in VARIANT_FIELDS))


def series(table: pd.DataFrame) -> dict[tuple, str]:
    """The curves in a table: (*variant, shortcut weight) to a label."""
    names = {}
    for variant, name in variants(table).items():
        for weight in sorted(of(table, variant).shortcut_weight.unique()):
            names[(*variant, weight)] = f"{kind(weight)} ({name})" if name else kind(weight)
    return names


def of(table: pd.DataFrame, key: tuple) -> pd.DataFrame:
    """The rows of a variant, or of a variant and shortcut weight."""
    for name, value in zip([*VARIANT_FIELDS, "shortcut_weight"], key, strict=False):
        table = table[table[name] == value]
    return table
