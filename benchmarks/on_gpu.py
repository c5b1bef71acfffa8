"""Runs all GPU benchmarks and checks in one command of bounded time.

    python benchmarks/on_gpu.py [--seconds=480] [--sections=...] [--torch_python=PATH]

Each section is a separate process, ended when its share of the time is up; every row is printed
and written (``on_gpu.jsonl``) as soon as it is known, so that none is lost.  At the end all rows
are printed again and written as one JSON file with a description of the machine.  Nothing is chosen
here: docs/performance.md states the choices that followed.

    smoke         the quickest study, from start to figure
    bits          whether studies killed and resumed give the same bits, with and without
                  --deterministic, with no programs cached before
    tests         the library's quick tests
    resnet        a step of ResNet-20 and -56, 32x32, batch 128: forms, maps, precisions, PyTorch;
                  and a profile of the usual step
    dense         the same for dense networks of 64 and 256 layers, width 64
    studies       the default study and digits_conv as processes; a dry run of he2015_cifar10
    memory        predicted and peak bytes; 10,000 layers
    convolutions  single 3x3 convolutions of 32 runs in every form, and each of their gradients
    loops         a step in a loop whose number of iterations the compiler knows, or does not

Milliseconds are per step and run.  PyTorch trains one run after the other, in each of its fast
modes: eager, compiled, as CUDA graphs, and vectorised by ``torch.func.vmap``.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent

#: The sections in order of importance, and the share of the time that each may take.
SECTIONS = {
    "smoke": 25,
    "bits": 60,
    "tests": 60,
    "resnet": 105,
    "dense": 70,
    "studies": 75,
    "memory": 40,
    "convolutions": 30,
    "loops": 15,
}


def share(section: str, those_left: list[str], seconds: float) -> float:
    """Returns the seconds of a section, its share of those left for it and the sections after it.

    So all of them fit, and the time that one leaves goes to the others.
    """
    return seconds * SECTIONS[section] / sum(SECTIONS[name] for name in those_left)


def rows_of(path: pathlib.Path) -> list[dict]:
    """Returns the rows that sections have written so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def card() -> str:
    """Returns the driver's description of the card; ``none`` without a driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except OSError:
        return "none"


def run(section: str, seconds: float, options: argparse.Namespace) -> None:
    """Runs one section in a separate process session, which is killed when its time is up."""
    command = [sys.executable, str(HERE / "gpu_sections.py"), section, options.out]
    command += [f"--torch_python={options.torch_python}", *["--quick"] * options.quick]
    # Memory is not preallocated: PyTorch's process shares the card with ours.
    variables = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONUNBUFFERED": "1"}
    start = time.perf_counter()
    with (pathlib.Path(options.out) / f"{section}.log").open("w") as log:
        process = subprocess.Popen(command, env=variables, stderr=log, start_new_session=True)
        try:
            ended = f"status {process.wait(seconds)}"
        except subprocess.TimeoutExpired:
            ended = "its time was up"
        finally:
            subprocess.run(["pkill", "-9", "-s", str(process.pid)])
            process.wait()
    print(f"== {section}: {time.perf_counter() - start:.0f} s, {ended}", flush=True)
    if ended != "status 0":
        print(pathlib.Path(log.name).read_text()[-1500:], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=480, help="of all sections together")
    parser.add_argument(
        "--sections", default=",".join(SECTIONS), help="by default all; resnet:60 gives one 60 s"
    )
    parser.add_argument("--torch_python", default=sys.executable, help="of a Python that has it")
    parser.add_argument("--out", default="runs/on_gpu", help="by default runs/on_gpu")
    parser.add_argument("--quick", action="store_true", help="little of everything, on any device")
    options = parser.parse_args()
    out, start = pathlib.Path(options.out), time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    asked = dict(word.partition(":")[::2] for word in options.sections.split(","))
    names = list(asked)
    for index, section in enumerate(names):
        left = options.seconds - (time.perf_counter() - start)
        own = float(asked[section] or share(section, names[index:], left))
        run(section, max(min(own, left), 0.0), options)
    rows = rows_of(out / "on_gpu.jsonl")
    about = {"card": card(), "python": sys.version.split()[0], "rows": rows}
    (out / "on_gpu.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"\non_gpu, {about['card']}, {time.perf_counter() - start:.0f} s")
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
