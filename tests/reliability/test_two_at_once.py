"""Many launches on one directory: exactly one owns it, and the others name it and leave."""

import signal
import time

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launches", "rounds"), [(6, 1), pytest.param(50, 20, marks=pytest.mark.long)]
)
def test_one_owner(new_study, launches, rounds):
    study = new_study()
    for _ in range(rounds):
        processes = [study.launch("--steps=1000000000") for _ in range(launches)]
        while sum(process.poll() is None for process in processes) > 1:
            time.sleep(0.1)
        (owner,) = (process for process in processes if process.poll() is None)
        for process in processes:
            if process is not owner:
                _, errors = process.communicate()
                assert process.returncode == 2 and errors.count("\n") == 1
                assert f"is in use by process {owner.pid} on" in errors
        owner.send_signal(signal.SIGTERM)
        owner.communicate()
        assert owner.returncode == 75
