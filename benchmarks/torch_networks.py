"""Defines dense and CIFAR networks as PyTorch users write them."""

import torch
from torch import nn
from torch.nn import functional


def joined(z, a, shortcut_weight):
    """Joins branch and shortcut; a weight that is a number gives plain or residual code."""
    if isinstance(shortcut_weight, torch.Tensor):
        return z + shortcut_weight * a
    return z + a if shortcut_weight else z


class PlainBatchNorm(nn.Module):
    """Normalises by the batch's statistics, without buffers, so that ``torch.func`` can map it."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        centred = x - x.mean(0)
        variance = (centred * centred).mean(0)
        return centred * (torch.rsqrt(variance + 1e-5) * self.weight) + self.bias


class DenseBlock(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        self.linear_1, self.norm_1 = nn.Linear(width, width, bias=False), norm(width)
        self.linear_2, self.norm_2 = nn.Linear(width, width, bias=False), norm(width)

    def forward(self, a, shortcut_weight):
        z = torch.relu(self.norm_1(self.linear_1(a)))
        z = self.norm_2(self.linear_2(z))
        return torch.relu(joined(z, a, shortcut_weight))


class Dense(nn.Module):
    def __init__(self, depth, width, features, classes, norm=nn.BatchNorm1d):
        super().__init__()
        self.stem, self.norm = nn.Linear(features, width, bias=False), norm(width)
        self.blocks = nn.ModuleList(DenseBlock(width, norm) for _ in range((depth - 2) // 2))
        self.head = nn.Linear(width, classes)
        he_normal(self)

    def forward(self, x, shortcut_weight):
        a = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            a = block(a, shortcut_weight)
        return self.head(a)


class CifarBlock(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm_1, self.norm_2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.stride, self.extra = stride, width - inputs

    def forward(self, a, shortcut_weight):
        z = torch.relu(self.norm_1(self.conv_1(a)))
        z = self.norm_2(self.conv_2(z))
        if self.stride > 1:
            a = functional.pad(a[:, :, :: self.stride, :: self.stride], (0,) * 5 + (self.extra,))
        return torch.relu(joined(z, a, shortcut_weight))


class Cifar(nn.Module):
    def __init__(self, depth, channels, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [16 * 2**stage for stage in range(3) for _ in range((depth - 2) // 6)]
        self.blocks = nn.ModuleList(
            CifarBlock(before, width, 1 if before == width else 2)
            for before, width in zip([16, *widths], widths, strict=False)
        )
        self.head = nn.Linear(64, classes)
        he_normal(self)

    def forward(self, x, shortcut_weight):
        a = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            a = block(a, shortcut_weight)
        return self.head(a.mean((2, 3)))


def he_normal(net):
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
