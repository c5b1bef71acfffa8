"""Saves and loads weights as safetensors files, under the names that torchvision gives them.

Here the blocks of He et al.'s (2015) networks are stacked on a depth axis; in torchvision, and so
in most published files, each is separate:

    stem, stem_norm                               conv1, bn1
    stage_2/first/conv_1, stage_2/first/norm_1    layer2.0.conv1, layer2.0.bn1
    stage_2/first/shortcut, .../shortcut_norm     layer2.0.downsample.0, layer2.0.downsample.1
    stage_2/stack/conv_1 [blocks, ...]            layer2.1.conv1, layer2.2.conv1, ...
    head                                          fc

A stage without a ``first`` block counts its stack from 0.  Names and shapes identify weights, not
the computation: the user must choose a network with the right order of operations, placement of
strides and shortcut weight.
"""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from experiments.lab.system.errors import ContentError, UserError
from experiments.lab.system.files import write_bytes

LeafPath = tuple[str, ...]
Tree = Any  # nested dicts of arrays, or of their shapes and dtypes

_MODULES = {
    "stem": "conv1",
    "stem_norm": "bn1",
    **{f"conv_{index}": f"conv{index}" for index in (1, 2, 3)},
    **{f"norm_{index}": f"bn{index}" for index in (1, 2, 3)},
    "shortcut": "downsample.0",
    "shortcut_norm": "downsample.1",
    "head": "fc",
}
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
#: By rank, the order of our axes in torch's layout.
_AXES = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}

#: A counter that torch stores next to its running statistics, and that no network needs.
_IGNORED = ".num_batches_tracked"
_FLOATS = ("F16", "BF16", "F32", "F64")

#: The most bytes of a header, fifty times that of 152 layers; reading it takes ten times as much.
_MOST_HEADER = 2**22


class Slot(NamedTuple):
    """Locates a tensor of a file in our trees.

    Attributes:
      path: path of the leaf.
      row: index on the leaf's depth axis; an ellipsis if the tensor is the whole leaf.
    """

    path: LeafPath
    row: int | EllipsisType


def torch_name(path: LeafPath, block: int = 0) -> str:
    """Returns torchvision's name for a leaf of our trees.

    ``("stem", "kernel")`` is ``conv1.weight``, and ``("stage_2", "stack", "norm_1", "mean")`` in
    block 3 of its stage is ``layer2.3.bn1.running_mean``.

    Raises:
      UserError: torchvision has no name for the leaf.
    """
    match path:
        case ("stem" | "stem_norm" | "head" as module, leaf) if leaf in _LEAVES:
            return f"{_MODULES[module]}.{_LEAVES[leaf]}"
        case (stage, "first" | "stack", module, leaf) if module in _MODULES and leaf in _LEAVES:
            layer = stage.replace("stage_", "layer")
            return f"{layer}.{block}.{_MODULES[module]}.{_LEAVES[leaf]}"
    raise UserError(
        f"torchvision has no name for {'/'.join(path)}; it has for convolutional networks of the "
        "original order with batch normalisation, and identity or projection shortcuts"
    )


def places(tree: Tree) -> dict[str, Slot]:
    """Returns by name where the tensors of a file belong in a tree of parameters or statistics.

    Raises:
      UserError: torchvision has no name for a leaf.
    """
    found = {}
    for path, leaf in _leaves(tree):
        if "stack" in path:
            before = int("first" in tree[path[0]])
            for row in range(leaf.shape[0]):
                found[torch_name(path, before + row)] = Slot(path, row)
        else:
            found[torch_name(path)] = Slot(path, ...)
    return found


def in_torch_layout(array: np.ndarray) -> np.ndarray:
    """Returns a view of one tensor with its axes in torch's order.

    A kernel ``[height, width, in, out]`` becomes ``[out, in, height, width]``, one ``[in, out]``
    becomes ``[out, in]``, and a vector stays.
    """
    return array.transpose(_AXES[array.ndim])


def save(path: pathlib.Path | str, params: Tree, statistics: Tree) -> None:
    """Writes a network's weights atomically: the file is complete, or as it was before.

    Args:
      path: path of the file.
      params: parameters of a network of the ImageNet or the CIFAR family.
      statistics: statistics of its normalisations, with the variance as it shall be used.

    Raises:
      UserError: torchvision has no names for such a network, or the file cannot be written.
    """
    path = pathlib.Path(path)
    tensors = _views(_map(np.asarray, params)) | _views(_map(np.asarray, statistics))
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    content = safetensors.numpy.save(whole, {"format": "pt"})
    try:
        write_bytes(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def load(path: pathlib.Path | str, params_like: Tree, statistics_like: Tree) -> tuple[Tree, Tree]:
    """Reads a network's weights.

    Args:
      path: path of a file with torchvision's names, in any float type; torch's counts of batches
        are ignored.
      params_like: shapes and dtypes of the network's parameters, as from ``jax.eval_shape``.
      statistics_like: shapes and dtypes of its statistics.

    Returns:
      Parameters and statistics, NumPy arrays of those shapes and dtypes.

    Raises:
      UserError: there is no such file, it is damaged, or it holds another network's weights.
    """
    empty = lambda leaf: np.empty(leaf.shape, leaf.dtype)
    params, statistics = _map(empty, params_like), _map(empty, statistics_like)
    path = pathlib.Path(path)
    try:
        _fill(path, _views(params) | _views(statistics))
    except ContentError as error:
        raise UserError(f"{path}: {error}") from None
    return params, statistics


def _views(tree: Tree) -> dict[str, np.ndarray]:
    """Returns the tensors of a file, by name, as views of a tree's arrays in torch's layout."""
    leaves = dict(_leaves(tree))
    return {
        name: in_torch_layout(leaves[place.path][place.row]) for name, place in places(tree).items()
    }


def _fill(path: pathlib.Path, slots: dict[str, np.ndarray]) -> None:
    """Copies the tensors of a file into arrays by name."""
    if not path.is_file():
        raise ContentError("there is no such file")
    try:
        with path.open("rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > _MOST_HEADER:
            raise OSError(f"its header would have {header} bytes")
        with safetensors.safe_open(path, framework="np") as file:
            _check(file, slots)
            for name, slot in slots.items():
                _copy(name, file.get_tensor(name), slot)
    except (OSError, safetensors.SafetensorError) as error:
        reason = " ".join(f"{error}".split())[:120]
        raise ContentError(f"cannot be read as safetensors ({reason})") from None


def _check(file: Any, slots: dict[str, np.ndarray]) -> None:
    """Raises ContentError if a file's header lists other tensors; reads none of them."""
    found = {name: file.get_slice(name) for name in file.keys() if not name.endswith(_IGNORED)}  # noqa: SIM118
    differences = [
        f"{what} {_few(names)}"
        for what, names in (
            ("it lacks", [name for name in slots if name not in found]),
            ("it has besides", [name for name in found if name not in slots]),
        )
        if names
    ]
    if differences:
        raise ContentError(f"holds another network's weights: {'; '.join(differences)}")
    for name, slot in slots.items():
        here, there = list(slot.shape), found[name].get_shape()
        if here != there:
            raise ContentError(
                f"holds another network's weights: {name} is {_short(there)} there, {here} here"
            )
        if found[name].get_dtype() not in _FLOATS:
            raise ContentError(
                f"{name} is {found[name].get_dtype()}; known are {', '.join(_FLOATS)}"
            )


def _copy(name: str, tensor: np.ndarray, slot: np.ndarray) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        slot[...] = tensor
    if (np.isfinite(slot) != np.isfinite(tensor)).any():
        raise ContentError(f"{name} has values too large for {slot.dtype}")


def _few(names: Iterable[str], most: int = 3) -> str:
    """Returns the first of many names, made printable, and how many more there are."""
    names = sorted(names)
    shown = [name if name.isprintable() else ascii(name) for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(_short, shown)) + more


def _short(what: object, most: int = 60) -> str:
    text = str(what)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _leaves(tree: Tree, path: LeafPath = ()) -> Iterator[tuple[LeafPath, Any]]:
    if not isinstance(tree, Mapping):
        yield path, tree
        return
    for name, branch in tree.items():
        yield from _leaves(branch, (*path, name))


def _map(function, tree: Tree) -> Tree:
    if not isinstance(tree, Mapping):
        return function(tree)
    return {name: _map(function, branch) for name, branch in tree.items()}
