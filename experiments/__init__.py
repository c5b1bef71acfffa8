"""Holds the studies of depth, one folder each, and the engine that runs them (``lab``).

``python -m experiments`` lists the studies.  Nothing here imports JAX until a study has checked
its flags, so that help and refusals are immediate.
"""

#: The studies that ``python -m experiments`` offers, each a package of this one.
STUDIES = (
    "degradation",
    "propagation",
    "dynamics",
    "shortcut_strength",
    "lesion",
    "landscape",
    "trainable_depth",
    "depth_transfer",
)
