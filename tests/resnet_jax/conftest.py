"""Settings of the tests of mathematics."""

import jax
import pytest


@pytest.fixture(autouse=True)
def quickly_compiled():
    """Programs that run once are not worth optimising."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
