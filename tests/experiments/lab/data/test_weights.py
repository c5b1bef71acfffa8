"""Weights in safetensors files: torchvision's names, every bit back, and one line for the rest."""

import json
import struct
import types

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.lab.data import weights
from experiments.lab.system.errors import UserError
from resnet_jax.nn import blocks, families, functional, orders, shortcuts
from resnet_jax.ops import normalization

BOTTLENECK = blocks.BOTTLENECK_3X3
PROJECTIONS = blocks.Parts(shortcut=shortcuts.projection_where_needed)
X = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)

#: torchvision's resnet18, written from its published state_dict: 62 learned tensors ...
LEARNED18 = """
conv1.weight bn1.weight bn1.bias
layer1.0.conv1.weight layer1.0.bn1.weight layer1.0.bn1.bias
layer1.0.conv2.weight layer1.0.bn2.weight layer1.0.bn2.bias
layer1.1.conv1.weight layer1.1.bn1.weight layer1.1.bn1.bias
layer1.1.conv2.weight layer1.1.bn2.weight layer1.1.bn2.bias
layer2.0.conv1.weight layer2.0.bn1.weight layer2.0.bn1.bias
layer2.0.conv2.weight layer2.0.bn2.weight layer2.0.bn2.bias
layer2.0.downsample.0.weight layer2.0.downsample.1.weight layer2.0.downsample.1.bias
layer2.1.conv1.weight layer2.1.bn1.weight layer2.1.bn1.bias
layer2.1.conv2.weight layer2.1.bn2.weight layer2.1.bn2.bias
layer3.0.conv1.weight layer3.0.bn1.weight layer3.0.bn1.bias
layer3.0.conv2.weight layer3.0.bn2.weight layer3.0.bn2.bias
layer3.0.downsample.0.weight layer3.0.downsample.1.weight layer3.0.downsample.1.bias
layer3.1.conv1.weight layer3.1.bn1.weight layer3.1.bn1.bias
layer3.1.conv2.weight layer3.1.bn2.weight layer3.1.bn2.bias
layer4.0.conv1.weight layer4.0.bn1.weight layer4.0.bn1.bias
layer4.0.conv2.weight layer4.0.bn2.weight layer4.0.bn2.bias
layer4.0.downsample.0.weight layer4.0.downsample.1.weight layer4.0.downsample.1.bias
layer4.1.conv1.weight layer4.1.bn1.weight layer4.1.bn1.bias
layer4.1.conv2.weight layer4.1.bn2.weight layer4.1.bn2.bias
fc.weight fc.bias
"""

#: ... and shapes of some of resnet50's.
SHAPES50 = {
    "conv1.weight": (64, 3, 7, 7),
    "bn1.running_var": (64,),
    "layer1.0.conv1.weight": (64, 64, 1, 1),
    "layer1.0.conv2.weight": (64, 64, 3, 3),
    "layer1.0.conv3.weight": (256, 64, 1, 1),
    "layer1.0.bn3.running_mean": (256,),
    "layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "layer1.0.downsample.1.running_var": (256,),
    "layer1.2.conv1.weight": (64, 256, 1, 1),
    "layer2.0.conv1.weight": (128, 256, 1, 1),
    "layer2.0.downsample.0.weight": (512, 256, 1, 1),
    "layer3.5.conv2.weight": (256, 256, 3, 3),
    "layer4.0.conv1.weight": (512, 1024, 1, 1),
    "layer4.2.bn3.bias": (2048,),
    "fc.weight": (1000, 2048),
    "fc.bias": (1000,),
}


def like(module):
    """Shapes of a network's parameters and statistics."""
    network = functional.from_linen(module)
    params = jax.eval_shape(network.init, jax.random.key(0), X)
    return params, jax.eval_shape(network.forward, params, X, jnp.ones(()), None)[1]


def drawn(shapes, dtype=np.float32):
    random = np.random.RandomState(0)
    return jax.tree.map(lambda leaf: random.randn(*leaf.shape).astype(dtype), shapes)


def cast(shapes, dtype):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), shapes)


def tensors(path):
    return safetensors.numpy.load_file(path)


def names(shapes):
    params, statistics = shapes
    return set(weights.places(params)), set(weights.places(statistics))


def of_18(**options):
    return families.imagenet_network(18, 10, **{"parts": PROJECTIONS, "width": 4, **options})


SMALL = {
    "cifar8": families.cifar_network(8, 3, PROJECTIONS, width=2),
    "cifar14": families.cifar_network(14, 3, blocks.Parts(), width=2),
    "cifar20, bottlenecks": families.cifar_network(20, 3, PROJECTIONS, BOTTLENECK, width=4),
    "projections everywhere": families.cifar_network(
        14, 3, blocks.Parts(shortcut=shortcuts.projection), width=2
    ),
    "resnet18": of_18(),
}


@pytest.fixture(scope="module")
def small():
    return like(SMALL["cifar8"])


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """The bytes of a file of that network's, and its trees."""
    path = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    trees = drawn(small)
    weights.save(path, *trees)
    return types.SimpleNamespace(content=path.read_bytes(), trees=trees, path=path)


def test_resnet18_has_torchvisions_names():
    learned, measured = names(like(of_18()))
    expected = LEARNED18.split()
    assert len(expected) == 62 and learned == set(expected)
    norms = {name.removesuffix(".bias") for name in expected if name.endswith(".bias")} - {"fc"}
    assert len(measured) == 40
    assert measured == {f"{norm}.running_{what}" for norm in norms for what in ("mean", "var")}


def test_resnet50_has_torchvisions_names_and_shapes(tmp_path):
    params, statistics = like(families.imagenet_network(50, 1000, PROJECTIONS, BOTTLENECK))
    assert [len(kind) for kind in names((params, statistics))] == [161, 106]
    path = tmp_path / "fifty.safetensors"
    weights.save(
        path, *jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float16), (params, statistics))
    )
    found = {name: tensor.shape for name, tensor in tensors(path).items()}
    assert {name: found[name] for name in SHAPES50} == SHAPES50
    assert not any(name.endswith(".downsample.0.weight") and ".0." not in name for name in found)


@pytest.mark.parametrize(
    ("module", "learned", "measured"),
    [
        (of_18(parts=blocks.Parts()), 62 - 9, 40 - 6),
        (families.imagenet_network(34, 10, PROJECTIONS, width=2), 110, 72),
        (families.imagenet_network(101, 10, PROJECTIONS, BOTTLENECK, width=2), 314, 208),
        (families.imagenet_network(152, 10, PROJECTIONS, blocks.BOTTLENECK, width=2), 467, 310),
    ],
)
def test_counts_of_tensors(module, learned, measured):
    assert [len(kind) for kind in names(like(module))] == [learned, measured]


@pytest.mark.parametrize(
    ("path", "block", "name"),
    [
        (("stem", "kernel"), 0, "conv1.weight"),
        (("stem_norm", "variance"), 0, "bn1.running_var"),
        (("stage_2", "stack", "norm_1", "mean"), 3, "layer2.3.bn1.running_mean"),
        (("stage_4", "first", "conv_3", "kernel"), 0, "layer4.0.conv3.weight"),
        (("stage_3", "first", "shortcut", "kernel"), 0, "layer3.0.downsample.0.weight"),
        (("stage_3", "first", "shortcut_norm", "scale"), 0, "layer3.0.downsample.1.weight"),
        (("head", "bias"), 0, "fc.bias"),
    ],
)
def test_names(path, block, name):
    assert weights.torch_name(path, block) == name


def test_a_stack_counts_from_behind_the_first_block():
    places = weights.places(like(SMALL["cifar14"])[0])
    assert places["layer1.1.conv2.weight"] == (("stage_1", "stack", "conv_2", "kernel"), 1)
    assert places["layer2.0.bn1.bias"] == (("stage_2", "first", "norm_1", "bias"), ...)
    assert places["layer2.1.bn1.bias"] == (("stage_2", "stack", "norm_1", "bias"), 0)


def test_layouts():
    kernel = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    assert weights.in_torch_layout(kernel)[6, 4, 1, 2] == kernel[1, 2, 4, 6]
    assert weights.in_torch_layout(kernel[0, 0])[6, 4] == kernel[0, 0, 4, 6]


def test_a_file_holds_each_block_in_torchs_layout(whole):
    params, statistics = whole.trees
    found = tensors(whole.path)
    kernel = params["stage_2"]["first"]["conv_1"]["kernel"]
    np.testing.assert_array_equal(found["layer2.0.conv1.weight"], kernel.transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(found["fc.weight"], params["head"]["kernel"].T)
    np.testing.assert_array_equal(
        found["layer1.0.bn2.running_var"],
        statistics["stage_1"]["stack"]["norm_2"]["variance"][0],
    )


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_every_bit_comes_back(name, dtype, tmp_path):
    shapes = like(SMALL[name])
    trees = drawn(shapes, dtype)
    trees[0]["stem"]["kernel"][0, 0, 0] = np.nan
    path = tmp_path / "weights.safetensors"
    weights.save(path, *trees)
    back = weights.load(path, *cast(shapes, dtype))
    assert jax.tree.structure(back) == jax.tree.structure(shapes)
    for here, there in zip(jax.tree.leaves(back), jax.tree.leaves(trees), strict=True):
        assert here.dtype == there.dtype and here.tobytes() == there.tobytes()
    weights.save(tmp_path / "again", *back)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again", "weights.safetensors"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_are_cast(small, tmp_path, dtype):
    trees = drawn(small, dtype)
    weights.save(tmp_path / "file", *trees)
    back = weights.load(tmp_path / "file", *small)
    for here, there in zip(jax.tree.leaves(back), jax.tree.leaves(trees), strict=True):
        np.testing.assert_array_equal(here, there.astype(np.float32), strict=True)


@pytest.mark.slow
def test_what_is_loaded_can_be_used(whole, small):
    network = functional.from_linen(SMALL["cifar8"])
    x = np.random.RandomState(1).randn(2, 8, 8, 3).astype(np.float32)
    params, statistics = weights.load(whole.path, *small)
    statistics = jax.tree.map(abs, statistics)
    expected = network.predict(whole.trees[0], jax.tree.map(abs, whole.trees[1]), x, jnp.ones(()))
    np.testing.assert_array_equal(
        network.predict(params, statistics, x, jnp.ones(())), expected, strict=True
    )


def test_torchs_counts_of_batches_are_passed_over(whole, small, tmp_path):
    path = tmp_path / "file"
    counts = {"bn1.num_batches_tracked": np.array(7), "x.num_batches_tracked": np.zeros((3, 0))}
    safetensors.numpy.save_file(tensors(whole.path) | counts, path)
    back = weights.load(path, *small)
    jax.tree.map(np.testing.assert_array_equal, back, whole.trees)


def _without(*names):
    return lambda found: {name: found[name] for name in found if name not in names}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without("fc.bias"), "another network's weights: it lacks fc.bias$"),
        (
            lambda found: {f"module.{name}": found[name] for name in found},
            r"it lacks bn1.bias, bn1.running_mean, bn1.running_var and 44 more; it has besides "
            r"module.bn1.bias, module.bn1.running_mean, module.bn1.running_var and 44 more$",
        ),
        (lambda found: found | {"a\nb": np.zeros(1)}, r"it has besides 'a\\nb'$"),
        (lambda found: found | {"x" * 999: np.zeros(1)}, r"it has besides x{57}\.\.\.$"),
        (
            lambda found: found | {"conv1.weight": np.zeros((4, 3, 3, 3), np.float32)},
            r"conv1.weight is \[4, 3, 3, 3\] there, \[2, 3, 3, 3\] here$",
        ),
        (lambda found: found | {"fc.bias": np.zeros((3, 1))}, r"fc.bias is \[3, 1\] there, \[3\]"),
        (
            lambda found: found | {"fc.bias": np.zeros((3, *[1] * 60))},
            r"fc.bias is \[3, 1, 1, .*\.\.\. there",
        ),
        (
            lambda found: found | {"fc.bias": np.zeros(3, int)},
            "fc.bias is I64; known are F16, BF16",
        ),
        (lambda found: found | {"fc.bias": np.zeros(3, bool)}, "fc.bias is BOOL"),
        (lambda found: found | {"fc.bias": np.full(3, 1e300)}, "fc.bias has values too large for"),
        (lambda found: {}, "it lacks bn1.bias, bn1.running_mean, bn1.running_var and 44 more$"),
    ],
)
def test_other_weights(whole, small, tmp_path, change, words):
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file(change(tensors(whole.path)), path)
    with pytest.raises(UserError, match=words) as error:
        weights.load(path, *small)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def _file(header, content=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + content


def _claim(**fields):
    return _file({"fc.bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12], **fields}})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:7],
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"PK\3\4" + content,
        lambda content: struct.pack("<Q", 2**63) + content[8:],
        lambda content: struct.pack("<Q", 10**8) + content[8:],
        lambda content: _file(b"[" * 10**5),
        lambda content: _file(b" " * 2**22 + b"{}"),
        lambda content: _file(b"\xff{}"),
        lambda content: _file([]),
        lambda content: _claim(shape=[2**40, 2**40]),
        lambda content: _claim(shape=[10**12], data_offsets=[0, 4 * 10**12]),
        lambda content: _claim(shape=[-1]),
        lambda content: _claim(dtype="F31"),
        lambda content: _claim(data_offsets=[12, 0]),
    ],
)
def test_damaged_files(whole, small, tmp_path, damage):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damage(whole.content))
    with pytest.raises(UserError, match="cannot be read as safetensors") as error:
        weights.load(path, *small)
    assert "\n" not in str(error.value) and len(str(error.value)) < len(str(path)) + 200


@pytest.mark.parametrize("name", ["none.safetensors", "."])
def test_no_file(small, tmp_path, name):
    with pytest.raises(UserError, match="there is no such file"):
        weights.load(tmp_path / name, *small)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bytes_give_weights_or_one_line(whole, small, tmp_path, data):
    """Bytes are changed, removed and added, most of them in the header, where the names are."""
    content = bytearray(whole.content)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for _ in range(data.draw(st.integers(1, 4))):
        end = data.draw(st.sampled_from([8, header, len(content)]))
        at = data.draw(st.integers(0, max(min(end, len(content)) - 1, 0)))
        removed = data.draw(st.sampled_from([0, 1, 1, 1, 50, 10**6]))
        content[at : at + removed] = data.draw(st.binary(max_size=2))
    path = tmp_path / "fuzzed.safetensors"
    path.write_bytes(content)
    try:
        back = weights.load(path, *small)
    except UserError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path))
    else:
        assert jax.tree.map(np.shape, back) == jax.tree.map(np.shape, whole.trees)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_foreign_bytes_give_one_line(small, tmp_path, content):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError):
        weights.load(path, *small)


@pytest.mark.parametrize(
    ("module", "leaf"),
    [
        (families.dense_network(4, 5, 3), "stage_1/stack/linear_1/kernel"),
        (families.cifar_network(8, 3, blocks.Parts(order=orders.pre_activation)), "head_norm/bias"),
        (
            families.cifar_network(8, 3, blocks.Parts(shortcut=shortcuts.exclusive_gate(0.0))),
            "stage_1/stack/gate/bias",
        ),
    ],
)
def test_networks_that_torchvision_does_not_have(module, leaf, tmp_path):
    shapes = like(module)
    with pytest.raises(UserError, match=f"torchvision has no name for {leaf}"):
        weights.save(tmp_path / "file", *drawn(shapes))
    with pytest.raises(UserError, match=f"torchvision has no name for {leaf}"):
        weights.load(tmp_path / "file", *shapes)
    assert not list(tmp_path.iterdir())


def test_networks_without_normalisation_have_biases_and_no_statistics(tmp_path):
    parts = blocks.Parts(norm=normalization.NoNorm)
    params, statistics = like(families.cifar_network(8, 3, parts, width=2))
    assert statistics == {} and "layer3.0.conv2.bias" in weights.places(params)
    weights.save(tmp_path / "file", drawn(params), {})
    back = weights.load(tmp_path / "file", params, {})
    jax.tree.map(np.testing.assert_array_equal, back, (drawn(params), {}))


def test_a_file_that_cannot_be_written(small, tmp_path):
    with pytest.raises(UserError, match="cannot be written") as error:
        weights.save(tmp_path / "no folder" / "file", *drawn(small))
    assert "\n" not in str(error.value)


def test_a_file_stays_as_it_was_where_writing_fails(whole, small, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="No space left on device"):
        weights.save(path, *whole.trees)
    assert path.read_bytes() == b"before"
