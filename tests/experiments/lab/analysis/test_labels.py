import pytest

from experiments.lab.analysis import labels
from experiments.lab.config.variants import VARIANT_FIELDS
from experiments.lab.config.vocabulary import OF_VARIANTS


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("shortcut", "constant:0.5/1", "shortcut/branch × 0.5/1"),
        ("shortcut_schedule", "constant", "shortcuts kept"),
        ("warmup", "none", "no warm-up"),
        ("norm", "none", "norm none"),
        ("branch_scale", "depth:0.5", "depth-scaled, α = 0.5"),
        ("optimizer", "adam", "Adam"),
    ],
)
def test_values_have_words(field, value, words):
    assert labels.words(field, value) == words


@pytest.mark.parametrize("field", VARIANT_FIELDS)
def test_no_two_values_of_a_field_have_the_same_words(field):
    words = [
        labels.words(field, OF_VARIANTS[field].parse(name).text) for name in OF_VARIANTS[field]
    ]
    assert len(set(words)) == len(words) and max(map(len, words)) < 35
