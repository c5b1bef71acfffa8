"""Rules of the vocabulary: numbers that names take, and where names make no sense together."""

from typing import Any


def probability(number: float) -> str:
    """Returns what is wrong with a probability."""
    return "" if 0 < number < 1 else "a probability lies between 0 and 1"


def exponent(number: float) -> str:
    """Returns what is wrong with an exponent of the depth."""
    return "" if 0 <= number <= 1 else "an exponent lies between 0 and 1, such as depth:0.5"


def fraction(number: float) -> str:
    """Returns what is wrong with a fraction."""
    return "" if 0 < number <= 1 else "take a fraction, such as error:0.8"


def runs(number: float) -> str:
    """Returns what is wrong with a number of vectorised runs."""
    whole = number >= 1 and number % 1 == 0
    return "" if whole else "take a whole number of runs, such as vmap:8"


def needs_a_batch(config: Any, _: Any) -> str:
    """Returns why a batch of one example cannot be normalised."""
    if config.batch_size != 1:
        return ""
    return "--batch_size=1 leaves batch normalisation nothing to average; take 2 or more"


def never_learns(_: Any, variant: Any) -> str:
    """Returns why a branch never learns that starts at zero and ends with an activation."""
    if not variant.is_silent:
        return ""
    return (
        "--order=activation_before_addition: a branch that starts at zero and ends with a ReLU "
        "never learns; take another order, --init or --branch_scale"
    )


def brings_its_own(_: Any, variant: Any) -> str:
    """Returns why Fixup goes with no other normalisation or initialisation."""
    if (variant.norm, variant.init) == ("none", "he"):
        return ""
    return (
        "--branch_scale=fixup has an initialisation of its own and goes without normalisation: add "
        "--norm=none, and omit --init"
    )


def cuts_plain_networks(config: Any, variant: Any) -> str:
    """Returns why branches cannot be left out of plain networks."""
    plain = config.silent_plain and 0 in config.shortcut_weights
    if not plain and variant.shortcut_schedule != "annealed":
        return ""
    return (
        f"--branch_scale={variant.branch_scale}: a plain network is cut where a branch is left "
        "out; add --shortcut_weights=1 --shortcut_schedule=constant"
    )


def depth_weight(blocks: int, alpha: float) -> float:
    """Returns the factor on a branch: the growth in blocks to the power of -α."""
    from resnet_jax.nn.branches import growth

    return growth(blocks) ** -alpha


def depth_rate(blocks: int, adaptive: bool, alpha: float) -> float:
    """Returns the factor on the learning rates of blocks that goes with such branches."""
    from resnet_jax import theory
    from resnet_jax.nn.branches import growth

    return theory.depth_multipliers(growth(blocks), alpha, adaptive)[1]
