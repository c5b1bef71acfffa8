"""Families of networks: their depths, blocks, widths and images, before JAX is imported."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from experiments.lab.config.entries import Entry, Names
from experiments.lab.config.vocabulary import BLOCKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family(Entry):
    """A family of networks.

    Attributes:
      title: what messages call it.
      width: units of a layer, or channels of the stem, by default.
      stages: with as many blocks each; the depths are those of whole blocks in all stages.
      depths: where only some depths are known, these, by the weight layers of their blocks.
      block_at: what its networks of a depth are made of, where no block is asked for.
      stem_by_size: whether small images get a stem that keeps their size.
      least_image: pixels on a side that its networks need at least.
      sample: depths, image and classes of the networks that its papers print.
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
        """Whether its networks take images, in blocks of several kinds."""
        return self.least_image > 1

    def layers(self, block: str) -> int:
        """Returns the weight layers on the main path of a block."""
        return BLOCKS[block].layers if self.convolutional else 2

    def depths_up_to(self, depth: int, layers: int) -> Sequence[int]:
        """Returns the depths of networks in blocks of so many layers, up to one that is there."""
        if self.depths:
            return [known for known in self.depths[layers] if known <= depth]
        return range(2, depth + 1, layers * self.stages)

    def depth_problem(self, depth: int, layers: int, chosen: bool) -> str:
        """Says why there is no network of a depth; empty where there is one.

        Args:
          depth: in weight layers.
          layers: of each block.
          chosen: whether the block was asked for, so that depths of others are of no use.
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
