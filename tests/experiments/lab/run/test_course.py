import chex
import jax
import numpy as np
import pytest

from experiments.lab.run import course
from experiments.lab.run.course import Course
from experiments.lab.system.errors import ContentError
from resnet_jax import Metrics, Training, dense_network, from_linen
from resnet_jax.training import optimizers
from resnet_jax.training.population import Population, product, runs_mesh

TRAINING = Training(
    from_linen(dense_network(4, 4, 3)),
    lambda rate: optimizers.adam(rate, 0.0),
    optimizers.constant(20),
    batch_size=10,
    chunk=10,
)


def population(data, runs=3, devices=2):
    mesh = runs_mesh(jax.devices()[:devices])
    return Population(TRAINING, product(range(runs), [1.0], [0.1]), data, mesh, 1)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_course_goes_on_from_its_arrays_to_the_same_bits(tiny_data, devices):
    """Also on another number of devices, where other runs are copied to fill the last."""
    these = population(tiny_data)
    advance = these.compile()
    states, first = advance(None, 0, True)
    states, second = advance(states, 4, True)
    half = Course(states, 4, [(0, first), (4, second)], 1.5)
    arrays = course.to_arrays(half, these)
    whole, _ = advance(states, 6, True)
    others = population(tiny_data, devices=devices)
    again = course.from_arrays(arrays, 4, others)
    assert (again.step, again.seconds) == (4, 1.5)
    chex.assert_trees_all_equal(again.measured, half.measured)
    ended, _ = others.compile()(again.states, 6, True)
    chex.assert_trees_all_equal(others.unpad(ended), these.unpad(whole))


@pytest.fixture(scope="module")
def begun(tiny_data):
    """A population and the arrays of its start."""
    these = population(tiny_data)
    states, metrics = these.compile()(None, 0, True)
    return these, course.to_arrays(Course(states, 0, [(0, metrics)], 0.0), these)


@pytest.mark.parametrize(
    "change", ["missing", "more", "shape", "dtype", "measured", "steps", "none", "later", "seconds"]
)
def test_other_arrays_are_refused(begun, change):
    these, arrays = begun[0], dict(begun[1])
    name = next(name for name in arrays if "stem" in name and "params" in name)
    if change == "missing":
        del arrays[name]
    if change == "more":
        arrays["more"] = np.zeros(1)
    if change == "shape":
        arrays[name] = arrays[name][:-1]
    if change == "dtype":
        arrays[name] = arrays[name].astype(np.float64)
    if change == "measured":
        arrays["measured.train_loss"] = np.zeros((2, 3))
    if change == "steps":
        arrays["measured"] = np.array(0)
    if change == "none":
        arrays["measured"] = np.zeros(0, int)
        arrays |= {f"measured.{field}": np.zeros((0, 3), np.float32) for field in Metrics._fields}
    if change == "later":
        arrays["measured"] = np.array([7])
    if change == "seconds":
        arrays["seconds"] = np.zeros(2)
    with pytest.raises(ContentError):
        course.from_arrays(arrays, 0, these)
