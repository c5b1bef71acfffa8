"""Runs the sections of ``on_gpu.py`` that launch whole studies or the tests."""

import concurrent.futures
import contextlib
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

IMAGE = (32, 32, 3)


def launch(study: str, *flags: str) -> tuple[float, str]:
    """Runs a study as a process; returns its seconds, and its exit status and last output."""
    command = [sys.executable, "-m", f"experiments.{study}", *flags]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    said = (done.stdout if done.returncode == 0 else done.stderr)[-2500:]
    return time.perf_counter() - start, f"status {done.returncode}\n{said}"


def smoke(section) -> None:
    """Times the quickest study, from start to figure."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, said = launch("degradation", "--preset=smoke", f"--workdir={folder}/smoke")
    section.add(study="smoke", seconds=seconds, status=said.splitlines()[0])
    print(said, flush=True)


def studies(section) -> None:
    few = ["--depths=2,8", "--num_seeds=2"] if section.quick else []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("default", "default, again"):
            here = [f"--compilation_cache={folder}/cache", f"--workdir={folder}/{name}"]
            seconds, said = launch("degradation", *few, *here)
            section.add(study=name, seconds=seconds)
            print(said, flush=True)
        for table in ("results.csv", "summary.csv", "timings.csv", "environment.json"):
            with contextlib.suppress(OSError):
                shutil.copy(f"{folder}/default/{table}", section.folder / f"default_{table}")
        images = np.random.RandomState(0).randint(0, 256, (50_000, *IMAGE), np.uint8)
        labels = np.arange(50_000, dtype=np.int32) % 10
        these = {"x_train": images, "y_train": labels, "x_test": images[:10_000]}
        np.savez(f"{folder}/images.npz", **these, y_test=labels[:10_000])
        flags = [f"--dataset={folder}/images.npz", "--compare=none", "--dry_run"]
        seconds, said = launch("degradation", "--preset=he2015_cifar10", *flags)
        section.add(study="he2015_cifar10, dry run", seconds=seconds)
        print(said, flush=True)
        quick = ["--depths=8", "--steps=6", "--num_seeds=1"] * section.quick
        flags = ["--preset=digits_conv", *quick, f"--workdir={folder}/digits_conv"]
        seconds, said = launch("degradation", *flags, f"--compilation_cache={folder}/cache")
        section.add(study="digits_conv", seconds=seconds, status=said.splitlines()[0])


def bits(section) -> None:
    """Runs each study whole, and killed after its first checkpoint and resumed, all in parallel."""
    kinds = {
        "dense": ["--depths=32", "--steps=1500", "--batch_size=64"],
        "convolutional": [
            "--family=cifar", "--dataset=digits", "--depths=14", "--steps=600", "--batch_size=64",
        ],
    }  # fmt: skip
    kinds = {"dense": ["--depths=32", "--steps=900"]} if section.quick else kinds
    shared = ["--num_seeds=2", "--learning_rates=0.05", "--compilation_cache=none"]
    shared += ["--checkpoint_seconds=0"]
    compared = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(8) as pool:
        for kind, flags in kinds.items():
            for switch in ("--deterministic", "--nodeterministic"):
                name = f"{kind} {switch}"
                whole, resumed = (pathlib.Path(folder, f"{name} {part}") for part in "ab")
                words = [*flags, *shared, switch]
                compared.append(pool.submit(compare_bits, section, name, words, whole, resumed))
        for future in compared:
            future.result()  # raises the exception of a thread that failed


def compare_bits(section, name: str, flags: list[str], whole, resumed) -> None:
    """Adds a row on whether a study killed and resumed has the same results as one that was not."""
    command = [sys.executable, "-m", "experiments.degradation", *flags]
    _, said = launch("degradation", *flags, f"--workdir={whole}")
    nowhere = subprocess.DEVNULL
    victim = subprocess.Popen([*command, f"--workdir={resumed}"], stdout=nowhere, stderr=nowhere)
    while victim.poll() is None and not list(resumed.glob("checkpoints/*")):
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    killed = victim.wait() == -signal.SIGKILL and not (resumed / "results.csv").exists()
    _, again = launch("degradation", *flags, f"--workdir={resumed}")
    tables = [each / "results.csv" for each in (whole, resumed)]
    there = all(map(pathlib.Path.exists, tables))
    same = there and len({table.read_bytes() for table in tables}) == 1
    section.add(study=name, killed=killed, resumed_to_same_bits=same)
    if not there:
        print(said, again, flush=True)


def tests(section) -> None:
    root = pathlib.Path(__file__).parent.parent
    command = [sys.executable, "-m", "pytest", "-o", "addopts=-q --import-mode=importlib"]
    command += ["-p", "no:cacheprovider", "-m", "not slow", "--numprocesses=12"]
    command += ["tests/resnet_jax/ops/test_forms.py" if section.quick else "tests/resnet_jax"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    lines = done.stdout.strip().splitlines()
    print("\n".join(line for line in lines if line.startswith(("FAILED", "E  ")))[-5000:])
    section.add(tests=lines[-1] if lines else done.stderr[-300:])
