"""Precision: what is delicate is computed in single precision, whatever activations have."""

import jax
import jax.numpy as jnp


def at_least_single(x: jax.Array) -> jax.Array:
    """``x`` in single precision where it has less; double stays double."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
