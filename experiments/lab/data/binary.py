"""Reads the binary formats of CIFAR and MNIST, from files that are not trusted.

Sizes are compared with what header and format allow before anything is allocated, compressed data
are inflated no further than that, archives are read member by member and never extracted, and
nothing is unpickled.  Any bytes give either arrays, or an error of one line that says why not.
"""

import contextlib
import gzip
import io
import math
import pathlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from experiments.lab.system.errors import UserError

#: The number of records of the largest published file; a larger file is refused without reading it.
MOST_RECORDS = 50_000
#: The most bytes of an inflated IDX file, more than five times those of the published ones.
MOST_IDX_BYTES = 2**28
SIDE, CHANNELS = 32, 3
_PIXELS = CHANNELS * SIDE * SIDE
#: The most bytes of an archive outside the requested members: its headers, a readme ...
_OTHER_BYTES = 2**20
_BLOCK, _CHUNK = tarfile.BLOCKSIZE, 2**20
_MEND = "put a whole copy in its place"


def records(content: bytes, where: str, classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Reads a CIFAR file: records of label bytes, then red, green and blue planes.

    Args:
      content: content of the file.
      where: name of the file, for messages.
      classes: number of classes of each label byte; the last byte is the label.

    Returns:
      Images ``[count, 32, 32, 3]`` uint8, labels ``[count]`` uint8.

    Raises:
      UserError: the content is not made of such records.
    """
    size = record_size(classes)
    _check_record_count(len(content), where, size)
    table = np.frombuffer(content, np.uint8).reshape(-1, size)
    for position, known in enumerate(classes):
        check_labels(table[:, position], where, known)
    planes = table[:, len(classes) :].reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), table[:, len(classes) - 1].copy()


def record_size(classes: Sequence[int]) -> int:
    """Returns the bytes of a CIFAR record with these label bytes."""
    return len(classes) + _PIXELS


def check_labels(labels: np.ndarray, where: str, classes: int) -> None:
    """Raises :class:`UserError` for labels outside 0 to ``classes`` - 1."""
    if labels.max() >= classes:
        raise UserError(
            f"{where}: holds the label {labels.max()}, where labels go from 0 to {classes - 1}; "
            f"{_MEND}"
        )


def record_file(path: pathlib.Path, size: int) -> bytes:
    """Returns the content of a file of records of ``size`` bytes.

    Raises:
      UserError: the file's length shows that it is not made of such records; it is not read.
    """
    length = path.stat().st_size
    _check_record_count(length, str(path), size)
    with path.open("rb") as file:
        return file.read(length)


def archived_records(path: pathlib.Path, members: Sequence[str], size: int) -> dict[str, bytes]:
    """Returns the contents of members of a .tar.gz file, each made of records of ``size`` bytes.

    Members are plain files found by their exact names.  The rest is skipped, but the file is read
    to its end, where gzip's own checksum is.

    Raises:
      UserError: it is no such archive, lacks a member or holds far more than it should.
    """
    found: dict[str, bytes] = {}
    left = len(members) * MOST_RECORDS * size + _OTHER_BYTES
    with _reading(path) as stream:
        while (block := stream.read(_BLOCK)).strip(b"\0"):
            member = _member(path, block)
            padded = -(-member.size // _BLOCK) * _BLOCK
            left -= _BLOCK + padded
            if left < 0:
                break
            if member.name in members:
                _check_member(path, member, size, found)
                found[member.name] = _take(stream, member.size)
                padded -= member.size
            _skip(stream, padded)
        while left >= 0 and (rest := stream.read(_CHUNK)):
            left -= len(rest)
    if left < 0:
        raise UserError(f"{path}: unfolds to far more than the data set; {_MEND}")
    for name in members:
        if name not in found:
            raise UserError(f"{path}: lacks {name}; {_MEND}")
    return found


def idx(path: pathlib.Path, rank: int) -> np.ndarray:
    """Reads an IDX file of bytes, gzipped if its name ends in .gz.

    Args:
      path: path of the file.
      rank: 3 for images ``[count, height, width]``, 1 for labels ``[count]``.

    Returns:
      The array, uint8, with no axis empty.

    Raises:
      UserError: it is no such file.
    """
    with _reading(path) as stream:
        shape = _idx_shape(path, _take(stream, 4 + 4 * rank), rank)
        size = math.prod(shape)
        plain = path.suffix != ".gz"
        length = path.stat().st_size - 4 - 4 * rank if plain else size
        if length == size:
            content = _take(stream, size)
            length += len(stream.read(1))  # one byte too many, or the end and gzip's checksum
    if length != size:
        found = f"{length}" if plain else "more"
        raise UserError(
            f"{path}: its header says {_times(shape)} = {size} bytes, and {found} follow; {_MEND}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _idx_shape(path: pathlib.Path, header: bytes, rank: int) -> tuple[int, ...]:
    magic, *shape = np.frombuffer(header, ">u4").tolist()
    if magic != 0x800 + rank:
        kind = {1: "labels", 3: "images"}[rank]
        raise UserError(
            f"{path}: starts with {magic:#010x}, and IDX {kind} with {0x800 + rank:#010x}; {_MEND}"
        )
    if not 0 < math.prod(shape) <= MOST_IDX_BYTES:
        raise UserError(
            f"{path}: its header says {_times(shape)} bytes; there must be 1 to {MOST_IDX_BYTES}; "
            f"{_MEND}"
        )
    return tuple(shape)


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _check_record_count(length: int, where: str, size: int) -> None:
    if not length or length % size or length > MOST_RECORDS * size:
        raise UserError(
            f"{where}: has {length} bytes, and must have 1 to {MOST_RECORDS} whole records of "
            f"{size}; {_MEND}"
        )


def _member(path: pathlib.Path, block: bytes) -> tarfile.TarInfo:
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise UserError(f"{path}: is no tar archive throughout ({error}); {_MEND}") from None
    if member.size < 0:
        raise UserError(f"{path}: has a member of {member.size} bytes; {_MEND}")
    return member


def _check_member(
    path: pathlib.Path, member: tarfile.TarInfo, size: int, found: dict[str, bytes]
) -> None:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise UserError(f"{path}: {member.name} is a link or no plain file; {_MEND}")
    if member.name in found:
        raise UserError(f"{path}: holds {member.name} twice; {_MEND}")
    _check_record_count(member.size, f"{path}: {member.name}", size)


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[io.BufferedIOBase]:
    """Opens a file to read, and turns gzip's errors on damage into a UserError of one line."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield stream
    except EOFError:
        raise UserError(f"{path}: ends too early; {_MEND}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: is no whole gzip file ({error}); {_MEND}") from None


def _take(stream: io.BufferedIOBase, count: int) -> bytes:
    """Returns the next ``count`` bytes; memory grows with those that exist, not with ``count``."""
    content = bytearray()
    while len(content) < count:
        chunk = stream.read(min(_CHUNK, count - len(content)))
        if not chunk:
            raise EOFError
        content += chunk
    return bytes(content)


def _skip(stream: io.BufferedIOBase, count: int) -> None:
    while count > 0:
        chunk = stream.read(min(_CHUNK, count))
        if not chunk:
            raise EOFError
        count -= len(chunk)
