import pytest

from experiments.lab.config.names import CHOICES, NUMBERS, canonical, check_name, split_name
from experiments.lab.system.errors import UserError


def test_numbers_after_a_name():
    assert split_name("shortcut", "A") == ("A", ())
    assert split_name("shortcut", "constant") == ("constant", (0.5, 0.5))
    assert split_name("shortcut", "constant:0/1") == ("constant", (0.0, 1.0))
    for wrong in ("constant:1", "A:1", "dropout:half", "dropout:nan", "constant:1/inf"):
        with pytest.raises(UserError):
            split_name("shortcut", wrong)


def test_one_name_may_mean_two_things():
    """A constant shortcut takes two numbers, and a constant schedule none."""
    assert canonical("shortcut", "constant") == "constant:0.5/0.5"
    assert canonical("shortcut_schedule", "constant") == "constant"
    with pytest.raises(UserError, match="takes none"):
        check_name("shortcut_schedule", "constant:0.5/0.5")


def test_all_that_takes_numbers_is_a_choice():
    for flag, names in NUMBERS.items():
        for name in names:
            assert name in CHOICES[flag]
            check_name(flag, name)
            assert canonical(flag, canonical(flag, name)) == canonical(flag, name) != name


def test_how_exactly_products_are_computed_is_a_choice():
    for name in ("default", "high", "highest"):
        check_name("matmul_precision", name)
    with pytest.raises(UserError, match="--matmul_precision=exact: .*highest"):
        check_name("matmul_precision", "exact")
