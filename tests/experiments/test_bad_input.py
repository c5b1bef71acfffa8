"""Users' mistakes: status 2, one line that names the flag, nothing written, no JAX imported.

Only what cannot fit into memory is found with JAX, which knows every network's shapes.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from experiments.lab.config import grid
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group
from experiments.lab.data import datasets
from experiments.lab.store import manifest
from experiments.lab.store.manifest import settings_of
from experiments.lab.store.schema import MEASURES
from experiments.lab.store.store import Store
from experiments.lab.system.lock import Lock

pytestmark = pytest.mark.slow  # a process each

ARRAYS = {
    "x_train": np.zeros((6, 3), np.float32),
    "y_train": np.array([0, 1, 2, 0, 1, 2]),
    "x_test": np.zeros((2, 3), np.float32),
    "y_test": np.array([0, 1]),
}


def archive(members: dict[str, bytes]) -> bytes:
    """A zip file of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return content.getvalue()


def npz_faults(folder: pathlib.Path) -> dict[str, str]:
    """Faulty files by name, and a word of the line that each deserves."""
    faults = {
        "missing_key": ({"x_test": None}, "lacks x_test"),
        "count": ({"y_train": np.array([0, 1])}, "2 labels for 6 examples"),
        "float_labels": ({"y_test": np.array([0.0, 1.0])}, "whole numbers"),
        "shape": ({"x_test": np.zeros((2, 4), np.float32)}, "differ in shape"),
        "flat": ({"x_train": np.zeros(6, np.float32)}, "x_train must hold numbers"),
        "empty": ({"x_test": np.zeros((0, 3)), "y_test": np.zeros(0, int)}, "x_test must hold"),
        "text": ({"x_test": np.array([["a"] * 3] * 2)}, "x_test must hold numbers"),
        "nan": ({"x_train": np.full((6, 3), np.nan)}, "not finite"),
        "beyond": ({"x_train": np.full((6, 3), 1e200)}, "beyond 1e30"),
        "negative": ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "labels from -1"),
        "unseen": ({"y_test": np.array([0, 3])}, "labels from 0 to 3"),
        "huge_label": ({"y_train": np.array([0, 1, 2, 0, 1, 10**9])}, "classes"),
        "one_class": ({"y_train": np.zeros(6, int), "y_test": np.zeros(2, int)}, "1 classes"),
        "pickle": ({"x_train": np.array([{}] * 6, object)}, "without pickles"),
    }
    words = {}
    for name, (change, word) in faults.items():
        arrays = {key: value for key, value in {**ARRAYS, **change}.items() if value is not None}
        np.savez(folder / f"{name}.npz", **arrays)
        words[f"{name}.npz"] = word
    whole = (folder / "count.npz").read_bytes()
    np.savez_compressed(folder / "packed.npz", **ARRAYS)
    packed = (folder / "packed.npz").read_bytes()
    np.savez(folder / "whole.npz", **ARRAYS)
    with zipfile.ZipFile(folder / "whole.npz") as file:
        members = {name: file.read(name) for name in file.namelist()}
    huge_header = members["x_test.npy"].replace(b"(2, 3)", b"(9999999999999, 3)")
    for name, content, word in (
        ("truncated", whole[:-30], "not a whole one"),
        ("no_zip", b"hello", "no .npz file"),
        ("no_bytes", b"", "no .npz file"),
        ("flipped", whole[:80] + b"\xff\xff\xff" + whole[83:], "cannot be read"),
        ("no_array", archive({**members, "x_test.npy": b"hello"}), "cannot be read"),
        ("huge_header", archive({**members, "x_test.npy": huge_header}), "promises 1"),
        ("packed_badly", packed[:-400] + b"\xff" * 20 + packed[-380:], ""),
    ):
        (folder / f"{name}.npz").write_bytes(content)
        words[f"{name}.npz"] = word
    return words | {"absent.npz": "no such file"}


def directories(folder: pathlib.Path) -> dict[str, tuple[list[str], str]]:
    """Directories that cannot be used as asked, by name: flags, and a word of the line."""
    arrays = datasets.load("digits")
    faults = {
        "changed": (Config(steps=7), "steps is 7 there, 300 here"),
        "narrowed": (Config(num_seeds=9), "num_seeds is 9 there, 8 here"),
        "in_use": (Config(), f"in use by process {os.getpid()} on"),
        "older": (Config(), f"its files have schema 2, and this version writes {manifest.SCHEMA}"),
    }
    for name, (config, _) in faults.items():
        path, settings = folder / name, settings_of(config, "", datasets.digest(arrays))
        runs = grid.all_runs(config)
        store = Store(path, "degradation", settings, runs)
        with store.opened({}, print):
            group = Group(runs[0].cell, tuple(run for run in runs if run.cell == runs[0].cell))
            runs, half = len(group.runs), np.float32(0.5)
            end = {"steps": 1, "status": 0, "diverged_at": -1}
            store.add(
                group,
                {name: np.full(runs, code, np.int32) for name, code in end.items()}
                | {name: np.full(runs, half) for name in MEASURES},
                {"step": np.array([1]), "loss": np.full((runs, 1), half)},
                {},
                {"seconds": 1},
            )
    about = json.loads((folder / "older" / "config.json").read_text())
    del about["sha256"]
    (folder / "older" / "config.json").write_text(json.dumps({**about, "schema": 2}))
    Lock(folder / "in_use").say()  # held for as long as this process lives
    return {name: ([f"--workdir={folder / name}"], word) for name, (_, word) in faults.items()}


FLAGS = {
    "--depth=4": "did you mean 'depths'",
    "--learning_rate=0.1": "did you mean 'learning_rates'",
    "--preset=smok": "did you mean 'smoke'",
    "depths=4": "is not a flag",
    "--depths": "give it one",
    "--depths=": "--depths is empty",
    "--depths=,": "--depths is empty",
    "--learning_rates=": "--learning_rates is empty",
    "--shortcut_weights=": "--shortcut_weights is empty",
    "--norm=": "--norm is empty",
    "--depths=four": "'four' is not a whole number",
    "--depths=4,7": "nearest are 6 and 8",
    "--depths=0": "the smallest has 2",
    "--depths=-4": "the smallest has 2",
    "--depths=8,8": "names 8 twice",
    "--num_seeds=0": "--num_seeds=0: take 1 or more",
    "--num_seeds=99999999999": "--num_seeds",
    "--first_seed=-1": "--first_seed",
    "--first_seed=2147483647": "--first_seed",
    "--learning_rates=0": "positive",
    "--learning_rates=0.1,-0.1": "positive",
    "--learning_rates=nan": "positive",
    "--learning_rates=inf": "positive",
    "--learning_rates=fast": "'fast' is not a number",
    "--learning_rates=1e-60": "positive",
    "--adaptive_share=0": "--adaptive_share=0: take a positive number",
    "--shortcut_weights=1e39": "no weight",
    "--learning_rates=0.1,0.1": "twice",
    "--shortcut_weights=nan": "no weight",
    "--width=-1": "--width=-1",
    "--steps=-1": "--steps=-1",
    "--steps=many": "many",
    "--batch_size=0": "--batch_size=0",
    "--batch_size=1": "--batch_size=1",
    "--batch_size=1501": "1500 training examples",
    "--weight_decay=-1": "--weight_decay",
    "--weight_decay=nan": "--weight_decay",
    "--optimizer=adamm": "did you mean 'adam'",
    "--schedule=linear": "known are constant",
    "--norm=batch,group": "--norm=group",
    "--order=pre-activation": "did you mean 'pre_activation'",
    "--order=original,original": "the same",
    "--branch_scale=two": "--branch_scale=two",
    "--init=xavier": "known are he",
    "--map=pmap": "did you mean",
    "--deepest_plain=-1": "--deepest_plain",
    "--dataset=fashion-mnist": "did you mean 'fashion_mnist'",
    "--dataset=cifar10 --data_dir=absent": "absent",
    "--dataset=digit": "did you mean 'digits'",
    "--dataset=spirals:0": "turns",
    "--dataset=spirals:many": "turns",
    "--flagfile=absent.flags": "no such file",
    "--flagfile=": "no such file",
    "--order=original,pre_activation --norm=batch,layer,none": "equally long",
    "--shortcut_weights=0 --deepest_plain=4": "leaves nothing",
    "--family=cifr": "did you mean 'cifar'",
    "--family=cifar --depths=20,21": "nearest are 20 and 26",
    "--family=cifar --depths=26 --block=bottleneck": "nearest are 20 and 29",
    "--family=cifar --depths=8 --dataset=spirals": "needs images",
    "--family=imagenet --depths=20": "known are 18, 34, 50, 101, 152",
    "--family=imagenet --depths=34 --block=bottleneck": "known are 50, 101, 152",
    "--block=bottleneck": "dense networks have blocks of their own",
    "--block=botleneck": "did you mean 'bottleneck'",
    "--width_factor=0": "--width_factor=0",
    "--shortcut=D": "known are A, B, C",
    "--shortcut=constant:1": "such as constant:0.5/0.5",
    "--shortcut=A:1": "takes none",
    "--shortcut=exclusive_gate:low": "such as exclusive_gate:-6",
    "--shortcut=dropout:1": "between 0 and 1",
    "--branch_scale=stochastic_depth:0": "between 0 and 1",
    "--branch_scale=fixup": "--norm=none",
    "--order=pre_activation,pre_activaton": "did you mean 'pre_activation'",
    "--augment=crop,rotate": "known are crop, flip, cutout",
    "--augment=crop --dataset=spirals": "needs images",
    "--augment=flip,flip": "names flip twice",
    "--data_dir=absent": "no files to look for",
    "--order=activation_before_addition --init=zero_last": "never learns",
    "--branch_scale=stochastic_depth": "--shortcut_weights=1",
    "--branch_scale=stochastic_depth --shortcut_weights=1 --shortcut_schedule=annealed": "is cut",
    "--shortcut=dropout,dropout:0.5": "the same",
    "--statistics=moving": "known are auto",
    "--compare=he2017": "did you mean",
    "--warmup=error:80": "take a fraction",
    "--warmup=0.8": "known are none, error",
    "--shortcut_schedule=anneal": "did you mean 'annealed'",
    "--branch_scale=depth:2": "between 0 and 1",
    "--optimizer=sgd,adam --norm=batch,layer,none": "equally long",
    "--warmup_depth=0": "--warmup_depth=0",
    "--holdout=-1": "--holdout=-1",
    "--holdout=1500": "--holdout=1500",
    "--examples=-1": "--examples=-1",
    "--examples=1501": "digits has 1500 to train on",
    "--checkpoint_seconds=-1": "--checkpoint_seconds=-1",
    "--checkpoint_seconds=nan": "--checkpoint_seconds=nan",
    "--fresh=perhaps": "fresh",
    "--retry": "did you mean 'retry_failed'",
    "--seeds=4": "there is no flag --seeds",
    f"--{'x' * 2000}=1": "thousand letters",
    "--dataset=nosuch/data.npz": "no such file",
    f"--workdir={'w' * 300}": "File name too long",
}

#: What JAX has to be asked; these come last, since it stays imported.
TOO_LARGE = {
    "--depths=1000000": "would fit",
    "--width=10000000": "it fits with no batch and no depth",
    "--depths=40000 --batch_size=1500": "--batch_size=",
}

#: The machine has 24 GiB, and all of them free: what is refused does not depend on what else runs.
SCRIPT = """
import contextlib, io, json, sys
from experiments.lab.system import memory
from experiments.degradation import main
memory.room = lambda devices=(): memory.Room(24 * 2**30, 24 * 2**30)
answers = []
for line in json.load(sys.stdin):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = main(line)
    answers.append([status, errors.getvalue(), "jax" in sys.modules])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What one process without JAX says to each mistake: {mistake: [status, text, jax, word]}."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "file").write_text("in the way")
    (folder / "other").mkdir()
    (folder / "other" / "thesis.tex").write_text("precious")
    lines = {text: (text.split(), word) for text, word in FLAGS.items()}
    for name, word in npz_faults(folder).items():
        lines[name] = ([f"--dataset={folder / name}"], word)
    for name in ("file", "file/below"):
        lines[name] = ([f"--workdir={folder / name}"], "a file is in the way")
    lines["other"] = ([f"--workdir={folder / 'other'}"], "holds no study")
    lines |= directories(folder)
    (folder / "beheld").mkdir()
    (folder / "beheld" / "config.json").write_text("\x1b[31m{" + "[" * 10_000)
    lines["beheld"] = ([f"--workdir={folder / 'beheld'}"], "holds no study")
    lines |= {text: (text.split(), word) for text, word in TOO_LARGE.items()}
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([arguments for arguments, _ in lines.values()]),
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    assert sorted(folder.rglob("*")) == before
    given = json.loads(done.stdout)
    return {name: (*answer, lines[name][1]) for name, answer in zip(lines, given, strict=True)}


OTHERS = ["absent.npz", "missing_key.npz", "count.npz", "float_labels.npz", "shape.npz", "flat.npz"]
OTHERS += ["empty.npz", "text.npz", "nan.npz", "negative.npz", "unseen.npz", "huge_label.npz"]
OTHERS += ["one_class.npz", "pickle.npz", "truncated.npz", "no_zip.npz", "no_bytes.npz"]
OTHERS += ["no_array.npz", "huge_header.npz", "packed_badly.npz", "beyond.npz"]
OTHERS += ["flipped.npz", "file", "file/below", "other", "beheld"]
OTHERS += ["changed", "narrowed", "in_use", "older"]


@pytest.mark.parametrize("mistake", [*FLAGS, *OTHERS, *TOO_LARGE])
def test_one_line_and_status_two(answers, mistake):
    status, text, jax_imported, word = answers[mistake]
    assert status == 2
    assert word in text
    assert text.startswith("degradation: ") and text.count("\n") == 1
    assert jax_imported == (mistake in TOO_LARGE)


def test_every_mistake_is_looked_at(answers):
    assert set(answers) == {*FLAGS, *OTHERS, *TOO_LARGE}


def test_memory_is_refused_with_the_figure(answers):
    assert "this machine has" in answers["--depths=1000000"][1]
