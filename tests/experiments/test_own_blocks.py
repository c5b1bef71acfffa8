"""A user's own block gets every study; those that are not here are tested with one."""

import pandas as pd
import pytest

TINY = ("--num_seeds=2", "--width=8", "--steps=4", "--examples=120")
FLAGS = {
    "trainable_depth": ("--depths=4,6", "--norm=batch", "--order=original", "--branch_scale=one")
    + ("--init=he", "--warmup=none", "--learning_rates=0.05"),
    "depth_transfer": ("--depths=4,6", "--learning_rates=0.1,0.05,0.02", "--optimizer=adam")
    + ("--branch_scale=depth:0.5",),
    "landscape": ("--depths=6", "--learning_rates=0.05"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "study",
    [
        "trainable_depth",
        pytest.param("depth_transfer", marks=pytest.mark.long),
        pytest.param("landscape", marks=pytest.mark.long),
    ],
)
def test_every_study_takes_a_block_of_ones_own(study, tmp_path, with_own_block):
    with_own_block(study, *TINY, *FLAGS[study])
    folder = tmp_path / "runs" / study
    results = pd.read_csv(folder / "results.csv")
    assert (results.status == "healthy").all() and len(pd.read_csv(folder / "summary.csv"))
    assert "Mine" in (folder / "report.html").read_text()  # what was asked for
