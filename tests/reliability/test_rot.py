"""Bit rot: of the files of a study none is believed once a bit of it has changed.

Each flip or truncation is followed by opening the directory as a study does, which must notice,
say so, set damaged truth aside and end in the same state as the undamaged directory.
"""

import os
import random
import shutil

import numpy as np
import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.store import layout, manifest
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.results import Results
from experiments.lab.store.schema import MEASURES
from experiments.lab.store.store import Store

CONFIG = Config(depths=(2, 4, 8), num_seeds=1, learning_rates=(0.1,))
SHALLOW, MIDDLE, DEEP = (Group(cell, tuple(grid.runs(CONFIG, cell))) for cell in grid.cells(CONFIG))
HERE = {"python": "3"}


def open_store(path):
    return Store(path, "degradation", settings_of(CONFIG, "", ""), grid.all_runs(CONFIG))


def add(to, group):
    runs, half = len(group.runs), np.float32(0.5)
    end = {"steps": 1, "status": 0, "diverged_at": -1}
    to.add(
        group,
        {name: np.full(runs, code, np.int32) for name, code in end.items()}
        | {name: np.full(runs, half) for name in MEASURES},
        {"step": np.array([1]), "train_loss": np.full((runs, 1), half)},
        {"blocks": {"step": np.array([1]), "power": np.full((runs, 1, 1), 5 * half)}},
        {"depth": group.cell.depth, "seconds": 1},
    )


def contents(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != "lock" and layout.DAMAGED not in file.parts
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A directory with two finished groups, and a third with two checkpoints."""
    path = tmp_path_factory.mktemp("sound") / "run"
    here = open_store(path)
    with here.opened(HERE, pytest.fail):
        add(here, SHALLOW)
        add(here, MIDDLE)
        for step in (1, 2):
            here.save(DEEP, step, {"x": np.full(50, step)})
    return path


def rot(path, chance):
    """Flips a bit of a file, or cuts it off somewhere."""
    content = bytearray(path.read_bytes())
    if chance.random() < 0.8:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        del content[chance.randrange(len(content)) :]
    path.write_bytes(content)


@pytest.mark.parametrize(
    "count",
    [
        100,
        pytest.param(1000, marks=pytest.mark.slow),
        pytest.param(10_000, marks=pytest.mark.long),
    ],
)
def test_rot_is_noticed_and_mended(sound, tmp_path, monkeypatch, count):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    whole, chance, path = contents(sound), random.Random(count), tmp_path / "run"
    names = [name for name in whole if name != layout.ENVIRONMENT]
    for _ in range(count):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(sound, path)
        name = chance.choice(names)
        rot(path / name, chance)
        said = []
        here = open_store(path)
        with here.opened(HERE, said.append):
            begun = here.checkpoints(said.append)
            finished = here.finished
            for group in (SHALLOW, MIDDLE):
                if not finished.issuperset(group.runs):
                    add(here, group)
        truth = name.startswith((layout.RECORDS, layout.CHECKPOINTS))
        assert len(said) == truth and all(f"{name} is damaged" in line for line in said)
        assert bool(list((path / layout.DAMAGED).glob("*"))) == truth
        if name.startswith(layout.RECORDS):
            assert len(finished) == 2
        if name.startswith(layout.CHECKPOINTS):
            assert begun[DEEP].step == (1 if name.endswith(".b.checkpoint") else 2)
            assert (begun[DEEP].arrays["x"] == begun[DEEP].step).all()
            del whole[name]
            assert contents(path) == whole
            whole = contents(sound)
        else:
            assert begun[DEEP].step == 2
            assert contents(path) == whole


@pytest.mark.slow
def test_a_report_never_shows_rotten_numbers(sound, tmp_path):
    chance, path = random.Random(0), tmp_path / "run"

    def read(path, say):
        results = Results(path, say)
        return [results.runs, results.history, results.readings("blocks")]

    expected = read(sound, pytest.fail)
    names = (layout.RESULTS, layout.HISTORY, f"blocks{layout.READINGS}")
    for number in range(200):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(sound, path)
        rot(path / names[number % 3], chance)
        said = []
        mended = read(path, said.append)
        assert len(said) == 1 and all(a.equals(b) for a, b in zip(mended, expected, strict=True))
    assert manifest.read(sound)
