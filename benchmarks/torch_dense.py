"""The peer: the same dense trainings as an ordinary PyTorch loop, one run after the other.

A script of its own, for an interpreter that has PyTorch; it prints one JSON line a depth.
"""

import argparse
import json
import time

import numpy as np
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear_1, self.norm_1 = nn.Linear(width, width, bias=False), nn.BatchNorm1d(width)
        self.linear_2, self.norm_2 = nn.Linear(width, width, bias=False), nn.BatchNorm1d(width)

    def forward(self, a, shortcut_weight):
        z = torch.relu(self.norm_1(self.linear_1(a)))
        z = self.norm_2(self.linear_2(z))
        return torch.relu(z + shortcut_weight * a if shortcut_weight else z)


class Net(nn.Module):
    def __init__(self, depth, width, features, classes):
        super().__init__()
        self.stem, self.norm = nn.Linear(features, width, bias=False), nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(Block(width) for _ in range((depth - 2) // 2))
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x, shortcut_weight):
        a = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            a = block(a, shortcut_weight)
        return self.head(a)


def train(depth, weight, rate, arguments, x, y, steps, measurements):
    """One run, measured on the whole training set as often as ours."""
    net = Net(depth, arguments.width, x.shape[1], 10)
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    loss_of = nn.CrossEntropyLoss()
    errors = []
    for step in range(steps):
        start = step * arguments.batch % len(x)
        if start < arguments.batch:
            order = torch.randperm(len(x))
        rows = order[start : start + arguments.batch]
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(net(x[rows], weight), y[rows])
        loss.backward()
        optimizer.step()
        schedule.step()
        if measurements and (step + 1) % max(steps // measurements, 1) == 0:
            with torch.no_grad():
                logits = net(x, weight)
                loss_of(logits, y).item()
                errors.append((logits.argmax(1) != y).float().mean().item())
    return errors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--depths", default="2,4,8,16,32,64")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--measurements", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    random = np.random.RandomState(0)
    x = torch.from_numpy(random.randn(1500, 64).astype(np.float32))
    y = torch.from_numpy(random.randint(0, 10, 1500))
    for depth in map(int, arguments.depths.split(",")):
        train(depth, 1.0, 0.01, arguments, x, y, 3, 0)  # warm-up
        start = time.perf_counter()
        for weight in (0.0, 1.0):
            train(depth, weight, 0.01, arguments, x, y, arguments.steps, arguments.measurements)
        seconds = (time.perf_counter() - start) / 2
        print(json.dumps({"depth": depth, "seconds_per_run": seconds}), flush=True)


if __name__ == "__main__":
    main()
