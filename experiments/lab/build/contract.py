"""Checks the contract of a custom block, by abstract evaluation, before anything is compiled.

A block is a Linen module with the fields ``width``, ``blocks``, ``parts`` (and ``stride``, where
networks are convolutional) and the call ``(a, shortcut_weight, branch_weight) -> a``.
"""

import dataclasses
import functools
import hashlib
import pathlib
import re
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval

from experiments.lab.build.experiment import Experiment
from experiments.lab.config.grid import Cell
from experiments.lab.config.variants import USUAL, Variant
from experiments.lab.system.errors import UserError, printable
from resnet_jax.nn.functional import from_linen

#: The end of an error's message, since Flax and JAX do not know the contract.
_CONTRACT = (
    "a block maps (a, shortcut_weight, branch_weight) to activations as wide as its field "
    "`width`{stride}, and makes its layers by its field `parts`: {layers}, parts.norm(), "
    "parts.activation"
)

#: A depth that all families' smallest networks with a block have less of.
_ANY_DEPTH = 10_000

#: The collections of variables that a network may have.
_COLLECTIONS = {"params", "statistics"}


def name_of(block: Any) -> str:
    """Returns the name of a block: that of the class or function that it was made from."""
    while isinstance(block, functools.partial):
        block = block.func
    return getattr(block, "__qualname__", type(block).__qualname__)


def identity(experiment: Experiment) -> str:
    """Returns what identifies the experiment's block: its name, and a digest of what it computes.

    The digest covers the traced program of one network and its constants, and so closures,
    defaults, helpers and edits.  The network is that of the usual variant, at the smallest depth
    that has a block, whatever variants and depths the study has: these may be added later.  If the
    block is not made for the usual variant, it is the study's first.

    Raises:
      UserError: the block breaks its contract in a network of the study.
    """
    own = experiment.block
    assert own is not None
    programs = {variant: _digest(experiment, variant) for variant in experiment.config.variants()}
    try:
        digest = programs.get(USUAL) or _digest(experiment, USUAL)
    except UserError:
        digest = next(iter(programs.values()))
    return f"{name_of(own.module)} {digest[:12]}, {own.layers} layers"


def _digest(experiment: Experiment, variant: Variant) -> str:
    """Returns a digest of the smallest network of a variant that has a block."""
    # The form of convolutions that a device prefers is not the block's.
    experiment = experiment.but(convolution="stock")
    config = experiment.config
    depth = next(each for each in experiment.depths_up_to(_ANY_DEPTH) if each > 2)
    cell = Cell(config.family, config.block_at(depth), depth, variant)
    whole = hashlib.sha256()
    for part in _program(experiment, cell):
        whole.update(part)
    return whole.hexdigest()


def _program(experiment: Experiment, cell: Cell) -> Iterator[bytes]:
    """Yields the bytes that identify a cell's network: program, parameter tree and constants."""
    shape = experiment.dataset.x_train.shape[1:]
    x = jax.ShapeDtypeStruct((2, *shape), np.float32)
    weight, key = jax.ShapeDtypeStruct((), np.float32), jax.random.key(0)
    broken = functools.partial(_broken, experiment, cell)
    try:
        module = experiment.network(cell)
        variables = jax.eval_shape(module.init, key, x, weight)
        if others := sorted({*variables} - _COLLECTIONS):
            raise broken(f"keeps variables of its own ({', '.join(others)})")
        forward = from_linen(module).forward
        params = variables["params"]
        traced = jax.make_jaxpr(forward)(params, x, weight, key)
    except UserError:
        raise
    except Exception as error:  # whatever Flax, JAX and the block itself raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {pathlib.Path(at.filename).name}:{at.lineno}"
        raise broken(f"fails: {where}: {lines[0] if lines else ''}") from error
    count = len(jax.tree.leaves(params))
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    if not used[count + 1]:
        raise broken("does not use shortcut_weight, so that plain and residual ones are the same")
    yield re.sub(r"0x[0-9a-f]+", "", f"{traced} {jax.tree.structure(params)}").encode()
    for constant in _constants(traced):
        is_key = jax.dtypes.issubdtype(constant.dtype, jax.dtypes.prng_key)
        yield np.asarray(jax.random.key_data(constant) if is_key else constant).tobytes()


def _broken(experiment: Experiment, cell: Cell, what: str) -> UserError:
    """Returns the error that says how a block breaks its contract, and what the contract is."""
    assert experiment.block is not None
    images = experiment.config.of_family.convolutional
    layers = "parts.conv(width, size, stride)" if images else "parts.linear(width)"
    stride = ", of every `stride`-th pixel (a field, stride: int = 1)" if images else ""
    told = [f"{name}={text}" for name, text in dataclasses.asdict(cell.variant).items()]
    said = printable(f"your block {name_of(experiment.block.module)} {what}", most=400)
    where = f" (depth {cell.depth}, {', '.join(told[:5])})"
    return UserError(f"{said}{where}; {_CONTRACT.format(layers=layers, stride=stride)}")


def _constants(traced: Any) -> Iterator[Any]:
    """Yields the arrays that a traced program, or any program inside of it, has captured."""
    yield from getattr(traced, "consts", ())
    for equation in getattr(traced, "jaxpr", traced).eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from _constants(inner)
