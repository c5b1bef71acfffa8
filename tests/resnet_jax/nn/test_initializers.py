import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from resnet_jax import Block, Parts, cifar_network
from resnet_jax.nn import branches, initializers
from resnet_jax.nn.blocks import BASIC, BOTTLENECK
from resnet_jax.ops import normalization

IMAGES = jax.random.normal(jax.random.key(5), (4, 4, 4, 3))
ONE = jnp.ones(())


def quick(key, shape, dtype=jnp.float32):
    """Weights of He's power, another draw for every key; compiles faster than a normal one."""
    fraction = jax.random.key_data(key)[0] / 2.0**32
    values = jnp.sin(1 + 9 * fraction * (1 + jnp.arange(np.prod(shape))))
    return values.reshape(shape).astype(dtype) * np.float32(4 / np.prod(shape[:-1])) ** 0.5


FIXUP = Parts(
    norm=normalization.ScalarBias,
    init=initializers.fixup._replace(kernel=quick),
    branch=branches.fixup,
)


# A matrix, a flat one, and a convolution, whose fan-in is 9 · 16.
@pytest.mark.parametrize("shape", [(64, 64), (128, 32), (3, 3, 16, 32)])
def test_he_has_variance_two_over_fan_in(shape):
    weights = initializers.he.kernel(jax.random.key(0), shape)
    fan_in = np.prod(shape[:-1])
    # n·s²/σ² is at most as spread as chi-squared with n degrees of freedom (the distribution is
    # truncated); the test raises a false alarm once in 10,000 seeds, and LeCun's half fails it.
    statistic = np.sum(np.square(weights)) * fan_in / 2
    low, high = scipy.stats.chi2.interval(1 - 1e-4, weights.size)
    assert low < statistic < high
    lecun = jax.nn.initializers.lecun_normal()(jax.random.key(0), shape)
    assert not low < np.sum(np.square(lecun)) * fan_in / 2 < high


def test_orthogonal_keeps_norms_times_root_two():
    weights = initializers.orthogonal.kernel(jax.random.key(1), (16, 16))
    np.testing.assert_allclose(weights.T @ weights, 2 * np.eye(16), atol=1e-5)


def test_which_begin_branches_and_head_at_zero():
    assert initializers.zero_last.zero_last and not initializers.zero_last.zero_head
    assert initializers.fixup.zero_last and initializers.fixup.zero_head
    for init in (initializers.he, initializers.orthogonal):
        assert not (init.zero_last or init.zero_head or init.shrinks_with_depth)


@pytest.mark.parametrize(
    ("layers", "factor"),
    # B^(-1/(2m-2)) for m layers a branch: 1/√B for two, B^(-1/4) for three; for one, nothing.
    [(1, 1.0), (2, 1 / 4), (3, 1 / 2)],
)
def test_fixup_shrinks_weights_with_the_number_of_blocks(layers, factor):
    shrunk = initializers.fixup.inner(16, layers)(jax.random.key(0), (4, 4))
    plain = initializers.he.inner(16, layers)(jax.random.key(0), (4, 4))
    np.testing.assert_allclose(shrunk, factor * plain, rtol=1e-6)


def init(layers, parts):
    module = cifar_network(2 + 6 * len(layers), 10, parts, layers, width=4)
    return module, jax.jit(module.init)(jax.random.key(0), IMAGES, ONE)["params"]


@pytest.mark.slow
@pytest.mark.parametrize(("layers", "power"), [(BASIC, -1 / 2), (BOTTLENECK, -1 / 4)])
def test_weights_of_a_fixup_network(layers, power):
    """Against plain He weights of the same key, in a network of six blocks."""
    _, fixup = init(layers, FIXUP)
    _, he = init(layers, dataclasses.replace(FIXUP, init=initializers.Init(quick)))
    kernels = [
        (path, leaf, plain)
        for (path, leaf), plain in zip(
            jax.tree_util.tree_leaves_with_path(fixup), jax.tree.leaves(he), strict=True
        )
        if path[-1].key == "kernel"
    ]
    last = f"conv_{len(layers)}"
    for path, leaf, plain in kernels:
        name = path[-2].key
        factor = {last: 0, "head": 0, "stem": 1}.get(name, 6**power)
        np.testing.assert_allclose(leaf, factor * plain, rtol=1e-6, err_msg=name)
        assert plain.any()
    assert len(kernels) == 2 + len(layers) * sum(len(fixup[f"stage_{i}"]) for i in (1, 2, 3))


@pytest.mark.slow
def test_a_fixup_network_begins_silent_and_learns():
    """Loss ln(classes) to the bit of the formula, every branch 0; its scalars then move."""
    module, params = init(BASIC, FIXUP)
    labels = jnp.arange(4)

    @jax.jit
    def loss(params):
        logits = module.apply({"params": params}, IMAGES, ONE)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    assert loss(params) == jnp.log(jnp.array(10.0))
    watched = lambda module, method: (
        method == "__call__" and (isinstance(module, Block) or module.name == "stem_norm")
    )
    options = {"mutable": ["intermediates"], "capture_intermediates": watched}
    watch = jax.jit(lambda params: module.apply({"params": params}, IMAGES, ONE, **options)[1])
    seen = watch(params)["intermediates"]
    stem = jax.nn.relu(seen["stem_norm"]["__call__"][0])
    outputs = seen["stage_1"]["stack"]["__call__"][0]
    np.testing.assert_array_equal(outputs, jnp.stack([stem] * 2))

    # The head learns first, then the ends of the branches, then what lies before and the scalars.
    gradient = jax.jit(jax.grad(loss))
    after = params
    for _ in range(3):
        after = jax.tree.map(lambda p, g: p - 0.1 * g, after, gradient(after))
    scalars = 0
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(after), strict=True
    ):
        names = [entry.key for entry in path]
        if names[-1] != "kernel" and names[0] != "head":
            depth = (2,) if "stack" in names and names[0] == "stage_1" else (1,)
            chex.assert_shape(old, depth if "stack" in names else ())
            np.testing.assert_array_equal(old, jnp.full_like(old, names[-2] == "branch_scale"))
            assert (np.asarray(new) != np.asarray(old)).all(), names
            scalars += 1
    assert scalars == 1 + 5 * 5  # after the stem; bias_1, norm_1, bias_2, norm_2, branch_scale
    assert loss(after) < loss(params)
