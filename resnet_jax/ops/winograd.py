"""Implements 3x3 convolution by Winograd's minimal filtering.

The algorithm F(2x2, 3x3) (Lavin & Gray 2016, arXiv 1509.09308, sec. 4) computes each tile of 2x2
pixels of the output from 16 products instead of 36:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,

where d is the 4x4 pixels that the tile sees and g is the kernel.  Over all tiles and channels the
16 products are matrix products.  The transforms only add and subtract; their cost is memory, which
pays from about 32 channels up.  Rounding errors grow by a small factor (the sums are of four
terms).
"""

import jax
import jax.numpy as jnp
import numpy as np

#: G, the transform of the kernel.
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def _input(rows: list) -> list:
    """Applies Bᵀ to the four rows of a tile."""
    a, b, c, d = rows
    return [a - c, b + c, c - b, b - d]


def _output(rows: list) -> list:
    """Applies Aᵀ to four rows of products."""
    a, b, c, d = rows
    return [a + b + c, b - c - d]


def _both(transform, tile: list[list]) -> list[list]:
    """Applies a transform to the rows of ``tile[row][column]``, and then to its columns."""
    columns = [transform(list(column)) for column in zip(*tile, strict=True)]
    return [transform(list(row)) for row in zip(*columns, strict=True)]


def convolve_3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cross-correlates images with a kernel at stride 1, padded by one pixel on every side.

    Args:
      x: images ``[batch, height, width, in]`` of even height and width.
      kernel: ``[3, 3, in, out]``.

    Returns:
      Images ``[batch, height, width, out]``.
    """
    batch, height, width, features = x.shape
    padded = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    seen = [
        [padded[:, row : row + height : 2, column : column + width : 2] for column in range(4)]
        for row in range(4)
    ]
    tiles = jnp.stack([part for row in _both(_input, seen) for part in row])
    g = _KERNEL.astype(kernel.dtype)
    filters = jnp.einsum("ai,bj,ijco->abco", g, g, kernel).reshape(16, features, -1)
    products = jnp.matmul(tiles.reshape(16, -1, features), filters)
    products = products.reshape(4, 4, batch, height // 2, width // 2, -1)
    made = _both(_output, [list(row) for row in products])
    pixels = jnp.stack([jnp.stack(row, 3) for row in made], 2)  # [batch, tile, row, tile, column]
    return pixels.reshape(batch, height, width, -1)
