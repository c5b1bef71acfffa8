"""Defines the configuration of a study: one frozen dataclass, whose fields are the flags."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from experiments.lab.config import vocabulary
from experiments.lab.config.entries import Names
from experiments.lab.config.families import FAMILIES, Family
from experiments.lab.config.variants import VARIANT_FIELDS, Variant

#: The roles of a field.  It decides how each run is trained, which runs there are, what a report
#: also shows, or none of these.  A directory holds runs of one training; a larger grid extends it.
TRAINING, GRID, REPORT, SHELL = "training", "grid", "report", "shell"


def option(default: Any, help_text: str, role: str = TRAINING, names: Names | None = None) -> Any:
    """Returns a field of a configuration, which is a flag.

    Args:
      default: the flag's default.
      help_text: the text that ``--help`` prints for it.
      role: what the field decides; one of the roles above.
      names: the names that the flag takes; None if its values are not names of a fixed list.
    """
    metadata = {"help": help_text, "role": role, "names": names}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """Describes what a study trains.  Each field is a flag, and its default the flag's default.

    The fields of :class:`Variant` hold one name or several.  Several names are paired: the first
    norm goes with the first order, and so on.  A single name goes with all.
    """

    family: str = option(
        "dense",
        "the lecture's fully connected networks, or the convolutional ones of He et al. 2015: "
        "6n+2 layers for small images (cifar), or 18 to 152 (imagenet)",
        names=FAMILIES,
    )
    block: str = option(
        "auto",
        "blocks of convolutional networks: two 3x3 layers, or 1x1, 3x3, 1x1 with the stride in the "
        "first layer as in the paper or in the 3x3; auto is basic, and for imagenet the paper's "
        "choice",
        names=vocabulary.BLOCKS,
    )
    depths: tuple[int, ...] = option(
        (2, 4, 8, 16, 32, 64),
        "weight layers of each network; dense ones: even, from 2 up",
        GRID,
    )
    num_seeds: int = option(8, "seeds of every setting; 6 or more for a p-value below 0.05", GRID)
    first_seed: int = option(0, "the first seed; the others follow it", GRID)
    learning_rates: tuple[float, ...] = option(
        (0.1, 0.05, 0.02, 0.01),
        "rates to choose from, for each depth and kind of network on its own",
        GRID,
    )
    adaptive_share: float = option(
        1.0, "the rates of adam and adamw are these times --learning_rates", GRID
    )
    shortcut_weights: tuple[float, ...] = option(
        (0.0, 1.0),
        "w in a[l+2] = g(w·a[l] + z[l+2]): 0 is plain, 1 residual",
        GRID,
    )
    deepest_plain: int = option(
        0,
        "no plain network (shortcut weight 0) is trained deeper than this; 0 sets no limit",
        GRID,
    )
    silent_plain: bool = option(
        True,
        "trains plain networks also where branches are scaled down or start at zero, and without "
        "shortcuts nothing passes them",
        GRID,
    )
    width: int = option(
        0, "units of every hidden layer, or channels of the first stage; 0: 48 dense, 16, 64"
    )
    width_factor: int = option(1, "multiplies all widths but that of a convolutional stem")
    steps: int = option(300, "updates of each run; 0 measures the networks as initialised")
    batch_size: int = option(100, "examples a step")
    optimizer: tuple[str, ...] = option(
        ("momentum",),
        "how the gradient becomes an update, or one for each variant",
        GRID,
        names=vocabulary.OPTIMIZERS,
    )
    schedule: str = option(
        "cosine", "how the rate changes over the steps", names=vocabulary.SCHEDULES
    )
    warmup: tuple[str, ...] = option(
        ("none",),
        "training starts at a rate of 0.01 or less until the batches' running error is below a "
        "fraction (error:0.8, as in He et al. 2015); or one for each variant",
        GRID,
        names=vocabulary.WARM_UPS,
    )
    warmup_depth: int = option(2, "the shallowest network that starts with such a warm-up")
    weight_decay: float = option(0.0, "L2 coefficient of all parameters; decoupled for adamw")
    norm: tuple[str, ...] = option(
        ("batch",), "normalisation, or one for each variant", GRID, names=vocabulary.NORMS
    )
    order: tuple[str, ...] = option(
        ("original",), "order within a block, or one a variant", GRID, names=vocabulary.ORDERS
    )
    shortcut: tuple[str, ...] = option(
        ("A",),
        "what is carried around a block, or one a variant: the input, zero-padded (A), projected "
        "where shapes change (B) or everywhere (C), times a constant as the branch is "
        "(constant:0.5/0.5), gated with an initial bias (exclusive_gate:-6, shortcut_gate:-6), or "
        "dropped out (dropout:0.5)",
        GRID,
        names=vocabulary.SHORTCUTS,
    )
    branch_scale: tuple[str, ...] = option(
        ("one",),
        "factor at the end of each branch, or one a variant: 1, 1/√blocks, learned from 0, left "
        "out by chance (stochastic_depth:0.5, the last one's probability), Fixup's with its "
        "initialisation, or (blocks/2)^-α with learning rates of the blocks to match (depth:1)",
        GRID,
        names=vocabulary.BRANCH_SCALES,
    )
    shortcut_schedule: tuple[str, ...] = option(
        ("constant",),
        "shortcut weights over the steps, or one a variant: as they are, or falling to 0 "
        "(annealed; where others are constant, from the greatest weight alone)",
        GRID,
        names=vocabulary.SHORTCUT_SCHEDULES,
    )
    init: tuple[str, ...] = option(
        ("he",), "initialisation, or one for each variant", GRID, names=vocabulary.INITS
    )
    dataset: str = option(
        "digits",
        "digits, digits_random_labels, spirals:TURNS (harder with more turns), cifar10, cifar100, "
        "mnist, fashion_mnist, or a file.npz with x_train, y_train, x_test, y_test",
    )
    data_dir: str = option(
        "", "where the files of cifar10 ... lie; by default they are downloaded and kept", SHELL
    )
    holdout: int = option(
        0, "training examples set aside, which take the test set's place in all results"
    )
    examples: int = option(0, "training examples to take, the first so many; 0 takes all")
    augment: tuple[str, ...] = option(
        (),
        "random changes of training images: crops after padding by 4, mirroring, square holes",
        names=vocabulary.AUGMENTATIONS,
    )
    statistics: str = option(
        "auto",
        "what batch normalisation uses in measurements: statistics of the whole training set, or "
        "running averages; auto takes the latter for training sets of more than 10 million numbers",
        names=vocabulary.STATISTICS,
    )
    map: str = option(
        "auto",
        "how the runs on one device are mapped: one after the other (map), vectorised (vmap), or "
        "so many vectorised at a time (vmap:8), which bounds memory; auto is map on CPU and vmap "
        "elsewhere",
        names=vocabulary.MAPS,
    )
    convolution: str = option(
        "auto",
        "how convolutions of vectorised runs are computed: by XLA's own, grouped by runs (stock) "
        "or one run after the other (mapped); as batched products of patches, columns or shifts "
        "of the images; or by XLA's own of several runs packed into 64 channels (packed). All are "
        "the same but for rounding; auto is what is fastest on the platform",
        names=vocabulary.CONVOLUTIONS,
    )
    remat: str = option(
        "none",
        "what stacks of blocks keep for their gradients: all products; each block's input (block), "
        "which computes blocks twice; or about 2√blocks of these (sqrt), three times",
        names=vocabulary.REMATS,
    )
    precision: str = option(
        "float32",
        "type of the layers' products and activations; parameters, their updates, normalisation, "
        "logits and loss are float32 always. bfloat16 is for accelerators",
        names=vocabulary.PRECISIONS,
    )
    matmul_precision: str = option(
        "default",
        "how exactly float32 products and convolutions are computed: highest is full float32; high "
        "may be TF32 on a GPU, and three passes in bfloat16 on a TPU; default, which is JAX's own, "
        "may be TF32 on a GPU, and one pass in bfloat16 on a TPU. On a CPU all are the same",
        names=vocabulary.MATMUL_PRECISIONS,
    )
    # On an NVIDIA H200 a step of 512 dense runs takes 1.10 times as long with it; without it XLA
    # tries kernels while it compiles, which takes long where there are convolutions
    # (docs/performance.md, "On a GPU").
    deterministic: bool = option(
        True,
        "compiles programs for GPUs so that the same command gives the same bits again; CPUs and "
        "TPUs need no such thing",
    )
    workdir: str = option("", "where results go; by default runs/ and the study's name", SHELL)
    fresh: bool = option(
        False, "starts over in a new directory next to one that already holds a study", SHELL
    )
    dry_run: bool = option(
        False, "trains nothing, and tells what it would take: work, memory and time", SHELL
    )
    retry_failed: bool = option(
        False,
        "tries again the runs that failed for lack of memory; otherwise they are skipped",
        SHELL,
    )
    compilation_cache: str = option(
        "",
        "where compiled programs are kept for the next launch; by default in the user's cache "
        "(JAX_COMPILATION_CACHE_DIR, where it is set); none keeps none",
        SHELL,
    )
    checkpoint_seconds: float = option(
        10.0, "from one checkpoint to the next; they never take more than 2% of the time", SHELL
    )

    def seeds(self) -> range:
        """Returns the seeds that every setting is trained with."""
        return range(self.first_seed, self.first_seed + self.num_seeds)

    def learning_rates_of(self, variant: Variant) -> tuple[float, ...]:
        """Returns the learning rates to choose from for a variant."""
        adaptive = vocabulary.OPTIMIZERS[variant.optimizer].adaptive
        share = self.adaptive_share if adaptive else 1.0
        return tuple(rate * share for rate in self.learning_rates)

    def shortcut_weights_of(self, depth: int, variant: Variant) -> tuple[float, ...]:
        """Returns the shortcut weights to train a variant with at a depth.

        If the same networks are also trained with constant shortcuts, annealing begins only at the
        greatest weight: it passes through those below, and from 0 it would be the plain network.
        """
        plain = not self.deepest_plain or depth <= self.deepest_plain
        plain = plain and (self.silent_plain or variant.carries(0.0))
        weights = tuple(weight for weight in self.shortcut_weights if weight or plain)
        kept = dataclasses.replace(variant, shortcut_schedule="constant")
        if variant == kept or kept not in self.variants():
            return weights
        return tuple(weight for weight in weights if weight and weight == max(weights))

    def variants(self) -> tuple[Variant, ...]:
        """Returns the variants to compare, in the order of the flags."""
        columns = [
            tuple(names.parse(text).text for text in getattr(self, name))
            for name, names in vocabulary.OF_VARIANTS.items()
        ]
        count = max(map(len, columns))
        columns = [column * count if len(column) == 1 else column for column in columns]
        return tuple(Variant(*row) for row in zip(*columns, strict=True))

    def varying(self) -> list[str]:
        """Returns the names of the fields in which the variants differ."""
        return [name for name in VARIANT_FIELDS if len(set(getattr(self, name))) > 1]

    def comparing(self, variants: Sequence[Variant]) -> "Config":
        """Returns the configuration with these variants; where all agree, with a single name."""
        columns: dict[str, Any] = {}
        for name in VARIANT_FIELDS:
            values = tuple(getattr(variant, name) for variant in variants)
            columns[name] = values if len(set(values)) > 1 else values[:1]
        return dataclasses.replace(self, **columns)

    @property
    def of_family(self) -> Family:
        """Returns the row of the configuration's family in :data:`FAMILIES`."""
        return FAMILIES[self.family]

    def base_width(self) -> int:
        """Returns the number of units of dense layers, or of channels of a convolutional stem."""
        return self.width or self.of_family.width

    def block_at(self, depth: int) -> str:
        """Returns the kind of block that networks of a depth are made of."""
        return self.of_family.block_at(depth) if self.block == "auto" else self.block
