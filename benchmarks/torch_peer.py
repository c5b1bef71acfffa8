"""Measures PyTorch, in an interpreter that has it, one request at a time.

Reads one request a line from standard input, as JSON, and answers with the seconds it took, so that
its caller, :class:`measuring.Torch`, can interleave it with other sides.  The fields of a request:

    what     "step": of one run, or of all runs by torch.func.vmap; "training": whole trainings of a
             plain and a residual run of each depth, halved; "convolution": one of 3x3, by its
             "pass"; or "forget": drops all that was measured, and its memory
    mode     "eager", "compile" (torch.compile, the network and its loss) or "vmap"; on CUDA also
             "graphs" (replays of one captured step) or "compile_graphs" (torch.compile with them)
    precision
             "float32", the default; "tf32": float32 numbers are multiplied as TensorFloat-32; or
             "bfloat16": network and loss are under torch.autocast, and parameters are float32
    depth or depths, shape (of an example), width (of dense layers), batch, steps, runs,
    measurements

The device is CUDA's if there is one.  A request that fails is answered with its "error", in one
line.
"""

import argparse
import contextlib
import functools
import gc
import json
import sys
import time

import torch
from torch.nn import functional
from torch_networks import Cifar, Dense, PlainBatchNorm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLASSES, EXAMPLES, MOMENTUM = 10, 1500, 0.9
#: The steps after the first before any is timed: torch.compile records its graphs in the second,
#: and a GPU's clock rises with work.
WARM_UP = 10 if DEVICE == "cuda" else 3
#: Whether float32 numbers may be multiplied as TensorFloat-32, by precision.
TF32 = {"float32": False, "tf32": True, "bfloat16": True}
#: The modes of torch.compile, by the modes of requests.
COMPILED = {"compile": "default", "compile_graphs": "reduce-overhead"}


def switch(request):
    """Sets the switches of the whole process for a request; other requests' may differ."""
    tf32 = TF32[request.get("precision", "float32")]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = len(request["shape"]) > 1


def autocast(request):
    """Returns the context of network and loss; its cache is off, as a captured step requires."""
    enabled = request.get("precision") == "bfloat16"
    return torch.autocast(DEVICE, torch.bfloat16, enabled=enabled, cache_enabled=False)


def data(shape):
    labels = torch.randint(0, CLASSES, (EXAMPLES,), device=DEVICE)
    return torch.randn(EXAMPLES, *shape, device=DEVICE), labels


def channels_last(x):
    """Returns images ``[count, height, width, channels]`` with PyTorch's axes; moves no data."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def network(depth, shape, width):
    if len(shape) == 1:
        return Dense(depth, width, *shape, CLASSES).to(DEVICE)
    return Cifar(depth, shape[-1], CLASSES).to(DEVICE, memory_format=torch.channels_last)


def batches(x, y, size):
    """Yields batches, shuffled in each epoch."""
    while True:
        order = torch.randperm(len(x), device=DEVICE)
        for start in range(0, len(x) - size + 1, size):
            rows = order[start : start + size]
            yield channels_last(x[rows]), y[rows]


def sgd(net, rate):
    return torch.optim.SGD(net.parameters(), rate, momentum=MOMENTUM, fused=DEVICE == "cuda")


def learner(request):
    """Returns a function that takes one step of one run on a batch, and the batches."""
    net, mode = network(request["depth"], request["shape"], request["width"]), request["mode"]
    optimizer = sgd(net, 0.001)

    def loss_of(x, y):
        with autocast(request):
            return functional.cross_entropy(net(x, 1.0), y)

    if mode in COMPILED:
        torch._dynamo.config.recompile_limit = 1000  # more than the requests compiled for
        loss_of = torch.compile(loss_of, fullgraph=True, dynamic=False, mode=COMPILED[mode])

    def learn(x, y):
        if mode == "compile_graphs":
            torch.compiler.cudagraph_mark_step_begin()
        loss_of(x, y).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # last: a captured step must begin without gradients

    return learn, batches(*data(request["shape"]), request["batch"])


def stepper(request):
    """Returns a function that takes one step of one run, as an ordinary loop would."""
    learn, each = learner(request)
    return lambda: learn(*next(each))


def replays(learn, each):
    """Yields after each step, a replay of the CUDA graph captured in the first call."""
    static = [part.clone() for part in next(each)]
    here, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(here)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):  # creates velocities, and lets cuDNN choose its algorithms
            learn(*static)
    here.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        learn(*static)
    while True:
        for old, new in zip(static, next(each), strict=True):
            old.copy_(new)
        graph.replay()
        yield


def replayer(request):
    """Returns a function that takes one step of one run by a CUDA graph."""
    return functools.partial(next, replays(*learner(request)))


def population_stepper(request):
    """Returns a function that takes one step of all runs of dense networks by torch.func.vmap."""
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
        with autocast(request):
            logits = torch.func.functional_call(nets[0], params, (x, weight))
            return functional.cross_entropy(logits, y)

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
    """Trains a whole run with a cosine schedule, measured on the training set as often as ours."""
    net = network(depth, request["shape"], request["width"])
    x, y = data(request["shape"])
    steps, each = request["steps"], batches(x, y, request["batch"])
    optimizer = sgd(net, 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for step in range(1, steps + 1):
        rows, labels = next(each)
        optimizer.zero_grad(set_to_none=True)
        with autocast(request):
            loss = functional.cross_entropy(net(rows, weight), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % -(-steps // request["measurements"]) == 0 or step == steps:
            with torch.no_grad(), autocast(request):
                logits = net(channels_last(x), weight)
                functional.cross_entropy(logits, y).item()
                (logits.argmax(1) != y).float().mean().item()


def convolver(request):
    """Returns a function that computes one convolution of images, or its kernel's gradient."""
    channels, made = request["shape"][-1], {"device": DEVICE}
    if request.get("precision") == "bfloat16":
        made["dtype"] = torch.bfloat16  # no conversions: in a network these are shared
    x = channels_last(torch.randn(request["batch"], *request["shape"], **made))
    kernel = torch.randn(channels, channels, 3, 3, **made)
    kernel = kernel.to(memory_format=torch.channels_last)
    if request["pass"] == "forwards":
        return lambda: functional.conv2d(x, kernel, padding=1)
    backwards, geometry = torch.ops.aten.convolution_backward, ([1, 1], [1, 1], [1, 1])
    mask = [False, True, False]  # of the gradients of input, kernel and bias
    return lambda: backwards(x, x, kernel, None, *geometry, False, [0, 0], 1, mask)


def timed(function, times):
    """Returns the mean seconds of several calls."""
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
    if request["mode"] in ("graphs", "compile_graphs") and DEVICE != "cuda":
        raise RuntimeError(f"{request['mode']} is for CUDA alone")
    makers = {"vmap": population_stepper, "graphs": replayer, "eager": stepper}
    return {**makers, **dict.fromkeys(COMPILED, stepper)}[request["mode"]]


def release():
    """Frees the memory of objects without references, as far as possible."""
    gc.collect()
    with contextlib.suppress(RuntimeError):  # the allocator refuses after a failed capture
        torch.cuda.empty_cache()


def stepped(request, known):
    """Measures a step or convolution, kept in ``known`` for later requests unless it fails."""
    key = json.dumps({**request, "steps": 0})
    begun, function = 0.0, known.pop(key, None)
    if not function:
        release()
        function = maker(request)(request)
        begun = timed(function, 1)
        timed(function, WARM_UP)
    seconds = timed(function, request["steps"])
    known[key] = function
    return {"seconds": seconds, "first": begun}


def measured(request, known):
    if request["what"] == "device":
        name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
        return {"device": name, "torch": torch.__version__}
    if request["what"] == "forget":
        known.clear()
        torch.compiler.reset()
        release()
        return {"seconds": 0.0}
    switch(request)
    if request["what"] == "training":
        kinds = [(depth, weight) for depth in request["depths"] for weight in (0.0, 1.0)]
        return {"seconds": timed(lambda: [train(request, *kind) for kind in kinds], 1) / 2}
    return stepped(request, known)


def answer(request, known):
    try:
        return measured(request, known)
    except Exception as error:  # of any kind: the next request may succeed
        message = " ".join(str(error).split())[:200]
        return {"error": f"{type(error).__name__}: {message}"}


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
