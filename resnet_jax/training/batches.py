"""Chooses which examples each batch holds."""

import jax
import jax.numpy as jnp


def batch_indices(
    key: jax.Array, first_step: jax.Array, steps: int, examples: int, batch_size: int
) -> jax.Array:
    """Returns which examples the batches of a chunk of steps hold; every epoch is shuffled anew.

    An epoch is ``examples // batch_size`` batches; the remaining examples are left out of that
    epoch.

    Args:
      key: key of the run's batches.
      first_step: first step of the chunk; may be traced.
      steps: number of steps in the chunk.
      examples: size of the training set.
      batch_size: examples per batch, at most ``examples``.

    Returns:
      Indices ``[steps, batch_size]``.
    """
    per_epoch = examples // batch_size
    first_epoch = first_step // per_epoch
    epochs = first_epoch + jnp.arange(-(-(steps - 1) // per_epoch) + 1)
    shuffle = lambda epoch: jax.random.permutation(jax.random.fold_in(key, epoch), examples)
    shuffles = jax.vmap(shuffle)(epochs)[:, : per_epoch * batch_size]
    batches = shuffles.reshape(-1, batch_size)
    return jax.lax.dynamic_slice_in_dim(batches, first_step - first_epoch * per_epoch, steps)
