"""Lesions: trained networks with blocks removed or exchanged (Veit et al. 2016, arXiv 1605.06431).

A block is removed by putting the identity in its place (section 4.1), whatever its shortcut is and
in whatever order its operations come.  Where it changes the shape, so that there is no identity, it
is called with its shortcut at weight 1 and its branch at 0.  That holds for plain and residual
networks alike.
"""

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax.diagnostics.interventions import Place, intervene
from resnet_jax.nn.functional import Array, Network, Params, Statistics
from resnet_jax.nn.networks import ResidualNetwork


def remove(module: ResidualNetwork, where: list[Place], kept: Array) -> Network:
    """The pure functions of a network without some of its blocks.

    Args:
      module: the network.
      where: its blocks lie.
      kept: which blocks stay ``[blocks]``, booleans.
    """

    def act(block, call, kept, a, shortcut_weight, branch_weight):
        del block
        weights = jnp.where(kept, shortcut_weight, 1), jnp.where(kept, branch_weight, 0)
        output = call(a, *weights)
        return jnp.where(kept, output, a) if output.shape == a.shape else output

    return intervene(module, where, act, kept)


def reorder(tree: Params | Statistics, where: list[Place], order: Array) -> Params | Statistics:
    """Parameters or statistics, with the blocks of every stack in another order.

    Args:
      tree: of a network.
      where: its blocks lie.
      order: the block that comes to each place ``[blocks]``, of the same stack.
    """
    for place in where:
        stage, name = place.path
        if place.stacked and name in tree.get(stage, {}):
            here = place.of(order) - place.start
            moved = jax.tree.map(lambda leaf, here=here: leaf[here], tree[stage][name])
            tree = {**tree, stage: {**tree[stage], name: moved}}
    return tree


def random_removals(key: jax.Array, counts: Array, blocks: int) -> jax.Array:
    """Which blocks stay ``[lesions, blocks]`` where random ones are removed (section 4.2).

    Args:
      key: of the choice.
      counts: of the blocks to remove ``[lesions]``.
      blocks: how many there are.
    """
    keys = jax.random.split(key, len(counts))
    ranks = jax.vmap(lambda key: jax.random.permutation(key, blocks))(keys)
    return ranks >= jnp.asarray(counts)[:, None]


def random_swaps(key: jax.Array, counts: Array, where: list[Place]) -> jax.Array:
    """Orders ``[lesions, blocks]`` after exchanging random pairs of equal blocks (section 4.3).

    Only blocks of one stack are exchanged; the first of a pair is any block that has an equal.

    Args:
      key: of the choice.
      counts: of the exchanges, one after the other ``[lesions]``.
      where: the blocks lie.
    """
    sizes = [place.blocks for place in where]
    blocks, stack = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    equal = (stack[:, None] == stack[None]) & ~np.eye(blocks, dtype=bool)

    def one_of(key, those):  # the first block, and so no exchange at all, where there are none
        return jax.random.categorical(key, jnp.where(those, 0, -jnp.inf))

    def swap(count, order, key):
        keys = jax.random.split(jax.random.fold_in(key, count))
        first = one_of(keys[0], jnp.asarray(equal.any(1)))
        second = one_of(keys[1], jnp.asarray(equal)[first])
        return order.at[first].set(order[second]).at[second].set(order[first])

    def lesion(key, count):
        start = jnp.arange(blocks)
        return jax.lax.fori_loop(0, count, lambda done, order: swap(done, order, key), start)

    if not blocks:
        return jnp.zeros((len(counts), 0), jnp.int32)
    return jax.vmap(lesion)(jax.random.split(key, len(counts)), jnp.asarray(counts))


def kendall_tau(order: Array) -> jax.Array:
    """Kendall's rank correlation of an order ``[blocks]`` with the original one.

    The share of pairs in their order less that of those which are not; 1 where there are no pairs.
    """
    order = jnp.asarray(order)
    signs = jnp.triu(jnp.sign(order[None] - order[:, None]), 1)
    pairs = len(order) * (len(order) - 1) / 2
    return signs.sum() / pairs if pairs else jnp.ones(())
