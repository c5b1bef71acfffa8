"""Profiles a training step by the kinds of operations of the compiled program.

    python benchmarks/profile_step.py [--networks=dense-16,dense-64,dense-256,8x8-56,32x32-20]

Programs are compiled as in studies: dense ones of eight runs, width 64 and batch 128, and CIFAR
networks of two runs, batch 128, on random images.  A few steps run under JAX's profiler, and the
exclusive time of each operation, without those inside it, is summed by its kind:

    products             of matrices, and sums written as products or computed by the same library
    convolutions         those computed by XLA itself
    element by element   fusions of arithmetic
    moved                copies, slices, stacks read and written, padding, assembly of patches
    rest                 sorting, random numbers, and all operations of no kind above

``ms`` is processor time per step and run under the profiler, which adds some 0.3 μs an operation,
``share`` its share of all kinds, and ``calls`` the number of operations; the kind of a fusion is
that of the first word in its name.  ``step_ms`` is the same step without the profiler, times
devices; the rest of it, in no kind, is dispatch, waiting, and large operations that XLA splits and
gives to another thread, which the profiler does not see.  For the same reason, an XLA flag keeps
convolutions on the thread that calls them here.  ``at_gemm_ms`` is the time of the arithmetic at
the rate of GEMM-1024.
"""

import collections
import os
import pathlib
import re
import statistics
import tempfile
from collections.abc import Iterator

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402
from measuring import Report, gemm, parser  # noqa: E402
from populations import Trainee, random_data, settings  # noqa: E402

from resnet_jax import runs_mesh  # noqa: E402

BATCH, ROUNDS = 128, 5

#: The patterns of each kind; the first that matches the start of an operation's name counts.
KINDS = {
    "products": r"ynn_fusion|dot|custom-call",
    "convolutions": r"conv(?!ert)",
    "moved": r"(wrapped_|bitcast_)*(copy|transpose|dynamic|concat|pad|broadcast|slice|reverse)",
    "element by element": r".*fusion|(wrapped_|bitcast_)*(reduce|add|multiply|subtract|maximum)",
}
#: The names of operations that only contain or await others; those inside are counted separately.
_CONTAINERS = re.compile(r"while|call|conditional|ThunkExecutor|.*::|.*[$\[]|Wait")


def kind_of(name: str) -> str:
    return next((kind for kind, names in KINDS.items() if re.match(names, name)), "rest")


def own_times(folder: pathlib.Path) -> Iterator[tuple[str, float]]:
    """Yields the name and exclusive seconds of every operation that a profile recorded."""
    (file,) = folder.rglob("*.xplane.pb")
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        for line in plane.lines:
            if "XLAEigen" not in line.name:  # those threads run the operations
                continue
            events = sorted((e.start_ns, -e.duration_ns, e.name) for e in line.events)
            inside: list[tuple[float, int]] = []
            own: list[list] = []
            for start, minus, name in events:
                while inside and inside[-1][0] <= start:
                    inside.pop()
                if inside:
                    own[inside[-1][1]][1] += minus
                inside.append((start - minus, len(own)))
                own.append([name, -minus])
            yield from ((name, 1e-9 * each) for name, each in own)


def network(name: str) -> tuple[Trainee, int]:
    """Returns one of ``--networks``, and the number of steps of a call."""
    image, depth = name.split("-")
    if image == "dense":
        config = settings(int(depth), 8, 20, width=64, batch_size=BATCH, map="map")
        return Trainee(config, random_data((64,))), max(2, 320 // int(depth))
    side = int(image.split("x")[0])
    config = settings(int(depth), 2, 4, family="cifar", batch_size=BATCH, map="map")
    return Trainee(config, random_data((side, side, 3 if side > 8 else 1))), 4 if side <= 8 else 2


def profile(name: str, report: Report) -> None:
    trainee, steps = network(name)
    share = runs_mesh().size / trainee.runs  # of the devices, for one run
    wall = statistics.median(trainee.step_seconds(steps) for _ in range(ROUNDS)) * share
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            trainee.step_seconds(steps)
        times = list(own_times(pathlib.Path(folder)))
    seconds, calls = collections.Counter[str](), collections.Counter[str]()
    for operation, each in times:
        if not _CONTAINERS.match(operation):
            seconds[kind_of(operation)] += each / steps / trainee.runs
            calls[kind_of(operation)] += 1
    product = gemm()
    rate = product.operations / statistics.median(product.seconds() for _ in range(ROUNDS))
    ideal = 6 * trainee.counts.multiply_adds * BATCH / rate * runs_mesh().size
    for kind in (*KINDS, "rest"):
        report.add(
            {
                "network": name,
                "kind": kind,
                "ms": 1e3 * seconds[kind],
                "share": seconds[kind] / seconds.total(),
                "calls": round(calls[kind] / steps / trainee.runs),
                "step_ms": 1e3 * wall,
                "at_gemm_ms": 1e3 * ideal,
            }
        )


def main() -> None:
    networks = "dense-16,dense-64,dense-256,8x8-56,32x32-20"
    options = parser(__doc__, rounds=1, networks=networks).parse_args()
    report = Report("profile_step", options.out)
    for name in options.networks.split(",")[: 1 if options.quick else None]:
        profile(name, report)
    report.finish()


if __name__ == "__main__":
    main()
