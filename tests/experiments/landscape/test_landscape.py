"""The study as its users run it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments import landscape
from experiments.lab.config.config import Config


@pytest.mark.parametrize("form", ["mapped", "packed"])
def test_forms_without_second_derivatives_are_refused(form):
    (problem,) = landscape.STUDY.problems(Config(convolution=form))
    assert f"--convolution={form}" in problem
    assert not [*landscape.STUDY.problems(Config(convolution="columns"))]


@pytest.mark.slow
def test_deep_plain_networks_lie_in_less_convex_places(tmp_path):
    flags = ["--depths=2,32", "--num_seeds=2", "--learning_rates=0.02", "--width=16"]
    flags += ["--examples=200", "--batch_size=50", "--steps=60"]
    command = [sys.executable, "-m", "experiments.landscape", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "landscape"
    lines, plane, curvatures, results, summary = (
        pd.read_csv(folder / f"{name}.csv")
        for name in (
            *(f"{table}.readings" for table in ("lines", "plane", "curvatures")),
            "results",
            "summary",
        )
    )
    runs = 2 * 2 * 2
    assert len(results) == runs and (lines.step == 60).all()
    assert [len(table) / runs for table in (lines, plane, curvatures)] == [122, 625, 9]
    middle = lines[lines.distance == 0].merge(results, on=["depth", "shortcut_weight", "seed"])
    assert len(middle) == 2 * runs
    np.testing.assert_allclose(middle.train_loss_x, middle.train_loss_y, rtol=1e-3)
    # Without blocks plain and residual networks are the same, and so are their directions.
    flat = lines[lines.depth == 2].pivot_table(
        index=["seed", "direction", "distance"], columns="shortcut_weight", values="train_loss"
    )
    np.testing.assert_allclose(flat[0.0], flat[1.0], rtol=1e-4)
    # They have one Hessian, so that what plain networks of 32 layers lack is theirs alone.
    found = summary.set_index(["depth", "shortcut_weight"])
    np.testing.assert_allclose(found.greatest[2, 0.0], found.greatest[2, 1.0], rtol=1e-3)
    assert found.excess[32, 0.0] > found.excess[32, 1.0]
    assert found.descent[32, 0.0] > found.descent[32, 1.0]
    assert "At 32 layers, plain and residual" in done.stdout
    for name in ("planes", "lines", "every_seed"):
        assert (folder / "figures" / f"{name}.svg").exists()
    assert "convex envelope" in (folder / "report.html").read_text()
