"""The peer: PyTorch's side, for an interpreter that has it, asked for one measurement at a time.

Reads a request a line from standard input, as JSON, and answers with the seconds it took, so that
a caller can take turns with it; :class:`measuring.Torch` is that caller.  A request names

    what     "step", of one run, or of all of them by torch.func.vmap; or "training": whole, a plain
             and a residual run of each depth, halved; or "convolution": one of 3x3, by its "pass"
    mode     "eager", "compile" (torch.compile, the network and its loss) or "vmap"
    depth or depths, shape (of an example), width (of dense layers), batch, steps, runs,
    measurements

and the device is CUDA's where there is one.
"""

import argparse
import json
import sys
import time

import torch
from torch.nn import functional
from torch_networks import Cifar, Dense, PlainBatchNorm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLASSES, EXAMPLES, MOMENTUM, WARM_UP = 10, 1500, 0.9, 3


def data(shape):
    labels = torch.randint(0, CLASSES, (EXAMPLES,), device=DEVICE)
    return torch.randn(EXAMPLES, *shape, device=DEVICE), labels


def channels_last(x):
    """Images ``[count, height, width, channels]`` as PyTorch names their axes; nothing is moved."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def network(depth, shape, width):
    if len(shape) == 1:
        return Dense(depth, width, *shape, CLASSES).to(DEVICE)
    return Cifar(depth, shape[-1], CLASSES).to(DEVICE, memory_format=torch.channels_last)


def batches(x, y, size):
    """Shuffled anew each epoch."""
    while True:
        order = torch.randperm(len(x), device=DEVICE)
        for start in range(0, len(x) - size + 1, size):
            rows = order[start : start + size]
            yield channels_last(x[rows]), y[rows]


def stepper(request):
    """A function that takes one step of one run: as everybody's loop has it."""
    net = network(request["depth"], request["shape"], request["width"])
    loss_of = lambda x, y: functional.cross_entropy(net(x, 1.0), y)
    if request["mode"] == "compile":
        loss_of = torch.compile(loss_of)
    optimizer = torch.optim.SGD(net.parameters(), 0.001, momentum=MOMENTUM)
    each = batches(*data(request["shape"]), request["batch"])

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(*next(each)).backward()
        optimizer.step()

    return step


def population_stepper(request):
    """A function that takes one step of all runs, of dense networks, by ``torch.func.vmap``."""
    width, (features,) = request["width"], request["shape"]
    nets = [
        Dense(request["depth"], width, features, CLASSES, PlainBatchNorm).to(DEVICE)
        for _ in range(request["runs"])
    ]
    params, _ = torch.func.stack_module_state(nets)
    params = {name: value.detach() for name, value in params.items()}
    velocity = {name: torch.zeros_like(value) for name, value in params.items()}
    weights = torch.arange(len(nets), device=DEVICE) % 2.0  # plain, residual ...
    each = [batches(*data(request["shape"]), request["batch"]) for _ in nets]

    def loss_of(params, x, y, weight):
        return functional.cross_entropy(torch.func.functional_call(nets[0], params, (x, weight)), y)

    gradient_of = torch.func.vmap(torch.func.grad(loss_of))

    def step():
        nonlocal params, velocity
        x, y = (torch.stack(parts) for parts in zip(*map(next, each), strict=True))
        gradient = gradient_of(params, x, y, weights)
        with torch.no_grad():
            velocity = {name: MOMENTUM * velocity[name] + gradient[name] for name in params}
            params = {name: params[name] - 0.001 * velocity[name] for name in params}

    return step


def train(request, depth, weight):
    """One whole run by cosine's rate, measured on the training set as often as ours."""
    net = network(depth, request["shape"], request["width"])
    x, y = data(request["shape"])
    steps, each = request["steps"], batches(x, y, request["batch"])
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for step in range(1, steps + 1):
        rows, labels = next(each)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(net(rows, weight), labels).backward()
        optimizer.step()
        schedule.step()
        if step % -(-steps // request["measurements"]) == 0 or step == steps:
            with torch.no_grad():
                logits = net(channels_last(x), weight)
                functional.cross_entropy(logits, y).item()
                (logits.argmax(1) != y).float().mean().item()


def convolver(request):
    """A function that takes one convolution of images, forwards or to the kernel's gradient."""
    channels = request["shape"][-1]
    x = channels_last(torch.randn(request["batch"], *request["shape"], device=DEVICE))
    kernel = torch.randn(channels, channels, 3, 3, device=DEVICE)
    kernel = kernel.to(memory_format=torch.channels_last)
    if request["pass"] == "forwards":
        return lambda: functional.conv2d(x, kernel, padding=1)
    backwards, geometry = torch.ops.aten.convolution_backward, ([1, 1], [1, 1], [1, 1])
    mask = [False, True, False]  # of the gradients of input, kernel and bias
    return lambda: backwards(x, x, kernel, None, *geometry, False, [0, 0], 1, mask)


def timed(function, times):
    """Mean seconds of several calls."""
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(times):
        function()
    wait()
    return (time.perf_counter() - start) / times


def maker(request):
    if request["what"] == "convolution":
        return convolver
    return population_stepper if request["mode"] == "vmap" else stepper


def answer(request, known):
    if request["what"] == "device":
        name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
        return {"device": name, "torch": torch.__version__}
    if request["what"] == "training":
        kinds = [(depth, weight) for depth in request["depths"] for weight in (0.0, 1.0)]
        return {"seconds": timed(lambda: [train(request, *kind) for kind in kinds], 1) / 2}
    key = json.dumps({**request, "steps": 0})
    begun = 0.0
    if key not in known:
        known[key] = maker(request)(request)
        begun = timed(known[key], 1)
        timed(known[key], WARM_UP)
    return {"seconds": timed(known[key], request["steps"]), "first": begun}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    known = {}
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), known)), flush=True)


if __name__ == "__main__":
    main()
