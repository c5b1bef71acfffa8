"""Names networks in tables, figures and sentences."""

import pandas as pd

from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.lab.config.vocabulary import NORMS, OF_VARIANTS


def kind(shortcut_weight: float) -> str:
    """Returns the name of networks with a shortcut weight."""
    return {0.0: "plain", 1.0: "residual"}.get(shortcut_weight, f"shortcut {shortcut_weight:g}")


def norm(name: str) -> str:
    """Returns the name of a normalisation, where it distinguishes networks."""
    known = NORMS.get(name)
    return known.title if known else name


def with_norm(name: str) -> str:
    """Returns the normalisation in words that follow the name of networks in a sentence."""
    known = NORMS.get(name)
    return known.clause if known else f"with {name} norm"


def variants(table: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Returns the variants in a table, in its order, and how they differ ("" for a single one)."""
    varying = [name for name in VARIANT_FIELDS if table[name].nunique() > 1]
    names = {}
    for row in table[list(VARIANT_FIELDS)].drop_duplicates().to_dict("records"):
        differing = [words(name, row[name]) for name in varying]
        names[tuple(row[name] for name in VARIANT_FIELDS)] = ", ".join(differing)
    return names


def words(field: str, value: str) -> str:
    """Returns the name of a value of a variant's field."""
    name, _, numbers = value.partition(":")
    known = OF_VARIANTS[field].get(name)
    return f"{known.words if known and known.words else f'{field} {name}'} {numbers}".rstrip()


def variant_of(row: pd.Series) -> Variant:
    """Returns the variant of a row."""
    return Variant(*(row[name] for name in VARIANT_FIELDS))


def series(table: pd.DataFrame) -> dict[tuple, str]:
    """Returns the label of each curve in a table, by (*variant, shortcut weight)."""
    names = {}
    for variant, name in variants(table).items():
        for weight in sorted(of(table, variant).shortcut_weight.unique()):
            names[(*variant, weight)] = f"{kind(weight)} ({name})" if name else kind(weight)
    return names


def of(table: pd.DataFrame, key: tuple) -> pd.DataFrame:
    """Returns the rows of a variant, or of a variant and shortcut weight."""
    for name, value in zip([*VARIANT_FIELDS, "shortcut_weight"], key, strict=False):
        table = table[table[name] == value]
    return table
