"""Networks: counts exactly the layers, parameters and multiply-adds of networks of each family.

Without flags, lists the networks of He et al. 2015 and 2016, next to the numbers that the papers
print.  With flags, lists the networks that they describe, and for a single one also its layers.
"""

import dataclasses
import sys
import typing

from experiments.lab.config.config import Config
from experiments.lab.config.families import FAMILIES
from experiments.lab.config.validation import validate
from experiments.lab.config.variants import NETWORK_FIELDS, Variant
from experiments.lab.run.command import command
from experiments.lab.system.errors import UserError
from experiments.lab.system.interrupts import Interrupts
from experiments.lab.system.startup import import_jax

#: The flags that describe a network and that this command shares with the studies.
_SHARED = ("block", "width", "width_factor", *NETWORK_FIELDS)


def _shared(name: str):
    field = next(field for field in dataclasses.fields(Config) if field.name == name)
    hints = typing.get_type_hints(Config)
    return name, hints[name], dataclasses.field(default=field.default, metadata=field.metadata)


def _own(name: str, kind, default, help_text: str):
    return name, kind, dataclasses.field(default=default, metadata={"help": help_text})


NetworksConfig: typing.Any = dataclasses.make_dataclass(
    "NetworksConfig",
    [
        _own("family", str, "", "dense, cifar or imagenet; without it, the papers' networks"),
        _own("depths", tuple[int, ...], (), "weight layers; by default those of the papers"),
        *map(_shared, _SHARED),
        _own("image", tuple[int, ...], (), "height,width or height,width,channels; 224,224,3 ..."),
        _own("classes", int, 0, "logits; by default 10, or 1,000 for imagenet"),
    ],
    frozen=True,
)


class Row(typing.NamedTuple):
    """Describes a network; if it is from a paper, also its name and the numbers printed there."""

    name: str
    config: Config
    parameters: str = ""
    multiply_adds: str = ""


def _papers() -> typing.Iterator[Row]:
    printed = {20: "0.27M", 32: "0.46M", 44: "0.66M", 56: "0.85M", 110: "1.7M", 1202: "19.4M"}
    for depth, parameters in printed.items():
        config = Config(family="cifar", depths=(depth,))
        yield Row(f"ResNet-{depth}", config, parameters)
    later: dict[str, typing.Any] = {"family": "cifar", "order": ("pre_activation",)}
    later |= {"shortcut": ("B",)}
    for depth, parameters in {164: "1.7M", 1001: "10.2M"}.items():
        config = Config(depths=(depth,), block="bottleneck", **later)
        yield Row(f"ResNet-{depth}", config, parameters)
    # The name WRN-28-10 counts the three projections as layers, but not the head.
    yield Row("WRN-28-10", Config(depths=(26,), width_factor=10, **later), "36.5M")
    for depth in (18, 34):
        config = Config(family="imagenet", depths=(depth,))
        yield Row(f"plain-{depth}", config, "", {18: "1.8G", 34: "3.6G"}[depth])
    operations = {18: "1.8G", 34: "3.6G", 50: "3.8G", 101: "7.6G", 152: "11.3G"}
    for depth, multiply_adds in operations.items():
        config = Config(family="imagenet", depths=(depth,), shortcut=("B",))
        yield Row(f"ResNet-{depth}", config, "", multiply_adds)
    common = Config(family="imagenet", depths=(50,), shortcut=("B",), block="bottleneck_3x3")
    yield Row("ResNet-50", common)


def tell(config: typing.Any, _: Interrupts) -> None:
    """Prints the table of networks.

    Raises:
      UserError: the flags describe no network that exists.
    """
    rows = _asked(config)
    for row in rows:
        validate(row.config)
        _check_example(config, row.config)
    import_jax(cores=1)
    _print_networks(config, rows)
    if len(rows) == 1 and len(rows[0].config.variants()) == 1:
        _print_layers(config, rows[0].config)


def _asked(config: typing.Any) -> list[Row]:
    if config == NetworksConfig():
        return list(_papers())
    flags = {name: getattr(config, name) for name in _SHARED} | {"family": config.family or "dense"}
    if config.depths:
        return [Row("", Config(depths=(depth,), **flags)) for depth in config.depths]
    family = FAMILIES.get(flags["family"])
    known = family.sample[0] if family else (2,)
    rows = [Row("", Config(depths=(depth,), **flags)) for depth in known]
    return [row for row in rows if _exists(row.config)] or rows[:1]


def _exists(study: Config) -> bool:
    try:
        validate(study)
    except UserError:
        return False
    return True


def _example(config: typing.Any, study: Config) -> tuple[tuple[int, ...], int]:
    """Returns the shape of one example, and the number of classes."""
    _, image, classes = study.of_family.sample
    return config.image or image, config.classes or classes


def _check_example(config: typing.Any, study: Config) -> None:
    image, classes = _example(config, study)
    given, least = ",".join(map(str, image)), study.of_family.least_image
    if len(image) not in (2, 3) or min(image) < 1 or max(image) > 2**15:
        raise UserError(f"--image={given}: give height,width or height,width,channels")
    if min(image[:2]) < least:
        raise UserError(f"--image={given}: {study.family} networks need {least},{least} or more")
    if not 0 < classes < 2**31:
        raise UserError(f"--classes={classes}: take 1 or more")


def _print_networks(config: typing.Any, rows: list[Row]) -> None:
    from resnet_jax.nn import counting

    known = any(row.name for row in rows)
    headers = ["network"] * known + ["depth", "family", "block", *_telling(rows), "image"]
    headers += ["parameters", *["paper"] * known, "multiply-adds", *["paper"] * known]
    table = []
    for row in rows:
        image, classes = _example(config, row.config)
        for variant in row.config.variants():
            module = _network(row.config, variant, image, classes)
            counts = counting.count(module, _shape(image))
            values = dataclasses.asdict(row.config) | dataclasses.asdict(variant)
            cells = [row.name] * known + [f"{counts.layers}", row.config.family, _block(row.config)]
            cells += [f"{values[name]}" for name in _telling(rows)] + ["x".join(map(str, image))]
            cells += [f"{counts.parameters:,}", *[row.parameters] * known]
            table.append([*cells, f"{counts.multiply_adds:,}", *[row.multiply_adds] * known])
    _print_table(headers, table)


def _telling(rows: list[Row]) -> list[str]:
    """Returns the fields to show: order, shortcut, and those that differ from their defaults.

    A network from a paper is identified by its name.
    """
    usual, rows = Config(), [row for row in rows if not row.name]
    others = [name for name in _SHARED[1:] if name not in ("order", "shortcut")]
    changed = lambda name: any(getattr(row.config, name) != getattr(usual, name) for row in rows)
    return ["order", "shortcut", *filter(changed, others)]


def _print_layers(config: typing.Any, study: Config) -> None:
    from resnet_jax.nn import counting

    image, classes = _example(config, study)
    module = _network(study, study.variants()[0], image, classes)
    headers = ["layer", "times", "kernel", "output", "multiply-adds"]
    by_shape = lambda shape: "x".join(map(str, shape))
    _print_table(
        headers,
        [
            [
                ".".join(layer.name),
                f"{layer.layers}",
                by_shape(layer.kernel),
                by_shape(layer.output),
                f"{layer.multiply_adds:,}",
            ]
            for layer in counting.each_layer(module, _shape(image))
        ],
    )


def _network(study: Config, variant: Variant, image: tuple[int, ...], classes: int):
    from experiments.lab.build import composition

    return composition.network(study, study.depths[0], variant, image, classes)


def _block(study: Config) -> str:
    return study.block_at(study.depths[0])


def _shape(image: tuple[int, ...]):
    import jax

    return jax.ShapeDtypeStruct((1, *image), "float32")


def _print_table(headers: list[str], rows: list[list[str]]) -> None:
    from experiments.lab.report import terminal

    terminal.show_table(headers, rows, sections=False)


def main(argv: list[str] | None = None) -> int:
    """Runs the command, and returns its exit status."""
    return command("networks", __doc__, NetworksConfig(), tell, argv)


if __name__ == "__main__":
    sys.exit(main())
