"""Dry runs, as commands."""

import os
import pathlib

import jax
import numpy as np
import pytest

from experiments.degradation import main
from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.cost import estimates
from experiments.lab.cost.rates import Rate
from experiments.lab.data.datasets import Dataset
from experiments.lab.run import dryrun
from experiments.lab.system.lock import Lock
from resnet_jax import runs_mesh

pytestmark = pytest.mark.slow

FLAGS = ["--depths=4,8", "--num_seeds=2", "--learning_rates=0.1", "--steps=6", "--width=8"]
FLAGS += ["--compilation_cache=none"]  # it would be this process's from then on


class Depths(list):
    """Depths, and beside them the runs on each device that were measured."""


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """The depths, and runs, that rates are measured on, in the place of measuring them."""
    depths, tiles = Depths(), []
    depths.tiles = tiles

    def rate(self, cell, depth, tile):
        depths.append(depth)
        tiles.append(self._fitting(cell, tile))
        counts = self._experiment.counts(dryrun.dataclasses.replace(cell, depth=depth))
        return Rate(counts.multiply_adds, 0.001 * depth, 2.0)

    monkeypatch.setattr(dryrun._Probe, "_rate", rate)
    monkeypatch.setattr(estimates, "_users_rates", lambda: tmp_path / "rates")
    return depths


def told(capsys, workdir, *flags):
    status = main([*FLAGS, f"--workdir={workdir}", *flags])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def rows(text):
    words = [line.split() for line in text.splitlines()]
    return [line for line in words if line and (line[0].isdigit() or line[0] == "total")]


def everything(folder: pathlib.Path) -> dict:
    return {path: path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


def test_it_tells_what_a_study_takes_and_leaves_no_trace(capsys, tmp_path, probed):
    status, text, err = told(capsys, tmp_path / "study", "--dry_run")
    assert (status, err) == (0, "") and not (tmp_path / "study").exists()
    shallow, deep, total = rows(text)
    # 64·8 + 2·8·8 + 8·10 weights, and 4 scales and biases of 8 or 10
    assert shallow[:4] == ["4", "4", f"{512 + 128 + 80 + 6 * 8 + 10}", f"{512 + 128 + 80}"]
    steps = 6 + 7 * 1797 / 300
    assert float(shallow[4]) == pytest.approx(steps * 4 * 300 * 720, rel=0.05)
    assert deep[:2] == ["8", "4"] and total[:2] == ["total", "8"]
    assert "8 runs to train; about" in text and "measured now" in text and "trained" in text


def test_rates_are_measured_once(capsys, tmp_path, probed):
    told(capsys, tmp_path / "study", "--dry_run")
    assert probed == [8]
    _, text, _ = told(capsys, tmp_path / "study", "--dry_run", "--steps=600")
    assert probed == [8] and "kept from before" in text
    told(capsys, tmp_path / "study", "--dry_run", "--norm=layer,none")
    assert probed == [8] * 3


def test_a_variant_has_its_row(capsys, tmp_path, probed):
    _, text, _ = told(capsys, tmp_path, "--dry_run", "--norm=layer,none", "--depths=4")
    assert [row[:3] for row in rows(text)[:2]] == [["4", "layer", "4"], ["4", "none", "4"]]


def test_of_a_study_it_tells_what_is_left_and_mends_nothing(capsys, tmp_path, probed):
    folder = tmp_path / "study"
    assert told(capsys, folder, "--depths=4")[0] == 0
    (folder / "records" / "damaged.record").write_bytes(b"none")
    before = everything(folder)
    status, text, err = told(capsys, folder, "--dry_run", "--num_seeds=3")
    assert (status, err) == (0, "") and everything(folder) == before
    assert [row[:2] for row in rows(text)] == [["4", "2"], ["8", "6"], ["total", "8"]]
    assert "8 runs to train, 4 done before" in text
    status, text, _ = told(capsys, folder, "--dry_run", "--num_seeds=3", "--fresh")
    assert [row[:2] for row in rows(text)] == [["4", "6"], ["8", "6"], ["total", "12"]]
    status, text, _ = told(capsys, folder, "--dry_run", "--depths=4")
    assert status == 0 and "0 runs to train, 4 done before" in text


def test_another_study_is_refused_as_ever(capsys, tmp_path, probed):
    folder = tmp_path / "study"
    assert told(capsys, folder, "--depths=4")[0] == 0
    status, _, err = told(capsys, folder, "--dry_run", "--steps=7")
    assert status == 2 and "steps is 6 there, 7 here" in err and err.count("\n") == 1
    status, _, err = told(capsys, folder / "config.json", "--dry_run")
    assert status == 2 and err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_it_needs_neither_the_lock_nor_permission_to_write(capsys, tmp_path, probed):
    folder = tmp_path / "study"
    assert told(capsys, folder, "--depths=4")[0] == 0
    held = Lock(folder)
    folder.chmod(0o500)
    try:
        status, text, err = told(capsys, folder, "--dry_run")
    finally:
        folder.chmod(0o700)
        held.release()
    assert (status, err) == (0, "") and "4 done before" in text


def test_a_study_says_how_long_it_will_take_where_that_is_known(capsys, tmp_path, probed):
    told(capsys, tmp_path / "study", "--dry_run")
    _, _, err = told(capsys, tmp_path / "study", "--depths=4")
    assert "; about" in err.splitlines()[0]


def test_rates_are_measured(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(dryrun, "TIMED_SECONDS", 0.01)
    monkeypatch.setattr(estimates, "_users_rates", lambda: tmp_path / "rates")
    status, text, _ = told(capsys, tmp_path / "study", "--dry_run")
    assert status == 0 and "measured now" in text and "unknown" not in text
    (path,) = (tmp_path / "rates").iterdir()
    assert path.suffix == ".rate"


def test_vectorised_runs_are_measured_as_many_at_once(probed, capsys, tmp_path):
    """Four runs a cell on two devices; four a device where one follows the other."""
    assert told(capsys, tmp_path / "a", "--map=vmap", "--dry_run")[0] == 0
    assert set(probed.tiles) == {2}
    probed.tiles.clear()
    assert told(capsys, tmp_path / "b", "--map=map", "--dry_run")[0] == 0
    assert set(probed.tiles) == {4}


def test_fewer_are_measured_where_there_is_no_room_for_as_many(monkeypatch):
    config = Config(depths=(4,), width=8, batch_size=10, map="vmap")
    x, y = np.zeros((40, 6), np.float32), np.zeros(40, np.int32)
    mesh = runs_mesh(jax.devices()[:2])
    probe = dryrun._Probe(Experiment(config, Dataset(x, y, x, y, 3, "zeros"), mesh=mesh))
    (cell,) = grid.cells(config)
    assert probe._fitting(cell, 8) == 8
    monkeypatch.setattr(dryrun.memory, "needed_bytes", lambda _, runs, __: 2**62 * (runs > 4))
    assert [probe._fitting(cell, tile) for tile in (8, 3, 1)] == [2, 1, 1]
