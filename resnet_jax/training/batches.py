"""Which examples each batch holds."""

import jax
import jax.numpy as jnp


def batch_indices(
    key: jax.Array, first_step: jax.Array, steps: int, examples: int, batch_size: int
) -> jax.Array:
    """Which examples the batches of a chunk hold; every epoch is a shuffle of its own.

    An epoch is ``examples // batch_size`` batches; a remainder sits that epoch out.

    Args:
      key: of the run's batches.
      first_step: of the chunk; may be traced.
      steps: length of the chunk.
      examples: size of the training set.
      batch_size: at most ``examples``.

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
