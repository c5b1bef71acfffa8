"""Encodes named arrays and metadata as sealed bytes, the format of records and checkpoints."""

import json

import numpy as np
import safetensors
import safetensors.numpy

from experiments.lab.system import sealed
from experiments.lab.system.errors import ContentError

#: The only entry of safetensors' metadata, which are written in any order: it holds our metadata,
#: and the names of the arrays in order, which safetensors does not keep either.
_ENTRY = "resnet_jax"

#: The errors that readers raise on a file that holds no such arrays.
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
    """Returns the sealed bytes of arrays by name, and of metadata that JSON can hold."""
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = {_ENTRY: json.dumps({"about": about, "names": [*whole]})}
    return sealed.seal(safetensors.numpy.save(whole, metadata))


def decode(content: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """Returns the metadata and the arrays that :func:`encode` took.

    Raises:
      ContentError: the bytes are damaged, or are something else.
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
