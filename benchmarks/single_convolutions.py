"""Times single 3x3 convolutions of the CIFAR networks: our lowerings compared with PyTorch.

    python benchmarks/single_convolutions.py [--torch_python=PATH]

The shapes are those of the three stages for 32x32 and for 8x8 images, batch 128, stride 1.  The
passes are the forward pass (that to the input's gradient is the same, with a reversed kernel) and
the pass to the kernel's gradient.  A row a side, in milliseconds per convolution:

    direct, patches ...  our lowerings on CPU (resnet_jax.ops.forms), each in a compiled loop, one
                         run on each device at once; "chosen" is the lowering that networks use
    PyTorch              one run, channels last, with one thread and with all; for one thread the
                         milliseconds are divided by all cores, as if each ran one undisturbed

``ratio`` is relative to the chosen lowering, in the same rounds (above 1: slower); ``gflops``
counts the direct sum, so formulations with fewer operations can exceed the machine's rate.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from measuring import Report, Side, Torch, gemm, numbers, parser, seconds_of, torches

from experiments.lab.system import environment
from resnet_jax import runs_mesh
from resnet_jax.ops import convolution, forms, lowerings, winograd

BATCH, SIZE, MARGIN = 128, 3, (1, 1)
#: The intended seconds of one measurement of a side, and the operations per second by which the
#: number of PyTorch's calls is estimated.
LONG_ENOUGH, TYPICAL_RATE = 0.1, 1e11

Lowering = Callable[[jax.Array, jax.Array], jax.Array]


def forwards(x: jax.Array) -> dict[str, Lowering]:
    """Returns the lowerings of images with a kernel; the first is the one that networks use."""
    found = {
        "chosen": functools.partial(forms._on_cpu, stride=1, padding=MARGIN),
        "direct": functools.partial(lowerings.direct, stride=1, padding=MARGIN),
        "patches": functools.partial(lowerings.by_patches, stride=1, padding=MARGIN),
        "columns": lambda x, kernel: forms._in_chunks(
            lambda chunk: lowerings.by_columns(chunk, kernel, MARGIN), x, forms._CHUNK
        ),
        "Winograd": lambda x, kernel: forms._in_chunks(
            lambda chunk: winograd.convolve_3x3(chunk, kernel), x, forms._SMALL_CHUNK
        ),
    }
    if x.shape[1] <= 2:
        found["chosen"] = found["one matrix"] = convolution.convolve
    return found


def over_the_batch(x: jax.Array, dy: jax.Array) -> jax.Array:
    """Computes the weight gradient as a convolution, with channels and batch exchanged.

    It is no lowering of the library, since shifts are as fast or faster in whole steps.
    """
    dw = lowerings.direct(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3), 1, MARGIN)
    return dw.transpose(1, 2, 0, 3)


def to_the_kernel(x: jax.Array) -> dict[str, Lowering]:
    """Returns the lowerings of images with an output gradient; the first is networks' own."""
    shifts: Lowering = functools.partial(forms._taps_on_cpu, padding=MARGIN)
    found = {"chosen": shifts, "over the batch": over_the_batch, "shifts": shifts}
    if x.shape[1] <= 2:
        kernel = jnp.zeros((SIZE, SIZE, x.shape[-1], x.shape[-1]))
        gradient = lambda x, dy: jax.vjp(functools.partial(convolution.convolve, x), kernel)[1](dy)
        found["chosen"] = found["one matrix"] = lambda x, dy: gradient(x, dy)[0]
    return found


def looped(lowering: Lowering, x: jax.Array, other: jax.Array, times: int) -> Callable:
    """Returns a compiled loop of convolutions on each device.

    Forwards, each takes the result of the one before, to which the images are added to keep numbers
    from growing or vanishing.  In both passes, the compiler can take nothing out of the loop.
    """
    forwards = other.shape[0] == SIZE

    def body(_, carry):
        x, other, made = carry
        if forwards:
            return x, other, x + lowering(made, other)
        return jax.lax.optimization_barrier((x, other, made + lowering(x, other)))

    def several(x, other, made):
        return jax.lax.fori_loop(0, times, body, (x, other, made))

    made = x if forwards else jnp.zeros((SIZE, SIZE, x.shape[-1], x.shape[-1]))
    everywhere = PartitionSpec()
    program = jax.shard_map(
        several, mesh=runs_mesh(), in_specs=everywhere, out_specs=everywhere, check_vma=False
    )
    compiled = jax.jit(program).lower(x, other, made).compile()
    return lambda: compiled(x, other, made)


def side(name: str, lowering: Lowering, x: jax.Array, other: jax.Array, operations: float) -> Side:
    """Returns the side of a lowering of ours; its unit is a convolution, one a device at once."""
    once = looped(lowering, x, other, 1)
    seconds_of(once)
    times = max(1, int(LONG_ENOUGH / seconds_of(once)))
    several = looped(lowering, x, other, times)
    units = times * runs_mesh().size
    return Side(name, lambda: seconds_of(several) / units, operations)


def torch_side(torch: Torch, kind: str, shape: tuple[int, ...], operations: float) -> Side:
    request = {"what": "convolution", "pass": kind, "shape": shape, "batch": BATCH}
    request["steps"] = max(10, int(LONG_ENOUGH * TYPICAL_RATE / operations))
    share = torch.threads / environment.usable_cores() if torch.about["device"] == "cpu" else 1
    return torch.side(share, operations, "eager", **request)


def main() -> None:
    more = {"shapes": "32x16,16x32,8x64,8x16,4x32,2x64"}
    options = parser(__doc__, rounds=9, torch_python="", **more).parse_args()
    rounds = 3 if options.quick else options.rounds
    cases = [tuple(numbers(word.replace("x", ","))) for word in options.shapes.split(",")]
    peers = torches(options.torch_python)
    report = Report("single_convolutions", options.out, peers)
    for side_length, channels in cases[-1:] if options.quick else cases:
        shape = side_length, side_length, channels
        draw = lambda seed, *shape: jax.random.normal(jax.random.key(seed), shape)
        x, dy = draw(0, BATCH, *shape), draw(1, BATCH, *shape)
        kernel = draw(2, SIZE, SIZE, channels, channels) / (2 * SIZE * channels**0.5)
        operations = 2.0 * BATCH * side_length**2 * SIZE**2 * channels**2
        passes = {"forwards": (forwards(x), kernel), "to the kernel": (to_the_kernel(x), dy)}
        for kind, (named, other) in passes.items():
            sides = [side(name, each, x, other, operations) for name, each in named.items()]
            sides += [torch_side(torch, kind, shape, operations) for torch in peers]
            case = {"image": f"{side_length}x{side_length}", "channels": channels, "pass": kind}
            report.compare(case, [*sides, gemm()], rounds)
    report.finish()


if __name__ == "__main__":
    main()
