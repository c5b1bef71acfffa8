"""Augments training images inside the compiled step.

An augmentation is a pure function ``(key, images [batch, height, width(, channels)]) -> images``,
which draws independently for every image.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


def crop(key: jax.Array, images: jax.Array, margin: int = 4) -> jax.Array:
    """Crops images at random to their own size, after padding by ``margin`` zeros on each side.

    See He et al. 2015, section 4.2.  The padding of a mean-subtracted image holds zeros.
    """
    batch, height, width = images.shape[:3]
    rest = [(0, 0)] * (images.ndim - 3)
    padded = jnp.pad(images, [(0, 0), (margin, margin), (margin, margin), *rest])
    corners = jax.random.randint(key, (batch, 2), 0, 2 * margin + 1)
    rows = corners[:, :1] + jnp.arange(height)[None]
    columns = corners[:, 1:] + jnp.arange(width)[None]
    return padded[jnp.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def flip(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each image left to right with probability one half."""
    mirrored = jax.random.bernoulli(key, shape=(images.shape[0],))
    mirrored = mirrored.reshape(-1, *[1] * (images.ndim - 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def cutout(key: jax.Array, images: jax.Array) -> jax.Array:
    """Zeroes a square of half the image's side, centred on a random pixel (it may extend outside).

    See DeVries & Taylor 2017, arXiv 1708.04552: 16x16 of 32x32.
    """
    batch, height, width = images.shape[:3]
    side = max(height // 2, 1)
    centres = jax.random.randint(key, (batch, 2), 0, jnp.array([[height, width]]))
    first = centres - side // 2
    inside = lambda start, size: (
        (jnp.arange(size)[None] >= start[:, None])
        & (jnp.arange(size)[None] < start[:, None] + side)
    )
    hole = inside(first[:, 0], height)[:, :, None] & inside(first[:, 1], width)[:, None, :]
    return jnp.where(hole.reshape(*hole.shape, *[1] * (images.ndim - 3)), 0, images)


def compose(augmentations: Sequence[Augmentation]) -> Augmentation:
    """Returns the augmentation that applies several in sequence, each with its own key."""

    def augment(key, images):
        for index, augmentation in enumerate(augmentations):
            images = augmentation(jax.random.fold_in(key, index), images)
        return images

    return augment
