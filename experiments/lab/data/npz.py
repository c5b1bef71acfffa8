"""A user's own arrays, in a .npz file: read without pickles, and checked."""

import math
import pathlib
import zipfile

import numpy as np

from experiments.lab.system.errors import ContentError, UserError, printable

NEEDED = ("x_train", "y_train", "x_test", "y_test")

#: What the four arrays may unfold to.
MOST_BYTES = 2**32

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(
    path: pathlib.Path,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, str]:
    """The arrays ``x_train, y_train, x_test, y_test`` of a file, the count of classes, its name.

    Examples are numbers ``[count, ...]``, labels whole numbers ``[count]`` from 0.

    Raises:
      UserError: there is no such file, or it does not hold such arrays.
    """
    try:
        x_train, y_train, x_test, y_test = _arrays(path)
        for name, x in (("x_train", x_train), ("x_test", x_test)):
            _check_examples(name, x)
        for name, y, x in (("y_train", y_train, x_train), ("y_test", y_test, x_test)):
            _check_labels(name, y, x)
        if x_train.shape[1:] != x_test.shape[1:]:
            raise ContentError(
                "examples of x_train and x_test differ in shape: "
                f"{list(x_train.shape[1:])} and {list(x_test.shape[1:])}"
            )
        classes = _count_classes(y_train, y_test)
    except ContentError as error:
        raise UserError(f"--dataset={path}: {error}") from None
    about = f"{path.name}{_empty_classes(y_train, classes)}"
    return x_train, y_train, x_test, y_test, classes, about


def _arrays(path: pathlib.Path) -> list[np.ndarray]:
    if not path.is_file():
        raise ContentError("there is no such file")
    if not zipfile.is_zipfile(path):
        raise ContentError("is no .npz file, or not a whole one")
    try:
        # NumPy leaves a file that it opened open where the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return [archive[member] for member in _members(archive.zip)]
    except ContentError:
        raise
    except Exception as error:  # whatever a damaged archive makes zipfile, zlib and NumPy raise
        reason = printable(f"{error or type(error).__name__}")[:120]
        raise ContentError(f"cannot be read as .npz without pickles ({reason})") from None


def _members(archive: zipfile.ZipFile) -> list[str]:
    """Returns the names of the arrays' members, whose headers promise as many bytes as they have.

    NumPy allocates what a header promises before it reads, and reads objects as pickles.
    """
    there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if missing := [name for name in NEEDED if name not in there]:
        raise ContentError(f"lacks {', '.join(missing)}; needed are {', '.join(NEEDED)}")
    promised = sum(there[name].file_size for name in NEEDED)
    if promised > MOST_BYTES:
        raise ContentError(f"unfolds to {promised} bytes; {MOST_BYTES} are the most")
    for name in NEEDED:
        with archive.open(there[name]) as stream:
            header = _HEADERS.get(np.lib.format.read_magic(stream))
            if header is None:
                raise ContentError(f"{name} is in a later format than 2.0 of NumPy's")
            shape, _, dtype = header(stream)
            size, there_are = math.prod(shape) * dtype.itemsize, there[name].file_size
            if dtype.hasobject:
                raise ContentError(f"{name} holds Python objects, not read without pickles")
            if size != there_are - stream.tell():
                raise ContentError(f"{name} promises {size} bytes and has others")
    return [there[name].filename for name in NEEDED]


def _check_examples(name: str, x: np.ndarray) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        raise ContentError(
            f"{name} must hold numbers [count, ...], not {getattr(x, 'dtype', 'bytes')}"
        )
    if x.ndim < 2 or 0 in x.shape:
        raise ContentError(f"{name} must hold numbers [count, ...], not {x.dtype} {list(x.shape)}")
    if x.dtype.kind == "f" and (not np.isfinite(x).all() or float(np.abs(x).max()) > 1e30):
        raise ContentError(f"{name} holds values that are not finite, or beyond 1e30")


def _check_labels(name: str, y: np.ndarray, x: np.ndarray) -> None:
    if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in "iu":
        y = np.asarray(y)
        raise ContentError(f"{name} must hold whole numbers [count], not {y.dtype} {list(y.shape)}")
    if len(y) != len(x):
        raise ContentError(f"{name} has {len(y)} labels for {len(x)} examples")


def _count_classes(y_train: np.ndarray, y_test: np.ndarray) -> int:
    classes = int(y_train.max()) + 1
    for name, y in (("y_train", y_train), ("y_test", y_test)):
        if y.min() < 0 or y.max() >= classes:
            raise ContentError(
                f"{name} has labels from {y.min()} to {y.max()}; they must count from 0 up to the "
                f"largest of y_train, {classes - 1}"
            )
    if classes > len(y_train) or classes < 2:
        raise ContentError(f"y_train names {classes} classes for {len(y_train)} examples")
    if 2 * len(np.unique(y_train)) < classes:
        raise ContentError(
            f"y_train has labels up to {classes - 1}, and of these {len(np.unique(y_train))} alone "
            "have examples; number the classes from 0"
        )
    return classes


def _empty_classes(y_train: np.ndarray, classes: int) -> str:
    """Returns what to say of classes without examples; nothing where each has some."""
    empty = sorted({*range(classes)} - {*np.unique(y_train).tolist()})
    names = ", ".join(map(str, empty[:5])) + ", ..." * (len(empty) > 5)
    return f" (no examples of {len(empty)} of {classes} classes: {names})" if empty else ""
