"""Studies in processes of their own, for tests that kill them."""

import pathlib
import subprocess
import sys
import time

import pytest

#: Two cells, a few seconds in all, saved as often as can be.
FLAGS = (
    "--depths=2,6",
    "--num_seeds=2",
    "--width=8",
    "--learning_rates=0.1",
    "--steps=3000",
    "--checkpoint_seconds=0",
)

#: What an uninterrupted study and an interrupted one must have in common, to the bit.
OUTCOME = ("results.csv", "history.csv", "summary.csv", "figures/error_over_depth.svg")


class Study:
    """A study's command in a folder."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.workdir = folder / "runs" / "degradation"

    def launch(self, *flags: str) -> subprocess.Popen:
        """Starts it."""
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.degradation", *FLAGS, *flags],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *flags: str) -> str:
        """Runs it to its end; returns what it said."""
        process = self.launch(*flags)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "damaged" not in errors
        return errors

    def outcome(self) -> dict[str, bytes]:
        """The files that must not depend on interruptions."""
        return {name: (self.workdir / name).read_bytes() for name in OUTCOME}


@pytest.fixture
def new_study(tmp_path_factory):
    """Makes studies in new folders."""
    return lambda: Study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The outcome of a study that nobody interrupted, and the seconds that it takes.

    It is timed when its programs are compiled already, as others will find them.
    """
    Study(tmp_path_factory.mktemp("first")).finish()
    study = Study(tmp_path_factory.mktemp("whole"))
    start = time.monotonic()
    study.finish()
    return study.outcome(), min(time.monotonic() - start, 20.0)  # longer on a busy machine
