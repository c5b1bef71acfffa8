"""Holds how far a group's training has come, and converts this to and from arrays by name."""

from typing import NamedTuple

import jax
import numpy as np

from experiments.lab.run.rows import Measured, Readings
from experiments.lab.system.errors import ContentError
from resnet_jax.training.population import Population
from resnet_jax.training.run import Metrics, State

_READ = "read."


class Course(NamedTuple):
    """Holds how far the training of a group has come.

    Attributes:
      states: states of the population.
      step: number of updates made.
      measured: metrics measured so far.
      seconds: seconds of training so far.
      read: readings of the study so far.
    """

    states: State
    step: int
    measured: Measured
    seconds: float
    read: Readings = []


def to_arrays(course: Course, population: Population) -> dict[str, np.ndarray]:
    """Returns a course as arrays by name, without the copies of runs that pad the devices."""
    arrays = _named(population.unpad(course.states))
    steps, metrics = zip(*course.measured, strict=True)
    for name, values in zip(Metrics._fields, zip(*metrics, strict=True), strict=True):
        arrays[f"measured.{name}"] = np.stack(values)
    for step, tables in course.read:
        for table, columns in tables.items():
            arrays |= {f"{_READ}{step}.{table}.{name}": column for name, column in columns.items()}
    return arrays | {"measured": np.array(steps), "seconds": np.array(course.seconds)}


def from_arrays(arrays: dict[str, np.ndarray], step: int, population: Population) -> Course:
    """Returns the course whose arrays :func:`to_arrays` returned.

    Raises:
      ContentError: the arrays are not those of this population.
    """
    read = _read(arrays, population.size)
    arrays = {name: array for name, array in arrays.items() if not name.startswith(_READ)}
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
    return Course(population.pad(states), step, measured, float(arrays["seconds"]), read)


def _read(arrays: dict[str, np.ndarray], runs: int) -> Readings:
    """Returns the readings from the arrays that hold them."""
    found: dict[int, dict[str, dict[str, np.ndarray]]] = {}
    for name, values in arrays.items():
        if not name.startswith(_READ):
            continue
        parts = name.removeprefix(_READ).split(".")
        if len(parts) != 3 or not parts[0].isdecimal() or values.ndim != 2 or len(values) != runs:
            raise ContentError(f"{name} is no reading")
        found.setdefault(int(parts[0]), {}).setdefault(parts[1], {})[parts[2]] = values
    return sorted(found.items())


def _named(tree) -> dict:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {f"state{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}
