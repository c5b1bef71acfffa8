"""Lists the vocabulary: every name that flags take, one row each.

To add one, write its function or class in the library, its row here, and its test.
"""

from experiments.lab.config import rules
from experiments.lab.config.entries import (
    Block,
    BranchScale,
    Entry,
    Form,
    Init,
    Names,
    Norm,
    Optimizer,
    Order,
    Shortcut,
)

_NN, _OPS, _THEORY = "resnet_jax.nn.", "resnet_jax.ops.", "resnet_jax.theory."
_OPTIMIZERS = "resnet_jax.training.optimizers:"

NORMS = Names(
    "norm",
    Norm(
        "none",
        _OPS + "normalization:NoNorm",
        title="no normalisation",
        clause="without norm",
        theory=_THEORY + "propagation:NONE",
    ),
    Norm(
        "batch",
        _OPS + "normalization:BatchNorm",
        title="batch norm",
        clause="with batch norm",
        theory=_THEORY + "propagation:BATCH",
        over_batch=True,
        problem=rules.needs_a_batch,
    ),
    Norm(
        "layer",
        _OPS + "normalization:LayerNorm",
        title="layer norm",
        clause="with layer norm",
        theory=_THEORY + "propagation:LAYER",
        per_example=True,
    ),
)

ORDERS = Names(
    "order",
    Order(
        "original",
        _NN + "orders:original",
        "the lecture's order",
        theory=_THEORY + "particles:original",
        activated=True,
    ),
    Order("norm_after_addition", _NN + "orders:norm_after_addition", "norm after addition"),
    Order(
        "activation_before_addition",
        _NN + "orders:activation_before_addition",
        "ReLU before addition",
        problem=rules.never_learns,
    ),
    Order("activation_first", _NN + "orders:activation_first", "ReLU-only pre-activation"),
    Order(
        "pre_activation",
        _NN + "orders:pre_activation",
        "pre-activation",
        theory=_THEORY + "propagation:pre_activation",
    ),
)

SHORTCUTS = Names(
    "shortcut",
    Shortcut("A", _NN + "shortcuts:identity", "identity shortcut", identity=True),
    Shortcut("B", _NN + "shortcuts:projection_where_needed", "projection where shapes change"),
    Shortcut("C", _NN + "shortcuts:projection", "projection everywhere"),
    Shortcut("constant", _NN + "shortcuts:constant", "shortcut/branch ×", (0.5, 0.5)),
    Shortcut("exclusive_gate", _NN + "shortcuts:exclusive_gate", "exclusive gate", (-6.0,)),
    Shortcut("shortcut_gate", _NN + "shortcuts:shortcut_gate", "shortcut-only gate", (-6.0,)),
    Shortcut(
        "dropout", _NN + "shortcuts:dropout", "dropout on the shortcut", (0.5,), rules.probability
    ),
)

BRANCH_SCALES = Names(
    "branch_scale",
    BranchScale("one", _NN + "branches:unit", "branch × 1", weight=lambda blocks: 1.0, full=True),
    BranchScale(
        "inverse_sqrt",
        _NN + "branches:inverse_sqrt",
        "branch × 1/√blocks",
        weight=lambda blocks: blocks**-0.5,
        bounded=lambda: True,
    ),
    BranchScale(
        "learned", _NN + "branches:learned", "learned branch scale", weight=lambda blocks: 0.0
    ),
    BranchScale(
        "stochastic_depth",
        _NN + "branches:stochastic_depth",
        "stochastic depth",
        (0.5,),
        rules.probability,
        rules.cuts_plain_networks,
    ),
    BranchScale(
        "fixup",
        _NN + "branches:fixup",
        "Fixup",
        problem=rules.brings_its_own,
        weight=lambda blocks: 0.0,
        silent=True,
        norm=_OPS + "normalization:ScalarBias",
        init=_NN + "initializers:fixup",
    ),
    BranchScale(
        "depth",
        _NN + "branches:depth_scaled",
        "depth-scaled, α =",
        (1.0,),
        rules.exponent,
        weight=rules.depth_weight,
        rate=rules.depth_rate,
        bounded=lambda alpha: alpha >= 0.5,
    ),
)

INITS = Names(
    "init",
    Init("he", _NN + "initializers:he"),
    Init("zero_last", _NN + "initializers:zero_last", "zero-init", silent=True),
    # In wide networks power, angles and the mean square of gradients depend only on the variance of
    # the weights; the spread of singular values, which theory here does not cover, depends on more
    # (Pennington et al. 2017, arXiv 1711.04735, section 2).
    Init("orthogonal", _NN + "initializers:orthogonal", "orthogonal weights"),
)

OPTIMIZERS = Names(
    "optimizer",
    Optimizer("sgd", _OPTIMIZERS + "sgd", "SGD"),
    Optimizer("momentum", _OPTIMIZERS + "momentum", "momentum"),
    Optimizer("nesterov", _OPTIMIZERS + "nesterov", "Nesterov"),
    Optimizer("adam", _OPTIMIZERS + "adam", "Adam", adaptive=True),
    Optimizer("adamw", _OPTIMIZERS + "adamw", "AdamW", adaptive=True),
)

WARM_UPS = Names(
    "warmup",
    Entry("none", words="no warm-up"),
    Entry("error", words="warm-up to error", numbers=(0.8,), wrong=rules.fraction),
)

#: The values are functions of the steps of a training; None if the shortcut weights stay constant.
SHORTCUT_SCHEDULES = Names(
    "shortcut_schedule",
    Entry("constant", words="shortcuts kept"),
    Entry("annealed", _OPTIMIZERS + "linear", "shortcuts annealed"),
)

SCHEDULES = Names(
    "schedule",
    Entry("constant", _OPTIMIZERS + "constant"),
    Entry("step", _OPTIMIZERS + "step_decay"),
    Entry("three_steps", _OPTIMIZERS + "step_decay_thrice"),
    Entry("cosine", _OPTIMIZERS + "cosine"),
    Entry("warmup", _OPTIMIZERS + "warmup"),
    Entry("warmup_cosine", _OPTIMIZERS + "warmup_cosine"),
)

#: The names by field of a variant, in the order of the fields.
OF_VARIANTS: dict[str, Names] = {
    "norm": NORMS,
    "order": ORDERS,
    "shortcut": SHORTCUTS,
    "branch_scale": BRANCH_SCALES,
    "init": INITS,
    "optimizer": OPTIMIZERS,
    "warmup": WARM_UPS,
    "shortcut_schedule": SHORTCUT_SCHEDULES,
}

BLOCKS = Names(
    "block",
    Block("auto", layers=0),
    Block("basic", _NN + "blocks:BASIC", layers=2),
    Block("bottleneck", _NN + "blocks:BOTTLENECK", layers=3),
    Block("bottleneck_3x3", _NN + "blocks:BOTTLENECK_3X3", layers=3),
)

AUGMENTATIONS = Names(
    "augment",
    Entry("crop", "resnet_jax.training.augmentation:crop"),
    Entry("flip", "resnet_jax.training.augmentation:flip"),
    Entry("cutout", "resnet_jax.training.augmentation:cutout"),
)

STATISTICS = Names("statistics", Entry("auto"), Entry("whole"), Entry("running"))

MAPS = Names(
    "map",
    Entry("auto"),
    Entry("vmap", numbers=(0.0,), wrong=rules.runs),  # all runs
    Entry("map"),
)

CONVOLUTIONS = Names(
    "convolution",
    Form("auto"),
    Form("stock", _OPS + "forms:STOCK"),
    Form("patches", _OPS + "forms:PATCHES"),
    Form("columns", _OPS + "forms:COLUMNS"),
    Form("shifts", _OPS + "forms:SHIFTS"),
    Form("mapped", _OPS + "forms:MAPPED", twice=False),
    Form("packed", _OPS + "forms:PACKED", twice=False),
)

REMATS = Names(
    "remat",
    Entry("none", _OPS + "rematerialization:products"),
    Entry("block", _OPS + "rematerialization:block_inputs"),
    Entry("sqrt", _OPS + "rematerialization:segment_inputs"),
)

#: The values are data types of activations; None stands for that of the parameters.
PRECISIONS = Names("precision", Entry("float32"), Entry("bfloat16", "jax.numpy:bfloat16"))

MATMUL_PRECISIONS = Names("matmul_precision", Entry("default"), Entry("high"), Entry("highest"))
