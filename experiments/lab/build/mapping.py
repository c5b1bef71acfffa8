"""Decides how a population runs on a device: runs vectorised at once, and forms of convolutions.

The meaning of ``auto`` is decided here, by platform and from measurements.  On CPU one run follows
the other, in forms for single runs.  On an NVIDIA H200 (jax 0.11.2, programs as ``--deterministic``
compiles them), in milliseconds a step and run, batch 128:

    dense, depth 64, width 64     512 runs vectorised 0.0248, in tiles of 64 runs 0.0545;
                                  8 runs vectorised 0.294, one after the other 2.21
    ResNet-20, 32x32, bfloat16,   columns 0.842, packed 1.08, stock 2.67
    32 runs vectorised

docs/performance.md ("On a GPU") has the whole table.  Nothing was measured on TPUs, where the stock
form stays.
"""

import jax

from experiments.lab.config.config import Config
from experiments.lab.config.vocabulary import CONVOLUTIONS, MAPS
from resnet_jax.ops import forms
from resnet_jax.ops.forms import Form

#: The form of convolutions of vectorised runs, by backend.
_VECTORISED = {"gpu": forms.COLUMNS}


def tile(config: Config) -> int | None:
    """Returns the ``tile`` of :func:`resnet_jax.training.population.over_runs` on one device."""
    how = MAPS.parse(config.map)
    if how.entry.name == "auto":
        return 1 if jax.default_backend() == "cpu" else None
    return int(how.numbers[0]) or None if how.numbers else 1


def form(config: Config) -> Form:
    """Returns the form by which convolutions are computed."""
    if chosen := CONVOLUTIONS.value(config.convolution):
        return chosen
    if tile(config) == 1:
        return forms.BY_PLATFORM
    return _VECTORISED.get(jax.default_backend(), forms.BY_PLATFORM)
