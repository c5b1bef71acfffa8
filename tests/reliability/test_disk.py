"""A disk that is full, and one that cannot be written: one line, nothing lost."""

import os
import pathlib
import subprocess

import pytest

SPACE = "No space left on device"


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system of memory; skips where that is not allowed."""
    points = []

    def mount(options: str) -> pathlib.Path:
        point = tmp_path / f"mount {len(points)}"
        point.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("file systems cannot be mounted here")
        points.append(point)
        return point

    yield mount
    for point in points:
        subprocess.run(["umount", "-l", str(point)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("filled", [1_000_000, 820_000], ids=["training", "figures"])
def test_a_full_disk_stops_with_a_line_and_the_same_command_goes_on(
    whole, new_study, mounted, filled
):
    expected, _ = whole
    study = new_study()
    study.workdir = mounted("size=1m") / "run"
    filler = study.workdir.parent / "filler"
    filler.write_bytes(bytes(filled))
    process = study.launch(f"--workdir={study.workdir}")
    _, errors = process.communicate()
    # A last line tells where the results are, once there are some.
    assert process.returncode == 1 and SPACE in "".join(errors.splitlines()[-2:])
    assert "the same command goes on" in errors and "Traceback" not in errors
    filler.unlink()
    study.finish(f"--workdir={study.workdir}")
    assert study.outcome() == expected


def test_a_read_only_directory_is_refused_before_anything_is_compiled(new_study, mounted):
    study = new_study()
    process = study.launch(f"--workdir={mounted('ro,size=1m') / 'run'}")
    _, errors = process.communicate()
    assert process.returncode == 2 and errors.count("\n") == 1
    assert "no permission to write" in errors
