"""Starts JAX with the devices, precision and compilation cache that a study asks for."""

import functools
import os
import sys
from typing import Any

from experiments.lab.system import programs
from experiments.lab.system.errors import UserError

#: Settings of JAX that change numbers, or what can be traced.  They override the environment's:
#: seeds and steps must give the same draws on every machine, and states have one width.
PINNED = {
    "jax_enable_x64": False,
    "jax_disable_jit": False,
    "jax_threefry_partitionable": True,
    "jax_default_prng_impl": "threefry2x32",
    "jax_numpy_dtype_promotion": "standard",
}


def import_jax(
    cores: int, compilation_cache: str = "none", matmul_precision: str = "default"
) -> None:
    """Imports JAX with every core as a device: runs are parallel, not the parts of one run.

    Args:
      cores: number of cores.
      compilation_cache: see :func:`experiments.lab.system.programs.directory`.
      matmul_precision: precision of float32 products and convolutions, as JAX names it;
        ``"default"`` is JAX's own, or the user's (``JAX_DEFAULT_MATMUL_PRECISION``).

    Raises:
      UserError: the compilation cache that was asked for cannot be used, or there is no device.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    kept = programs.directory(compilation_cache)
    if kept:
        programs.keep(kept)
    import jax

    jax.config.update("jax_enable_compilation_cache", compilation_cache != "none")
    _pin(jax.config)
    # For the whole process, since programs are compiled in another thread than this one.
    before = _own_matmul_precision()
    asked = before if matmul_precision == "default" else matmul_precision
    jax.config.update("jax_default_matmul_precision", asked)
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:  # a custom block's module has made arrays already
        print("warning: JAX is in use already; its devices stay as they are", file=sys.stderr)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter if a platform is not installed
        why = f" ({' '.join(str(error).split())[:200]})" if str(error) else ""
        raise UserError(
            f"JAX finds no device of JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}{why}; "
            "unset it, or install what it names"
        ) from None


def _pin(config: Any) -> None:
    """Gives pinned settings their values, and prints a warning for each that was different."""
    for setting, value in PINNED.items():
        if (found := getattr(config, setting)) != value:
            print(f"warning: {setting} is {found} here; studies have it {value}", file=sys.stderr)
            config.update(setting, value)


@functools.cache
def _own_matmul_precision() -> str | None:
    """Returns the precision that JAX or its user chose before the first study of this process."""
    import jax

    return jax.config.jax_default_matmul_precision
