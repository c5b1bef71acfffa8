"""Defines residual blocks: a main path of two or three layers, and the shortcut that joins it.

With a[l] the block's input, z[l+2] the end of its main path, g the activation, w the shortcut
weight and b the branch weight, the lecture's block is

    a[l+2] = g(w · a[l] + b · z[l+2]).

It is residual at w = 1 and plain at w = 0; b is 1 except under the rules of
:mod:`resnet_jax.nn.branches`.  What differs between blocks is passed in as values: those in
:class:`Parts`, and the layers of the main path.  A custom block is any Linen module with the fields
and the call of :class:`Block`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import linen as nn
from jax.nn.initializers import constant, zeros
from jax.typing import DTypeLike

from resnet_jax.nn import branches, initializers, orders, shortcuts
from resnet_jax.nn.orders import Map, Order
from resnet_jax.ops import forms, normalization
from resnet_jax.ops.convolution import Conv
from resnet_jax.ops.linear import dot_general

#: The name of the random generator for dropout and the like, which do nothing without it.
NOISE = "noise"


class Layer(NamedTuple):
    """Describes one layer of a main path.

    Attributes:
      size: size of its square kernel; None for a fully connected layer.
      narrowing: number by which the block's width is divided to give the layer's width.
      strided: whether the layer has the block's stride.
    """

    size: int | None = None
    narrowing: int = 1
    strided: bool = False


#: The lecture's main path: two fully connected layers.
DENSE = (Layer(), Layer())

#: Two 3x3 convolutions (He et al. 2015, Fig. 5 left).
BASIC = (Layer(3, strided=True), Layer(3))

#: 1x1, 3x3 and 1x1 convolutions, with the stride in the first, as in the paper (He et al. 2015,
#: Fig. 5 right).
BOTTLENECK = (Layer(1, narrowing=4, strided=True), Layer(3, narrowing=4), Layer(1))

#: The same convolutions with the stride in the 3x3 one, as most implementations have it.
BOTTLENECK_3X3 = (Layer(1, narrowing=4), Layer(3, narrowing=4, strided=True), Layer(1))


class LearnedScale(nn.Module):
    """Multiplies its input by one learned scalar."""

    start: float = 0.0

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        return self.param("scale", constant(self.start), ()) * z


class Dropout(nn.Module):
    """Zeroes a random fraction of the values and scales up the rest, if there is a generator."""

    rate: float

    @nn.compact
    def __call__(self, a: jax.Array) -> jax.Array:
        if not self.has_rng(NOISE):
            return a
        kept = jax.random.bernoulli(self.make_rng(NOISE), 1 - self.rate, a.shape)
        return kept * a / (1 - self.rate)


@dataclasses.dataclass(frozen=True, repr=False)
class Parts:
    """Holds what a network is composed of.

    Attributes:
      norm: a module factory from :mod:`resnet_jax.ops.normalization`.
      activation: g.
      init: how the weights are initialised.
      branch: what multiplies the end of each branch.
      order: order of the operations in a block.
      shortcut: what is carried around the main path.
      form: formulas that compute convolutions.
      dtype: type in which layers compute and return, and which activations have; None for the type
        of the parameters, which are always in single precision.
    """

    norm: Callable[..., nn.Module] = normalization.BatchNorm
    activation: Map = nn.relu
    init: initializers.Init = initializers.he
    branch: branches.BranchRule = branches.unit
    order: Order = orders.original
    shortcut: shortcuts.Shortcut = shortcuts.identity
    form: forms.Form = forms.BY_PLATFORM
    dtype: DTypeLike | None = None

    def __repr__(self) -> str:
        """Returns the parts that differ from the defaults, so that help and errors stay short."""
        names = (
            f"{field.name}={getattr(value, '__name__', value)}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        )
        return f"Parts({', '.join(names)})"

    def linear(self, features: int, **options) -> nn.Module:
        """Returns a dense layer to ``features``; it has a bias only if no normalisation does."""
        return nn.Dense(features, dot_general=dot_general, **{**self._settings(), **options})

    def conv(self, features: int, size: int, stride: int = 1, **options) -> nn.Module:
        """Returns a convolution to ``features``; it has a bias only if no normalisation does."""
        options = {**self._settings(), "form": self.form, **options}
        return Conv(features, size, stride, **options)

    def layer(self, features: int, size: int | None, stride: int = 1, **options) -> nn.Module:
        """Returns a convolution with a kernel of ``size``, or a dense layer if ``size`` is None."""
        if size is None:
            return self.linear(features, **options)
        return self.conv(features, size, stride, **options)

    def pointwise(self, a: jax.Array, features: int, stride: int, **options) -> jax.Array:
        """Maps every example, or every ``stride``-th pixel, to ``features`` by the same weights."""
        return self.layer(features, None if a.ndim == 2 else 1, stride, **options)(a)

    def dropout(self, a: jax.Array, rate: float) -> jax.Array:
        """Zeroes a random fraction of the values in training."""
        return Dropout(rate)(a)

    def last_norm(self, **options) -> nn.Module:
        """Returns the last normalisation of a branch; it starts at zero if ``init`` says so."""
        zero = self.init.zero_last and self._norm_ends_branch()
        return self.norm(**({"scale_init": zeros} if zero else {}), **options)

    def last_kernel(self) -> jax.nn.initializers.Initializer:
        """Returns the initialiser of a branch's last weights: zeros if the branch must start so.

        It must if ``init`` says so, and then only if no normalisation with a scale ends the branch.
        """
        return zeros if self.init.zero_last and not self._norm_ends_branch() else self.init.kernel

    def _settings(self) -> dict:
        unnormalised = self.norm is normalization.NoNorm
        return {"use_bias": unnormalised, "kernel_init": self.init.kernel, "dtype": self.dtype}

    def _norm_ends_branch(self) -> bool:
        return self.order.ends_with_norm and self.norm not in normalization.WITHOUT_SCALE


class Block(nn.Module):
    """Applies a main path of some layers, and adds the shortcut around it.

    Attributes:
      width: units or channels of the block's output; the shortcut matches shapes.
      stride: step between the pixels that the block keeps.
      blocks: number of blocks in the whole network, for initialisers that depend on it.
      parts: what the block is composed of.
      layers: the main path.
    """

    width: int
    stride: int = 1
    blocks: int = 1
    parts: Parts = Parts()
    layers: Sequence[Layer] = DENSE

    @nn.compact
    def __call__(
        self, a: jax.Array, shortcut_weight: jax.Array, branch_weight: jax.Array | float = 1.0
    ) -> jax.Array:
        """Maps ``[batch, features]`` to ``[batch, width]``, and the features of images likewise.

        Args:
          a: input activations.
          shortcut_weight: w, a scalar.
          branch_weight: b, a scalar.
        """
        parts, count = self.parts, len(self.layers)
        linears = [self._linear(index, layer) for index, layer in enumerate(self.layers, start=1)]
        norms = [parts.norm(name=f"norm_{index}") for index in range(1, count)]
        norms.append(parts.last_norm(name=f"norm_{count}"))

        def add(a, z):
            carried, gate = parts.shortcut(a, self.width, self.stride, parts)
            if parts.branch.multiplier is not None:
                z = LearnedScale(parts.branch.multiplier, name="branch_scale")(z)
            return shortcut_weight * carried + branch_weight * gate * z

        return parts.order.block(a, add, linears, norms, parts.activation)

    def _linear(self, index: int, layer: Layer) -> Map:
        parts, count = self.parts, len(self.layers)
        inner = parts.init.inner(self.blocks, count)
        linear = parts.layer(
            max(self.width // layer.narrowing, 1),
            layer.size,
            self.stride if layer.strided else 1,
            kernel_init=parts.last_kernel() if index == count else inner,
            name=f"{'linear' if layer.size is None else 'conv'}_{index}",
        )
        if not parts.branch.biases:
            return linear
        bias = normalization.ScalarBias(name=f"bias_{index}")
        return lambda z: linear(bias(z))
