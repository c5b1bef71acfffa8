"""Datasets, as NumPy arrays: read, checked and standardised, before JAX is imported.

Every dataset is standardised alike: the mean of each feature over the training set is subtracted
(He et al. 2015, section 4.2), and everything is divided by one standard deviation, so that He's
initialisation meets inputs of power one.
"""

import hashlib
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from experiments.errors import UserError, suggest

NAMES = ("digits", "digits_random_labels", "spirals", "a file.npz")
SPIRAL_TURNS = 1.5


class Dataset(NamedTuple):
    """Examples ``[count, ...]`` float32, labels ``[count]`` int32 from 0 to ``classes`` - 1."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    about: str


def load(name: str) -> Dataset:
    """The dataset that ``--dataset`` names.

    Raises:
      UserError: there is no such dataset, or the file is not one.
    """
    kind, _, setting = name.partition(":")
    if name.endswith(".npz"):
        return _standardised(_npz(pathlib.Path(name)))
    if kind == "spirals":
        return _standardised(_spirals(_turns(setting) if setting else SPIRAL_TURNS))
    if name == "digits":
        return _standardised(_digits())
    if name == "digits_random_labels":
        return _standardised(_digits_random_labels())
    raise UserError(f"--dataset={name}: {suggest(name, NAMES)}")


def digest(data: Dataset) -> str:
    """A SHA-256 of the arrays, which tells data sets apart whatever they are called."""
    whole = hashlib.sha256()
    for array in data[:4]:
        whole.update(f"{array.dtype} {array.shape}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _standardised(data: Dataset) -> Dataset:
    mean = data.x_train.mean(0, keepdims=True, dtype=np.float64)
    deviation = float((data.x_train - mean).std()) or 1.0

    def standardise(x):
        return ((x - mean) / deviation).astype(np.float32)

    return data._replace(
        x_train=standardise(data.x_train),
        x_test=standardise(data.x_test),
        y_train=data.y_train.astype(np.int32),
        y_test=data.y_test.astype(np.int32),
    )


def _digits() -> Dataset:
    """Handwritten digits, 8x8, that come with scikit-learn (the test part of UCI's Optdigits).

    1,797 images by 13 writers, in their original order: the first 1,500 train, the last 297 test.
    """
    from sklearn.datasets import load_digits  # takes a second, which the spirals need not

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    return Dataset(
        images[:1500], labels[:1500], images[1500:], labels[1500:], 10, "handwritten digits, 8x8"
    )


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


def _npz(path: pathlib.Path) -> Dataset:
    """A user's own arrays ``x_train, y_train, x_test, y_test``, checked."""

    def refuse(problem: str):
        return UserError(f"--dataset={path}: {problem}")

    if not path.is_file():
        raise refuse("there is no such file")
    if not zipfile.is_zipfile(path):
        raise refuse("is no .npz file, or not a whole one")
    needed = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in needed if name not in file.files]
            if missing:
                raise refuse(f"lacks {', '.join(missing)}; needed are {', '.join(needed)}")
            x_train, y_train, x_test, y_test = (file[name] for name in needed)
    except UserError:
        raise
    except Exception as error:  # whatever a damaged archive makes zipfile, zlib and NumPy raise
        raise refuse(f"cannot be read as .npz without pickles ({_one_line(error)})") from None
    for name, x in (("x_train", x_train), ("x_test", x_test)):
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            raise refuse(
                f"{name} must hold numbers [count, ...], not {getattr(x, 'dtype', 'bytes')}"
            )
        if x.ndim < 2 or 0 in x.shape:
            raise refuse(f"{name} must hold numbers [count, ...], not {x.dtype} {list(x.shape)}")
        if not np.isfinite(x).all() or np.abs(x.astype(np.float64)).max() > 1e30:
            raise refuse(f"{name} holds values that are not finite, or beyond 1e30")
    for name, y, x in (("y_train", y_train, x_train), ("y_test", y_test, x_test)):
        if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "iu":
            y = np.asarray(y)
            raise refuse(f"{name} must hold whole numbers [count], not {y.dtype} {list(y.shape)}")
        if len(y) != len(x):
            raise refuse(f"{name} has {len(y)} labels for {len(x)} examples")
    if x_train.shape[1:] != x_test.shape[1:]:
        raise refuse(
            "examples of x_train and x_test differ in shape: "
            f"{list(x_train.shape[1:])} and {list(x_test.shape[1:])}"
        )
    classes = int(y_train.max()) + 1
    for name, y in (("y_train", y_train), ("y_test", y_test)):
        if y.min() < 0 or y.max() >= classes:
            raise refuse(
                f"{name} has labels from {y.min()} to {y.max()}; they must count from 0 up to the "
                f"largest of y_train, {classes - 1}"
            )
    if classes > len(y_train) or classes < 2:
        raise refuse(f"y_train names {classes} classes for {len(y_train)} examples")
    return Dataset(x_train, y_train, x_test, y_test, classes, path.name)


def _one_line(error: Exception) -> str:
    return " ".join(f"{error or type(error).__name__}".split())[:120]
