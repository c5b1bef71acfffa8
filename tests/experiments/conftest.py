"""Writers of the published formats, from which tests make small files and faulty ones."""

import gzip
import io
import struct
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def cifar(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """CIFAR records of images ``[count, 32, 32, 3]`` and their label bytes."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.column_stack([*labels, planes]).astype(np.uint8).tobytes()


def tar(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """An archive, not gzipped; a member that is no bytes is a header without content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        for name, member in members.items():
            info = member
            if isinstance(member, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(member)
            file.addfile(info, io.BytesIO(member) if isinstance(member, bytes) else None)
    return content.getvalue()


def cifar10(count: int, seed: int = 0) -> dict[str, bytes]:
    """The six files of CIFAR-10, with ``count`` random records in each."""
    random = np.random.RandomState(seed)
    return {
        f"{name}.bin": cifar(
            random.randint(0, 256, (count, 32, 32, 3), np.uint8),
            random.randint(0, 10, count, np.uint8),
        )
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    }


def mnist(train: int, test: int, seed: int = 0) -> dict[str, bytes]:
    """The four files of MNIST, not gzipped."""
    random = np.random.RandomState(seed)
    files = {}
    for part, count in (("train", train), ("t10k", test)):
        images = random.randint(0, 256, (count, 28, 28))
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx(random.randint(0, 10, count))
    return files


@pytest.fixture(scope="session")
def formats():
    """The writers above."""
    return SimpleNamespace(
        idx=idx, cifar=cifar, tar=tar, cifar10=cifar10, mnist=mnist, gzip=gzip.compress
    )
