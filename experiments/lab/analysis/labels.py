"""What networks are called in tables, figures and sentences."""

import pandas as pd

from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.lab.config.vocabulary import NORMS, OF_VARIANTS


def kind(shortcut_weight: float) -> str:
    """What the networks of a shortcut weight are called."""
    return {0.0: "plain", 1.0: "residual"}.get(shortcut_weight, f"shortcut {shortcut_weight:g}")


def norm(name: str) -> str:
    """Returns what a normalisation is called, wherever networks are told apart by it."""
    known = NORMS.get(name)
    return known.title if known else name


def with_norm(name: str) -> str:
    """Returns what follows the name of networks in a sentence: their normalisation."""
    known = NORMS.get(name)
    return known.clause if known else f"with {name} norm"


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
    known = OF_VARIANTS[field].get(name)
    return f"{known.words if known and known.words else f'{field} {name}'} {numbers}".rstrip()


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
