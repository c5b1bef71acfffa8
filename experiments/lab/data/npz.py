"""Reads a user's own arrays from a .npz file, without pickles, and checks them."""

import math
import pathlib
import zipfile

import numpy as np

from experiments.lab.system.errors import ContentError, UserError, printable

NEEDED = ("x_train", "y_train", "x_test", "y_test")

#: The most bytes that the four arrays may have, and that deflate makes of one byte of a file.
MOST_BYTES, _UNFOLDED = 2**32, 1032


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, str]:
    """Returns ``x_train, y_train, x_test, y_test`` of a file, the count of classes, and its name.

    Examples are numbers ``[count, ...]``, labels whole numbers ``[count]`` from 0.

    Raises:
      UserError: there is no such file, or it does not hold such arrays.
    """
    try:
        x_train, y_train, x_test, y_test = _arrays(path)
        _check("train", x_train, y_train)
        _check("test", x_test, y_test)
        if x_train.shape[1:] != x_test.shape[1:]:
            raise ContentError(
                "examples of x_train and x_test differ in shape: "
                f"{list(x_train.shape[1:])} and {list(x_test.shape[1:])}"
            )
        classes = _count_classes(y_train, y_test)
    except ContentError as error:
        raise UserError(f"--dataset={path}: {error}") from None
    return x_train, y_train, x_test, y_test, classes, path.name


def _arrays(path: pathlib.Path) -> list[np.ndarray]:
    """Returns the arrays that are needed; of members with the same name the last counts."""
    if not path.is_file():
        raise ContentError("there is no such file")
    if not zipfile.is_zipfile(path):
        raise ContentError("is no .npz file, or not a whole one")
    try:
        with zipfile.ZipFile(path) as archive:
            if missing := [name for name in NEEDED if f"{name}.npy" not in archive.namelist()]:
                raise ContentError(f"lacks {', '.join(missing)}; needed are {', '.join(NEEDED)}")
            size = sum(archive.getinfo(f"{name}.npy").file_size for name in NEEDED)
            most = min(MOST_BYTES, _UNFOLDED * path.stat().st_size)
            if size > most:
                raise ContentError(f"unfolds to {size} bytes; {most} are the most")
            return [_array(archive, name) for name in NEEDED]
    except ContentError:
        raise
    except Exception as error:  # whatever a damaged archive makes zipfile, zlib and NumPy raise
        reason = printable(f"{error or type(error).__name__}")[:120]
        raise ContentError(f"cannot be read as .npz without pickles ({reason})") from None


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Returns an array of numbers, if its header promises all bytes that its member has.

    NumPy allocates what a header promises before it reads, and zipfile compares checksums only as
    the last byte is read.  Both hold any header of a later format in memory, and all that other
    compressions than deflate make of a chunk.
    """
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ContentError(f"{name} is compressed in another way than np.savez_compressed does")
    with archive.open(info) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ContentError(f"{name} is in a later format than 1.0 of NumPy's")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        there, promised = info.file_size - stream.tell(), math.prod(shape) * dtype.itemsize
    if dtype.kind not in "fiub":
        raise ContentError(f"{name} must hold numbers, read without pickles, not {dtype}")
    if promised != there:
        raise ContentError(f"{name} promises {promised} bytes and has {there}")
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _check(part: str, x: np.ndarray, y: np.ndarray) -> None:
    """Checks the examples and the labels of one part of the data."""
    if x.ndim < 2 or 0 in x.shape:
        raise ContentError(f"x_{part} must hold numbers [count, ...], not {list(x.shape)} of them")
    # A NaN is the least and the largest of its array, and no comparison with it holds.
    if x.dtype.kind == "f" and not -1e30 <= float(x.min()) <= float(x.max()) <= 1e30:
        raise ContentError(f"x_{part} holds values that are not finite, or beyond 1e30")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ContentError(
            f"y_{part} must hold whole numbers [count], not {y.dtype} {list(y.shape)}"
        )
    if len(y) != len(x):
        raise ContentError(f"y_{part} has {len(y)} labels for {len(x)} examples")


def _count_classes(y_train: np.ndarray, y_test: np.ndarray) -> int:
    classes, named = int(y_train.max()) + 1, len(np.unique(y_train))
    for part, y in (("train", y_train), ("test", y_test)):
        if y.min() < 0 or y.max() >= classes:
            raise ContentError(
                f"y_{part} has labels from {y.min()} to {y.max()}; they must count from 0 up to "
                f"the largest of y_train, {classes - 1}"
            )
    if not 2 <= classes <= min(len(y_train), 2 * named):
        raise ContentError(
            f"y_train names {classes} classes, and of these {named} alone have examples; take two "
            "or more, numbered from 0"
        )
    return classes
