"""Describes families of networks (depths, blocks, widths, images) without importing JAX."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from experiments.lab.config.entries import Entry, Names
from experiments.lab.config.vocabulary import BLOCKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family(Entry):
    """Describes a family of networks.

    Attributes:
      title: its name in messages.
      width: default number of units of a layer, or of channels of the stem.
      stages: number of stages; all have the same number of blocks, which restricts the depths.
      depths: the only depths that exist, by the layers of their blocks; empty if stages decide.
      block_at: function from a depth to the block of its networks under ``--block=auto``.
      stem_by_size: whether small images get a stem that keeps their size.
      least_image: least number of pixels on a side that its networks accept.
      sample: depths, image shape and classes of the networks that its papers print.
    """

    title: str
    width: int
    stages: int = 1
    depths: Mapping[int, Sequence[int]] = dataclasses.field(default_factory=dict)
    block_at: Callable[[int], str] = lambda depth: "basic"
    stem_by_size: bool = False
    least_image: int = 1
    sample: tuple[tuple[int, ...], tuple[int, ...], int]

    @property
    def convolutional(self) -> bool:
        """Returns whether its networks take images and have several kinds of block."""
        return self.least_image > 1

    def layers(self, block: str) -> int:
        """Returns the number of weight layers on the main path of a block."""
        return BLOCKS[block].layers if self.convolutional else 2

    def depths_up_to(self, depth: int, layers: int) -> Sequence[int]:
        """Returns the possible depths of networks with ``layers`` a block, up to ``depth``."""
        if self.depths:
            return [known for known in self.depths[layers] if known <= depth]
        return range(2, depth + 1, layers * self.stages)

    def depth_problem(self, depth: int, layers: int, chosen: bool) -> str:
        """Returns why no network of a depth exists; empty if one does.

        Args:
          depth: number of weight layers.
          layers: number of weight layers of each block.
          chosen: whether the block was asked for, so that depths of other blocks do not help.
        """
        if self.depths:
            return self._unknown(depth, layers, chosen)
        step = layers * self.stages
        if not (depth - 2) % step:
            return ""
        below = depth - (depth - 2) % step
        stages = f"{self.stages} stages, " if self.stages > 1 else ""
        return (
            f"--depths: no {self.title} network has {depth} layers (stem, {stages}{layers} a "
            f"block, head); the nearest are {below} and {below + step}"
        )

    def _unknown(self, depth: int, layers: int, chosen: bool) -> str:
        known = {layers: self.depths.get(layers, ())} if chosen else self.depths
        if not known.get(layers):
            return (
                f"layers_per_block={layers}: the {self.title} networks have blocks of "
                f"{' or '.join(map(str, self.depths))} layers"
            )
        if depth in known[layers]:
            return ""
        names = ", ".join(f"{depth}" for depths in known.values() for depth in depths)
        of = f"with blocks of {layers} layers" if chosen else "of the paper"
        return f"--depths: no {self.title} network {of} has {depth} layers; known are {names}"


_MADE = "resnet_jax.nn.families:"

FAMILIES = Names(
    "family",
    Family(
        "dense",
        _MADE + "dense_network",
        title="dense",
        width=48,
        block_at=lambda depth: "dense",
        sample=((2, 4, 8, 16, 32, 64), (8, 8), 10),
    ),
    Family(
        "cifar",
        _MADE + "cifar_network",
        title="cifar",
        width=16,
        stages=3,
        least_image=4,
        sample=((20, 32, 44, 56, 110, 1202), (32, 32, 3), 10),
    ),
    Family(  # He et al. 2015, table 1
        "imagenet",
        _MADE + "imagenet_network",
        title="ImageNet",
        width=64,
        depths={2: (18, 34), 3: (50, 101, 152)},
        block_at=lambda depth: "bottleneck" if depth >= 50 else "basic",
        stem_by_size=True,
        least_image=8,
        sample=((18, 34, 50, 101, 152), (224, 224, 3), 1000),
    ),
)
