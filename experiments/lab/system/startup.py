"""The start of JAX: devices, precision and kept programs are settled before it is imported."""

import functools
import os
import sys

from experiments.lab.system import programs


def import_jax(
    cores: int, compilation_cache: str = "none", matmul_precision: str = "default"
) -> None:
    """Imports JAX with every core as a device: runs lie side by side, not the parts of one run.

    Args:
      cores: how many there are.
      compilation_cache: see :func:`experiments.lab.system.programs.directory`.
      matmul_precision: of float32 products and convolutions, as JAX names it; ``"default"`` is
        JAX's own, or what the user told it (``JAX_DEFAULT_MATMUL_PRECISION``).

    Raises:
      UserError: programs cannot be kept where they were asked to be.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    kept = programs.directory(compilation_cache)
    if kept:
        programs.keep(kept)
    import jax

    if compilation_cache == "none":
        jax.config.update("jax_enable_compilation_cache", False)
    # Of the whole process: programs are compiled in another thread than this one.
    asked = _own_matmul_precision() if matmul_precision == "default" else matmul_precision
    jax.config.update("jax_default_matmul_precision", asked)
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:  # an own block's module has made arrays already
        print("warning: JAX is in use already; its devices stay as they are", file=sys.stderr)


@functools.cache
def _own_matmul_precision() -> str | None:
    """What JAX or its user had chosen before the first study of this process."""
    import jax

    return jax.config.jax_default_matmul_precision
