import numpy as np
import pytest

from experiments.lab.analysis.verdicts import VERDICTS, Ends, verdict

SOUND = Ends(forward=1.0, backward=1.0, cosine=0.3, correlation=0.5, batch_norm=False)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "healthy"),
        ({"forward": 0.009}, "vanishing"),
        ({"backward": 0.009}, "vanishing"),
        ({"forward": 101}, "exploding"),
        ({"backward": 101}, "exploding"),
        ({"backward": 101, "batch_norm": True}, "BN-explosion"),
        ({"backward": 101, "forward": 101, "batch_norm": True}, "exploding"),
        ({"cosine": 0.951}, "angle collapse"),
        ({"correlation": 0.019}, "shattered"),
        ({"cosine": 0.951, "correlation": 0.019}, "angle collapse"),
        ({"backward": 99, "forward": 0.011, "cosine": 0.949, "correlation": 0.021}, "healthy"),
        ({"forward": np.inf}, "exploding"),
        ({"backward": np.nan}, "exploding"),
        ({"forward": 0.0, "backward": np.nan}, "vanishing"),
    ],
)
def test_each_criterion_at_its_border(change, expected):
    assert verdict(SOUND._replace(**change)) == expected


def test_the_first_that_is_met_is_given_and_all_have_a_name():
    worst = Ends(0.0, 1e6, 1.0, 0.0, True)
    assert verdict(worst) == VERDICTS[0]
    assert len(set(VERDICTS)) == 6
