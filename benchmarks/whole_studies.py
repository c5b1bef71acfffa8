"""Times whole studies, as processes from start to figure, and the same trainings in PyTorch.

    python benchmarks/whole_studies.py [--torch_python=PATH]

The studies are the default one, and the preset digits_conv with one seed (--conv_seeds=4: the whole
preset, which takes long).  Rows of a study, in seconds:

    ours, cold / warm    with an empty cache of compiled programs, and with the cache filled by it
    PyTorch eager        an ordinary loop, one run after the other: two runs of each depth, plain
                         and residual, are trained and measured as ours are, and multiplied

``first_s`` is from the start of the process to the end of its first step.  PyTorch's time does not
include start-up, test set, tables and figures.  ``ratio`` is relative to the cold study.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from measuring import Report, Side, Torch, parser, torches

from experiments.lab.build.experiment import MEASUREMENTS
from experiments.lab.config.commandline import parse
from experiments.lab.config.config import Config

#: A program that runs a study and prints when its first step is done; its argument is the start,
#: by ``time.time()``.
PROGRAM = """
import sys, time
from experiments import degradation
from experiments.lab.run import study

start, told, import_jax = float(sys.argv.pop(1)), [], study.import_jax

def watched(compile_group):
    def compile_and_watch(*arguments, **options):
        compiled = compile_group(*arguments, **options)

        def advance(states, steps, measure):
            answer = compiled.advance(states, steps, measure)
            if steps and not told:
                told.append(time.time())
                print(f"first step {told[0] - start}", file=sys.stderr)
            return answer

        return compiled._replace(advance=advance)

    return compile_and_watch

def import_and_watch(*arguments, **options):
    import_jax(*arguments, **options)
    from experiments.lab.build import compilation
    compilation.compile_group = watched(compilation.compile_group)

study.import_jax = import_and_watch
sys.exit(degradation.main())
"""


class Study(NamedTuple):
    """Describes a study by its flags, and the shape of its examples."""

    name: str
    flags: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def config(self) -> Config:
        """Returns its configuration."""
        return parse(Config(), list(self.flags))


class Launches:
    """Launches a study again and again, with a cache of compiled programs."""

    def __init__(self, study: Study, folder: pathlib.Path):
        self._study, self._folder = study, folder
        self._cache, self._count = folder, 0
        self._first_steps: dict[str, list[float]] = {"cold": [], "warm": []}

    def side(self, kind: str) -> Side:
        """Returns the side of cold launches, or of warm ones, which need a cold one before."""
        first = lambda: statistics.median(self._first_steps[kind])
        return Side(f"ours, {kind}", lambda: self._seconds(kind), unit="study", first=first)

    def _seconds(self, kind: str) -> float:
        """Returns the seconds of a launch, from start to figure."""
        self._count += 1
        if kind == "cold":  # with a new, empty cache
            self._cache = self._folder / f"cache {self._count}"
        flags = [*self._study.flags, f"--workdir={self._folder / str(self._count)}"]
        variables = dict(os.environ)
        if hasattr(self._study.config, "compilation_cache"):
            flags.append(f"--compilation_cache={self._cache}")
        else:
            variables["JAX_COMPILATION_CACHE_DIR"] = str(self._cache)
            variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        command = [sys.executable, "-c", PROGRAM, str(time.time()), *flags]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{self._study.name}: {done.stderr}")
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("first step")]
        self._first_steps[kind].append(float(line.split()[-1]))
        return seconds


def torch_side(study: Study, torch: Torch) -> Side:
    """Returns the side of a loop over all runs of a study, computed from two of each depth."""
    config = study.config
    runs = config.num_seeds * len(config.shortcut_weights) * len(config.learning_rates)

    request = {"what": "training", "width": config.base_width(), "batch": config.batch_size}
    request |= {"shape": study.shape, "steps": config.steps, "measurements": MEASUREMENTS}
    return torch.side(runs, 0.0, "eager", "study", depths=config.depths, **request)


def compare(study: Study, peers: list[Torch], rounds: int, report: Report) -> None:
    """Measures a study, cold and warm, interleaved with its peers."""
    with tempfile.TemporaryDirectory() as folder:
        launches = Launches(study, pathlib.Path(folder))
        sides = [launches.side("cold"), launches.side("warm")]
        sides += [torch_side(study, torch) for torch in peers]
        report.compare({"study": study.name}, sides, rounds)


def main() -> None:
    more = {"studies": "default,digits_conv", "conv_seeds": "1"}
    options = parser(__doc__, rounds=1, torch_python="", **more).parse_args()
    seeds = f"--num_seeds={options.conv_seeds}"
    conv = f"digits_conv, {options.conv_seeds} of 4 seeds"
    studies = {
        "default": Study("default", (), (64,)),
        "digits_conv": Study(conv, ("--preset=digits_conv", seeds), (8, 8, 1)),
    }
    peers = torches(options.torch_python)
    report = Report("whole_studies", options.out, peers, unit="s")
    for name in options.studies.split(","):
        study = studies[name]
        if options.quick:
            few = ("--depths=8", "--steps=12", "--num_seeds=1")
            study = study._replace(name=f"{name}, quick", flags=(*study.flags, *few))
        compare(study, peers, options.rounds, report)
    report.finish()


if __name__ == "__main__":
    main()
