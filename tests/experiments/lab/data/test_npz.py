import numpy as np
import pytest

from experiments.lab.config.config import Config
from experiments.lab.config.validation import validate_data
from experiments.lab.data import datasets, npz
from experiments.lab.system.errors import UserError


def save(path, labels, shape=(3,)):
    x = np.random.RandomState(0).randn(len(labels), *shape)
    with path.open("wb") as file:  # NumPy would add .npz to a name in capitals
        np.savez(file, x_train=x, y_train=np.asarray(labels), x_test=x[:2], y_test=labels[:2])
    return path


def test_classes_without_examples_are_told(tmp_path):
    *_, classes, about = datasets.load(str(save(tmp_path / "a.npz", [1, 2, 3, 4, 5] * 4)))
    assert classes == 6 and about == "a.npz (no examples of 1 of 6 classes: 0)"
    *_, about = datasets.load(str(save(tmp_path / "b.npz", [0, 1, 2] * 4)))
    assert about == "b.npz"


def test_examples_in_the_order_of_their_classes_lose_none_without_a_word(tmp_path):
    path = str(save(tmp_path / "a.npz", [*[0] * 10, *[1] * 10, *[2] * 10, *[3] * 10]))
    assert datasets.load(path, examples=30).about == "a.npz (no examples of 1 of 4 classes: 3)"
    with pytest.raises(UserError, match="the first 10 of .* have 1 of its 4 classes; take more"):
        datasets.load(path, examples=10)


def test_labels_that_are_no_numbering_are_refused(tmp_path):
    with pytest.raises(UserError, match="these 3 alone have examples; take two or more, numbered"):
        npz.read(save(tmp_path / "a.npz", [0, 17, 34] * 20))


def test_a_name_in_capitals_is_a_file_all_the_same(tmp_path):
    assert datasets.load(str(save(tmp_path / "DATA.NPZ", [0, 1] * 6))).classes == 2


@pytest.mark.parametrize("family", ["dense", "cifar", "imagenet"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_with_channels_first_are_refused(family, channels):
    config = Config(family=family, batch_size=5)
    with pytest.raises(UserError, match="channels first; transpose"):
        validate_data(config, (channels, 32, 32), 100)
    validate_data(config, (32, 32, channels), 100)
    validate_data(config, (32, 32), 100)


def test_three_numbers_a_side_are_no_channels():
    """Not every array of three axes is an image: three rows of a table, say."""
    validate_data(Config(batch_size=5), (3, 3, 3), 100)
    validate_data(Config(batch_size=5), (4, 6, 5), 100)
