"""Datasets, as NumPy arrays: read, checked and standardised, before JAX is imported.

Every dataset is standardised alike: the mean of each feature over the training set is subtracted
(He et al. 2015, section 4.2), and everything is divided by one standard deviation, so that He's
initialisation meets inputs of power one.
"""

import contextlib
import hashlib
import math
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from experiments.lab.data import images, npz
from experiments.lab.system import environment, files, sealed
from experiments.lab.system.errors import ContentError, UserError, suggest

NAMES = ("digits", "digits_random_labels", "spirals", *images.NAMES, "a file.npz")
SPIRAL_TURNS = 1.5
#: Numbers standardised at a time, in double precision: 64 MB.
_AT_ONCE = 2**23


class Dataset(NamedTuple):
    """Examples ``[count, ...]`` float32, labels ``[count]`` int32 from 0 to ``classes`` - 1."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    about: str


def load(name: str, data_dir: str = "", holdout: int = 0, examples: int = 0) -> Dataset:
    """The dataset that ``--dataset`` names.

    Args:
      name: one of ``NAMES``; ``spirals:2.5`` has so many turns.
      data_dir: where the files of the published image sets are; if empty, the user's cache, into
        which they are fetched at need.
      holdout: so many training examples, the same for all studies, take the test set's place.
        They are no part of the mean and the deviation.
      examples: so many of the other training examples are taken; 0 for all.

    Raises:
      UserError: there is no such dataset, the file is not one, or has not so many examples.
    """
    if holdout < 0:
        raise UserError(f"--holdout={holdout}: take 0, which holds nothing out, or more")
    data = _held_out(_read(name, data_dir), name, holdout)
    return _standardised(_first(data, name, examples))


def digest(data: Dataset) -> str:
    """A SHA-256 of the arrays, which tells data sets apart whatever they are called."""
    whole = hashlib.sha256()
    for array in data[:4]:
        whole.update(f"{array.dtype} {array.shape}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _read(name: str, data_dir: str) -> Dataset:
    kind, _, setting = name.partition(":")
    if name.endswith(".npz"):
        return Dataset(*npz.read(pathlib.Path(name)))
    if kind == "spirals":
        return _spirals(_turns(setting) if setting else SPIRAL_TURNS)
    if name == "digits":
        return _digits()
    if name == "digits_random_labels":
        return _digits_random_labels()
    if name in images.NAMES:
        return Dataset(*images.read(name, data_dir))
    raise UserError(f"--dataset={name}: {suggest(name, NAMES)}")


def _held_out(data: Dataset, name: str, count: int) -> Dataset:
    """The dataset with ``count`` of its training examples in the test set's place."""
    if not count:
        return data
    if count >= len(data.x_train):
        raise UserError(
            f"--holdout={count}: {name} has {len(data.x_train)} training examples, and some must "
            f"remain; take {len(data.x_train) - 1} or fewer"
        )
    # The generator's stream is frozen, and no setting of a study has a part in it.
    order = np.random.RandomState(0).permutation(len(data.x_train))
    held, kept = np.sort(order[:count]), np.sort(order[count:])
    return data._replace(
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        x_test=data.x_train[held],
        y_test=data.y_train[held],
        about=f"{data.about}; tested on {count} held-out training examples, not on its test set",
    )


def _first(data: Dataset, name: str, count: int) -> Dataset:
    """The dataset with the first ``count`` of its training examples, or all where it is 0."""
    there = len(data.x_train)
    if count > there:
        raise UserError(
            f"--examples={count}: {name} has {there} to train on; take so many or fewer"
        )
    if not count:
        return data
    return data._replace(x_train=data.x_train[:count], y_train=data.y_train[:count])


def _standardised(data: Dataset) -> Dataset:
    mean = data.x_train.mean(0, keepdims=True, dtype=np.float64)
    deviation = _deviation(data.x_train, mean) or 1.0

    def standardise(x):
        result = np.empty(x.shape, np.float32)
        for part in _parts(x):
            result[part] = (x[part] - mean) / deviation
        return result

    return data._replace(
        x_train=standardise(data.x_train),
        x_test=standardise(data.x_test),
        y_train=data.y_train.astype(np.int32),
        y_test=data.y_test.astype(np.int32),
    )


def _deviation(x: np.ndarray, mean: np.ndarray) -> float:
    """The standard deviation of ``x - mean``, part by part: it is never held as a whole."""
    shares, means, variances = [], [], []
    for part in _parts(x):
        centred = x[part] - mean
        shares.append(len(centred) / len(x))
        means.append(float(centred.mean()))
        variances.append(float(centred.var()))
    middle = np.average(means, weights=shares)
    spread = np.square(np.asarray(means) - middle)
    return math.sqrt(np.average(variances + spread, weights=shares))


def _parts(x: np.ndarray) -> Iterator[slice]:
    """Slices of examples that go through double precision together."""
    step = max(1, _AT_ONCE // x[0].size)
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def _digits() -> Dataset:
    """Handwritten digits, 8x8, that come with scikit-learn (the test part of UCI's Optdigits).

    1,797 images by 13 writers, in their original order: the first 1,500 train, the last 297 test.
    """
    rows = np.frombuffer(_digits_bytes(), np.uint8).reshape(-1, _PIXELS + 1)
    x, y = rows[:, :_PIXELS].reshape(-1, 8, 8).astype(np.float64), rows[:, _PIXELS]
    return Dataset(x[:1500], y[:1500], x[1500:], y[1500:], 10, "handwritten digits, 8x8")


_PIXELS = 64
_DIGITS_SHA256 = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"


def _digits_bytes() -> bytes:
    """The pixels and the label of each image, a byte each.

    They are kept in the user's cache, since to import scikit-learn takes longer than most of what
    comes before the first step.
    """
    with contextlib.suppress(OSError, ContentError):
        kept = sealed.read_at_most(environment.users_cache() / "digits", 2**20)
        if hashlib.sha256(kept).hexdigest() == _DIGITS_SHA256:
            return kept
    from sklearn.datasets import load_digits

    content = np.column_stack(load_digits(return_X_y=True)).astype(np.uint8).tobytes()
    with contextlib.suppress(OSError):
        files.make_directory(environment.users_cache())
        files.write_bytes(environment.users_cache() / "digits", content)
    return content


def _digits_random_labels() -> Dataset:
    """The digits with their labels permuted: memorisation, where fitting is all there is."""
    data = _digits()
    shuffle = np.random.RandomState(0)  # its stream is frozen, unlike that of newer generators
    return data._replace(
        y_train=shuffle.permutation(data.y_train),
        y_test=shuffle.permutation(data.y_test),
        about="handwritten digits, 8x8, labels permuted",
    )


def _turns(setting: str) -> float:
    try:
        turns = float(setting)
    except ValueError:
        turns = 0.0
    if not 0 < turns <= 100:
        raise UserError(
            f"--dataset=spirals:{setting}: after the colon stands the number of turns, "
            "above 0 and up to 100, such as spirals:2.5"
        )
    return turns


def _spirals(turns: float) -> Dataset:
    """Two interleaved spirals in the plane (after Lang & Witbrock 1988); more turns, harder.

    1,000 points train; the 500 test points lie between them on the same curves.
    """
    x_train, y_train = _spiral_points(turns, np.arange(0.0, 1.0, 1 / 500))
    x_test, y_test = _spiral_points(turns, np.arange(1 / 1000, 1.0, 1 / 250))
    return Dataset(x_train, y_train, x_test, y_test, 2, f"two spirals of {turns:g} turns")


def _spiral_points(turns: float, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    radius = 0.1 + 0.9 * along
    points = []
    for arm in range(2):
        angle = 2 * np.pi * turns * along + np.pi * arm
        points.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1))
    return np.concatenate(points), np.repeat(np.arange(2), len(along))
