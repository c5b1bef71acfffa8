import pytest

from experiments.lab.config.config import Config
from experiments.lab.run.study import Study
from experiments.lab.store import layout

FLAGS = ["--depths=2", "--num_seeds=1", "--steps=2", "--width=4", "--learning_rates=0.1"]
FLAGS += ["--examples=100", "--batch_size=10"]


def fails(results):
    assert len(results.runs) == 2
    raise ValueError("a report that was not thought of")


@pytest.mark.slow
def test_whatever_happens_after_training_the_last_line_says_how_to_draw_again(tmp_path, capsys):
    study = Study("degradation", "Does it?", Config(), fails)
    assert study.main([*FLAGS, f"--workdir={tmp_path / 'run'}"]) == 70
    *_, line, last = capsys.readouterr().err.splitlines()
    assert "a report that was not thought of" in line
    assert last == (
        f"degradation: the results are safe in {tmp_path / 'run'}; "
        "the same command draws them again"
    )
    assert (tmp_path / "run" / layout.RESULTS).exists()
