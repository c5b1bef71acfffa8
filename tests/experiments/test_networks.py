"""The command that counts networks."""

import dataclasses
import re

import pytest

from experiments import networks
from experiments.lab.config.config import Config
from experiments.lab.config.variants import NETWORK_FIELDS
from experiments.networks import NetworksConfig


def told(capsys, *flags):
    status = networks.main(list(flags))
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.slow
def test_without_flags_the_papers_networks(capsys):
    status, out, _ = told(capsys)
    assert status == 0
    rows = {" ".join(line.split()) for line in out.splitlines()}
    for known in (
        "ResNet-20 20 cifar basic original A 32x32x3 269,722 0.27M 40,551,040",
        "ResNet-1202 1202 cifar basic original A 32x32x3 19,421,274 19.4M 2,829,238,912",
        "ResNet-50 50 imagenet bottleneck original B 224x224x3 25,557,032 3,857,973,248 3.8G",
    ):
        assert known in rows
    assert len([row for row in rows if re.match(r"(Res|WRN|plain)", row)]) == 17


def test_a_single_network_shows_its_layers(capsys):
    _, out, _ = told(capsys, "--family=cifar", "--depths=8", "--image=8,8", "--width=4")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    stem = lines.index(["stem", "1", "3x3x1x4", "8x8x4", f"{8 * 8 * 9 * 4:,}"])
    assert lines[stem + 1] == ["stage_1.stack.conv_1", "1", "3x3x4x4", "8x8x4", f"{64 * 144:,}"]
    assert ["head", "1", "16x10", "10", "160"] in lines


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--family=cifar", "--depths=21"], "nearest are 20 and 26"),
        (["--family=cifar", "--image=2,2"], "4,4 or more"),
        (["--image=8"], "give height,width"),
        (["--image=8,0"], "give height,width"),
        (["--classes=-3"], "--classes=-3"),
        (["--family=cifr"], "did you mean 'cifar'"),
        (["--steps=3"], "no flag --steps"),
    ],
)
def test_mistakes_are_one_line(capsys, flags, word):
    status, _, err = told(capsys, *flags)
    assert status == 2 and word in err and err.count("\n") == 1


def test_its_flags_are_those_of_a_study():
    study = {field.name: field.default for field in dataclasses.fields(Config)}
    here = {field.name: field.default for field in dataclasses.fields(NetworksConfig)}
    shared = set(here) & set(study) - {"depths", "family"}
    assert shared == {"block", "width", "width_factor", *NETWORK_FIELDS}
    assert all(here[name] == study[name] for name in shared)


def test_a_block_chooses_the_depths_it_has(capsys):
    _, out, _ = told(capsys, "--family=imagenet", "--block=basic", "--width_factor=2")
    rows = [line.split() for line in out.splitlines() if "imagenet" in line]
    assert [row[0] for row in rows] == ["18", "34"] and "width_factor" in out
    _, out, _ = told(capsys, "--family=dense")
    assert " dense " in out and "ResNet" not in out
