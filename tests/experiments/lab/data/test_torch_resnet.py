"""Our networks are the networks of He et al. 2015: a PyTorch ResNet, written apart, agrees.

The weights pass between the two through safetensors files.  Then logits, batch statistics,
gradients and optimiser steps are compared.  The difference of two tensors is the norm of their
difference over the norm of the second.

In float64 the two agree to rounding.  In float32 there are two things besides.  An activation so
near to zero that rounding turns its sign moves gradients by some percent, in either framework; so
only one of some batches of images has to agree in gradients.  And 50 layers at He's initialisation
amplify rounding, so that gradients of either framework are 4e-4 from those in float64; so there
the last scale of every branch is a quarter.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.lab.data import weights
from resnet_jax.nn import blocks, families, functional, shortcuts
from resnet_jax.training import optimizers

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

pytestmark = pytest.mark.slow

LEARNING_RATE, WEIGHT_DECAY = 0.1, 1e-2
CLASSES, BATCH, SEEDS = 10, 4, range(1, 9)
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}


class TorchBlock(nn.Module):
    """Main path of 3x3, 3x3 or 1x1, 3x3, 1x1 convolutions; option A or B where shapes change."""

    def __init__(self, enter, inner, stride, bottleneck, strided, option):
        super().__init__()
        sizes = [1, 3, 1] if bottleneck else [3, 3]
        leave = 4 * inner if bottleneck else inner
        widths = [enter] + [inner] * (len(sizes) - 1) + [leave]
        self.count, self.stride, self.missing = len(sizes), stride, leave - enter
        for index, size in enumerate(sizes, start=1):
            step = stride if index == strided else 1
            conv = nn.Conv2d(*widths[index - 1 : index + 1], size, step, size // 2, bias=False)
            self.add_module(f"conv{index}", conv)
            self.add_module(f"bn{index}", nn.BatchNorm2d(widths[index]))
        self.downsample = None
        if option == "B" and (stride > 1 or self.missing):
            self.downsample = nn.Sequential(
                nn.Conv2d(enter, leave, 1, stride, bias=False), nn.BatchNorm2d(leave)
            )

    def forward(self, x, shortcut_weight):
        z = x
        for index in range(1, self.count + 1):
            z = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(z))
            z = F.relu(z) if index < self.count else z
        if self.downsample is not None:
            x = self.downsample(x)
        else:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
        return F.relu(z + shortcut_weight * x)


class TorchResNet(nn.Module):
    """Of the ImageNet family with four stages, of the CIFAR family with three."""

    def __init__(
        self, stages, width=64, bottleneck=False, strided=1, option="B", shortcut_weight=1.0
    ):
        super().__init__()
        self.shortcut_weight, self.small = shortcut_weight, len(stages) == 3
        stem = (3, 1, 1) if self.small else (7, 2, 3)
        self.conv1 = nn.Conv2d(3, width, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        enter = width
        for index, count in enumerate(stages):
            layer = nn.ModuleList()
            for block in range(count):
                stride = 2 if index > 0 and block == 0 else 1
                inner = width * 2**index
                layer.append(TorchBlock(enter, inner, stride, bottleneck, strided, option))
                enter = 4 * inner if bottleneck else inner
            self.add_module(f"layer{index + 1}", layer)
        self.stages = len(stages)
        self.add_module("linear" if self.small else "fc", nn.Linear(enter, CLASSES))

    def forward(self, x):
        a = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            a = F.max_pool2d(a, 3, 2, 1)
        for index in range(self.stages):
            for block in getattr(self, f"layer{index + 1}"):
                a = block(a, self.shortcut_weight)
        return (self.linear if self.small else self.fc)(a.mean((2, 3)))


class Case(NamedTuple):
    """A network in both worlds, and the images it sees.

    Attributes:
      strided: which convolution of a block takes its stride.
      option: for shortcuts where the shape changes.
      branch_scale: what the last scale of every branch is multiplied with.
      breadth: of the images.
    """

    depth: int
    layers: tuple = blocks.BASIC
    strided: int = 1
    option: str = "B"
    shortcut_weight: float = 1.0
    branch_scale: float = 1.0
    width: int = 8
    height: int = 64
    breadth: int = 64
    dtypes: tuple = ("float32", "float64")

    def ours(self):
        shortcut = {"A": shortcuts.identity, "B": shortcuts.projection_where_needed}[self.option]
        parts = blocks.Parts(shortcut=shortcut)
        if self.depth == 20:
            return families.cifar_network(20, CLASSES, parts, self.layers, self.width)
        return families.imagenet_network(self.depth, CLASSES, parts, self.layers, self.width)

    def theirs(self, dtype):
        stages = {20: (3, 3, 3), 18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[self.depth]
        bottleneck, weight = len(self.layers) == 3, self.shortcut_weight
        model = TorchResNet(stages, self.width, bottleneck, self.strided, self.option, weight)
        return model.to(getattr(torch, dtype))


RESNET50 = Case(50, blocks.BOTTLENECK_3X3, strided=2, dtypes=("float64",))
CALM50 = RESNET50._replace(branch_scale=0.25, dtypes=("float32",))
PAPERS = {"layers": blocks.BOTTLENECK, "strided": 1}
ODD = {"height": 57, "breadth": 75}
CASES = {
    "resnet18": Case(18),
    "resnet18, true width": Case(18, width=64, dtypes=("float32",)),
    "resnet18, option A": Case(18, option="A"),
    "resnet18, option A, odd images": Case(18, option="A", **ODD),
    "plain18": Case(18, option="A", shortcut_weight=0.0),
    "resnet50": RESNET50,
    "resnet50, calm": CALM50,
    "resnet50, the paper's stride": RESNET50._replace(**PAPERS),
    "resnet50, the paper's stride, calm": CALM50._replace(**PAPERS),
    "resnet50, odd images": RESNET50._replace(**ODD),
    "cifar20": Case(20, option="A", width=16, height=32, breadth=32),
}


class Seen(NamedTuple):
    """What a network does with a batch.

    Attributes:
      evaluation: logits by given statistics ``[batch, classes]``.
      training: logits by the batch's statistics.
      statistics: of the batch, the variance with n - 1 degrees of freedom.
      gradients: of the mean cross-entropy.
      stepped: the parameters after some steps of momentum with weight decay.
    """

    evaluation: np.ndarray
    training: np.ndarray
    statistics: dict
    gradients: dict
    stepped: dict


def images(case, dtype, seed):
    shape = (BATCH, case.height, case.breadth, 3)
    return np.random.RandomState(seed).randn(*shape).astype(np.float32).astype(dtype)


def labels():
    return np.random.RandomState(4).randint(0, CLASSES, BATCH)


def shapes(case):
    """Of our parameters and statistics."""
    network, weight = functional.from_linen(case.ours()), jnp.ones(())
    x = images(case, "float32", 0)
    params = jax.eval_shape(network.init, jax.random.key(0), x)
    return params, jax.eval_shape(network.forward, params, x, weight, None)[1]


def start(case, dtype):
    """Parameters by He's rule, scales and biases random about 1 and 0, and random statistics.

    All are float32 numbers, whatever the dtype.
    """
    random = np.random.RandomState(3)

    def draw(path, leaf):
        name, noise = path[-1].key, random.randn(*leaf.shape)
        if name == "kernel":
            noise *= np.sqrt(2 / np.prod(leaf.shape[-4 if leaf.ndim > 3 else 0 : -1]))
            return noise.astype(np.float32).astype(dtype)
        value = 0.1 * noise + (name in ("scale", "variance"))
        if name == "scale" and path[-2].key == f"norm_{len(case.layers)}":
            value *= case.branch_scale
        return value.astype(np.float32).astype(dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes(case))


@functools.cache
def programs(case):
    """Logits by given statistics; and gradients, logits and statistics of a batch; compiled."""
    network = functional.from_linen(case.ours())

    def look(params, x, y, weight):
        def loss(params):
            logits, measured = network.forward(params, x, weight, None)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), (logits, measured)

        return jax.grad(loss, has_aux=True)(params)

    return jax.jit(network.predict), jax.jit(look)


def see_ours(case, dtype, params, statistics, steps, seed):
    """What our network does, by its own names."""
    predict, look = programs(case)
    rule = optimizers.momentum(LEARNING_RATE, WEIGHT_DECAY)
    with jax.enable_x64(dtype == "float64"):
        weight = jnp.asarray(case.shortcut_weight, dtype)
        x, y = images(case, dtype, seed), labels()
        evaluation = predict(params, statistics, x, weight)
        gradients, (training, measured) = look(params, x, y, weight)
        state, stepped = rule.init(params), params
        for _ in range(steps):
            update, state = rule.update(look(stepped, x, y, weight)[0], state, stepped)
            stepped = optax.apply_updates(stepped, update)
        seen = jax.device_get(Seen(evaluation, training, measured, gradients, stepped))
    assert seen.gradients["stem"]["kernel"].dtype == dtype
    return seen


def renamed(seen, statistics, named):
    """The same by torch's names; ``named(params, statistics)`` gives them to our trees."""
    of_statistics = lambda name: "running" in name
    keep = lambda tensors, wanted: {k: v for k, v in tensors.items() if of_statistics(k) == wanted}
    return seen._replace(
        statistics=keep(named(seen.gradients, seen.statistics), True),
        gradients=keep(named(seen.gradients, statistics), False),
        stepped=keep(named(seen.stepped, statistics), False),
    )


def arrays(tensors):
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors}


def see_theirs(case, dtype, state, steps, seed=1):
    """What torch's network does, by torch's names."""
    model = case.theirs(dtype)
    model.load_state_dict(state, strict=True)
    x = torch.from_numpy(images(case, dtype, seed).transpose(0, 3, 1, 2).copy())
    y = torch.from_numpy(labels())
    with torch.no_grad():
        evaluation = model.eval()(x).numpy()
    for buffer in model.buffers():
        buffer.zero_()
    training = model.train()(x)
    # From zero, with torch's momentum of 0.1, a tenth of the batch's statistics is left.
    statistics = {
        name: value * 10
        for name, value in arrays(model.named_buffers()).items()
        if "running" in name
    }
    optimizer = torch.optim.SGD(
        model.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=WEIGHT_DECAY
    )
    F.cross_entropy(training, y).backward()
    gradients = arrays((name, leaf.grad) for name, leaf in model.named_parameters())
    for step in range(steps):
        if step:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
        optimizer.step()
    stepped = arrays(model.named_parameters())
    return Seen(evaluation, training.detach().numpy(), statistics, gradients, stepped)


def counts(case):
    """How many values each normalisation averages over, by name."""
    model, found = case.theirs("float32"), {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            hook = lambda module, inputs, _, name=name: found.update(
                {f"{name}.running_var": inputs[0][:, 0].numel()}
            )
            module.register_forward_hook(hook)
    with torch.no_grad():
        model.eval()(torch.zeros(BATCH, 3, case.height, case.breadth))
    return found


def unbiased(seen, count_of):
    """Our variances with n - 1 degrees of freedom, as torch keeps them."""
    statistics = dict(seen.statistics)
    for name, n in count_of.items():
        statistics[name] = statistics[name] * (n / (n - 1))
    return seen._replace(statistics=statistics)


def difference(here, there):
    """The largest relative difference of any tensor."""
    if isinstance(here, dict):
        assert set(here) == set(there)
        return max(difference(here[name], there[name]) for name in there)
    assert here.shape == there.shape
    apart, size = np.linalg.norm(here - there), np.linalg.norm(there)
    return float(apart / size) if apart else 0.0


def differences(ours, theirs):
    return {
        field: difference(getattr(ours, field), getattr(theirs, field)) for field in Seen._fields
    }


def through_a_file(path):
    """Torch's names for our trees, given by writing a file and reading it with torch."""

    def named(params, statistics):
        weights.save(path, params, statistics)
        return {k: v.numpy() for k, v in safetensors_torch.load_file(path).items()}

    return named


def by_hand(params, statistics):
    """Torch's names for the trees of a CIFAR network with 20 layers, written out apart."""
    named = {
        "conv1.weight": params["stem"]["kernel"].transpose(3, 2, 0, 1),
        "bn1.weight": params["stem_norm"]["scale"],
        "bn1.bias": params["stem_norm"]["bias"],
        "linear.weight": params["head"]["kernel"].T,
        "linear.bias": params["head"]["bias"],
    }
    if statistics:
        named["bn1.running_mean"] = statistics["stem_norm"]["mean"]
        named["bn1.running_var"] = statistics["stem_norm"]["variance"]
    for stage, block, half in itertools.product((1, 2, 3), (0, 1, 2), (1, 2)):
        if stage == 1:
            where, pick = "stack", lambda leaf, block=block: leaf[block]
        elif block == 0:
            where, pick = "first", lambda leaf: leaf
        else:
            where, pick = "stack", lambda leaf, block=block: leaf[block - 1]
        ours, theirs = params[f"stage_{stage}"][where], f"layer{stage}.{block}"
        kernel = pick(ours[f"conv_{half}"]["kernel"])
        named[f"{theirs}.conv{half}.weight"] = kernel.transpose(3, 2, 0, 1)
        named[f"{theirs}.bn{half}.weight"] = pick(ours[f"norm_{half}"]["scale"])
        named[f"{theirs}.bn{half}.bias"] = pick(ours[f"norm_{half}"]["bias"])
        if statistics:
            measured = statistics[f"stage_{stage}"][where][f"norm_{half}"]
            named[f"{theirs}.bn{half}.running_mean"] = pick(measured["mean"])
            named[f"{theirs}.bn{half}.running_var"] = pick(measured["variance"])
    return named


def compare(name, dtype, path, seed=1):
    """What both networks do from equal weights."""
    case, steps = CASES[name], {"float32": 1, "float64": 2}[dtype]
    params, statistics = start(case, dtype)
    named = by_hand if case.depth == 20 else through_a_file(path)
    state = {k: torch.tensor(np.ascontiguousarray(v)) for k, v in named(params, statistics).items()}
    theirs = see_theirs(case, dtype, state, steps, seed)
    ours = renamed(see_ours(case, dtype, params, statistics, steps, seed), statistics, named)
    return unbiased(ours, counts(case)), theirs


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, case in CASES.items() for dtype in case.dtypes]
)
def test_both_networks_do_the_same(name, dtype, tmp_path):
    tolerance, found = TOLERANCES[dtype], {}
    for seed in SEEDS if dtype == "float32" else SEEDS[:1]:
        found = differences(*compare(name, dtype, tmp_path / "weights.safetensors", seed))
        forward = {key: found[key] for key in ("evaluation", "training", "statistics")}
        assert max(forward.values()) < tolerance, found
        if max(found.values()) < tolerance:
            break  # this batch has no activation whose sign is left to rounding
    assert max(found.values()) < tolerance, found


@pytest.mark.parametrize("name", ["resnet18", "resnet50, the paper's stride"])
def test_a_file_of_torchs_does_here_what_it_does_there(name, tmp_path):
    path, case = tmp_path / "weights.safetensors", CASES[name]
    torch.manual_seed(0)
    model, x = case.theirs("float64"), images(case, "float64", 1)
    entering = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        model.train()(entering)  # moves the running statistics
        expected = model.eval()(entering).numpy()
    state = model.state_dict()
    assert "layer4.1.bn2.num_batches_tracked" in state
    safetensors_torch.save_file(state, path)
    float64 = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, np.float64)
    params, statistics = weights.load(path, *jax.tree.map(float64, shapes(case)))
    with jax.enable_x64(True):
        predict = jax.jit(functional.from_linen(case.ours()).predict)
        found = np.asarray(predict(params, statistics, x, jnp.ones(())))
    assert difference(found, expected) < TOLERANCES["float64"]


def test_a_difference_is_seen(tmp_path):
    """The stride in another convolution: equal names and shapes, another network."""
    path = tmp_path / "weights.safetensors"
    case = CASES["resnet50"]
    state = through_a_file(path)(*start(case, "float64"))
    state = {name: torch.from_numpy(tensor) for name, tensor in state.items()}
    here = see_theirs(case, "float64", state, 1)
    there = see_theirs(case._replace(**PAPERS), "float64", state, 1)
    assert min(differences(here, there).values()) > 0.01
