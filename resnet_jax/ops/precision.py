"""Keeps delicate computations in single precision, whatever the precision of activations."""

import jax
import jax.numpy as jnp


def at_least_single(x: jax.Array) -> jax.Array:
    """Returns ``x`` in single precision if it has less; double precision stays double."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
