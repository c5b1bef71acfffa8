"""The course of a training: where a group of runs stands, and the same as arrays by name."""

from typing import NamedTuple

import jax
import numpy as np

from experiments.errors import ContentError
from experiments.rows import Measured
from resnet_jax.population import Population
from resnet_jax.training import Metrics, State


class Course(NamedTuple):
    """Where the training of a group stands.

    Attributes:
      states: of the population.
      step: updates made.
      measured: what was measured on the way.
      seconds: of training so far.
    """

    states: State
    step: int
    measured: Measured
    seconds: float


def to_arrays(course: Course, population: Population) -> dict[str, np.ndarray]:
    """A course as named arrays, of the runs asked for alone."""
    arrays = _named(population.unpad(course.states))
    steps, metrics = zip(*course.measured, strict=True)
    for name, values in zip(Metrics._fields, zip(*metrics, strict=True), strict=True):
        arrays[f"measured.{name}"] = np.stack(values)
    return arrays | {"measured": np.array(steps), "seconds": np.array(course.seconds)}


def from_arrays(arrays: dict[str, np.ndarray], step: int, population: Population) -> Course:
    """The course that :func:`to_arrays` was made of.

    Raises:
      ContentError: the arrays are not those of this population.
    """
    wanted = _named(population.states)
    metrics = [f"measured.{name}" for name in Metrics._fields]
    if set(arrays) != {*wanted, *metrics, "measured", "seconds"}:
        raise ContentError("it holds other arrays")
    for name, like in wanted.items():
        if (arrays[name].shape, arrays[name].dtype) != (like.shape, like.dtype):
            raise ContentError(f"{name} is another array")
    steps, shape = arrays["measured"], (arrays["measured"].size, population.size)
    if (
        any(arrays[name].shape != shape for name in metrics)
        or not (steps.ndim == 1 and steps.size and steps.dtype.kind == "i")
        or not (arrays["seconds"].ndim == 0 and arrays["seconds"].dtype.kind == "f")
        or not 0 <= steps[-1] <= step
    ):
        raise ContentError("it holds other measurements")
    states = jax.tree.unflatten(
        jax.tree.structure(population.states), [arrays[name] for name in wanted]
    )
    measured = [
        (int(at), Metrics(*[arrays[name][index] for name in metrics]))
        for index, at in enumerate(steps)
    ]
    return Course(population.pad(states), step, measured, float(arrays["seconds"]))


def _named(tree) -> dict:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {f"state{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}
