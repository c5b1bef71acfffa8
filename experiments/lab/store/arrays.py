"""Arrays in a sealed file, with what they are about: the form of records and checkpoints."""

import json

import numpy as np
import safetensors
import safetensors.numpy

from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError

#: The one entry of the metadata, since safetensors writes several in any order: what is told of the
#: arrays, and their names in order, which it does not keep either.
_ENTRY = "resnet_jax"

#: What the content of a file that holds no such arrays makes its readers raise.
DAMAGE = (
    safetensors.SafetensorError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def encode(about: dict, arrays: dict[str, np.ndarray]) -> bytes:
    """Returns the bytes of arrays by name, and of what JSON can hold about them."""
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = {_ENTRY: json.dumps({"about": about, "names": [*whole]})}
    return sealed.seal(safetensors.numpy.save(whole, metadata))


def decode(content: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """Returns what :func:`encode` took.

    Raises:
      ContentError: the bytes are damaged, or of something else.
    """
    tensors = sealed.unseal(content)
    try:
        arrays = safetensors.numpy.load(tensors)
        length = int.from_bytes(tensors[:8], "little")
        entry = json.loads(json.loads(tensors[8 : 8 + length])["__metadata__"][_ENTRY])
        about, in_order = entry["about"], {name: arrays[name] for name in entry["names"]}
    except DAMAGE as error:
        raise ContentError(f"holds no arrays ({type(error).__name__})") from None
    if not isinstance(about, dict) or in_order.keys() != arrays.keys():
        raise ContentError("holds no arrays of ours")
    return about, in_order
