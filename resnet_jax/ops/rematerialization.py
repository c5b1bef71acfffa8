"""Chooses what a stack of blocks keeps from the forward pass for the backward pass: memory or time.

A stack is a scan over depth, ``scan(body, carry, xs) -> (carry, ys)`` as in ``jax.lax.scan``:
``body`` is one block, ``carry`` is what passes through all of them, and ``xs`` has a leading depth
axis.  All scans here compute the same result, and differ in what they keep until its gradient is
taken; the rest is recomputed.

None of them keeps the results of elementwise operations within a block, such as normalised or
rectified activations: on CPU it was 7 to 14 % faster to recompute them from the products than to
keep them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import checkpoint_policies
from jax.ad_checkpoint import checkpoint_name

Body = Callable[[Any, Any], tuple[Any, Any]]
Scan = Callable[[Body, Any, Any], tuple[Any, Any]]

_KEPT = "kept"

#: Inside a loop no barrier is needed to stop the compiler from undoing the recomputation.
_keep_inputs = functools.partial(jax.checkpoint, prevent_cse=False)

_keep_products = functools.partial(
    _keep_inputs,
    policy=checkpoint_policies.save_from_both_policies(
        checkpoint_policies.dots_saveable, checkpoint_policies.save_only_these_names(_KEPT)
    ),
)


def keep(x: jax.Array) -> jax.Array:
    """Marks an array that is expensive to recompute; :func:`products` keeps it like any product."""
    return checkpoint_name(x, _KEPT)


def products(body: Body, carry, xs) -> tuple[Any, Any]:
    """Keeps the input of every block and what its weight layers and normalisations computed."""
    return jax.lax.scan(_keep_products(body), carry, xs)


def block_inputs(body: Body, carry, xs) -> tuple[Any, Any]:
    """Keeps the input of every block, and recomputes each block once."""
    return jax.lax.scan(_keep_inputs(body), carry, xs)


def segment_inputs(body: Body, carry, xs) -> tuple[Any, Any]:
    """Keeps the input of every √B-th of B blocks (Chen et al. 2016, arXiv 1604.06174, section 4.1).

    The blocks in between are computed a second time, one segment after the other, each time keeping
    the inputs of one segment's blocks, and each block is computed a third time: about 2√B inputs
    and one block are in memory at once.  The last segment is as long as the others or shorter.
    """
    count = jax.tree.leaves(xs)[0].shape[0]
    length = math.isqrt(count - 1) + 1
    segments = (count - 1) // length

    def segment(carry, start, length):
        # A segment is sliced here instead of scanned over, so that its parameters are neither
        # reshaped nor copied, and their gradients are accumulated in place.
        here = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, length)
        return block_inputs(body, carry, jax.tree.map(here, xs))

    def of(length):
        return _keep_inputs(functools.partial(segment, length=length))

    carry, ys = jax.lax.scan(of(length), carry, length * jnp.arange(segments))
    done = segments * length
    carry, last = of(count - done)(carry, done)
    join = lambda ys, last: jnp.concatenate([ys.reshape(done, *last.shape[1:]), last])
    return carry, jax.tree.map(join, ys, last)
