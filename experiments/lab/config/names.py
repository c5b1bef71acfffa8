"""Names that flags may give; :mod:`experiments.lab.build.composition` turns them into functions."""

from experiments.lab.system.errors import UserError, suggest

#: The names that a flag takes.
CHOICES = {
    "family": ("dense", "cifar", "imagenet"),
    "block": ("auto", "basic", "bottleneck", "bottleneck_3x3"),
    "optimizer": ("sgd", "momentum", "nesterov", "adam", "adamw"),
    "schedule": ("constant", "step", "three_steps", "cosine", "warmup", "warmup_cosine"),
    "warmup": ("none", "error"),
    "norm": ("batch", "layer", "none"),
    "order": (
        "original",
        "norm_after_addition",
        "activation_before_addition",
        "activation_first",
        "pre_activation",
    ),
    "shortcut": ("A", "B", "C", "constant", "exclusive_gate", "shortcut_gate", "dropout"),
    "branch_scale": ("one", "inverse_sqrt", "learned", "stochastic_depth", "fixup", "depth"),
    "init": ("he", "zero_last", "orthogonal"),
    "shortcut_schedule": ("constant", "annealed"),
    "augment": ("crop", "flip", "cutout"),
    "statistics": ("auto", "whole", "running"),
    "map": ("auto", "vmap", "map"),
    "convolution": ("auto", "stock", "patches", "columns", "shifts", "mapped", "packed"),
    "remat": ("none", "block", "sqrt"),
    "precision": ("float32", "bfloat16"),
    "matmul_precision": ("default", "high", "highest"),
    "compare": ("none", "he2015", "he2016_orders", "he2016_shortcuts", "li2018"),
}

#: By flag, names that numbers may follow, ``name:1/2``, and the numbers where none do.
NUMBERS: dict[str, dict[str, tuple[float, ...]]] = {
    "warmup": {"error": (0.8,)},
    "shortcut": {
        "constant": (0.5, 0.5),
        "exclusive_gate": (-6.0,),
        "shortcut_gate": (-6.0,),
        "dropout": (0.5,),
    },
    "branch_scale": {"stochastic_depth": (0.5,), "depth": (1.0,)},
    "map": {"vmap": (0.0,)},  # all runs
}

#: Optimisers whose updates are of one size, whatever that of the gradient: their rates are smaller.
ADAPTIVE = ("adam", "adamw")


def split_name(flag: str, text: str) -> tuple[str, tuple[float, ...]]:
    """``"name:1/2"`` as its name and numbers, or the numbers that the name has by default.

    Raises:
      UserError: the numbers are not numbers, or not as many as the name takes.
    """
    name, colon, rest = text.partition(":")
    wanted = NUMBERS.get(flag, {}).get(name, ())
    if not colon:
        return name, wanted
    try:
        numbers = tuple(float(number) for number in rest.split("/"))
    except ValueError:
        numbers = ()
    if len(numbers) != len(wanted) or not numbers or not all(abs(n) <= 1e6 for n in numbers):
        example = f"such as {name}:{'/'.join(f'{n:g}' for n in wanted)}" if wanted else "takes none"
        raise UserError(f"{text}: numbers after the colon, {example}")
    return name, numbers


def canonical(flag: str, text: str) -> str:
    """The one way to write a name and its numbers: ``dropout`` is ``dropout:0.5``."""
    name, numbers = split_name(flag, text)
    return f"{name}:{'/'.join(f'{number:g}' for number in numbers)}" if numbers else name


def check_name(flag: str, text: str) -> None:
    """Raises :class:`UserError` where a flag's value names nothing that is known."""
    try:
        name, numbers = split_name(flag, text)
    except UserError as error:
        raise UserError(f"--{flag}={error}") from None
    if name not in CHOICES[flag]:
        raise UserError(f"--{flag}={text}: {suggest(name, CHOICES[flag])}")
    if name in ("dropout", "stochastic_depth") and not 0 < numbers[0] < 1:
        raise UserError(f"--{flag}={text}: a probability lies between 0 and 1")
    if (flag, name) == ("warmup", "error") and not 0 < numbers[0] <= 1:
        raise UserError(f"--{flag}={text}: take a fraction, such as error:0.8")
    if (flag, name) == ("map", "vmap") and ":" in text and (numbers[0] < 1 or numbers[0] % 1):
        raise UserError(f"--{flag}={text}: take a whole number of runs, such as vmap:8")
    if (flag, name) == ("branch_scale", "depth") and not 0 <= numbers[0] <= 1:
        raise UserError(f"--{flag}={text}: an exponent lies between 0 and 1, such as depth:0.5")
