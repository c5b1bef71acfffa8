"""What can be wrong with a configuration, found before anything heavy is imported."""

import dataclasses
from collections.abc import Iterator, Sequence

from experiments.lab.config.config import VARIANT_FIELDS, Config
from experiments.lab.config.names import CHOICES, check_name
from experiments.lab.data.downloads import SOURCES
from experiments.lab.system.errors import UserError

#: What float32 can hold without losing all its digits.
_LEAST_FLOAT, _GREATEST_FLOAT = 1e-37, 1e38

#: Weight layers on the main path of each block.
BLOCK_LAYERS = {"basic": 2, "bottleneck": 3, "bottleneck_3x3": 3}

#: The ImageNet networks, by the layers of their blocks (He et al. 2015, table 1).
IMAGENET_DEPTHS = {2: (18, 34), 3: (50, 101, 152)}

#: Pixels on a side that a family's networks need at least.
LEAST_IMAGE = {"cifar": 4, "imagenet": 8}


def validate(config: Config, layers_per_block: int | None = None) -> None:
    """Raises :class:`UserError` with one line for the first thing that is wrong.

    Args:
      config: of a study.
      layers_per_block: of a block of the user's own.
    """
    for problem in _problems(config, layers_per_block):
        raise UserError(problem)


def validate_data(config: Config, shape: tuple[int, ...], examples: int) -> None:
    """Raises :class:`UserError` where a data set does not suit a configuration.

    Args:
      config: of a study.
      shape: of one example.
      examples: in the training set.
    """
    if config.batch_size > examples:
        raise UserError(
            f"--batch_size={config.batch_size}: {config.dataset} has "
            f"{examples} training examples; take that many or fewer"
        )
    images = len(shape) in (2, 3)
    if not images and (config.family != "dense" or config.augment):
        flag = f"--augment={','.join(config.augment)}" if config.augment else "--family"
        raise UserError(
            f"{flag}: needs images [height, width] or [height, width, channels], and the examples "
            f"of {config.dataset} are {list(shape)}"
        )
    least = LEAST_IMAGE.get(config.family, 1)
    if images and min(shape[:2]) < least:
        raise UserError(
            f"--family={config.family}: needs images of {least}x{least} pixels or more, and those "
            f"of {config.dataset} are {shape[0]}x{shape[1]}"
        )


def _problems(config: Config, own_layers: int | None) -> Iterator[str]:
    if own_layers is not None and own_layers < 1:
        yield f"layers_per_block={own_layers}: a block has one layer or more"
    for name in CHOICES:
        value = getattr(config, name)
        for given in (value,) if isinstance(value, str) else value:
            check_name(name, given)
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
    if config.batch_size == 1 and "batch" in config.norm:
        yield "--batch_size=1 leaves batch normalisation nothing to average; take 2 or more"


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
        if variant.branch_scale == "fixup" and (variant.norm, variant.init) != ("none", "he"):
            yield (
                "--branch_scale=fixup has an initialisation of its own and goes without "
                "normalisation: add --norm=none, and leave --init away"
            )
        silent = variant.branch_scale == "fixup" or variant.init == "zero_last"
        if silent and variant.order == "activation_before_addition":
            yield (
                "--order=activation_before_addition: a branch that starts at zero and ends with a "
                "ReLU never learns; take another order, --init or --branch_scale"
            )
        plain = config.silent_plain and 0 in config.shortcut_weights
        plain = plain or variant.shortcut_schedule == "annealed"
        if variant.branch_scale.startswith("stochastic_depth") and plain:
            yield (
                f"--branch_scale={variant.branch_scale}: a plain network is cut where a branch is "
                "left out; add --shortcut_weights=1 --shortcut_schedule=constant"
            )


def _depth_problems(config: Config, depth: int, own_layers: int | None) -> Iterator[str]:
    if depth < 2:
        yield f"--depths: no network has {depth} layers; the smallest has 2"
        return
    if config.family == "dense" and config.block != "auto":
        yield f"--block={config.block}: dense networks have blocks of their own; leave it away"
    if own_layers is not None and config.block != "auto":
        yield f"--block={config.block}: a block of one's own takes its place; leave it away"
    layers = 2 if config.family == "dense" else BLOCK_LAYERS[config.block_at(depth)]
    layers = own_layers or layers
    if config.family == "imagenet":
        yield from _imagenet_problems(config, depth, layers, own_layers is not None)
        return
    step = layers * (3 if config.family == "cifar" else 1)
    if (depth - 2) % step:
        below = depth - (depth - 2) % step
        stages = "3 stages, " if config.family == "cifar" else ""
        yield (
            f"--depths: no {config.family} network has {depth} layers (stem, {stages}{layers} a "
            f"block, head); the nearest are {below} and {below + step}"
        )


def problems_without_blocks(config: Config) -> Iterator[str]:
    """Of studies that look between blocks."""
    if min(config.depths) == 2:
        yield "--depths=2: such a network has no blocks to look between; take deeper ones"


def depths_up_to(config: Config, depth: int, own_layers: int | None = None) -> Sequence[int]:
    """The depths of the form of a study's family, up to one that is, made of the same blocks."""
    layers = own_layers or (2 if config.family == "dense" else BLOCK_LAYERS[config.block_at(depth)])
    if config.family == "imagenet":
        return [known for known in IMAGENET_DEPTHS[layers] if known <= depth]
    return range(2, depth + 1, layers * (3 if config.family == "cifar" else 1))


def _imagenet_problems(config: Config, depth: int, layers: int, own: bool) -> Iterator[str]:
    chosen = own or config.block != "auto"
    known = {layers: IMAGENET_DEPTHS.get(layers, ())} if chosen else IMAGENET_DEPTHS
    if not known.get(layers):
        yield f"layers_per_block={layers}: the ImageNet networks have blocks of 2 or 3 layers"
    elif depth not in known[layers]:
        names = ", ".join(f"{depth}" for depths in known.values() for depth in depths)
        of = f"with blocks of {layers} layers" if chosen else "of the paper"
        yield f"--depths: no ImageNet network {of} has {depth} layers; known are {names}"
