"""Seals content with a checksum, so that damage is detected."""

import hashlib
import pathlib

from experiments.lab.system.errors import ContentError

_MAGIC = b"resnet_jax sealed sha256="
_HEADER = len(_MAGIC) + 64 + 1


def seal(content: bytes) -> bytes:
    """Returns content behind a line with its SHA-256."""
    return _line(content) + content


def unseal(sealed: bytes) -> bytes:
    """Returns the content that :func:`seal` took.

    Raises:
      ContentError: the checksum does not match.
    """
    content = sealed[_HEADER:]
    if sealed[:_HEADER] != _line(content):
        raise ContentError("its checksum differs")
    return content


def read_at_most(path: pathlib.Path, most: int) -> bytes:
    """Returns the bytes of a file that has at most ``most`` of them.

    Raises:
      ContentError: it cannot be read, or is larger.
    """
    try:
        if not path.is_file():  # reading a pipe would block
            raise ContentError("is no file")
        if path.stat().st_size > most:
            raise ContentError(f"has more than {most} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ContentError(f"cannot be read ({error.strerror})") from None


def _line(content: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n"
