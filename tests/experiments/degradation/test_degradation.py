"""The study as its users run it: processes, files and their contents."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

COLUMNS = [
    "family",
    "block",
    "depth",
    "shortcut_weight",
    "learning_rate",
    "seed",
    "steps",
    "status",
]
COLUMNS += ["train_loss", "train_error", "test_loss", "test_error"]
TABLES = ["results.csv", "history.csv", "summary.csv"]
FIGURES = ["error_over_depth", "loss_over_depth", "training_curves", "learning_rates"]

pytestmark = pytest.mark.slow


def study(folder: pathlib.Path, *flags: str, command: str = "degradation"):
    """Runs a command in a folder; returns the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "experiments", command, *flags],
        capture_output=True,
        text=True,
        cwd=folder,
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A folder where the smoke preset has run, and its process."""
    folder = tmp_path_factory.mktemp("smoke")
    done = study(folder, "--preset=smoke")
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "degradation", done


def test_results_hold_one_row_a_run(smoke):
    results = pd.read_csv(smoke[0] / "results.csv")
    assert set(COLUMNS) <= set(results)
    assert len(results) == 3 * 2 * 2 * 2  # depths, seeds, weights, rates
    keys = ["depth", "shortcut_weight", "learning_rate", "seed"]
    assert not results.duplicated(keys).any()
    for name in ("train_error", "test_error"):
        assert results[name].between(0, 1).all()
    assert (results.status == "healthy").all() and (results.steps == 40).all()
    # Depth 2 has no block, hence no shortcut: its plain and residual networks are one.
    shallow = results[results.depth == 2]
    plain, residual = (shallow[shallow.shortcut_weight == w].train_loss for w in (0, 1))
    np.testing.assert_array_equal(plain, residual)
    deep = results[results.depth == 8]
    assert deep.train_loss.nunique() == len(deep)


def test_history_is_tidy_and_ends_in_the_results(smoke):
    history = pd.read_csv(smoke[0] / "history.csv")
    keys = ["depth", "shortcut_weight", "learning_rate", "seed"]
    assert not history.duplicated([*keys, "step", "metric"]).any()
    assert history.step.unique().tolist() == [0, 7, 14, 21, 28, 35, 40]
    last = history[(history.step == 40) & (history.metric == "train_loss")]
    results = pd.read_csv(smoke[0] / "results.csv")
    joined = last.merge(results, on=keys)
    assert len(joined) == len(results)
    np.testing.assert_array_equal(joined.value, joined.train_loss)


def test_the_directory_explains_itself(smoke):
    manifest = json.loads((smoke[0] / "config.json").read_text())
    assert manifest["study"] == "degradation" and manifest["settings"]["width"] == 16
    environment = json.loads((smoke[0] / "environment.json").read_text())
    assert environment["packages"]["jax"] and environment["devices"] == ["cpu"] * len(
        environment["devices"]
    )
    own = os.environ.get("JAX_DEFAULT_MATMUL_PRECISION", "default")
    assert environment["matmul_precision"] == own and "xla_flags" in environment
    for name in FIGURES:
        png, svg = (smoke[0] / "figures" / f"{name}.{suffix}" for suffix in ("png", "svg"))
        assert png.read_bytes().startswith(b"\x89PNG") and "<svg" in svg.read_text()
    assert len(pd.read_csv(smoke[0] / "summary.csv")) == 6
    assert len(pd.read_csv(smoke[0] / "timings.csv")) == 3


def test_the_terminal_shows_the_same_numbers(smoke):
    out, summary = smoke[1].stdout, pd.read_csv(smoke[0] / "summary.csv")
    for error in summary.train_error:
        assert f"{100 * error:.2f}%" in out
    assert "networks" in out and "runs/degradation" in out
    assert "1,500 training" in smoke[1].stderr and "compiled in" in smoke[1].stderr


def test_the_same_command_again_gives_the_same_bits(smoke, tmp_path):
    again = study(tmp_path, "--preset=smoke", "--workdir=noch einmal")
    assert again.returncode == 0
    for name in [*TABLES, *(f"figures/{figure}.svg" for figure in FIGURES)]:
        assert (tmp_path / "noch einmal" / name).read_bytes() == (smoke[0] / name).read_bytes()
    other = study(tmp_path, "--preset=smoke", "--first_seed=1", "--workdir=other", "--depths=8")
    assert other.returncode == 0
    first = pd.read_csv(smoke[0] / "results.csv")
    second = pd.read_csv(tmp_path / "other" / "results.csv")
    keys = ["depth", "shortcut_weight", "learning_rate", "seed"]
    shared = first.merge(second, on=keys, suffixes=("", "_other"))  # seed 1, among other seeds
    assert len(shared) == 4
    np.testing.assert_array_equal(shared.train_loss, shared.train_loss_other)
    unshared = second[second.seed == 2].train_loss
    assert not set(unshared) & set(first.train_loss)


def test_a_finished_study_is_not_trained_again(smoke):
    folder = smoke[0].parent.parent
    before = (smoke[0] / "results.csv").read_bytes()
    again = study(folder, "--preset=smoke")
    assert again.returncode == 0 and "24 of them done before" in again.stderr
    assert "compiled" not in again.stderr
    assert (smoke[0] / "results.csv").read_bytes() == before


def test_other_settings_never_overwrite(smoke):
    before = {path: path.read_bytes() for path in smoke[0].rglob("*") if path.is_file()}
    refused = study(smoke[0].parent.parent, "--preset=smoke", "--steps=41")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "steps is 40 there, 41 here" in refused.stderr
    assert before == {path: path.read_bytes() for path in smoke[0].rglob("*") if path.is_file()}


def test_report_draws_a_moved_and_half_finished_study_again(smoke, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("config.json", "results.csv", "history.csv"):
        text = (smoke[0] / name).read_text()
        lines = text.splitlines(keepends=True)
        half = [line for line in lines if not line.startswith("dense,dense,8,")]
        (moved / name).write_text("".join(half))
    done = study(tmp_path, "--workdir=moved", command="report")
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(moved / "summary.csv").depth.unique().tolist() == [2, 4]
    assert (moved / "figures" / "error_over_depth.png").exists()
    empty = study(tmp_path, "--workdir=nowhere", command="report")
    assert empty.returncode == 2 and "holds no study" in empty.stderr


@pytest.mark.long
def test_no_steps_measure_the_networks_as_initialised(tmp_path):
    done = study(tmp_path, "--steps=0", "--depths=4", "--num_seeds=2", "--width=8")
    assert done.returncode == 0, done.stderr
    results = pd.read_csv(tmp_path / "runs" / "degradation" / "results.csv")
    assert (results.steps == 0).all() and results.train_error.between(0.5, 1).all()
    history = pd.read_csv(tmp_path / "runs" / "degradation" / "history.csv")
    assert (history.step == 0).all()


def test_divergence_is_a_result(tmp_path):
    done = study(
        tmp_path,
        "--depths=8",
        "--num_seeds=2",
        "--steps=20",
        "--norm=none",
        "--learning_rates=1e6",
    )
    assert done.returncode == 0, done.stderr
    results = pd.read_csv(tmp_path / "runs" / "degradation" / "results.csv")
    residual = results[results.shortcut_weight == 1]
    assert (residual.status == "diverged").all() and (residual.train_error == 1).all()
    assert residual.diverged_at.between(0, 19).all() and np.isinf(residual.train_loss).all()
    assert "diverged" in done.stdout


@pytest.mark.parametrize(
    "flags",
    [
        (
            "--norm=layer,none",
            "--init=orthogonal,zero_last",
            "--optimizer=adam",
            "--precision=bfloat16",
            "--remat=block",
        ),
        pytest.param(
            ("--order=pre_activation", "--branch_scale=learned", "--optimizer=adamw", "--map=vmap"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            ("--dataset=spirals:1", "--optimizer=nesterov", "--schedule=warmup_cosine"),
            marks=pytest.mark.long,
        ),
    ],
)
def test_every_option_trains(tmp_path, flags):
    done = study(
        tmp_path,
        *flags,
        "--depths=4",
        "--num_seeds=2",
        "--width=8",
        "--steps=60",
        "--learning_rates=0.01",
        "--weight_decay=1e-4",
        "--shortcut_weights=0.5,1",
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "degradation"
    history = pd.read_csv(folder / "history.csv")
    curves = ["norm", "shortcut_weight", "seed"]
    loss = history[history.metric == "train_loss"].groupby(["step", *curves]).value.mean()
    assert (loss.loc[60] < loss.loc[0]).all()
    warned = "--precision=bfloat16 makes nothing faster on a CPU" in done.stderr
    assert warned == ("--precision=bfloat16" in flags)


def test_an_interrupt_keeps_finished_cells(tmp_path):
    flags = ["--depths=2,64", "--num_seeds=2", "--steps=2000", "--shortcut_weights=1"]
    command = [sys.executable, "-m", "experiments.degradation", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("depth 2:"):
                while not list(tmp_path.glob("runs/degradation/results.csv")):
                    time.sleep(0.1)  # until it is kept; the next cell compiles or trains
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 75
    assert rest == "degradation: interrupted; the same command goes on from here\n"
    results = pd.read_csv(tmp_path / "runs" / "degradation" / "results.csv")
    assert results.depth.unique().tolist() == [2]


TINY = ("--width=8", "--steps=30", "--shortcut_weights=1,0")


def test_more_seeds_depths_and_rates_extend_a_study_to_the_same_bits(tmp_path):
    less = ("--depths=4", "--num_seeds=1", "--learning_rates=0.1")
    more = ("--depths=2,4", "--num_seeds=2", "--learning_rates=0.1,0.05")
    assert study(tmp_path, *TINY, *less, "--workdir=grown").returncode == 0
    grown = study(tmp_path, *TINY, *more, "--workdir=grown")
    assert grown.returncode == 0 and "16 runs (2 of them done before)" in grown.stderr
    assert study(tmp_path, *TINY, *more, "--workdir=at once").returncode == 0
    for name in TABLES:
        assert (tmp_path / "grown" / name).read_bytes() == (
            tmp_path / "at once" / name
        ).read_bytes()
    fewer = study(tmp_path, *TINY, *less, "--workdir=grown")
    assert fewer.returncode == 2 and "not narrowed" in fewer.stderr
    fresh = study(tmp_path, *TINY, *less, "--workdir=grown", "--fresh")
    assert fresh.returncode == 0 and fresh.stdout.strip().endswith("grown-2")
    assert len(pd.read_csv(tmp_path / "grown-2" / "results.csv")) == 2


@pytest.mark.optimized
def test_a_cell_without_memory_is_recorded_and_the_others_go_on(tmp_path):
    flags = ("--depths=2,1000", "--num_seeds=2", "--learning_rates=0.01", "--shortcut_weights=1")
    flags += ("--steps=1", "--batch_size=1500")
    poor = (
        "import resource, sys; from experiments.degradation import main;"
        "resource.setrlimit(resource.RLIMIT_DATA, (10**9, resource.RLIM_INFINITY));"
        f"sys.exit(main({list(flags)}))"
    )
    command = [sys.executable, "-c", poor]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    line = "degradation: depth 1000: 2 runs have no results: there was not enough memory"
    assert done.stderr.splitlines()[-1].startswith(line)
    folder = tmp_path / "runs" / "degradation"
    assert pd.read_csv(folder / "results.csv").depth.unique().tolist() == [2]
    assert "Depth 1000: 2 runs have no results" in (folder / "report.html").read_text()
    again = study(tmp_path, *flags)
    assert again.returncode == 3 and "compiled" not in again.stderr  # it is not tried in vain
    mended = study(tmp_path, *flags, "--retry_failed")
    assert mended.returncode == 0 and len(pd.read_csv(folder / "results.csv")) == 4


BROKEN = """
import sys
import flax.linen as nn
from experiments import degradation

class Broken(nn.Module):
    width: int
    blocks: int
    parts: object

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        return self.parts.no_such_thing(a)

sys.exit(degradation.main(block=Broken))
"""


def test_what_is_wrong_with_a_block_is_one_line_without_debug(tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    command = [sys.executable, "broken.py", "--depths=4"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "AttributeError in broken.py:13" in done.stderr and "no_such_thing" in done.stderr
    assert done.stderr.startswith("degradation: your block Broken fails")
    shown = subprocess.run([*command, "--debug"], capture_output=True, text=True, cwd=tmp_path)
    assert shown.returncode == 1 and "return self.parts.no_such_thing(a)" in shown.stderr


@pytest.mark.long
@pytest.mark.optimized
def test_a_thousand_layers_train_by_a_flag(tmp_path):
    done = study(
        tmp_path,
        "--depths=1000",
        "--num_seeds=2",
        "--learning_rates=0.01",
        "--shortcut_weights=1",
        "--steps=60",
    )
    assert done.returncode == 0, done.stderr
    history = pd.read_csv(tmp_path / "runs" / "degradation" / "history.csv")
    loss = history[history.metric == "train_loss"].groupby(["step", "seed"]).value.mean()
    assert (loss.loc[60] < 0.8 * loss.loc[0]).all()


@pytest.mark.optimized
def test_deep_plain_networks_are_worse_and_residual_ones_are_not(tmp_path):
    """The lecture's claim in small, by intervals of six seeds."""
    flags = ("--depths=16,64", "--num_seeds=6", "--learning_rates=0.03")
    done = study(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "runs" / "degradation" / "summary.csv")
    summary = summary.set_index(["kind", "depth"])
    plain, residual = summary.loc["plain"], summary.loc["residual"]
    assert plain.train_error_low.loc[64] > plain.train_error_high.loc[16]
    assert residual.train_error_high.loc[64] < 0.05 < plain.train_error_low.loc[64]


@pytest.mark.long
@pytest.mark.optimized
def test_the_default_study_shows_the_lectures_figure(tmp_path):
    done = study(tmp_path)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "runs" / "degradation" / "summary.csv")
    plain = summary[summary.kind == "plain"].set_index("depth")
    residual = summary[summary.kind == "residual"].set_index("depth")
    least = plain.train_error.idxmin()
    assert plain.index.min() < least < plain.index.max()  # an interior minimum
    assert plain.train_error_low.loc[64] > plain.train_error_high.loc[least]
    assert residual.train_error.loc[64] < 0.01 and residual.p_value.loc[64] < 0.05
    assert "Plain networks get worse with depth" in done.stdout
