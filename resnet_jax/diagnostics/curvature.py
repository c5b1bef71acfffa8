"""Computes extreme eigenvalues of a function's Hessian, which is never written down.

Lanczos' method (Golub & Van Loan 2013, section 10.1) needs only products of the Hessian with
vectors, each at the cost of about two gradients.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from resnet_jax.nn.functional import Params

#: The fraction of a product's length below which a remainder is rounding error: the Krylov
#: space is exhausted then.
_ROUNDING = 1e-6


class Extremes(NamedTuple):
    """Holds what Lanczos' method finds about a symmetric matrix; scalars.

    Attributes:
      least, greatest: its extreme eigenvalues, approached from inside the spectrum.
      least_error, greatest_error: distance from each within which there is an eigenvalue.
      along_start: vᵀHv, where v is the vector that the method began with, at its own length.
    """

    least: jax.Array
    greatest: jax.Array
    least_error: jax.Array
    greatest_error: jax.Array
    along_start: jax.Array


def hessian_vector_product(
    function: Callable[[Params], jax.Array], params: Params
) -> Callable[[Params], Params]:
    """Returns ``v -> H v`` for the Hessian H of a scalar function at ``params``.

    It differentiates forward over reverse.
    """
    return lambda direction: jax.jvp(jax.grad(function), (params,), (direction,))[1]


def extreme_eigenvalues(
    product: Callable[[jax.Array], jax.Array], start: jax.Array, steps: int
) -> Extremes:
    """Computes extreme eigenvalues by Lanczos' method with full reorthogonalisation.

    Args:
      product: product of a symmetric matrix and a vector ``[size]``.
      start: ``[size]``, with a share in the eigenvectors that are looked for, as random vectors
        have.
      steps: number of products; if they exhaust the space, the eigenvalues are exact.
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
        # After the end, the diagonal repeats a value from inside the spectrum: no extreme changes.
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
    """Computes extreme eigenvalues of a scalar function's Hessian; see :func:`extreme_eigenvalues`.

    Args:
      function: function of the parameters.
      params: parameters at which the Hessian is taken.
      start: a direction, a tree like ``params``.
      steps: number of products.
    """
    flat, as_tree = ravel_pytree(start)
    product = hessian_vector_product(function, params)
    return extreme_eigenvalues(
        lambda vector: ravel_pytree(product(as_tree(vector)))[0], flat, steps
    )
