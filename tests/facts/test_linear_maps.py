"""Products of matrices, convolutions that keep norms, paths, and depth-scaled branches."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from resnet_jax import Block, convolve, theory
from resnet_jax.nn import activations, branches, initializers
from resnet_jax.theory.propagation import Setting, pre_activation

pytestmark = pytest.mark.facts


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_largest_singular_value_of_products(facts, layers):
    """(L + 1)^(L + 1) / L^L (Penson & Życzkowski 2011), orthogonal: 1 (Saxe et al. 2013).

    The edge of a spectrum is off by some (L/n)^(2/3) at size n.
    """
    size = 64

    def largest(init, key):
        product = np.eye(size)
        for layer in jax.random.split(key, layers):
            product = product @ np.asarray(init.kernel(layer, (size, size)), float) / 2**0.5
        return np.linalg.norm(product, 2) ** 2

    keys = jax.random.split(jax.random.key(0), 12)
    value = theory.product_singular_value(layers)
    allowance = value * (layers / size) ** (2 / 3)
    seen = np.array([largest(initializers.he, key) for key in keys])
    assert facts.agrees(seen, value, allowance)
    assert not facts.agrees(seen, 1.0, allowance)
    np.testing.assert_allclose(largest(initializers.orthogonal, keys[0]), 1, rtol=1e-5)


def circular(x, kernel):
    """Convolves images around a torus."""
    wrapped = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="wrap")
    return convolve(wrapped, kernel)[:, 1:-1, 1:-1]


def test_delta_orthogonal_convolutions_keep_norms():
    """Xiao et al. 2018 (arXiv 1806.05393, section 2.3): an orthogonal matrix at the middle tap."""
    x = jax.random.normal(jax.random.key(0), (5, 8, 8, 16))
    he = initializers.he.kernel(jax.random.key(1), (3, 3, 16, 16)) / 2**0.5
    orthogonal = initializers.orthogonal.kernel(jax.random.key(2), (16, 16)) / 2**0.5
    delta = jnp.zeros_like(he).at[1, 1].set(orthogonal)
    norms = lambda a: np.linalg.norm(np.asarray(a, float).reshape(5, -1), axis=1)
    growth = {}
    for name, kernel in [("delta", delta), ("he", he)]:
        a = functools.reduce(lambda a, _: circular(a, kernel), range(20), x)
        growth[name] = norms(a) / norms(x)
    np.testing.assert_allclose(growth["delta"], 1, rtol=1e-5)
    assert (abs(np.log(growth["he"])) > 0.1).all()


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_what_comes_along_paths(facts, weight):
    """In a linear network paths add up: power Σ_m binom(B, m) b^2m (Veit et al. 2016, section 3).

    LeCun's weights, so that every branch has the power that enters it.
    """
    blocks = 10
    parts = facts.parts("none", "pre", init=facts.lecun, activation=lambda x: x)
    seen = facts.simulate(facts.Case(parts, blocks, branch_weight=weight))
    along = lambda shares: 2**blocks * np.dot(shares, weight ** (2 * np.arange(blocks + 1)))
    agrees = lambda power: facts.agrees(seen.power[:, -1], power, blocks / 128 * power)
    assert agrees(along(theory.path_lengths(blocks)))
    even = np.full(blocks + 1, 1 / (blocks + 1))  # has the same sum, which is all weight 1 sees
    assert weight == 1 or not agrees(along(even))
    linear = Setting(activation=activations.linear, weight_variance=1.0, branch_weight=weight)
    assert agrees(pre_activation(blocks, linear).power[-1])
    he = dataclasses.replace(linear, weight_variance=2.0)
    assert not agrees(pre_activation(blocks, he).power[-1])


def test_lengths_of_paths(facts):
    """Binomial(B, 1/2): .980 of 54 blocks' paths pass 19 to 35 (Veit et al. 2016, section 5)."""
    taken = np.random.default_rng(0).random((4000, 54)) < 0.5
    lengths = taken.sum(1).astype(float)
    within = ((lengths >= 19) & (lengths <= 35)).astype(float)
    shares = theory.path_lengths(54)
    assert shares[19:36].sum() == pytest.approx(0.980, abs=5e-4)
    assert shares @ np.arange(55) == pytest.approx(27)
    for predicted, holds in [(shares, True), (theory.path_lengths(54, 0.8), False)]:
        assert facts.agrees(within, predicted[19:36].sum()) == holds
        assert facts.agrees(lengths, predicted @ np.arange(55)) == holds


def test_stochastic_depth_leaves_three_quarters(facts):
    """(3B - 1)/4 = 40.25 of 54 (Huang et al. 2016, section 3), not the 27 of equal chances."""
    draw = lambda key: branches.stochastic_depth(0.5).weights(54, key).sum()
    counts = np.asarray(jax.vmap(draw)(jax.random.split(jax.random.key(0), 400)), float)
    assert facts.agrees(counts, theory.expected_blocks(54))
    assert not facts.agrees(counts, 27)


def descent(facts, blocks, branch, loss_of, steps):
    """``(key, rate)`` to features before and after steps of Adam, and the targets of the loss."""
    block = Block(32, blocks=blocks, parts=facts.parts("layer", "pre"))
    w, branch = jnp.float32(1), jnp.float32(branch)

    def one(key, rate):
        inputs, targets, weights = jax.random.split(key, 3)
        x, y = jax.random.normal(inputs, (4, 32)), jax.random.normal(targets, (4, 32))
        init = lambda key: block.init(key, x, w)["params"]
        params = jax.vmap(init)(jax.random.split(weights, blocks))
        through = lambda a, layer: (block.apply({"params": layer}, a, w, branch), None)
        features = lambda params: jax.lax.scan(through, x, params)[0]
        optimizer = optax.adam(rate)

        def step(state, _):
            params, moments = state
            gradient = jax.grad(lambda params: loss_of(features(params), y))(params)
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(params, updates), moments), None

        after = jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[0][0]
        return features(params), features(after), y

    return one


def change_of_features(facts, blocks, branch, rate):
    """By what three steps of Adam move the last features, root mean square ``[seeds]``."""
    one = descent(facts, blocks, branch, lambda features, y: (features * y).mean(), 3)
    keys = jax.random.split(jax.random.key(0), 8)
    before, after, _ = jax.jit(lambda keys: jax.lax.map(lambda key: one(key, rate), keys))(keys)
    return np.asarray(jnp.sqrt(((after - before) ** 2).mean((1, 2))), float)


def best_rates(facts, blocks, branch, scale, steps=20):
    """Binary logarithm of each seed's best rate of a grid, before it is scaled ``[seeds]``.

    By what is left of a squared distance from the last features to their targets.
    """
    square = lambda features, y: ((features - y) ** 2).mean()
    one = descent(facts, blocks, branch, square, steps)
    grid = 2.0 ** np.arange(-12.0, 0.0)

    def left(key, rate):
        _, after, y = one(key, rate)
        return square(after, y)

    keys = jax.random.split(jax.random.key(1), 24)
    rates = jnp.asarray(grid * scale, jnp.float32)
    of_seed = lambda key: jax.lax.map(functools.partial(left, key), rates)
    losses = np.asarray(jax.jit(lambda keys: jax.lax.map(of_seed, keys))(keys))
    best = losses.argmin(1)
    assert (best > 0).all() and (best < len(grid) - 1).all()  # none at the edge of the grid
    return np.log2(grid)[best]


@pytest.mark.slow
def test_features_move_alike_at_every_depth(facts):
    """Depth-μP (arXiv 2310.02244) and CompleteP (arXiv 2505.01618), from 8 blocks to 32.

    The limit is one of great depth: 20 % are allowed at such depths.
    """
    shallow = change_of_features(facts, 8, 0.5, 1e-3).mean()
    for alpha in (0.5, 1.0):
        branch, rate = theory.depth_multipliers(4, alpha)
        deep = change_of_features(facts, 32, 0.5 * branch, 1e-3 * rate)
        assert facts.agrees(deep, shallow, 0.2 * shallow), alpha
    unscaled = change_of_features(facts, 32, 0.5, 1e-3)
    assert not facts.agrees(unscaled, shallow, 0.2 * shallow)


@pytest.mark.slow
@pytest.mark.optimized
def test_the_best_rate_does_not_move_with_depth(facts):
    """The same papers; unscaled it falls.  Half a step of the grid is allowed."""
    shallow = best_rates(facts, 8, 0.5, 1.0)
    branch, rate = theory.depth_multipliers(4, 1.0)
    assert facts.agrees(best_rates(facts, 32, 0.5 * branch, rate) - shallow, 0.0, 0.5)
    assert not facts.agrees(best_rates(facts, 32, 0.5, 1.0) - shallow, 0.0, 0.5)
