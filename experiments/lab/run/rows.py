"""Rows of the tables, from what a group of runs was measured to be."""

import hashlib

import jax
import numpy as np

from experiments.lab.config.grid import Group
from resnet_jax.training.run import Metrics, State

Measured = list[tuple[int, Metrics]]  # steps, from 0 to the last, and metrics [runs] there

#: Steps, and what else was read there: tables of columns ``[runs, places]``.
Read = list[tuple[int, dict[str, dict[str, np.ndarray]]]]


def results(group: Group, states: State, measured: Measured) -> list[dict]:
    """A row for each run: how it ended."""
    steps, metrics = measured[-1]
    status = _status(states, metrics)
    lost_at = np.where(states.diverged_at >= 0, states.diverged_at, steps)
    return [
        {
            **run.columns(),
            "steps": steps,
            "status": status[index],
            "diverged_at": lost_at[index] if status[index] == "diverged" else "",
            **{name: _text(values[index]) for name, values in _known(steps, metrics)},
            "parameters_sha256": _digest(states, index),
        }
        for index, run in enumerate(group.runs)
    ]


def history(group: Group, measured: Measured) -> list[dict]:
    """A row for each run, step and metric."""
    return [
        {**run.columns(), "step": step, "metric": name, "value": _text(values[index])}
        for index, run in enumerate(group.runs)
        for step, metrics in measured
        for name, values in _known(step, metrics)
    ]


def readings(group: Group, read: Read) -> dict[str, list[dict]]:
    """Of every table that a study reads, a row for each run, step and place."""
    tables: dict[str, list[dict]] = {}
    for index, run in enumerate(group.runs):
        for step, at_step in read:
            for table, columns in at_step.items():
                places = zip(*(values[index] for values in columns.values()), strict=True)
                tables.setdefault(table, []).extend(
                    {**run.columns(), "step": step, "place": place}
                    | {name: _text(value) for name, value in zip(columns, values, strict=True)}
                    for place, values in enumerate(places)
                )
    return tables


def _status(states: State, metrics: Metrics) -> np.ndarray:
    """Each run's status: ``"healthy"``, ``"dead"`` or ``"diverged"``.

    A loss that the last measurement finds infinite is divergence as well.
    """
    alive = np.where(states.dead, "dead", "healthy")
    return np.where(np.isfinite(metrics.train_loss), alive, "diverged")


def _known(step: int, metrics: Metrics) -> list[tuple[str, np.ndarray]]:
    """What is known at a step: before the first there has been no gradient."""
    names = metrics._asdict().items()
    return [(name, values) for name, values in names if step or name != "gradient_norm"]


def _text(value: np.ndarray) -> str:
    """The shortest digits that give back the same float32."""
    return str(np.float32(value))


def _digest(states: State, index: int) -> str:
    """What tells the final parameters of a run from any others, to the bit."""
    whole = hashlib.sha256()
    for leaf in jax.tree.leaves(states.params):
        whole.update(np.ascontiguousarray(leaf[index]).tobytes())
    return whole.hexdigest()
