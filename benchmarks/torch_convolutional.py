"""The peer: a training step of the CIFAR networks in PyTorch, eager, channels_last.

A script of its own, for an interpreter that has PyTorch.  For each line ``depth side channels`` on
standard input it prints the median seconds of a step, so that a caller can take turns with it.
"""

import argparse
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

REPEATS = 5


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm_1, self.norm_2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.stride, self.extra = stride, width - inputs

    def forward(self, a):
        z = torch.relu(self.norm_1(self.conv_1(a)))
        z = self.norm_2(self.conv_2(z))
        if self.stride > 1:
            a = functional.pad(a[:, :, :: self.stride, :: self.stride], (0,) * 5 + (self.extra,))
        return torch.relu(z + a)


def network(depth, channels):
    blocks, width = (depth - 2) // 6, 16
    layers = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    for stage in range(3):
        for index in range(blocks):
            outputs = 16 * 2**stage
            layers.append(Block(width, outputs, 2 if stage and not index else 1))
            width = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def steps(depth, side, channels, batch):
    """An endless generator of the seconds that single steps took."""
    net = network(depth, channels)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    x = torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))
    while True:
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        yield time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    known = {}
    for line in sys.stdin:
        key = tuple(map(int, line.split()))
        if key not in known:
            known[key] = steps(*key, arguments.batch)
            for _ in range(3):  # warm-up
                next(known[key])
        print(statistics.median(next(known[key]) for _ in range(REPEATS)), flush=True)


if __name__ == "__main__":
    main()
