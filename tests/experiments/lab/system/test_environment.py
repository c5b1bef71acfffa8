"""What a study says of where it runs."""

import pathlib
import shutil
import subprocess

import pytest

from experiments.lab.system import environment


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A user's repository with a commit, in which this module lies as if it were installed."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    installed = tmp_path / ".venv" / "lib" / "environment.py"
    installed.parent.mkdir(parents=True)
    shutil.copy(environment.__file__, installed)
    (tmp_path / "own.py").write_text("")
    git(tmp_path, "init", "-q")
    commit(tmp_path, "own.py")
    monkeypatch.setattr(environment, "__file__", str(installed))
    return tmp_path


def git(folder: pathlib.Path, *arguments: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: pathlib.Path, name: str) -> None:
    git(folder, "add", "-f", name)
    git(folder, "commit", "-qm", name)


def test_the_revision_of_a_users_own_repository_is_none_of_ours(repository):
    assert environment._git_revision() is None
    commit(repository, ".venv/lib/environment.py")
    assert len(environment._git_revision()) == 40
    (repository / ".venv" / "lib" / "environment.py").write_text("# changed")
    assert environment._git_revision().endswith("-dirty")


def test_without_git_there_is_no_revision(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment._git_revision() is None


def test_whoever_has_no_home_has_no_cache(monkeypatch):
    def nobody(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_cache_dir", nobody)
    with pytest.raises(OSError, match="home"):
        environment.users_cache()
