import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resnet_jax import DenseBlock, Parts, blocks, count_layers, dense_network, normalization

X = jax.random.normal(jax.random.key(7), (5, 6))
ONE, ZERO = jnp.ones(()), jnp.zeros(())


def shapes(module, x=X):
    return jax.eval_shape(module.init, jax.random.key(0), x, ONE)["params"]


@pytest.mark.parametrize("depth", [2, 4, 20, 110, 1000, 10_000])
def test_depth_is_counted_from_the_tree(depth):
    assert count_layers(shapes(dense_network(depth, 4, 3))) == depth


@pytest.mark.parametrize(("depth", "widths"), [(5, 4), (1, 4), (0, 4), (-2, 4), (8, (4, 8))])
def test_depths_of_another_form_are_refused(depth, widths):
    with pytest.raises(ValueError, match="layers"):
        dense_network(depth, widths, 3)


def test_the_lectures_five_blocks_by_hand():
    """Stem and head are identities; every block has first = 1, second = diag(1, -1), biases 0.

    Residual: [1, 2] -> z = [1, -2] -> g([2, 0]) = [2, 0] -> [4, 0] -> [8, 0] -> [16, 0] -> [32, 0].
    Plain: [1, 2] -> g([1, -2]) = [1, 0], and so it stays.
    """
    module = dense_network(12, 2, 2, Parts(norm=normalization.NoNorm))
    eye, none = jnp.eye(2), jnp.zeros(2)
    stack = {
        "linear_1": {"kernel": jnp.stack([eye] * 5), "bias": jnp.zeros((5, 2))},
        "linear_2": {"kernel": jnp.stack([jnp.diag(jnp.array([1.0, -1.0]))] * 5)}
        | {"bias": jnp.zeros((5, 2))},
    }
    params = {
        "stem": {"kernel": eye, "bias": none},
        "stage_1": {"stack": stack},
        "head": {"kernel": eye, "bias": none},
    }
    x = jnp.array([[1.0, 2.0]])
    assert count_layers(params) == 12
    np.testing.assert_allclose(module.apply({"params": params}, x, ONE), [[32.0, 0.0]])
    np.testing.assert_allclose(module.apply({"params": params}, x, ZERO), [[1.0, 0.0]])


@pytest.mark.parametrize("order", [blocks.original, blocks.pre_activation])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_scan_equals_a_loop_over_blocks(order, weight):
    parts = Parts(order=order)
    module = dense_network(10, 4, 3, parts)
    params = module.init(jax.random.key(0), X, ONE)["params"]
    weight = jnp.array(weight)
    expected = X @ params["stem"]["kernel"]

    def activate(name, a):
        norm = normalization.BatchNorm()
        y, _ = norm.apply({"params": params[name]}, a, mutable=["statistics"])
        return jax.nn.relu(y)

    if not order.pre_activation:
        expected = activate("stem_norm", expected)
    for index in range(4):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], params["stage_1"]["stack"])
        block = DenseBlock(4, 4, parts)
        expected, _ = block.apply({"params": layer}, expected, weight, mutable=["statistics"])
    if order.pre_activation:
        expected = activate("head_norm", expected)
    expected = expected @ params["head"]["kernel"] + params["head"]["bias"][None]
    actual, _ = module.apply({"params": params}, X, weight, mutable=["statistics"])
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_every_block_starts_from_weights_of_its_own():
    kernels = dense_network(8, 4, 3).init(jax.random.key(0), X, ONE)["params"]["stage_1"]["stack"]
    first = kernels["linear_1"]["kernel"]
    assert len(np.unique(np.asarray(first))) == first.size
    assert not np.array_equal(first, kernels["linear_2"]["kernel"])


def test_stages_may_widen_and_narrow():
    module = dense_network(14, (4, 8, 2), 3)
    tree = shapes(module)
    assert count_layers(tree) == 14
    assert tree["stage_2"]["first"]["linear_1"]["kernel"].shape == (4, 8)
    assert tree["stage_3"]["stack"]["linear_2"]["kernel"].shape == (1, 2, 2)
    params = module.init(jax.random.key(0), X, ONE)
    logits, _ = module.apply(params, X, ONE, mutable=["statistics"])
    assert logits.shape == (5, 3)


def test_images_are_flattened():
    module = dense_network(4, 4, 3)
    images = X.reshape(5, 2, 3)
    params = module.init(jax.random.key(0), images, ONE)
    np.testing.assert_array_equal(
        module.apply(params, images, ONE, mutable=["statistics"])[0],
        module.apply(params, X, ONE, mutable=["statistics"])[0],
    )


def test_program_size_does_not_grow_with_depth():
    def size(depth):
        module = dense_network(depth, 4, 3)

        def loss(params):
            return module.apply({"params": params}, X, ONE, mutable=["statistics"])[0].sum()

        return len(jax.jit(jax.grad(loss)).lower(shapes(module)).as_text().splitlines())

    assert size(10) == size(1000)


def test_blocks_of_three_layers_count_three():
    class Three(DenseBlock):
        @blocks.nn.compact
        def __call__(self, a, shortcut_weight):
            z = a
            for name in "abc":
                z = self.parts.linear(self.width, name=name)(z)
            return self.parts.activation(z + shortcut_weight * a)

    module = dense_network(11, 4, 3, block=functools.partial(Three), layers_per_block=3)
    assert count_layers(shapes(module)) == 11
