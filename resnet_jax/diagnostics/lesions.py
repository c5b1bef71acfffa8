"""Makes lesions: removes or exchanges blocks of trained networks.

The method is that of Veit et al. 2016 (arXiv 1605.06431).  A block is removed by replacing it with
the identity (section 4.1), whatever its shortcut and the order of its operations.  Where it changes
the shape, so that there is no identity, it is called with shortcut weight 1 and branch weight 0.
That holds for plain and residual networks alike.
"""

import jax
import jax.numpy as jnp
import numpy as np

from resnet_jax.diagnostics.interventions import Place, intervene
from resnet_jax.nn.functional import Array, Network, Params, Statistics
from resnet_jax.nn.networks import ResidualNetwork


def remove(module: ResidualNetwork, where: list[Place], kept: Array) -> Network:
    """Returns the pure functions of a network without some of its blocks.

    Args:
      module: the network.
      where: places of its blocks.
      kept: which blocks stay ``[blocks]``, booleans.
    """

    def act(block, call, kept, a, shortcut_weight, branch_weight):
        del block
        weights = jnp.where(kept, shortcut_weight, 1), jnp.where(kept, branch_weight, 0)
        output = call(a, *weights)
        return jnp.where(kept, output, a) if output.shape == a.shape else output

    return intervene(module, where, act, kept)


def reorder(tree: Params | Statistics, where: list[Place], order: Array) -> Params | Statistics:
    """Returns parameters or statistics with the blocks of every stack in another order.

    Args:
      tree: parameters or statistics of a network.
      where: places of its blocks.
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
    """Returns which blocks stay ``[lesions, blocks]`` after random removals (section 4.2).

    Args:
      key: key of the choice.
      counts: number of blocks to remove in each lesion ``[lesions]``.
      blocks: number of blocks.
    """
    keys = jax.random.split(key, len(counts))
    ranks = jax.vmap(lambda key: jax.random.permutation(key, blocks))(keys)
    return ranks >= jnp.asarray(counts)[:, None]


def random_swaps(key: jax.Array, counts: Array, where: list[Place]) -> jax.Array:
    """Returns orders ``[lesions, blocks]`` after swaps of random pairs of equal blocks (sec. 4.3).

    Only blocks of one stack are exchanged; the first of a pair is any block that has an equal.

    Args:
      key: key of the choice.
      counts: number of exchanges in each lesion, one after the other ``[lesions]``.
      where: places of the blocks.
    """
    sizes = [place.blocks for place in where]
    blocks, stack = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    equal = (stack[:, None] == stack[None]) & ~np.eye(blocks, dtype=bool)

    def one_of(key, those):  # block 0, and so no exchange at all, where there are none
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
    """Returns Kendall's rank correlation of an order ``[blocks]`` with the original one.

    It is the fraction of concordant pairs minus that of discordant pairs; 1 without any pairs.
    """
    order = jnp.asarray(order)
    signs = jnp.triu(jnp.sign(order[None] - order[:, None]), 1)
    pairs = len(order) * (len(order) - 1) / 2
    return signs.sum() / pairs if pairs else jnp.ones(())
