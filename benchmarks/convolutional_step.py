"""Times a training step of the CIFAR networks, compared with PyTorch and with stock Flax.

    python benchmarks/convolutional_step.py [--torch_python=PATH]

ResNet-20 and ResNet-56, images of 32x32x3 and 8x8x1, batch 128, momentum; a row a side, in
milliseconds per step of one run:

    ours, n runs         n runs in one compiled program, mapped as in studies on this platform
                         (map; on GPUs vmap, and map for comparison)
    PyTorch eager        channels last, all threads
    PyTorch compile      the same with network and loss under torch.compile
    stock Flax           one run, nn.Conv, nn.BatchNorm and a loop over blocks (stock_flax.py)
    GEMM-1024, triad     the machine's rate of operations, and its memory bandwidth

``ratio`` is relative to our first row, in the same rounds (above 1: slower than ours).  Stock Flax
is so slow on CPU that it takes part in only two rounds, at the depths of --stock_depths.
"""

from measuring import Report, Side, gemm, numbers, parser, torches, triad
from populations import Trainee, random_data, settings
from stock_flax import Stock

BATCH, CHUNK = 128, 4
#: The intended seconds of one measurement of a side, which takes at least one step.
LONG_ENOUGH = 1.0


def ours(depth: int, shape: tuple[int, ...], runs: int, how: str) -> Side:
    """Returns a side whose unit is a step of one run, its share of the step of a population."""
    fields = {"family": "cifar", "batch_size": BATCH, "map": how}
    trainee = Trainee(settings(depth, runs, CHUNK, **fields), random_data(shape))
    steps = max(1, min(CHUNK, int(LONG_ENOUGH / trainee.step_seconds(1))))
    return trainee.side(f"ours, {runs} run{'s' * (runs > 1)}, {how}", BATCH, 1 / runs, steps)


def main() -> None:
    more = {"depths": "20,56", "sides": "32,8", "runs": "2,1,8", "stock_depths": "20"}
    options = parser(__doc__, rounds=5, torch_python="", **more).parse_args()
    quick = options.quick
    rounds = 2 if quick else options.rounds
    depths, runs = numbers(options.depths), numbers(options.runs)
    images = [(side, side, 3 if side > 8 else 1) for side in numbers(options.sides)]
    cases = [(depth, shape) for depth in depths for shape in images]
    if quick:
        cases, runs = [(depths[0], images[-1])], runs[:2]
    peers = torches(options.torch_python)[-1:]
    report = Report("convolutional_step", options.out, peers)
    maps = ["vmap", "map"] if report.on_gpu else ["map"]
    machine = [gemm(), triad()]
    for depth, shape in cases:
        sides = [ours(depth, shape, count, how) for how in maps for count in runs]
        request = {"what": "step", "depth": depth, "shape": shape, "width": 0, "batch": BATCH}
        for torch in peers:
            operations = sides[0].operations
            sides += [
                torch.side(1, operations, mode, steps=2, **request) for mode in ("eager", "compile")
            ]
        if depth in numbers(options.stock_depths):
            stock = Stock(depth, shape, BATCH)
            take = lambda stock=stock: stock.seconds(1)
            sides.append(
                Side("stock Flax, 1 run", take, sides[0].operations, rounds=2, first=stock.first)
            )
        case = {"depth": depth, "image": "x".join(map(str, shape))}
        report.compare(case, [*sides, *machine], rounds)
    report.finish()


if __name__ == "__main__":
    main()
