"""Makes the columns of a record from the measurements of a group of runs."""

import hashlib

import jax
import numpy as np

from experiments.lab.store.records import Columns
from experiments.lab.store.schema import STATUSES
from resnet_jax.training.run import Metrics, State

Measured = list[tuple[int, Metrics]]  # steps, from 0 to the last, and metrics [runs] there

#: Steps, and the study's readings at each: tables of columns ``[runs, places]``.
Readings = list[tuple[int, dict[str, dict[str, np.ndarray]]]]

_HEALTHY, _DIVERGED, _DEAD = map(STATUSES.index, ("healthy", "diverged", "dead"))


def results(states: State, measured: Measured) -> Columns:
    """Returns how each run ended: the columns ``[runs]`` of results.csv, in their order.

    A run whose last measured loss is not finite has diverged as well.
    """
    step, metrics = measured[-1]
    alive = np.where(states.dead, _DEAD, _HEALTHY)
    status = np.where(np.isfinite(metrics.train_loss), alive, _DIVERGED)
    lost_at = np.where(states.diverged_at >= 0, states.diverged_at, step)
    found = {
        "steps": np.full(len(status), step, np.int32),
        "status": status.astype(np.int32),
        "diverged_at": np.where(status == _DIVERGED, lost_at, -1).astype(np.int32),
        **{name: np.asarray(values, np.float32) for name, values in metrics._asdict().items()},
        "parameters_sha256": _digests(states),
    }
    if not step:  # no gradient has been computed
        del found["gradient_norm"]
    return found


def history(measured: Measured) -> Columns:
    """Returns the metrics at every step that was measured, columns ``[runs, steps]``."""
    steps, metrics = zip(*measured, strict=True)
    columns = zip(Metrics._fields, zip(*metrics, strict=True), strict=True)
    stacked = {name: np.stack(values, 1).astype(np.float32) for name, values in columns}
    return {"step": np.array(steps, np.int32), **stacked}


def readings(read: Readings) -> dict[str, Columns]:
    """Returns the study's readings, by table: columns ``[runs, steps, places]``."""
    steps = np.array([step for step, _ in read], np.int32)
    found: dict[str, Columns] = {}
    for table, columns in read[0][1].items() if read else ():
        stacked = {
            name: np.stack([tables[table][name] for _, tables in read], 1).astype(np.float32)
            for name in columns
        }
        found[table] = {"step": steps, **stacked}
    return found


def _digests(states: State) -> np.ndarray:
    """Returns SHA-256 digests ``[runs, 32]`` of the final parameters, bit by bit."""
    leaves = jax.tree.leaves(states.params)
    digests = []
    for index in range(len(leaves[0])):
        whole = hashlib.sha256()
        for leaf in leaves:
            whole.update(np.ascontiguousarray(leaf[index]).tobytes())
        digests.append(np.frombuffer(whole.digest(), np.uint8))
    return np.stack(digests)
