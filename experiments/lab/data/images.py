"""Finds the files of the published image sets, and reads them."""

import pathlib
from typing import NamedTuple

import numpy as np

from experiments.lab.data import binary, downloads
from experiments.lab.system.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, str]


class _Cifar(NamedTuple):
    """Describes a CIFAR set: folder, files of both parts, and classes of each label byte."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    classes: tuple[int, ...]
    about: str


_CIFAR = {
    "cifar10": _Cifar(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        ("test_batch.bin",),
        (10,),
        "CIFAR-10, 32x32 in colour",
    ),
    "cifar100": _Cifar(
        "cifar-100-binary",
        ("train.bin",),
        ("test.bin",),
        (20, 100),  # a coarse label and a fine one
        "CIFAR-100, 32x32 in colour, fine labels",
    ),
}
_MNIST = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
_MNIST_CLASSES = 10
#: File names of images and labels, for training and test, before any ``.gz``.
_IDX = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)

NAMES = (*_CIFAR, *_MNIST)


def read(name: str, data_dir: str) -> Arrays:
    """Returns ``x_train, y_train, x_test, y_test`` of a set, its number of classes, and its title.

    Args:
      name: one of ``NAMES``.
      data_dir: folder with the files; if empty, they are those in the user's cache, downloaded if
        necessary and checked by SHA-256.  In a folder, any files of the format are accepted.  CIFAR
        is searched as the published archive, then as the folder within it, unpacked, then as that
        folder's files.  The files of MNIST and Fashion-MNIST, gzipped or not, have the same names:
        they are searched first in the subfolder ``mnist`` or ``fashion_mnist``, then in the folder.

    Returns:
      Images uint8, ``[count, 32, 32, 3]`` or ``[count, height, width]``; labels ``[count]`` uint8.

    Raises:
      UserError: the files cannot be found or downloaded, or are not what they should be.
    """
    folder = pathlib.Path(data_dir) if data_dir else downloads.fetch(name)
    if not folder.is_dir():
        raise UserError(f"--data_dir={folder}: there is no such folder")
    return _cifar(name, folder) if name in _CIFAR else _mnist(name, folder)


def _cifar(name: str, folder: pathlib.Path) -> Arrays:
    layout = _CIFAR[name]
    contents = _cifar_contents(name, folder)

    def joined(files: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for file in files:
            where, content = contents.pop(file)  # not kept longer than needed: sets are large
            parts.append(binary.records(content, where, layout.classes))
        images, labels = zip(*parts, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    return *joined(layout.train), *joined(layout.test), layout.classes[-1], layout.about


def _cifar_contents(name: str, folder: pathlib.Path) -> dict[str, tuple[str, bytes]]:
    """Returns the name in messages, and the content, of each file of a CIFAR set."""
    layout = _CIFAR[name]
    files, size = layout.train + layout.test, binary.record_size(layout.classes)
    archive = folder / downloads.SOURCES[name].files[0].name
    if archive.is_file():
        members = [f"{layout.folder}/{file}" for file in files]
        found = binary.archived_records(archive, members, size)
        return {
            file: (f"{archive}: {member}", found.pop(member))
            for file, member in zip(files, members, strict=True)
        }
    for place in (folder / layout.folder, folder):
        there = [file for file in files if (place / file).is_file()]
        if there:
            _refuse_missing(name, place, [file for file in files if file not in there])
            paths = {file: place / file for file in files}
            return {
                file: (str(path), binary.record_file(path, size)) for file, path in paths.items()
            }
    raise _nothing(name, folder, f"{archive.name}, no {layout.folder} and no {files[0]}")


def _mnist(name: str, folder: pathlib.Path) -> Arrays:
    arrays: list[np.ndarray] = []
    paths = _mnist_paths(name, folder)
    for images_name, labels_name in _IDX:
        images = binary.idx(paths[images_name], rank=3)
        labels = binary.idx(paths[labels_name], rank=1)
        if len(images) != len(labels):
            raise UserError(
                f"{paths[labels_name]}: holds {len(labels)} labels for the {len(images)} images "
                f"of {paths[images_name].name}; take both from the same set"
            )
        binary.check_labels(labels, str(paths[labels_name]), _MNIST_CLASSES)
        arrays += [images, labels]
    x_train, y_train, x_test, y_test = arrays
    if x_train.shape[1:] != x_test.shape[1:]:
        raise UserError(
            f"{paths[_IDX[1][0]]}: images of {list(x_test.shape[1:])} pixels, and those to train "
            f"on have {list(x_train.shape[1:])}; take both from the same set"
        )
    height, width = x_train.shape[1:]
    about = f"{_MNIST[name]}, {height}x{width}"
    return x_train, y_train, x_test, y_test, _MNIST_CLASSES, about


def _mnist_paths(name: str, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the paths of a set's files by name without ``.gz``, in the first folder with any."""
    files = [file for part in _IDX for file in part]
    for place in (folder / name, folder):
        paths: dict[str, pathlib.Path] = {}
        for file in files:
            for path in (place / f"{file}.gz", place / file):
                if path.is_file():
                    paths.setdefault(file, path)
        if paths:
            _refuse_missing(name, place, [f"{file}.gz" for file in files if file not in paths])
            for path in paths.values():
                _refuse_strangers(name, path)
            return paths
    raise _nothing(name, folder, f"{files[0]}.gz, nor has its subfolder {name}")


def _refuse_strangers(name: str, path: pathlib.Path) -> None:
    publisher = downloads.publisher(path)
    if publisher not in (None, name):
        raise UserError(
            f"{path}: is {publisher}'s file, by its size, and not {name}'s, which may lie in a "
            f"subfolder {name}"
        )


def _refuse_missing(name: str, place: pathlib.Path, missing: list[str]) -> None:
    if missing:
        raise UserError(
            f"--dataset={name}: {place} lacks {', '.join(missing)}; {_published(name, missing)}"
        )


def _nothing(name: str, folder: pathlib.Path, sought: str) -> UserError:
    return UserError(f"--data_dir={folder}: holds no {sought}; {_published(name)}")


def _published(name: str, wanted: list[str] | None = None) -> str:
    """Returns advice on where to get the ``wanted`` files of a set, or all of them."""
    source = downloads.SOURCES[name]
    files = [file for file in source.files if file.name in (wanted or ())] or source.files
    return f"get {downloads.addresses(source.mirrors, files)}, or let it be fetched: no --data_dir"
