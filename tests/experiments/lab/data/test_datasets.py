import sys

import numpy as np
import pytest

from experiments.lab.data import datasets
from experiments.lab.system.errors import UserError


def test_digits_are_split_and_standardised():
    data = datasets.load("digits")
    assert data.x_train.shape == (1500, 8, 8) and data.x_test.shape == (297, 8, 8)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int32
    np.testing.assert_allclose(data.x_train.mean(0), np.zeros((8, 8)), atol=1e-5)
    np.testing.assert_allclose(data.x_train.std(), 1, rtol=1e-5)
    # The first images are the digits 0 to 9 in order, and the test set is no part of training.
    np.testing.assert_array_equal(data.y_train[:10], np.arange(10))
    assert set(np.unique(data.y_test)) == set(range(10)) and data.classes == 10


def test_permuted_labels_keep_their_numbers_but_not_their_images():
    true, permuted = datasets.load("digits"), datasets.load("digits_random_labels")
    np.testing.assert_array_equal(true.x_train, permuted.x_train)
    np.testing.assert_array_equal(np.bincount(true.y_train), np.bincount(permuted.y_train))
    # Chance agreement is a tenth; five binomial deviations about it.
    agreement = (true.y_train == permuted.y_train).mean()
    assert abs(agreement - 0.1) < 5 * np.sqrt(0.09 / 1500)
    again = datasets.load("digits_random_labels")
    np.testing.assert_array_equal(again.y_train, permuted.y_train)


def nearest_neighbour_error(data):
    distances = ((data.x_test[:, None] - data.x_train[None]) ** 2).sum(-1)
    return (data.y_train[distances.argmin(1)] != data.y_test).mean()


def linear_error(data):
    design = np.c_[data.x_train, np.ones(len(data.x_train))]
    solution = np.linalg.lstsq(design, 2.0 * data.y_train - 1, rcond=None)[0]
    return ((design @ solution > 0) != data.y_train).mean()


@pytest.mark.parametrize("turns", [0.5, 1.5, 5])
def test_spirals_are_separable_but_not_by_a_line(turns):
    data = datasets.load(f"spirals:{turns}")
    assert data.x_train.shape == (1000, 2) and data.x_test.shape == (500, 2)
    assert np.bincount(data.y_train).tolist() == [500, 500]
    assert nearest_neighbour_error(data) == 0
    assert not set(map(tuple, data.x_test)) & set(map(tuple, data.x_train))
    if turns > 1:
        assert linear_error(data) > 0.2


def test_spirals_have_a_default():
    np.testing.assert_array_equal(
        datasets.load("spirals").x_train, datasets.load("spirals:1.5").x_train
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_own_arrays(tmp_path, dtype):
    path = tmp_path / "meine daten.npz"
    x = np.arange(24).reshape(6, 2, 2).astype(dtype)
    np.savez(path, x_train=x, y_train=[0, 1, 2, 0, 1, 2], x_test=x[:2], y_test=[0, 1])
    data = datasets.load(str(path))
    assert data.classes == 3 and data.x_train.shape == (6, 2, 2)
    np.testing.assert_allclose(data.x_train.mean(0), np.zeros((2, 2)), atol=1e-6)
    # The test set is standardised by the training set.
    np.testing.assert_array_equal(data.x_test, data.x_train[:2])


def test_constant_features_do_no_harm(tmp_path):
    path = tmp_path / "same.npz"
    x = np.full((4, 3), 7.0)
    np.savez(path, x_train=x, y_train=[0, 1, 0, 1], x_test=x, y_test=[0, 1, 0, 1])
    assert not datasets.load(str(path)).x_train.any()


def test_a_name_nearly_right():
    with pytest.raises(UserError, match="did you mean 'fashion_mnist'.*cifar10, cifar100, mnist"):
        datasets.load("fashion-mnist")


def raw_digits():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)[0].reshape(-1, 8, 8)[:1500]


def test_the_digits_are_kept_and_believed_only_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.environment, "users_cache", lambda: tmp_path / "cache")
    first = datasets.load("digits")
    raw = raw_digits()
    deviation = (raw - raw.mean(0)).std()
    np.testing.assert_allclose(first.x_train * deviation + raw.mean(0), raw, atol=1e-4)
    (path,) = (tmp_path / "cache").iterdir()
    content = path.read_bytes()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "sklearn.datasets", None)  # to import it is an error
        again = datasets.load("digits")
        assert datasets.digest(again) == datasets.digest(first)
        path.write_bytes(content[:-1] + b"x")
        with pytest.raises(ImportError):
            datasets.load("digits")
    assert datasets.digest(datasets.load("digits")) == datasets.digest(first)
    assert path.read_bytes() == content  # mended


def test_without_a_cache_the_digits_are_there_all_the_same(monkeypatch):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(datasets.environment, "users_cache", nowhere)
    assert datasets.load("digits").x_train.shape == (1500, 8, 8)


def test_held_out_examples_take_the_test_sets_place():
    whole, data = datasets.load("digits"), datasets.load("digits", holdout=300)
    assert data.x_train.shape == (1200, 8, 8) and data.x_test.shape == (300, 8, 8)
    assert len(data.y_train) == 1200 and len(data.y_test) == 300 and "300 held-out" in data.about
    # Both parts together are the training set, each image with its label: nothing of the test set.
    order = np.random.RandomState(0).permutation(1500)
    held, kept = np.sort(order[:300]), np.sort(order[300:])
    np.testing.assert_array_equal(data.y_test, whole.y_train[held])
    np.testing.assert_array_equal(data.y_train, whole.y_train[kept])
    # Standardised by what remains, and by nothing else.
    raw = raw_digits()
    mean = raw[kept].mean(0)
    deviation = (raw[kept] - mean).std()
    np.testing.assert_allclose(data.x_train, (raw[kept] - mean) / deviation, atol=1e-5)
    np.testing.assert_allclose(data.x_test, (raw[held] - mean) / deviation, atol=1e-5)


def test_the_held_out_are_always_the_same():
    first, again = (datasets.load("digits", holdout=100) for _ in range(2))
    other = datasets.load("digits", holdout=101)
    assert datasets.digest(first) == datasets.digest(again) != datasets.digest(other)
    shuffled = datasets.load("digits_random_labels", holdout=100)
    np.testing.assert_array_equal(first.x_test, shuffled.x_test)
    assert datasets.digest(datasets.load("digits", holdout=0)) == datasets.digest(
        datasets.load("digits")
    )


@pytest.mark.parametrize("count", [-1, 1000, 1001])
def test_holding_out_too_much_or_less_than_nothing(count):
    with pytest.raises(UserError, match=f"--holdout={count}: .*take"):
        datasets.load("spirals", holdout=count)
    assert len(datasets.load("spirals", holdout=999).x_train) == 1


def test_parts_give_what_the_whole_gives(monkeypatch):
    whole = datasets.load("digits")
    monkeypatch.setattr(datasets, "_AT_ONCE", 64 * 7 + 1)  # seven images at a time; the last less
    parts = datasets.load("digits")
    np.testing.assert_allclose(parts.x_train, whole.x_train, rtol=1e-6)
    np.testing.assert_allclose(parts.x_test, whole.x_test, rtol=1e-6)


def test_bytes_are_standardised_in_single_precision(formats, tmp_path):
    for name, content in formats.mnist(30, 10).items():
        (tmp_path / name).write_bytes(content)
    data = datasets.load("mnist", data_dir=str(tmp_path))
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int32
    assert data.x_train.shape == (30, 28, 28) and data.classes == 10
    np.testing.assert_allclose(data.x_train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.x_train.std(), 1, rtol=1e-6)


def test_the_first_examples_are_taken():
    whole, some = datasets.load("digits"), datasets.load("digits", examples=120)
    np.testing.assert_array_equal(some.y_train, whole.y_train[:120])
    assert some.x_train.shape == (120, 8, 8) and len(some.x_test) == len(whole.x_test)
    np.testing.assert_allclose(some.x_train.mean(0), 0, atol=1e-5)  # of those taken
    assert datasets.load("digits", holdout=1400, examples=100).x_train.shape == (100, 8, 8)
    with pytest.raises(UserError, match="--examples=101: digits has 100 to train on"):
        datasets.load("digits", holdout=1400, examples=101)
