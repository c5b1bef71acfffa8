"""What is carried around the main path, and how its shape is matched to the branch's end."""

import jax
import jax.numpy as jnp


def zero_pad(x: jax.Array, features: int) -> jax.Array:
    """Matches widths without parameters: pads with zero features, or drops the last ones.

    This is option A of He et al. 2015 (section 3.3).  Having no parameters, it keeps plain and
    residual networks the same network.

    Args:
      x: activations ``[..., width]``.
      features: the width wanted.

    Returns:
      Activations ``[..., features]``; ``x`` itself where the widths agree.
    """
    missing = features - x.shape[-1]
    if missing > 0:
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
    return x[..., :features]
