"""Computes losses: cross-entropy, and the fraction of examples that are classified wrongly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from resnet_jax.nn.functional import Array

#: The number of examples whose mean loss is computed at a time, where there may be many.
MEASURED_AT_ONCE = 500


def _cross_entropies_by_comparison(logits: jax.Array, labels: Array) -> jax.Array:
    """Returns cross-entropies in nats without a gather, whose gradient is a scatter.

    Scatters are slow on GPUs where they have to be deterministic.
    """
    logits = logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    is_label = labels[:, None] == jnp.arange(logits.shape[-1])[None]
    return jnp.log(jnp.exp(logits).sum(-1)) - jnp.where(is_label, logits, 0).sum(-1)


def losses_and_errors(logits: jax.Array, labels: Array) -> tuple[jax.Array, jax.Array]:
    """Returns the cross-entropy of each example in nats, and whether it is classified wrongly.

    An example whose logits are not all finite counts as classified wrongly.

    Args:
      logits: ``[examples, classes]``.
      labels: integers ``[examples]``.
    """
    losses = jax.lax.platform_dependent(
        logits,
        labels,
        cpu=optax.softmax_cross_entropy_with_integer_labels,
        default=_cross_entropies_by_comparison,
    )
    return losses, (jnp.argmax(logits, -1) != labels) | ~jnp.isfinite(logits).all(-1)


def loss_and_error(logits: jax.Array, labels: Array) -> tuple[jax.Array, jax.Array]:
    """Returns the mean cross-entropy in nats and the fraction of errors.

    The arguments are those of :func:`losses_and_errors`.
    """
    losses, wrong = losses_and_errors(logits, labels)
    return losses.mean(), wrong.mean()


def mean_loss_and_error(
    predict: Callable[[Array], jax.Array], x: Array, y: Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the mean cross-entropy in nats and the fraction of errors of any number of examples.

    Args:
      predict: function from some examples ``[chunk, ...]`` to their logits.
      x: examples ``[count, ...]``.
      y: labels, integers ``[count]``.
    """
    count = x.shape[0]
    size = min(MEASURED_AT_ONCE, count)
    rows = jnp.arange(-(-count // size) * size).reshape(-1, size)

    def of_chunk(rows):
        here = jnp.minimum(rows, count - 1)
        losses, wrong = losses_and_errors(predict(x[here]), y[here])
        real = rows < count  # the last chunk is padded with copies, which do not count
        return jnp.where(real, losses, 0).sum(), (wrong & real).sum()

    losses, wrong = jax.lax.map(of_chunk, rows)
    return losses.sum() / count, wrong.sum() / count
