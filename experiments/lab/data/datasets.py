"""Reads, checks and standardises data sets, as NumPy arrays, before JAX is imported.

Every data set is standardised in the same way: the mean of each feature over the training set is
subtracted (He et al. 2015, section 4.2), and everything is divided by one standard deviation, so
that He's initialisation gets inputs of power one.
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
#: The count of numbers that are standardised at a time, in double precision: 64 MB.
_AT_ONCE = 2**23


class Dataset(NamedTuple):
    """Holds examples ``[count, ...]`` float32, and int32 labels ``[count]`` below ``classes``."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    about: str


def load(name: str, data_dir: str = "", holdout: int = 0, examples: int = 0) -> Dataset:
    """Returns the data set that ``--dataset`` names.

    Args:
      name: one of ``NAMES``; ``spirals:2.5`` has 2.5 turns.
      data_dir: folder with the files of the published image sets; if empty, the user's cache, into
        which they are downloaded when needed.
      holdout: number of training examples, the same ones in all studies, that replace the test set.
        They do not count in the mean and the deviation.
      examples: number of the other training examples that are used, from the first; 0 for all.

    Raises:
      UserError: there is no such data set, the file is not one, or it has too few examples.
    """
    if holdout < 0:
        raise UserError(f"--holdout={holdout}: take 0, which holds nothing out, or more")
    data = _held_out(_read(name, data_dir), name, holdout)
    return _standardised(_told_of_empty_classes(_first(data, name, examples)))


def digest(data: Dataset) -> str:
    """Returns a SHA-256 of the arrays, which identifies a data set whatever its name."""
    whole = hashlib.sha256()
    for array in data[:4]:
        whole.update(f"{array.dtype} {array.shape}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _read(name: str, data_dir: str) -> Dataset:
    kind, _, setting = name.partition(":")
    if name.lower().endswith(".npz"):
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
    """Returns the data set with its test set replaced by ``count`` training examples."""
    if not count:
        return data
    if count >= len(data.x_train):
        raise UserError(
            f"--holdout={count}: {name} has {len(data.x_train)} training examples, and some must "
            f"remain; take {len(data.x_train) - 1} or fewer"
        )
    # The generator's stream is frozen, and does not depend on any setting of a study.
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
    """Returns the data set with the first ``count`` of its training examples; 0 for all."""
    there = len(data.x_train)
    if count > there:
        raise UserError(
            f"--examples={count}: {name} has {there} to train on; take so many or fewer"
        )
    if not count:
        return data
    there, named = len(np.unique(data.y_train)), len(np.unique(data.y_train[:count]))
    if 2 * named < there or named < 2:
        raise UserError(
            f"--examples={count}: the first {count} of {name} have {named} of its {there} classes; "
            "take more, or examples in random order"
        )
    return data._replace(x_train=data.x_train[:count], y_train=data.y_train[:count])


def _told_of_empty_classes(data: Dataset) -> Dataset:
    """Returns the data set; its words tell which classes have no examples to train on."""
    empty = np.setdiff1d(range(data.classes), data.y_train)
    if not len(empty):
        return data
    names = ", ".join(map(str, empty[:5])) + ", ..." * (len(empty) > 5)
    about = f"{data.about} (no examples of {len(empty)} of {data.classes} classes: {names})"
    return data._replace(about=about)


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
    """Returns the standard deviation of ``x - mean``, which is computed in chunks of examples."""
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
    """Yields slices of examples that are computed together in double precision."""
    step = max(1, _AT_ONCE // x[0].size)
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def _digits() -> Dataset:
    """Reads the 8x8 handwritten digits of scikit-learn (the test part of UCI's Optdigits).

    1,797 images by 13 writers, in their original order: the first 1,500 to train, 297 to test.
    """
    rows = np.frombuffer(_digits_bytes(), np.uint8).reshape(-1, _PIXELS + 1)
    x, y = rows[:, :_PIXELS].reshape(-1, 8, 8).astype(np.float64), rows[:, _PIXELS]
    return Dataset(x[:1500], y[:1500], x[1500:], y[1500:], 10, "handwritten digits, 8x8")


_PIXELS = 64
_DIGITS_SHA256 = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"


def _digits_bytes() -> bytes:
    """Returns the pixels and the label of each image, a byte each.

    They are kept in the user's cache, since importing scikit-learn takes longer than most of what
    precedes the first step.
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
    """Reads the digits and permutes their labels, so that a network can only memorise them."""
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
    """Makes two interleaved spirals in the plane (after Lang & Witbrock 1988); more turns, harder.

    1,000 points are for training; the 500 test points lie between them on the same curves.
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
