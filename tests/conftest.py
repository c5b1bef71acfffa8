"""Settings of all tests: two CPU devices, and no silent rank promotion."""

import signal

import jax
import numpy as np
import pytest

# Where tests run in the background, a shell may have made them deaf to it, and their children too.
signal.signal(signal.SIGINT, signal.default_int_handler)

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")


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
