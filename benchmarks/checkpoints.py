"""Compares our checkpoints with Orbax's: seconds, bytes, and the effect of a flipped bit.

    python benchmarks/checkpoints.py

Both save the states of the default study's 64 runs of 64 layers (momentum), interleaved, ROUNDS
times.  Then a random bit is flipped in a small checkpoint of each, FLIPS times, and the checkpoint
is restored: is the damage refused, or are other numbers returned silently?
"""

import logging
import pathlib
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable

import jax
import numpy as np
import orbax.checkpoint

from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data import datasets
from experiments.lab.run import course
from experiments.lab.run.course import Course
from experiments.lab.store import checkpoints
from experiments.lab.store.checkpoints import Checkpoint, Checkpoints
from experiments.lab.system import environment

ROUNDS, FLIPS = 7, 200


def states() -> tuple[Group, dict[str, np.ndarray]]:
    """Returns the arrays of a checkpoint of the default study's deepest cell."""
    config = Config()
    cell = list(grid.cells(config))[-1]
    group = Group(cell, tuple(grid.runs(config, cell)))
    population = Experiment(config, datasets.load("digits")).population(group)
    begun, metrics = population.compile()(None, 1, True)  # momentum is zero before
    return group, course.to_arrays(Course(begun, 1, [(1, metrics)], 0.0), population)


def timed(save: Callable[[], None]) -> float:
    start = time.perf_counter()
    save()
    return time.perf_counter() - start


def size(path: pathlib.Path) -> float:
    """Returns the megabytes of a file, or of all files in a directory."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file()) / 1e6


def flipped(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def verdict(restore: Callable[[], dict], expected: dict) -> str:
    try:
        found = restore()
    except BaseException:  # any error means that the damage was noticed
        return "refused"
    same = all(np.array_equal(found[name], expected[name]) for name in expected)
    return "unharmed" if same else "other numbers"


def main() -> None:
    logging.disable(logging.CRITICAL)
    group, arrays = states()
    folder = pathlib.Path(tempfile.mkdtemp())
    ours, theirs = Checkpoints(folder / "ours", "digest"), orbax.checkpoint.StandardCheckpointer()

    def save_theirs(where: pathlib.Path, tree: dict) -> None:
        theirs.save(where, tree)
        theirs.wait_until_finished()

    seconds: dict[str, list[float]] = {"ours": [], "orbax": []}
    for number in range(ROUNDS):
        seconds["ours"].append(timed(lambda number=number: ours.save(group, number, arrays)))
        where = folder / f"orbax {number}"
        seconds["orbax"].append(timed(lambda where=where: save_theirs(where, arrays)))
    megabytes = {"ours": size(folder / "ours") / 2, "orbax": size(folder / "orbax 0")}
    for name, each in seconds.items():
        print(f"{name:6s} {statistics.median(each):.3f} s, {megabytes[name]:.1f} MB")

    weights = np.random.RandomState(0).randn(4, 300).astype(np.float32)
    small = dict(zip("abcd", weights, strict=True))
    like = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in small.items()}
    content = checkpoints.encode(Checkpoint(group, 0, "digest", small))
    save_theirs(folder / "small", small)
    chance = random.Random(0)
    counts: dict[str, dict[str, int]] = {"ours": {}, "orbax": {}}
    files = [file for file in (folder / "small").rglob("*") if file.is_file() and size(file)]
    for _ in range(FLIPS):
        damaged = flipped(content, chance)
        answer = verdict(lambda damaged=damaged: checkpoints.decode(damaged).arrays, small)
        counts["ours"][answer] = counts["ours"].get(answer, 0) + 1
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder / "small", copy)
        (file,) = chance.choices(files, [size(file) for file in files])
        target = copy / file.relative_to(folder / "small")
        target.write_bytes(flipped(target.read_bytes(), chance))
        answer = verdict(lambda copy=copy: theirs.restore(copy, like), small)
        counts["orbax"][answer] = counts["orbax"].get(answer, 0) + 1
    for name, answers in counts.items():
        print(f"{name:6s} {FLIPS} flips: {answers}")
    shutil.rmtree(folder)
    kinds = [device.device_kind for device in jax.devices()]
    print(environment.describe(kinds, jax.config))


if __name__ == "__main__":
    main()
