"""Interventions: blocks of a network called otherwise, from outside, each by a value of its own.

The blocks of a stack are one module, which is called once for all of them.  So that each can be
treated by itself, values come in beside the parameters, in a collection with a depth axis, and an
interceptor of the blocks' calls hands each its value.  Neither networks nor blocks need anything
for it, also those of the user's own, and nothing changes where nobody intervenes.
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

#: ``(block, call, value, a, shortcut_weight, branch_weight) -> output``: what takes the place of
#: ``call(a, shortcut_weight, branch_weight)``, for a block and its value.
Act = Callable[[nn.Module, Callable, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]

_VALUE = "value"


class Place(NamedTuple):
    """Where equal blocks lie, in parameters and statistics.

    Attributes:
      path: of their module.
      start: how many blocks come before them.
      blocks: how many there are; their variables have a depth axis where they are a stack.
    """

    path: Path
    start: int
    blocks: int

    @property
    def stacked(self) -> bool:
        """Whether they are a stack."""
        return stacked(self.path)

    def of(self, values: Array) -> Array:
        """Theirs among ``values[blocks, ...]`` of all blocks, as their module takes them."""
        here = values[self.start : self.start + self.blocks]
        return here if self.stacked else here[0]


def places(module: ResidualNetwork, params: Params, x: Array) -> list[Place]:
    """The places of a network's blocks, in the order in which an example passes them.

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
    """The pure functions of a network whose blocks are called otherwise.

    Args:
      module: the network.
      where: its blocks lie.
      act: what is done in the place of a block's call.
      values: one for each block ``[blocks, ...]``; zeros where there are none.
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
