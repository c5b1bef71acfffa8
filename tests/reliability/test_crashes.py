"""A crash at every point: each change that a study makes to its directory is recorded, and for
every prefix of them what a crash may leave is built and the study finished from there.

As SQLite tests its journal.  What is left is told by three models: everything done so far; only
what was synced, of files and of directories; or, torn, any part of what was not.
"""

import errno
import os
import pathlib
import random

import numpy as np
import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.store import layout
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.schema import MEASURES
from experiments.lab.store.store import Store
from experiments.lab.system import lock

CONFIG = Config(depths=(2, 4, 6, 8), num_seeds=1, learning_rates=(0.1,))
GROUPS = [Group(cell, tuple(grid.runs(CONFIG, cell))) for cell in grid.cells(CONFIG)]
STEPS = 4
MODELS = ["kept", "lost", *(f"torn {seed}" for seed in range(3))]


def trained(group: Group, value: int) -> int:
    """A training that is exact, and whose end tells whether a step was left out or done twice."""
    return (value * 1_000_003 + group.cell.depth) % 2**31


def study(path: pathlib.Path, done=lambda what: None) -> None:
    """A study in small: begins or goes on, saves at every step, and adds what comes out."""
    here = Store(path, "degradation", settings_of(CONFIG, "", ""), grid.all_runs(CONFIG))

    def refuse(line):
        raise AssertionError(f"a crash alone damaged something: {line}")

    with here.opened({"python": "3"}, refuse):
        begun = here.checkpoints(refuse)
        for group in GROUPS:
            if here.finished.issuperset(group.runs):
                continue
            step, value = 0, 0
            if group in begun:
                step, value = begun[group].step, int(begun[group].arrays["value"])
            while step < STEPS:
                step, value = step + 1, trained(group, value)
                if step < STEPS:
                    here.save(group, step, {"value": np.array(value)})
                    done(("saved", group, step))
            runs, number = len(group.runs), np.float64(value)
            end = {"steps": STEPS, "status": 0, "diverged_at": -1, "value": value}
            here.add(
                group,
                {name: np.full(runs, code, np.int32) for name, code in end.items()}
                | {name: np.full(runs, number % 1) for name in MEASURES},
                {"step": np.array([STEPS]), "value": np.full((runs, 1), number)},
                {"blocks": {"step": np.array([0]), "x": np.ones((runs, 1, 1))}},
                {"seconds": 1},
            )
            done(("added", group, STEPS))


class Recorder:
    """Lets changes of the file system through, and records them.

    Attributes:
      changes: each a tuple of its kind and what it is about; files are numbered as they are made.
      returned: how many changes there were when something was reported done, and what.
    """

    def __init__(self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
        self.root, self.changes, self.returned = root, [], []
        self._open: dict[int, tuple[str, int | None]] = {}
        self._files: dict[str, int] = {}
        self._count = 0
        for name in ("open", "write", "fsync", "close", "replace", "unlink", "mkdir"):
            monkeypatch.setattr(os, name, self._through(name, getattr(os, name)))

    def _through(self, name, real):
        def call(*arguments, **options):
            result = real(*arguments, **options)
            getattr(self, f"_{name}_")(result, *arguments)
            return result

        return call

    def _name(self, path) -> str | None:
        path = pathlib.Path(path) if isinstance(path, str | os.PathLike) else None
        ours = path is not None and path.is_relative_to(self.root) and path.name != lock.NAME
        return str(path.relative_to(self.root)) if ours else None

    def _open_(self, descriptor, path, flags=0, *_):
        name = self._name(path)
        if name is not None and flags & os.O_CREAT:
            self._count += 1
            self._files[name] = self._count
            self.changes.append(("create", name, self._count))
        if name is not None:
            self._open[descriptor] = name, self._files.get(name)

    def _write_(self, count, descriptor, content):
        if descriptor in self._open:
            self.changes.append(("write", self._open[descriptor][1], bytes(content[:count])))

    def _fsync_(self, _, descriptor):
        if descriptor in self._open:
            name, number = self._open[descriptor]
            self.changes.append(("sync", number) if number else ("sync directory", name))

    def _close_(self, _, descriptor):
        self._open.pop(descriptor, None)

    def _replace_(self, _, old, new):
        number = self._files.pop(self._name(old))
        self._files[self._name(new)] = number
        self.changes.append(("rename", self._name(old), self._name(new), number))

    def _unlink_(self, _, path, **__):
        if self._files.pop(self._name(path), None):
            self.changes.append(("unlink", self._name(path)))

    def _mkdir_(self, _, path, *__):
        if self._name(path) is not None:
            self.changes.append(("mkdir", self._name(path)))


def survivors(changes: list[tuple], model: str) -> tuple[list[str], dict[str, bytes]]:
    """The directories, and the files with their content, that are left after a crash."""
    chance = random.Random(model)
    survives = {
        "kept": lambda: True,
        "lost": lambda: False,
        "torn": lambda: chance.random() < 0.5,
    }[model.split()[0]]
    content: dict[int, bytes] = {}
    for number in {change[2] for change in changes if change[0] == "create"}:
        of_file = [
            change for change in changes if change[:2] in (("write", number), ("sync", number))
        ]
        synced = max((at for at, change in enumerate(of_file) if change[0] == "sync"), default=-1)
        whole = b"".join(change[2] for change in of_file[: synced + 1] if change[0] == "write")
        rest = b"".join(change[2] for change in of_file[synced + 1 :] if change[0] == "write")
        if rest and model.startswith("torn"):
            rest = rest[: chance.randrange(len(rest) + 1)] + bytes(chance.randrange(9))
        content[number] = whole + (rest if survives() else b"")

    def is_synced(at: int, name: str) -> bool:
        parent = str(pathlib.PurePath(name).parent)
        return ("sync directory", parent) in changes[at:]

    directories, names = [], {}
    for at, change in enumerate(changes):
        if change[0] not in ("create", "rename", "unlink", "mkdir"):
            continue
        if not is_synced(at, change[1]) and not survives():
            continue
        match change:
            case "create", name, number:
                names[name] = number
            case "rename", old, new, number:
                names.pop(old, None)
                names[new] = number
            case "unlink", name:
                names.pop(name, None)
            case "mkdir", name:
                directories.append(name)
    there = {".", *directories}
    files = {name: content[number] for name, number in names.items()}
    return directories, {
        name: text for name, text in files.items() if str(pathlib.PurePath(name).parent) in there
    }


def build(path: pathlib.Path, directories: list[str], files: dict[str, bytes]) -> None:
    path.mkdir()
    for name in directories:
        (path / name).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content)


def tables(path: pathlib.Path) -> list[bytes]:
    names = (layout.RESULTS, layout.HISTORY, f"blocks{layout.READINGS}", layout.CHECKSUMS)
    return [(path / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """An uninterrupted study's directory, and its recorder."""
    root = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as monkeypatch:
        recorder = Recorder(root, monkeypatch)
        study(root / "run", lambda what: recorder.returned.append((len(recorder.changes), what)))
    return root / "run", recorder


def kill_and_crash(recorded, point: int, root: pathlib.Path):
    """A history of two processes: one killed after so many changes, and one that finished."""
    _, first = recorded
    directories, files = survivors(first.changes[:point], "kept")
    build(root, directories, files)
    with pytest.MonkeyPatch.context() as monkeypatch:
        second = Recorder(root, monkeypatch)
        second.changes = first.changes[:point]
        for change in second.changes:
            match change:
                case "create", name, number:
                    second._files[name] = second._count = number
                case "rename", old, new, number:
                    second._files.pop(old)
                    second._files[new] = number
                case "unlink", name:
                    del second._files[name]
        second.returned = [(at, what) for at, what in first.returned if at <= point]
        study(root / "run", lambda what: second.returned.append((len(second.changes), what)))
    return root / "run", second


def check_crash(recorded, point: int, model: str, path: pathlib.Path) -> None:
    """Crashes after so many changes, looks what was lost, and finishes the study from there."""
    whole, recorder = recorded
    directories, files = survivors(recorder.changes[:point], model)
    build(path, directories, files)
    here = Store(path / "run", "degradation", settings_of(CONFIG, "", ""), grid.all_runs(CONFIG))
    before = [what for at, what in recorder.returned if at <= point]
    assert (path / "run").exists() or not before
    if (path / "run").exists():
        with here.opened({"python": "3"}, pytest.fail):
            finished, begun = here.finished, here.checkpoints(pytest.fail)
        for what, group, step in before:
            if what == "added":
                assert finished.issuperset(group.runs)
            elif not finished.issuperset(group.runs):
                assert begun[group].step >= step
    study(path / "run")
    assert tables(path / "run") == tables(whole)


@pytest.mark.slow
def test_no_crash_loses_or_doubles_a_result(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody pulls the plug in here
    points = range(len(recorded[1].changes) + 1)
    crashes = [(point, model) for point in points for model in MODELS]
    assert len(crashes) >= 1000
    for number, (point, model) in enumerate(crashes):
        check_crash(recorded, point, model, tmp_path / str(number))


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "cuts"), [(17, 7), pytest.param(7, 5, marks=pytest.mark.long)])
def test_nor_does_a_power_cut_after_a_kill(recorded, tmp_path, monkeypatch, kills, cuts):
    """After every so many changes: the next process sees what the killed one did not sync."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for point in range(2, len(recorded[1].changes), kills):
        folder = tmp_path / str(point)
        both = kill_and_crash(recorded, point, folder)
        for later in range(point, len(both[1].changes), cuts):
            check_crash(both, later, "lost", folder / str(later))


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_loses_nothing(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    whole, recorder = recorded
    writes = sum(change[0] == "write" for change in recorder.changes)
    real = os.write
    for most in range(writes):
        left = [most]

        def write(descriptor, content, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, content)

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            study(tmp_path / str(most))
        monkeypatch.setattr(os, "write", real)
        assert not list((tmp_path / str(most)).rglob("*.part"))
        study(tmp_path / str(most))
        assert tables(tmp_path / str(most)) == tables(whole)


@pytest.mark.parametrize("kind", ["sync", "sync directory"])
def test_the_models_notice_what_is_not_synced(recorded, tmp_path, monkeypatch, kind):
    """Without its syncs the same store does lose results, and the test above would see it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    whole, recorder = recorded
    careless = Recorder.__new__(Recorder)
    careless.changes = [change for change in recorder.changes if change[0] != kind]
    careless.returned = [
        (sum(change[0] != kind for change in recorder.changes[:at]), what)
        for at, what in recorder.returned
    ]
    # Of files a name is left without content, which is found damaged; of directories nothing is.
    lost = {"sync": "is damaged", "sync directory": "or not"}[kind]
    with pytest.raises((AssertionError, pytest.fail.Exception), match=lost):
        check_crash((whole, careless), len(careless.changes), "lost", tmp_path / "crash")
