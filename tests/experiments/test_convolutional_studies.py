"""Studies of the convolutional families, as their users run them."""

import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest


def study(folder: pathlib.Path, *flags: str) -> tuple[subprocess.CompletedProcess, pd.DataFrame]:
    """Runs a study in a folder; returns the finished process and its results."""
    command = [sys.executable, "-m", "experiments.degradation", *flags, "--workdir=run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done, pd.read_csv(folder / "run" / "results.csv")


def write_cifar10(formats, folder: pathlib.Path, records: int = 16) -> None:
    """The archive's files in small; the label is the brightest of ten columns of pixels."""
    random = np.random.RandomState(0)
    for name in [*(f"data_batch_{index}.bin" for index in range(1, 6)), "test_batch.bin"]:
        labels = random.randint(0, 10, records)
        images = random.randint(0, 100, (records, 32, 32, 3)).astype(np.uint8)
        images[np.arange(records), :, 3 * labels] += 120
        (folder / name).write_bytes(formats.cifar(images, labels))


@pytest.mark.long
def test_the_papers_preset_on_cifar_files(tmp_path, formats):
    write_cifar10(formats, tmp_path)
    flags = ["--preset=he2015_cifar10", "--data_dir=.", "--depths=20", "--num_seeds=2"]
    flags += ["--steps=6", "--batch_size=16", "--learning_rates=0.1", "--width=4"]
    flags += ["--holdout=20", "--warmup_depth=20", "--statistics=running"]
    done, results = study(tmp_path, *flags)
    assert len(results) == 2 * 2 and (results.status == "healthy").all()
    assert "60 training and 20 test examples" in done.stderr
    paper = pd.read_csv(tmp_path / "run" / "paper.csv")
    assert paper[paper.ours.notna()].depth.tolist() == [20, 20]
    assert done.stdout.count("not run") == len(paper) - 2
    assert "validation set of cifar10" in done.stdout
    assert "Not the paper's networks: --width=4." in done.stdout
    assert "held out" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--family=cifar", "--depths=11", "--block=bottleneck", "--shortcut=B"),
        pytest.param(
            ("--family=cifar", "--depths=8", "--norm=none", "--branch_scale=fixup"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            (
                "--family=imagenet",
                "--depths=18",
                "--order=pre_activation",
                "--shortcut=dropout:0.3",
            ),
            marks=pytest.mark.long,
        ),
    ],
)
def test_every_kind_of_network_trains_on_the_digits(tmp_path, flags):
    flags += ("--width=4", "--steps=40", "--num_seeds=2", "--learning_rates=0.02")
    flags += ("--shortcut_weights=1", "--optimizer=adam", "--augment=cutout")
    study(tmp_path, *flags)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    loss = history[history.metric == "train_loss"]
    curves = loss.groupby(["step", "shortcut", "branch_scale", "seed"]).value.mean()
    assert (curves.loc[40] < curves.loc[0]).all()


@pytest.mark.long
@pytest.mark.parametrize(
    "flags",
    [
        ("--depths=1202",),
        ("--depths=1001", "--block=bottleneck", "--order=pre_activation", "--shortcut=B"),
    ],
)
def test_a_thousand_convolutions_train_a_few_steps(tmp_path, flags, formats):
    write_cifar10(formats, tmp_path, records=4)
    flags += ("--family=cifar", "--dataset=cifar10", "--data_dir=.", "--batch_size=8")
    flags += ("--shortcut_weights=1", "--learning_rates=0.01", "--num_seeds=1", "--steps=2")
    _, results = study(tmp_path, *flags)
    assert np.isfinite(results.train_loss).all() and (results.gradient_norm > 0).all()


@pytest.mark.long
def test_convolutions_show_the_lectures_figure(tmp_path):
    """One depth of ``digits_conv``: 56 plain layers do not fit the digits, 56 residual ones do."""
    flags = ["--preset=digits_conv", "--depths=56", "--num_seeds=1", "--learning_rates=0.01"]
    _, results = study(tmp_path, *flags, "--steps=200")
    error = results.set_index("shortcut_weight").train_error
    assert error.loc[0.0].min() > 0.3 and error.loc[1.0].max() < 0.03
