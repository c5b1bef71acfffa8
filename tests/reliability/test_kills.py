"""Kill -9 at random moments: the same command finishes the study, to the same bits."""

import random
import time

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "seed"),
    [(15, 0), *(pytest.param(50, seed, marks=pytest.mark.long) for seed in (1, 2, 3, 4))],
)
def test_a_killed_study_ends_in_the_same_bits(whole, new_study, tmp_path, kills, seed):
    expected, seconds = whole
    chance = random.Random(seed)
    study, killed = new_study(), 0
    # In the long form some are killed as programs are written, in a cache that is cold.
    cold = (f"--compilation_cache={tmp_path}",) if kills > 15 else ()
    while killed < kills:
        process = study.launch(*cold)
        time.sleep(chance.uniform(0, seconds))
        killed += process.poll() is None
        process.kill()
        _, errors = process.communicate()
        assert "Traceback" not in errors and "damaged" not in errors
        if process.returncode == 0:  # it was quicker; another one, for the rest of the kills
            assert study.outcome() == expected
            study = new_study()
    study.finish()
    assert study.outcome() == expected


@pytest.mark.slow
def test_another_seed_ends_in_other_bits(whole, new_study):
    """The positive control: that bits are equal says something."""
    study = new_study()
    study.finish("--first_seed=1")
    other, (expected, _) = study.outcome(), whole
    assert all(other[name] != content for name, content in expected.items())
