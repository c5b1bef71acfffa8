"""Curvature: the extreme eigenvalues of a function's Hessian, which is never written down.

Lanczos' method (Golub & Van Loan 2013, section 10.1) needs no more than products of the Hessian
with vectors, each at the cost of about two gradients.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from resnet_jax.nn.functional import Params

#: Of a product's length, what counts as rounding: the Krylov space is exhausted then.
_ROUNDING = 1e-6


class Extremes(NamedTuple):
    """What Lanczos' method finds of a symmetric matrix; scalars.

    Attributes:
      least, greatest: its extreme eigenvalues, approached from inside the spectrum.
      least_error, greatest_error: within so much of each there is an eigenvalue.
      along_start: vᵀHv with v the vector that the method began with, at its own length.
    """

    least: jax.Array
    greatest: jax.Array
    least_error: jax.Array
    greatest_error: jax.Array
    along_start: jax.Array


def hessian_vector_product(
    function: Callable[[Params], jax.Array], params: Params
) -> Callable[[Params], Params]:
    """``v -> H v`` with H the Hessian of a scalar function at ``params``: forward over reverse."""
    return lambda direction: jax.jvp(jax.grad(function), (params,), (direction,))[1]


def extreme_eigenvalues(
    product: Callable[[jax.Array], jax.Array], start: jax.Array, steps: int
) -> Extremes:
    """Extreme eigenvalues by Lanczos' method, every vector made orthogonal to all before it.

    Args:
      product: of a symmetric matrix and a vector ``[size]``.
      start: ``[size]``, with a share in the eigenvectors that are looked for, as random ones have.
      steps: products to take; where they exhaust the space, the eigenvalues are exact.
    """

    def step(index, carry):
        basis, diagonal, off_diagonal = carry
        vector = basis[index]
        image = product(vector)
        rayleigh = jnp.vdot(vector, image)
        length = jnp.linalg.norm(image)
        for _ in range(2):  # once is not enough in finite precision (Golub & Van Loan, 10.3.1)
            image = image - (basis @ image) @ basis
        norm = jnp.linalg.norm(image)
        ended = norm <= _ROUNDING * length
        # After the end, rows repeat a value from inside the spectrum, and change no extreme.
        lost = jnp.linalg.norm(vector) == 0
        diagonal = diagonal.at[index].set(jnp.where(lost, diagonal[0], rayleigh))
        off_diagonal = off_diagonal.at[index].set(jnp.where(ended | lost, 0, norm))
        following = jnp.where(ended | lost, 0, image / jnp.where(norm > 0, norm, 1))
        return basis.at[index + 1].set(following), diagonal, off_diagonal

    length = jnp.linalg.norm(start)
    basis = jnp.zeros((steps + 1, start.size), start.dtype).at[0].set(start / length)
    nothing = jnp.zeros(steps, start.dtype)
    _, diagonal, off_diagonal = jax.lax.fori_loop(0, steps, step, (basis, nothing, nothing))
    tridiagonal = (
        jnp.diag(diagonal) + jnp.diag(off_diagonal[:-1], 1) + jnp.diag(off_diagonal[:-1], -1)
    )
    values, vectors = jnp.linalg.eigh(tridiagonal)
    errors = abs(off_diagonal[-1] * vectors[-1])
    return Extremes(values[0], values[-1], errors[0], errors[-1], diagonal[0] * length**2)


def of_function(
    function: Callable[[Params], jax.Array], params: Params, start: Params, steps: int
) -> Extremes:
    """Extreme eigenvalues of the Hessian of a scalar function; see :func:`extreme_eigenvalues`.

    Args:
      function: of the parameters.
      params: where the Hessian is taken.
      start: a direction, a tree like ``params``.
      steps: products to take.
    """
    flat, as_tree = ravel_pytree(start)
    product = hessian_vector_product(function, params)
    return extreme_eigenvalues(
        lambda vector: ravel_pytree(product(as_tree(vector)))[0], flat, steps
    )
