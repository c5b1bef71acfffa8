"""Times a step of a dense population, compared with the machine's own rates and PyTorch.

    python benchmarks/dense_population.py [--torch_python=PATH]

Eight runs (4 seeds, plain and residual), width 64, batch 128, batch normalisation, momentum; a row
a side and depth, in milliseconds per step of all eight runs:

    ours, map / vmap     one compiled program, runs mapped one by one or vectorised
    PyTorch eager        an ordinary loop, one run after the other
    PyTorch compile      the same with network and loss under torch.compile
    PyTorch vmap         all runs at once, torch.func.vmap over torch.func.grad
    GEMM-1024, triad     the machine's rate of operations, and its memory bandwidth

PyTorch runs with one thread and with all.  ``ratio`` is relative to our first row, in the same
rounds (above 1: slower than ours); ``gigabytes_per_s`` counts weights and momenta, once a step.
"""

from measuring import Report, Side, Torch, gemm, numbers, parser, torches, triad
from populations import Trainee, random_data, settings

WIDTH, BATCH, RUNS, FEATURES = 64, 128, 8, 64
MODES = "eager,compile,vmap"


def torch_sides(torch: Torch, depth: int, modes: list[str], steps: int, ours: Side) -> list[Side]:
    """Returns a side for each mode, at one number of threads."""
    request = {"what": "step", "depth": depth, "shape": [FEATURES], "width": WIDTH, "batch": BATCH}
    request |= {"steps": steps, "runs": RUNS}
    units = {mode: 1 if mode == "vmap" else RUNS for mode in modes}
    return [torch.side(units[mode], ours.operations, mode, **request) for mode in modes]


def main() -> None:
    options = parser(
        __doc__, rounds=9, torch_python="", depths="16,64,256", modes=MODES
    ).parse_args()
    quick = options.quick
    depths = numbers(options.depths)[: 1 if quick else None]
    rounds, steps = (3, 5) if quick else (options.rounds, 20)
    peers = torches(options.torch_python)
    report = Report("dense_population", options.out, peers)
    dataset, machine = random_data((FEATURES,)), [gemm(), triad()]
    for depth in depths:
        ours = []
        for how in ("map", "vmap"):
            config = settings(depth, RUNS, 20, width=WIDTH, batch_size=BATCH, map=how)
            ours.append(Trainee(config, dataset).side(f"ours, {how}", BATCH, steps=steps))
        if report.on_gpu:
            ours.reverse()  # the map that studies use on GPUs comes first
        modes, fewer = options.modes.split(","), max(1, steps // 4)
        theirs = [
            side for peer in peers for side in torch_sides(peer, depth, modes, fewer, ours[0])
        ]
        report.compare({"depth": depth}, [*ours, *theirs, *machine], rounds)
    report.finish()


if __name__ == "__main__":
    main()
