"""SIGTERM and Ctrl-C at random moments: out within seconds, with status 75 and one line."""

import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

LINE = "degradation: interrupted; the same command goes on from here"


def wait_until_it_listens(process) -> None:
    """Python itself takes a moment until the first line of ours can run."""
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(
            line.split()[1] for line in status.read_text().splitlines() if "SigCgt" in line
        )
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.long)])
def test_an_interrupted_study_leaves_soon_and_goes_on(whole, new_study, count):
    expected, seconds = whole
    chance = random.Random(count)
    study, interrupted = new_study(), 0
    while interrupted < count:
        process = study.launch()
        wait_until_it_listens(process)
        time.sleep(chance.uniform(0, seconds))
        number = (signal.SIGTERM, signal.SIGINT)[interrupted % 2]
        alive = process.poll() is None
        asked = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate()
        done = process.returncode in (0, -number)  # or Python itself was about to end
        if alive and not done:
            interrupted += 1
            assert time.monotonic() - asked < 5
            assert process.returncode == 75, errors
            assert errors.splitlines()[-1] == LINE and errors.count("interrupted") == 1
            assert "Traceback" not in errors
        if done:
            assert study.outcome() == expected
            study = new_study()
    study.finish()
    assert study.outcome() == expected


#: Compiled code that runs for a minute, from which Python's own handlers would wait.
LONG_STEP = """
import jax
from experiments.lab.system.interrupts import Interrupts
with Interrupts("left").heard() as interrupts:
    square = lambda _, x: jax.numpy.sin(x @ x)
    step = jax.jit(lambda n: jax.lax.fori_loop(0, n, square, jax.numpy.ones((800, 800))))
    step(1).block_until_ready()
    with interrupts.deferred():
        print("at it", flush=True)
        step(10_000).block_until_ready()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_interrupt_leaves_at_once(number):
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_STEP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "at it\n"
    process.send_signal(number)
    time.sleep(0.5)
    assert process.poll() is None  # the first one waits for the step
    process.send_signal(number)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (75, "left\n")


def test_outside_of_a_step_the_first_leaves_at_once():
    script = LONG_STEP.replace("with interrupts.deferred():", "if True:")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "at it\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (75, "left\n")
