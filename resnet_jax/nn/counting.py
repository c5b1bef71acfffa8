"""Counts exactly what a network costs, from shapes alone: a second for a thousand layers."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from resnet_jax.nn.functional import Array, Params
from resnet_jax.nn.networks import ON_SHORTCUTS, stacked


class LayerCounts(NamedTuple):
    """Holds the counts of one weight matrix or convolution, or of a stack of equal ones.

    Attributes:
      name: path in the parameter tree.
      layers: number of layers in the stack.
      kernel: shape of one kernel.
      output: shape of one layer's output for one example.
      multiply_adds: multiply-adds of the whole stack for one example: the size of the kernel, once
        for each pixel of the output.
    """

    name: tuple[str, ...]
    layers: int
    kernel: tuple[int, ...]
    output: tuple[int, ...]
    multiply_adds: int


class Counts(NamedTuple):
    """Holds the size of a network.

    Attributes:
      layers: depth as He et al. 2015 count it: weight matrices and convolutions, without those on
        shortcuts.
      parameters: number of learned parameters.
      multiply_adds: multiply-adds of one example's forward pass through all weight matrices and
        convolutions, including those on shortcuts.  Normalisation, biases and additions are not
        counted, as in He et al.
      activations: number of values in the outputs of these layers, for one example.
      largest: number of values in the largest of these outputs.
    """

    layers: int
    parameters: int
    multiply_adds: int
    activations: int
    largest: int


def _names(path) -> tuple[str, ...]:
    return tuple(entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey))


def count_layers(params: Params) -> int:
    """Counts the depth of a network from its parameters or their shapes; see :class:`Counts`."""

    def layers(path, leaf):
        names = _names(path)
        if names[-1] != "kernel" or names[-2] in ON_SHORTCUTS:
            return 0
        return leaf.shape[0] if stacked(names) else 1

    return sum(layers(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params))


def _shapes(module: nn.Module, x: Array | jax.ShapeDtypeStruct) -> tuple[Params, Params]:
    """Returns the shapes of the parameters, and of the outputs of modules that have a kernel."""
    has_kernel = lambda module, _: module.has_variable("params", "kernel")

    def forward(x):
        _, variables = module.init_with_output(
            jax.random.key(0), x, jnp.ones(()), capture_intermediates=has_kernel, mutable=True
        )
        return variables["params"], variables["intermediates"]

    return jax.eval_shape(forward, x)


def each_layer(module: nn.Module, x: Array | jax.ShapeDtypeStruct) -> list[LayerCounts]:
    """Counts every layer of a network of calls ``(x, shortcut_weight)``; nothing is computed.

    Args:
      module: the network; each of its modules with a parameter named ``kernel`` is a layer, and the
        last axis of its output is that of the kernel.
      x: one example or several, ``[batch, ...]``, or their shape.
    """
    return _layers(*_shapes(module, x), x.shape[0])


def _layers(params: Params, outputs: Params, batch: int) -> list[LayerCounts]:
    found = []
    for path, output in jax.tree_util.tree_leaves_with_path(outputs):
        name = _names(path)[:-1]  # the last name is that of the called method
        weights = params
        for part in name:
            weights = weights[part]
        axes = int(stacked(name))  # number of depth axes
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
    place = {"stem": 0, "head": 2}  # in the order of the forward pass, not by name
    return sorted(found, key=lambda layer: place.get(layer.name[0], 1))


def count(module: nn.Module, x: Array | jax.ShapeDtypeStruct) -> Counts:
    """Counts the size of a network; see :func:`each_layer` for the arguments."""
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
