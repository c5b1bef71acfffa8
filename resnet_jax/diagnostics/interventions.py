"""Intervenes in a network from outside: replaces its blocks' calls, each by a value of its own.

The blocks of a stack are one module, which is called once for all of them.  To treat each of them
separately, values are passed next to the parameters, in a collection with a depth axis, and an
interceptor of the blocks' calls gives each block its value.  Neither networks nor blocks, custom
ones included, need any code for this, and nothing changes where nobody intervenes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from resnet_jax.diagnostics import probes
from resnet_jax.diagnostics.probes import Path
from resnet_jax.nn.functional import Array, Network, Params, from_linen
from resnet_jax.nn.networks import FIRST, INTERVENTIONS, STACK, STAGE, ResidualNetwork, stacked

#: ``(block, call, value, a, shortcut_weight, branch_weight) -> output``: what replaces
#: ``call(a, shortcut_weight, branch_weight)``, for a block and its value.
Act = Callable[[nn.Module, Callable, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]

_VALUE = "value"


class Place(NamedTuple):
    """Describes where equal blocks lie, in parameters and statistics.

    Attributes:
      path: path of their module.
      start: number of blocks before them.
      blocks: number of these blocks; their variables have a depth axis if they are a stack.
    """

    path: Path
    start: int
    blocks: int

    @property
    def stacked(self) -> bool:
        """Returns whether the blocks are a stack."""
        return stacked(self.path)

    def of(self, values: Array) -> Array:
        """Returns these blocks' part of ``values[blocks, ...]``, as their module takes it."""
        here = values[self.start : self.start + self.blocks]
        return here if self.stacked else here[0]


def places(module: ResidualNetwork, params: Params, x: Array) -> list[Place]:
    """Returns the places of a network's blocks, in the order in which an example passes them.

    Args:
      module: the network.
      params: its parameters, or their shapes.
      x: a batch, or its shape.
    """
    found, start = [], 0
    paths = probes.rehearse(module, params, x, jnp.ones(()))[0].blocks
    for index, shape in enumerate(module.stages, start=1):
        stage = f"{STAGE}{index}"
        first = (stage, FIRST) in paths
        for name, blocks in ((FIRST, int(first)), (STACK, shape.blocks - first)):
            if blocks:
                found.append(Place((stage, name), start, blocks))
                start += blocks
    return found


def intervene(
    module: ResidualNetwork, where: list[Place], act: Act, values: Array | None = None
) -> Network:
    """Returns the pure functions of a network whose blocks' calls are replaced.

    Args:
      module: the network.
      where: places of its blocks.
      act: what replaces a block's call.
      values: one value per block ``[blocks, ...]``; None for zeros.
    """
    blocks = sum(place.blocks for place in where)
    values = jnp.zeros(blocks) if values is None else values
    inputs: dict[str, Any] = {}
    for place in where:
        stage, name = place.path
        inputs.setdefault(stage, {})[name] = {_VALUE: place.of(values)}

    def called(call, args, kwargs, context):
        block = context.module
        if not probes.calls_block(context):
            return call(*args, **kwargs)
        return act(block, call, block.get_variable(INTERVENTIONS, _VALUE), *args, **kwargs)

    def apply(variables, *args, **options):
        with nn.intercept_methods(called):
            return module.apply({**variables, INTERVENTIONS: inputs}, *args, **options)

    return from_linen(module, apply=apply)
