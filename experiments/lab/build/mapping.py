"""How a population is laid on a device: runs vectorised at once, and the form of convolutions.

What ``auto`` means is decided here, by platform and from measurements.  On CPU one run follows the
other, in forms of their own.  On an NVIDIA H200 (jax 0.11.2, programs as ``--deterministic``
compiles them), in milliseconds a step and run, batch 128:

    dense, depth 64, width 64     512 runs vectorised 0.0248, in tiles of 64 runs 0.0545;
                                  8 runs vectorised 0.294, one after the other 2.21
    ResNet-20, 32x32, bfloat16,   columns 0.842, packed 1.08, stock 2.67
    32 runs vectorised

docs/performance.md ("On a GPU") has the whole table.  No TPU was met: there the stock form stays.
"""

import jax

from experiments.lab.config.config import Config
from experiments.lab.config.names import split_name
from resnet_jax.ops import forms
from resnet_jax.ops.forms import Form

FORMS = {
    "stock": forms.STOCK,
    "patches": forms.PATCHES,
    "columns": forms.COLUMNS,
    "shifts": forms.SHIFTS,
    "mapped": forms.MAPPED,
    "packed": forms.PACKED,
}

#: Of runs that are vectorised, by backend.
_VECTORISED = {"gpu": forms.COLUMNS}


def tile(config: Config) -> int | None:
    """How many runs are vectorised on one device.

    See :func:`resnet_jax.training.population.over_runs`.
    """
    name, numbers = split_name("map", config.map)
    if name == "auto":
        return 1 if jax.default_backend() == "cpu" else None
    return int(numbers[0]) or None if name == "vmap" else 1


def form(config: Config) -> Form:
    """How convolutions are computed."""
    if config.convolution != "auto":
        return FORMS[config.convolution]
    if tile(config) == 1:
        return forms.BY_PLATFORM
    return _VECTORISED.get(jax.default_backend(), forms.BY_PLATFORM)
