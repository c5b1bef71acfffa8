"""The study as its users run it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments import depth_transfer


@pytest.mark.parametrize(
    ("flag", "mends"),
    [("--steps=0", "take 1 or more"), ("--learning_rates=0.1,0.05", "give three or more")],
)
def test_what_has_no_best_rate_is_refused(flag, mends, capsys):
    assert depth_transfer.main([flag]) == 2
    said = capsys.readouterr().err
    assert flag.partition("=")[0] in said and mends in said


@pytest.mark.slow
def test_best_rates_and_first_steps_over_depth(tmp_path):
    flags = ["--depths=6,10", "--num_seeds=2", "--learning_rates=0.4,0.1,0.01", "--width=8"]
    flags += ["--optimizer=momentum,adam", "--branch_scale=one,depth:1", "--steps=6"]
    command = [sys.executable, "-m", "experiments.depth_transfer", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "depth_transfer"
    results = pd.read_csv(folder / "results.csv")
    rates = results.groupby("optimizer").learning_rate.unique()
    np.testing.assert_allclose(rates["adam"], rates["momentum"] / 4)
    features = pd.read_csv(folder / "features.readings.csv")
    assert (
        sorted(features.step.unique()) == [1, 5] and (features.change[features.share > 0] > 0).all()
    )
    assert len(features) == 2 * 2 * 2 * 3 * 2 * 5
    slopes = pd.read_csv(folder / "slopes.csv")
    assert slopes.rate_theory[0] < slopes.rate_theory[1] < 0.1 and slopes.rate.notna().all()
    assert "Tuned at 6 layers and kept at 10" in done.stdout and "theory" in done.stdout
    for name in ("loss_over_rate", "best_rate", "feature_change"):
        assert (folder / "figures" / f"{name}.svg").exists()
