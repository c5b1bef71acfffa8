"""Compiled programs, kept on disk, so that the next launch loads them: JAX's cache, made safe.

To load a program is to run it.  So they lie where nobody else may write, in one folder for each
processor and compiler: home directories are shared, and another processor may lack instructions.
JAX writes its entries in place, and whether it notices damage depends on how it compresses them.
So each gets a seal, its SHA-256 in a file beside it, when a group's programs are compiled.  When a
process starts, what differs from its seal or has none is removed before JAX could read it.  (JAX's
own limit of the cache's size needs another package, and fails in jax 0.10 after a kill.)
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import stat
import sys
import warnings
from collections.abc import Container

from experiments.lab.system import environment
from experiments.lab.system.errors import UserError

#: All programs together; those that were not used for longest go first.
MOST_BYTES = 2**30

#: What compiles faster is not worth a file.
LEAST_SECONDS = 0.1

_ENTRY, _SEAL, _PART = "-cache", ".sha256", ".part"

#: What JAX says where it cannot read or write an entry.
_TROUBLE = r"Error (?:read|writ)ing persistent compilation cache entry"

#: Where this process has programs kept, and which were there before: it vouches for its own alone.
_before: dict[pathlib.Path, set[str]] = {}


class _ExposedError(OSError):
    """Others may write where programs would be loaded from."""


def directory(asked: str) -> pathlib.Path | None:
    """Where this processor's and compiler's programs are kept; made, and with whole ones alone.

    Args:
      asked: a directory; or ``"none"``; or nothing, which is the user's cache, unless JAX was told
        of one of the user's own.

    Returns:
      None where none are kept here; why, a line on stderr says where it matters.

    Raises:
      UserError: the directory asked for cannot be used.
    """
    if asked == "none" or (not asked and _jax_has_its_own()):
        return None
    try:
        root = pathlib.Path(asked) if asked else environment.users_cache() / "compiled"
        folder = root.absolute() / _machine()
        root.parent.mkdir(parents=True, exist_ok=True)
        for private in (root, folder):
            private.mkdir(mode=0o700, exist_ok=True)
            _check_private(private)
        damaged = remove_unsound(folder)
        prune(root)
    except (OSError, ValueError) as error:
        if asked:
            raise UserError(
                f"--compilation_cache={asked} cannot be used ({error}); name another directory, or "
                "none"
            ) from None
        if isinstance(error, _ExposedError):
            print(f"warning: compiled programs are not kept: {error}", file=sys.stderr)
        return None
    if damaged:
        print(
            f"compiled programs that differ from their seals: {damaged}, removed", file=sys.stderr
        )
    return folder


def keep(folder: pathlib.Path) -> None:
    """Imports JAX, and has it look for programs in a folder of :func:`directory`, and keep them."""
    if any("avx512f" in line for line in environment.processor_features()):
        # There XLA takes hints of its own for instructions that the processor lacks, and says so in
        # 3 KB a program loaded (openxla/xla issue 44565); what it fails in comes as an exception.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # they would have no seals
    # JAX then compiles, and goes on; what it cannot read is removed at the next start.
    warnings.filterwarnings("ignore", _TROUBLE)
    _before.setdefault(folder, {entry.name for entry in folder.glob(f"*{_ENTRY}")})


def seal_new() -> None:
    """Seals the programs that this process has compiled since it last did so."""
    for folder, names in _before.items():
        seal(folder, names)


def seal(folder: pathlib.Path, but: Container[str] = ()) -> None:
    """Seals what was written into a folder since it was last sealed, but for some entries."""
    for entry in folder.glob(f"*{_ENTRY}"):
        with contextlib.suppress(OSError):  # another process has removed it, or the disk is full
            if entry.name not in but and not _is_sealed_since(entry):
                part = entry.with_name(f"{entry.name}.{os.getpid()}{_PART}")
                part.write_text(_digest(entry), encoding="ascii")
                part.replace(_seal(entry))


def remove_unsound(folder: pathlib.Path) -> int:
    """Removes programs that are not what was sealed; returns how many had a seal.

    Raises:
      OSError: one cannot be removed.
    """
    damaged = 0
    for entry in folder.glob(f"*{_ENTRY}"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            used, sealed = entry.stat(), _seal(entry).is_file()
            if sealed and _seal(entry).read_bytes() == _digest(entry).encode():
                os.utime(entry, ns=(used.st_atime_ns, used.st_mtime_ns))  # to look is not to use
                continue
            _remove(entry)
            damaged += sealed
    for rest in (*folder.glob(f"*{_SEAL}"), *folder.glob(f"*{_PART}")):
        if rest.suffix == _PART or not rest.with_suffix("").exists():
            rest.unlink(missing_ok=True)
    return damaged


def prune(root: pathlib.Path, most: int = MOST_BYTES) -> None:
    """Removes the programs of all machines that were not used for longest, above so many bytes."""
    entries = []
    for entry in root.glob(f"*/*{_ENTRY}"):
        with contextlib.suppress(FileNotFoundError):
            about = entry.stat()
            entries.append((max(about.st_atime_ns, about.st_mtime_ns), about.st_size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= most:
            break
        _remove(entry)
        total -= size


def _jax_has_its_own() -> bool:
    """Whether the user, or the module of a user's own block, told JAX where to keep programs."""
    jax = sys.modules.get("jax")
    own = jax and jax.config.jax_compilation_cache_dir
    return bool(own or os.environ.get("JAX_COMPILATION_CACHE_DIR"))


def _machine() -> str:
    """A name for all on which the same programs run."""
    about = f"{environment.processor_features()} {environment.usable_cores()}"
    digest = hashlib.sha256(about.encode()).hexdigest()[:16]
    return f"{digest}-jaxlib-{importlib.metadata.version('jaxlib')}"


def _check_private(path: pathlib.Path) -> None:
    about = path.stat()
    if about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _ExposedError(f"others may write into {path}, or own it; chmod 700 mends the one")
    if not os.access(path, os.W_OK):
        raise FileNotFoundError(f"{path} is read-only")


def _is_sealed_since(entry: pathlib.Path) -> bool:
    """Whether an entry's seal is younger: a seal made while it was being written is not."""
    mark = _seal(entry)
    return mark.exists() and mark.stat().st_mtime_ns > entry.stat().st_mtime_ns


def _digest(entry: pathlib.Path) -> str:
    with entry.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _seal(entry: pathlib.Path) -> pathlib.Path:
    return entry.with_name(entry.name + _SEAL)


def _remove(entry: pathlib.Path) -> None:
    entry.unlink(missing_ok=True)
    _seal(entry).unlink(missing_ok=True)
