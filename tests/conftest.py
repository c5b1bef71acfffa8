"""Settings of all tests: two CPU devices, and no silent rank promotion."""

import gzip
import io
import os
import shutil
import signal
import struct
import tarfile
import tempfile
from types import SimpleNamespace

import jax
import numpy as np
import pytest

# Where tests run in the background, a shell may have made them deaf to it, and their children too.
signal.signal(signal.SIGINT, signal.default_int_handler)

jax.config.update("jax_num_cpu_devices", 2)
jax.devices()  # made now, so that no command that a test runs in this process makes others
jax.config.update("jax_numpy_rank_promotion", "raise")
if jax.default_backend() != "cpu":
    # Accelerators round the factors of float32 products, which neither theory nor references do.
    jax.config.update("jax_default_matmul_precision", "highest")


def pytest_configure(config):
    """One cache for all processes of a session and the studies they launch, and not the user's."""
    if not hasattr(config, "workerinput"):
        os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="resnet_jax_cache_")


def pytest_unconfigure(config):
    """Leaves nothing of it behind."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leaves out what takes hours, unless it is asked for by name: ``pytest -m long``.

    ``pytest -m all`` selects every other test.  Proofs of reliability come first: some take
    minutes, in which other processes find work.
    """
    items.sort(key=lambda item: "reliability" not in item.path.parts)
    if "long" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        item.add_marker("all")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Programs that run once are not optimised; those of long trainings and of proofs are.

    Before any fixture, so that what it trains is compiled as what its tests train.
    """
    worth_it = "reliability" in item.path.parts or item.get_closest_marker("optimized")
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0" if worth_it else "1"
    jax.config.update("jax_disable_most_optimizations", not worth_it)


@pytest.fixture
def float64():
    """Runs a test in double precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def tiny_data():
    """Forty 6-feature examples of 3 classes, learnable: the class is the largest of 3 features."""
    from resnet_jax import Data

    random = np.random.RandomState(0)
    x = random.randn(40, 6).astype(np.float32)
    y = x[:, :3].argmax(1).astype(np.int32)
    return Data(x[:30], y[:30], x[30:], y[30:])


# Writers of the published formats, from which tests make small files and faulty ones.


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
