"""Validates configurations, before anything heavy is imported."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.lab.config.config import Config
from experiments.lab.config.variants import VARIANT_FIELDS, Variant
from experiments.lab.config.vocabulary import OF_VARIANTS
from experiments.lab.data.downloads import SOURCES
from experiments.lab.system.errors import UserError

#: What float32 can hold without losing all its digits.
_LEAST_FLOAT, _GREATEST_FLOAT = 1e-37, 1e38


def validate(config: Config, layers_per_block: int | None = None) -> None:
    """Raises :class:`UserError` with one line for the first problem of a configuration.

    Args:
      config: configuration of a study.
      layers_per_block: number of weight layers of a custom block; None if there is none.
    """
    for problem in _problems(config, layers_per_block):
        raise UserError(problem)


def validate_data(config: Config, shape: tuple[int, ...], examples: int) -> None:
    """Raises :class:`UserError` if a data set does not suit a configuration.

    Args:
      config: configuration of a study.
      shape: shape of one example.
      examples: number of training examples.
    """
    if config.batch_size > examples:
        raise UserError(
            f"--batch_size={config.batch_size}: {config.dataset} has "
            f"{examples} training examples; take that many or fewer"
        )
    images = len(shape) in (2, 3)
    family = config.of_family
    if not images and (family.convolutional or config.augment):
        flag = f"--augment={','.join(config.augment)}" if config.augment else "--family"
        raise UserError(
            f"{flag}: needs images [height, width] or [height, width, channels], and the examples "
            f"of {config.dataset} are {list(shape)}"
        )
    first, *rest = shape
    if len(rest) == 2 and first in (1, 3, 4) and rest[0] == rest[1] > first:
        raise UserError(
            f"--dataset={config.dataset}: the examples are {list(shape)}, and seem to have their "
            "channels first; transpose them to [height, width, channels]"
        )
    least = family.least_image
    if images and min(shape[:2]) < least:
        raise UserError(
            f"--family={config.family}: needs images of {least}x{least} pixels or more, and those "
            f"of {config.dataset} are {shape[0]}x{shape[1]}"
        )


def _problems(config: Config, own_layers: int | None) -> Iterator[str]:
    if own_layers is not None and own_layers < 1:
        yield f"layers_per_block={own_layers}: a block has one layer or more"
    check_names(config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, tuple):
            yield from _list_problems(field.name, value)
    yield from _variant_problems(config)
    for depth in config.depths:
        yield from _depth_problems(config, depth, own_layers)
    yield from _number_problems(config)
    for depth in config.depths:
        if not any(config.shortcut_weights_of(depth, variant) for variant in config.variants()):
            yield _nothing_to_train(config, depth)
    for rate in config.learning_rates:
        if not _LEAST_FLOAT < rate < _GREATEST_FLOAT:
            yield f"--learning_rates: {rate:g} is no rate; take positive numbers, such as 0.1,0.01"
        elif not _LEAST_FLOAT < rate * config.adaptive_share < _GREATEST_FLOAT:
            yield f"--adaptive_share={config.adaptive_share:g}: take a positive number, such as 0.1"
    for weight in config.shortcut_weights:
        if not abs(weight) < _GREATEST_FLOAT:
            yield f"--shortcut_weights: {weight:g} is no weight; 0 is plain and 1 residual"
    if config.data_dir and config.dataset not in SOURCES:
        yield f"--data_dir={config.data_dir}: {config.dataset} has no files to look for there"


def check_names(config: Any) -> None:
    """Raises :class:`UserError` if a flag's value is an unknown name."""
    for field in dataclasses.fields(config):
        if names := field.metadata.get("names"):
            value = getattr(config, field.name)
            for text in (value,) if isinstance(value, str) else value:
                names.parse(text)


def _nothing_to_train(config: Config, depth: int) -> str:
    if config.deepest_plain and depth > config.deepest_plain:
        return f"--deepest_plain={config.deepest_plain} leaves nothing to train at depth {depth}"
    return (
        "--shortcut_weights=0: without shortcuts nothing passes such branches; add "
        "--shortcut_weights=1, or --silent_plain to see that"
    )


def _number_problems(config: Config) -> Iterator[str]:
    leasts = {
        "warmup_depth": 2,
        "num_seeds": 1,
        "first_seed": 0,
        "width": 0,
        "width_factor": 1,
        "steps": 0,
    }
    for name, least in {**leasts, "batch_size": 1, "holdout": 0, "examples": 0}.items():
        if getattr(config, name) < least:
            yield f"--{name}={getattr(config, name)}: take {least} or more"
    for name in (
        "num_seeds",
        "width",
        "width_factor",
        "steps",
        "batch_size",
        "holdout",
        "examples",
    ):
        if getattr(config, name) >= 2**31:
            yield f"--{name}={getattr(config, name)}: take less than 2147483648"
    if config.first_seed + config.num_seeds > 2**31:
        yield f"--first_seed={config.first_seed}: seeds must stay below 2147483648"
    if config.deepest_plain < 0:
        yield f"--deepest_plain={config.deepest_plain}: take a depth, or 0 for no limit"
    if not 0 <= config.weight_decay < _GREATEST_FLOAT:
        yield f"--weight_decay={config.weight_decay:g}: take 0 or a positive number"
    if not 0 <= config.checkpoint_seconds < _GREATEST_FLOAT:
        yield f"--checkpoint_seconds={config.checkpoint_seconds:g}: take 0 or a positive number"


def _list_problems(name: str, values: Sequence) -> Iterator[str]:
    if not values and name != "augment":
        yield f"--{name} is empty; give at least one value"
    for value in values:
        if name not in VARIANT_FIELDS and values.count(value) > 1:
            yield f"--{name} names {value} twice; name it once"


def _variant_problems(config: Config) -> Iterator[str]:
    lengths = {name: len(getattr(config, name)) for name in VARIANT_FIELDS}
    several = {name: length for name, length in lengths.items() if length > 1}
    if len(set(several.values())) > 1:
        counts = ", ".join(f"--{name} has {length}" for name, length in several.items())
        yield f"lists of variants are paired and must be equally long or single: {counts}"
        return
    if len(set(config.variants())) < len(config.variants()):
        yield f"two variants are the same: {', '.join(f'--{name}' for name in several)} repeat"
    for variant in config.variants():
        yield from filter(None, (problem(config, variant) for problem in _problems_of(variant)))


def _problems_of(variant: Variant) -> list[Callable[[Config, Variant], str]]:
    """Returns for each name of a variant the function that finds its problems."""
    chosen = zip(OF_VARIANTS.values(), variant.names(), strict=True)
    return [names.parse(text).entry.problem for names, text in chosen]


def _depth_problems(config: Config, depth: int, own_layers: int | None) -> Iterator[str]:
    if depth < 2:
        yield f"--depths: no network has {depth} layers; the smallest has 2"
        return
    family, asked = config.of_family, config.block != "auto"
    if asked and not family.convolutional:
        yield f"--block={config.block}: dense networks have blocks of their own; omit it"
    if asked and own_layers is not None:
        yield f"--block={config.block}: a custom block takes its place; omit it"
    layers = own_layers or family.layers(config.block_at(depth))
    if problem := family.depth_problem(depth, layers, asked or own_layers is not None):
        yield problem


def problems_without_blocks(config: Config) -> Iterator[str]:
    """Yields the problem of a study that measures between blocks, if networks have none."""
    if min(config.depths) == 2:
        yield "--depths=2: such a network has no blocks to look between; take deeper ones"
