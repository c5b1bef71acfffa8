"""What a network costs, exactly, from shapes alone: a thousand layers are counted in a second."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from resnet_jax.nn.functional import Array, Params
from resnet_jax.nn.networks import ON_SHORTCUTS, stacked


class LayerCounts(NamedTuple):
    """One weight matrix or convolution of a network, or a stack of equal ones.

    Attributes:
      name: its place in the parameter tree.
      layers: how many there are in the stack.
      kernel: shape of one of them.
      output: shape of what leaves it, for one example.
      multiply_adds: for one example, of the whole stack: the size of the kernel, once for each
        pixel of the output.
    """

    name: tuple[str, ...]
    layers: int
    kernel: tuple[int, ...]
    output: tuple[int, ...]
    multiply_adds: int


class Counts(NamedTuple):
    """The size of a network.

    Attributes:
      layers: its depth as He et al. 2015 count it: weight matrices and convolutions, without those
        on shortcuts.
      parameters: the numbers it learns.
      multiply_adds: of one example's way through all weight matrices and convolutions, those on
        shortcuts included.  Normalisation, biases and additions are not counted, as in He et al.
      activations: numbers that leave these layers, for one example.
      largest: numbers that leave the one of them that gives the most.
    """

    layers: int
    parameters: int
    multiply_adds: int
    activations: int
    largest: int


def _names(path) -> tuple[str, ...]:
    return tuple(entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey))


def count_layers(params: Params) -> int:
    """The depth of a network, counted from its parameters or their shapes; see :class:`Counts`."""

    def layers(path, leaf):
        names = _names(path)
        if names[-1] != "kernel" or names[-2] in ON_SHORTCUTS:
            return 0
        return leaf.shape[0] if stacked(names) else 1

    return sum(layers(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params))


def _shapes(module: nn.Module, x: Array | jax.ShapeDtypeStruct) -> tuple[Params, Params]:
    """Shapes of the parameters, and of what leaves the modules that have a kernel."""
    has_kernel = lambda module, _: module.has_variable("params", "kernel")

    def forward(x):
        _, variables = module.init_with_output(
            jax.random.key(0), x, jnp.ones(()), capture_intermediates=has_kernel, mutable=True
        )
        return variables["params"], variables["intermediates"]

    return jax.eval_shape(forward, x)


def each_layer(module: nn.Module, x: Array | jax.ShapeDtypeStruct) -> list[LayerCounts]:
    """The layers of a network of calls ``(x, shortcut_weight)``; nothing is computed.

    Args:
      module: the network; a module of it with a parameter named ``kernel`` is a layer, and its
        output's last axis is that of the kernel.
      x: one example or several, ``[batch, ...]``, or their shape.
    """
    return _layers(*_shapes(module, x), x.shape[0])


def _layers(params: Params, outputs: Params, batch: int) -> list[LayerCounts]:
    found = []
    for path, output in jax.tree_util.tree_leaves_with_path(outputs):
        name = _names(path)[:-1]  # the last is the method that was called
        weights = params
        for part in name:
            weights = weights[part]
        axes = int(stacked(name))  # that count blocks
        kernel, per_example = weights["kernel"], output.shape[axes + 1 :]
        pixels = output.size // (batch * output.shape[-1] * (output.shape[0] ** axes))
        found.append(
            LayerCounts(
                name,
                kernel.shape[0] ** axes,
                kernel.shape[axes:],
                per_example,
                pixels * kernel.size,
            )
        )
    place = {"stem": 0, "head": 2}  # as an example passes them, not by their letters
    return sorted(found, key=lambda layer: place.get(layer.name[0], 1))


def count(module: nn.Module, x: Array | jax.ShapeDtypeStruct) -> Counts:
    """Counts what a network takes; see :func:`each_layer` for the arguments."""
    params, outputs = _shapes(module, x)
    layers = _layers(params, outputs, x.shape[0])
    sizes = [(layer.layers, math.prod(layer.output)) for layer in layers]
    return Counts(
        count_layers(params),
        sum(leaf.size for leaf in jax.tree.leaves(params)),
        sum(layer.multiply_adds for layer in layers),
        sum(times * size for times, size in sizes),
        max(size for _, size in sizes),
    )
