"""The configuration of a study: one frozen dataclass, checked before anything heavy is imported."""

import dataclasses
from collections.abc import Iterator, Sequence

from experiments.errors import UserError, suggest

#: Names that flags may give; :mod:`experiments.cells` turns them into functions.
CHOICES = {
    "optimizer": ("sgd", "momentum", "nesterov", "adam", "adamw"),
    "schedule": ("constant", "step", "cosine", "warmup", "warmup_cosine"),
    "norm": ("batch", "layer", "none"),
    "order": ("original", "pre_activation"),
    "branch_scale": ("one", "inverse_sqrt", "learned"),
    "init": ("he", "zero_last", "orthogonal"),
    "map": ("auto", "vmap", "map"),
}


#: What float32 can hold without losing all its digits.
_LEAST_FLOAT, _GREATEST_FLOAT = 1e-37, 1e38


def _option(default, help_text: str):
    return dataclasses.field(default=default, metadata={"help": help_text})


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to compose the network."""

    norm: str
    order: str
    branch_scale: str
    init: str

    def names(self) -> tuple[str, ...]:
        """Its fields, in order."""
        return dataclasses.astuple(self)


VARIANT_FIELDS = tuple(field.name for field in dataclasses.fields(Variant))


@dataclasses.dataclass(frozen=True)
class Config:
    """What a study trains.  Each field is a flag, and its default the flag's default.

    The fields of :class:`Variant` hold one name or several; several are paired: the first norm
    goes with the first order, and so on, while a single one goes with all.
    """

    depths: tuple[int, ...] = _option(
        (2, 4, 8, 16, 32, 64), "weight layers of each network: even, from 2 up"
    )
    num_seeds: int = _option(8, "seeds of every setting; 6 or more for a p-value below 0.05")
    first_seed: int = _option(0, "the first seed; the others follow it")
    learning_rates: tuple[float, ...] = _option(
        (0.1, 0.05, 0.02, 0.01),
        "rates to choose from, for each depth and kind of network on its own",
    )
    shortcut_weights: tuple[float, ...] = _option(
        (0.0, 1.0), "w in a[l+2] = g(z[l+2] + w·a[l]): 0 is plain, 1 residual"
    )
    deepest_plain: int = _option(
        0, "no plain network (shortcut weight 0) is trained deeper than this; 0 sets no limit"
    )
    width: int = _option(48, "units of every hidden layer")
    steps: int = _option(300, "updates of each run; 0 measures the networks as initialised")
    batch_size: int = _option(100, "examples a step")
    optimizer: str = _option("momentum", "how the gradient becomes an update")
    schedule: str = _option("cosine", "how the rate changes over the steps")
    weight_decay: float = _option(0.0, "L2 coefficient; decoupled for adamw")
    norm: tuple[str, ...] = _option(("batch",), "normalisation, or one for each variant")
    order: tuple[str, ...] = _option(("original",), "order within a block, or one a variant")
    branch_scale: tuple[str, ...] = _option(
        ("one",), "factor at the end of each branch: 1, 1/√blocks, or learned from 0; may vary"
    )
    init: tuple[str, ...] = _option(("he",), "initialisation, or one for each variant")
    dataset: str = _option(
        "digits",
        "digits, digits_random_labels, spirals:TURNS (harder with more turns), or a file.npz "
        "with x_train, y_train, x_test, y_test",
    )
    map: str = _option(
        "auto", "how the runs on one device are mapped: auto is map on CPU, vmap elsewhere"
    )
    workdir: str = _option("", "where results go; by default runs/ and the study's name")

    def seeds(self) -> range:
        """The seeds that every setting is trained with."""
        return range(self.first_seed, self.first_seed + self.num_seeds)

    def shortcut_weights_at(self, depth: int) -> tuple[float, ...]:
        """The kinds of network to train at a depth."""
        if not self.deepest_plain or depth <= self.deepest_plain:
            return self.shortcut_weights
        return tuple(weight for weight in self.shortcut_weights if weight)

    def variants(self) -> tuple[Variant, ...]:
        """The networks to compare, besides their shortcut weights."""
        columns = [getattr(self, name) for name in VARIANT_FIELDS]
        count = max(map(len, columns))
        columns = [column * count if len(column) == 1 else column for column in columns]
        return tuple(Variant(*row) for row in zip(*columns, strict=True))


def validate(config: Config, layers_per_block: int = 2) -> None:
    """Raises :class:`UserError` with one line for the first thing that is wrong."""
    for problem in _problems(config, layers_per_block):
        raise UserError(problem)


def _problems(config: Config, layers_per_block: int) -> Iterator[str]:
    if layers_per_block < 1:
        yield f"layers_per_block={layers_per_block}: a block has one layer or more"
    for name, known in CHOICES.items():
        value = getattr(config, name)
        for given in (value,) if isinstance(value, str) else value:
            if given not in known:
                yield f"--{name}={given}: {suggest(given, known)}"
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, tuple):
            yield from _list_problems(field.name, value)
    lengths = {name: len(getattr(config, name)) for name in VARIANT_FIELDS}
    several = {name: length for name, length in lengths.items() if length > 1}
    if len(set(several.values())) > 1:
        counts = ", ".join(f"--{name} has {length}" for name, length in several.items())
        yield f"lists of variants are paired and must be equally long or single: {counts}"
    elif len(set(config.variants())) < len(config.variants()):
        yield f"two variants are the same: {', '.join(f'--{name}' for name in several)} repeat"
    for depth in config.depths:
        yield from _depth_problems(depth, layers_per_block)
    for name, least in {"num_seeds": 1, "first_seed": 0, "width": 1, "steps": 0}.items():
        if getattr(config, name) < least:
            yield f"--{name}={getattr(config, name)}: take {least} or more"
    for name in ("num_seeds", "width", "steps", "batch_size"):
        if getattr(config, name) >= 2**31:
            yield f"--{name}={getattr(config, name)}: take less than 2147483648"
    if config.first_seed + config.num_seeds > 2**31:
        yield f"--first_seed={config.first_seed}: seeds must stay below 2147483648"
    if config.deepest_plain < 0:
        yield f"--deepest_plain={config.deepest_plain}: take a depth, or 0 for no limit"
    for depth in config.depths:
        if not config.shortcut_weights_at(depth):
            yield f"--deepest_plain={config.deepest_plain} leaves nothing to train at depth {depth}"
    for rate in config.learning_rates:
        if not _LEAST_FLOAT < rate < _GREATEST_FLOAT:
            yield f"--learning_rates: {rate:g} is no rate; take positive numbers, such as 0.1,0.01"
    for weight in config.shortcut_weights:
        if not abs(weight) < _GREATEST_FLOAT:
            yield f"--shortcut_weights: {weight:g} is no weight; 0 is plain and 1 residual"
    if not 0 <= config.weight_decay < _GREATEST_FLOAT:
        yield f"--weight_decay={config.weight_decay:g}: take 0 or a positive number"
    if config.batch_size < 1:
        yield f"--batch_size={config.batch_size}: take 1 or more"
    if config.batch_size == 1 and "batch" in config.norm:
        yield "--batch_size=1 leaves batch normalisation nothing to average; take 2 or more"


def _list_problems(name: str, values: Sequence) -> Iterator[str]:
    if not values:
        yield f"--{name} is empty; give at least one value"
    for value in values:
        if name not in VARIANT_FIELDS and values.count(value) > 1:
            yield f"--{name} names {value} twice; name it once"


def _depth_problems(depth: int, layers_per_block: int) -> Iterator[str]:
    if depth < 2:
        yield f"--depths: no network has {depth} layers; the smallest has 2"
    elif (depth - 2) % layers_per_block:
        below = depth - (depth - 2) % layers_per_block
        yield (
            f"--depths: no dense network has {depth} layers (stem, {layers_per_block} a block, "
            f"head); the nearest are {below} and {below + layers_per_block}"
        )
