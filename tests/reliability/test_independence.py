"""A run does not depend on its neighbours, their number or order, or on the count of devices."""

import jax
import numpy as np
import pytest

from experiments.lab.build import compilation
from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data.datasets import Dataset
from resnet_jax.training.population import runs_mesh

RANDOM = np.random.RandomState(0)
X, Y = RANDOM.randn(60, 8, 8).astype(np.float32), RANDOM.randint(0, 3, 60).astype(np.int32)
DATASET = Dataset(X[:48], Y[:48], X[48:], Y[48:], 3, "noise")

DENSE = {"family": "dense", "width": 6}
CIFAR = {"family": "cifar", "width": 4}
#: Settings, and the depths they are tried at.
CASES = [
    pytest.param(
        {**DENSE, "norm": (norm,)}, depth, marks=pytest.mark.long, id=f"dense-{norm}-{depth}"
    )
    for norm in ("batch", "layer", "none")
    for depth in (2, 4, 32)
]
CASES += [
    pytest.param(
        {**CIFAR, "norm": (norm,)}, depth, marks=pytest.mark.long, id=f"cifar-{norm}-{depth}"
    )
    for norm in ("batch", "layer", "none")
    for depth in (8, 20)
]
CASES += [
    pytest.param(
        {"family": "imagenet", "width": 4, "shortcut": ("B",)},
        depth,
        marks=pytest.mark.long,
        id=f"imagenet-{depth}",
    )
    for depth in (18, 50)
]
CASES += [
    pytest.param(
        {**CIFAR, "augment": ("crop", "flip"), "warmup": ("error:0.5",), "statistics": "running"},
        8,
        marks=pytest.mark.long,
        id="cifar-recipe",
    ),
    pytest.param(
        {**DENSE, "branch_scale": ("stochastic_depth",), "shortcut_weights": (1.0,)},
        8,
        marks=pytest.mark.long,
        id="dense-noise",
    ),
]
CASES += [pytest.param({**DENSE, "norm": ("batch",)}, 6, id="short", marks=pytest.mark.slow)]


def train(config, runs, devices):
    """What the runs of a group end in, as bytes of all their states and measurements."""
    group = Group(runs[0].cell, tuple(runs))
    mesh = runs_mesh(jax.devices()[:devices])
    ready = compilation.compile_group(group, Experiment(config, DATASET, mesh=mesh))
    population, advance = ready.population, ready.advance
    states, measured = None, []
    for steps in (0, 3, 2):
        states, metrics = advance(states, steps, True)
        measured.append((steps, metrics))
    tree = population.unpad(states), measured
    return {
        run: [np.asarray(leaf)[index].tobytes() for leaf in jax.tree.leaves(tree[0])]
        + [np.asarray(values)[index].tobytes() for _, metrics in measured for values in metrics]
        for index, run in enumerate(runs)
    }


@pytest.mark.parametrize(("settings", "depth"), CASES)
def test_a_run_does_not_depend_on_its_neighbours(settings, depth, request):
    config = Config(
        **settings, depths=(depth,), num_seeds=17, learning_rates=(0.05,), batch_size=12, steps=5
    )
    (cell,) = grid.cells(config)
    runs = list(grid.runs(config, cell))[:33]
    short = request.node.get_closest_marker("long") is None
    whole = train(config, runs[:3] if short else runs, devices=2)
    # The positive control: seeds differ. (Kinds do not at depth 2, which has no block.)
    assert len({tuple(bits) for bits in whole.values()}) >= len({run.seed for run in whole})
    order = np.random.RandomState(depth).permutation(len(whole))
    apart = (
        [(order[:1], 1)]
        if short
        else [
            (order[:1], 1),
            (order[:1], 2),
            (order[:2], 2),
            (order[:7], 2),
            (order, 2),
            (order, 1),
        ]
    )
    for rows, devices in apart:
        these = train(config, [runs[row] for row in rows], devices)
        for run, bits in these.items():
            assert bits == whole[run]
