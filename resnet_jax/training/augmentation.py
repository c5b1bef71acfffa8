"""Augmentation of training images, inside the compiled step.

An augmentation is a pure function ``(key, images [batch, height, width(, channels)]) -> images``,
and draws for every image on its own.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


def crop(key: jax.Array, images: jax.Array, margin: int = 4) -> jax.Array:
    """A random crop of the original size from the images padded by ``margin`` zeros on each side.

    He et al. 2015, section 4.2.  Zeros are what the padding of the mean-subtracted image holds.
    """
    batch, height, width = images.shape[:3]
    rest = [(0, 0)] * (images.ndim - 3)
    padded = jnp.pad(images, [(0, 0), (margin, margin), (margin, margin), *rest])
    corners = jax.random.randint(key, (batch, 2), 0, 2 * margin + 1)
    rows = corners[:, :1] + jnp.arange(height)[None]
    columns = corners[:, 1:] + jnp.arange(width)[None]
    return padded[jnp.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def flip(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors left and right, each image with probability one half."""
    mirrored = jax.random.bernoulli(key, shape=(images.shape[0],))
    mirrored = mirrored.reshape(-1, *[1] * (images.ndim - 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def cutout(key: jax.Array, images: jax.Array) -> jax.Array:
    """Zeroes a square of half the image's side, centred on a random pixel (it may stick out).

    DeVries & Taylor 2017, arXiv 1708.04552: 16x16 of 32x32.
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
    """One after the other, each with a key of its own."""

    def augment(key, images):
        for index, augmentation in enumerate(augmentations):
            images = augmentation(jax.random.fold_in(key, index), images)
        return images

    return augment
