"""Compiled programs on disk: whose, where, whole, and not too many."""

import os
import subprocess
import sys

import platformdirs
import pytest

from experiments.lab.system import environment, programs
from experiments.lab.system.errors import UserError


@pytest.fixture
def users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    return tmp_path


@pytest.fixture
def entry(tmp_path):
    path = tmp_path / "jit_f-0123-cache"
    path.write_bytes(bytes(range(200)))
    programs.seal(tmp_path)
    return path


def test_they_lie_in_the_users_cache_where_only_its_owner_writes(users_cache):
    folder = programs.directory("")
    assert folder.is_relative_to(users_cache / "resnet_jax")
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert programs.directory("") == folder


def test_another_processor_has_other_ones(users_cache, monkeypatch):
    folder = programs.directory("")
    monkeypatch.setattr(environment, "processor_features", lambda: ["flags: fpu"])
    assert programs.directory("") != folder


def test_there_may_be_none(users_cache, monkeypatch, capsys):
    assert programs.directory("none") is None
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(users_cache / "own"))
    assert programs.directory("") is None
    assert not list(users_cache.iterdir()) and capsys.readouterr().err == ""


@pytest.mark.parametrize("home", ["file", "/proc/self/read-only", "~"])
def test_where_they_cannot_be_kept_it_goes_on_without(home, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    place = "~" if home == "~" else str(tmp_path / home)  # as of one who has no home
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: f"{place}/{name}")
    assert programs.directory("") is None
    assert capsys.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_where_others_write_nothing_is_loaded(mode, users_cache, capsys):
    folder = programs.directory("")
    folder.chmod(mode)
    assert programs.directory("") is None
    said = capsys.readouterr().err
    assert said.startswith("warning: ") and said.count("\n") == 1 and str(folder) in said


def test_what_another_owns_is_not_loaded(users_cache, monkeypatch, capsys):
    programs.directory("")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert programs.directory("") is None
    assert capsys.readouterr().err.startswith("warning: ")


def test_a_directory_that_was_asked_for_must_do(tmp_path):
    assert programs.directory(str(tmp_path / "new" / "one")).parent == tmp_path / "new" / "one"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--compilation_cache=.*file"):
        programs.directory(str(tmp_path / "file"))
    (tmp_path / "all").mkdir(mode=0o777)
    (tmp_path / "all").chmod(0o777)
    with pytest.raises(UserError, match="others may write"):
        programs.directory(str(tmp_path / "all"))


def test_what_is_whole_stays_and_looking_is_not_using(entry):
    os.utime(entry, ns=(1, entry.stat().st_mtime_ns))
    assert programs.remove_unsound(entry.parent) == 0
    assert entry.exists() and entry.stat().st_atime_ns == 1


@pytest.mark.parametrize("suffix", ["", ".sha256"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_what_differs_from_its_seal_is_removed(suffix, damage, entry):
    path = entry.with_name(entry.name + suffix)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "cut": content[:-1], "empty": b""}[damage])
    assert programs.remove_unsound(entry.parent) == 1
    assert not list(entry.parent.iterdir())


def test_what_a_killed_process_left_is_removed_in_silence(entry):
    (entry.parent / "jit_g-4567-cache").write_bytes(b"half of i")
    (entry.parent / "jit_h-89ab-cache.sha256").write_text("of nothing")
    (entry.parent / "jit_h-89ab-cache.sha256.1.part").write_text("half")
    assert programs.remove_unsound(entry.parent) == 0
    assert {path.name for path in entry.parent.iterdir()} == {entry.name, f"{entry.name}.sha256"}


def test_what_was_sealed_half_written_is_sealed_again(entry):
    entry.write_bytes(bytes(range(250)))
    programs.seal(entry.parent)
    assert programs.remove_unsound(entry.parent) == 0 and entry.exists()


def test_those_not_used_for_longest_go_first(tmp_path):
    for machine, name, used in (("a", "1", 30), ("b", "2", 10), ("b", "3", 20)):
        (tmp_path / machine).mkdir(exist_ok=True)
        path = tmp_path / machine / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, ns=(used, 0))
    programs.prune(tmp_path, most=300)
    assert len(list(tmp_path.glob("*/*-cache"))) == 3
    programs.prune(tmp_path, most=299)
    assert not (tmp_path / "b" / "2-cache").exists()
    programs.prune(tmp_path, most=100)
    assert [path.name for path in tmp_path.glob("*/*")] == ["1-cache"]


#: Compiles one function with two levels of optimisation, and says which of them it loaded.
PROGRAM = """
import pathlib, sys
from experiments.lab.system import programs, startup

programs.LEAST_SECONDS = 0.0
startup.import_jax(1, sys.argv[1])
import jax

for damaged in sys.argv[2:]:
    pathlib.Path(damaged).write_bytes(pathlib.Path(damaged).read_bytes()[:-9])
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
lowered = jax.jit(lambda x: jax.numpy.tanh(x @ x).sum()).lower(jax.ShapeDtypeStruct((9, 9), "f4"))
for level in "03":
    compiled = lowered.compile({"xla_backend_optimization_level": level})
    print([event.rpartition("_")[2] for event in events if event[-4:] in ("hits", "sses")])
    events.clear()
programs.seal_new()
"""


def launch(cache, *damaged):
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(cache), *map(str, damaged)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


@pytest.mark.slow
def test_jax_loads_them_and_compiles_what_it_cannot_read(tmp_path):
    # The same function with other options of the compiler is another program.
    assert launch(tmp_path) == (["['misses']", "['misses']"], "")
    assert launch(tmp_path) == (["['hits']", "['hits']"], "")
    one, other = sorted(tmp_path.glob("*/*-cache"))
    # Damaged between our look and JAX's, they are compiled, and replaced at the next launch.
    loaded, said = launch(tmp_path, one, other)
    assert "['hits']" not in loaded and said == ""
    loaded, said = launch(tmp_path)
    assert loaded == ["['misses']", "['misses']"] and "differ from their seals: 2" in said
    assert launch(tmp_path) == (["['hits']", "['hits']"], "")
    # Damaged before, they are removed before JAX could read them.
    one.write_bytes(one.read_bytes()[:-1] + b"?")
    loaded, said = launch(tmp_path)
    assert sorted(loaded) == ["['hits']", "['misses']"] and said.count("\n") == 1
