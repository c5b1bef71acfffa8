"""Imports go down only: each file may import from the floors below its own."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent

#: From the ground up; files on one floor do not import each other.
FLOORS = [
    {
        "resnet_jax.activations",
        "resnet_jax.precision",
        "resnet_jax.rematerialization",
        "resnet_jax.version",
    },
    {
        "resnet_jax.augmentation",
        "resnet_jax.batches",
        "resnet_jax.branches",
        "resnet_jax.footprint",
        "resnet_jax.functional",
        "resnet_jax.initializers",
        "resnet_jax.linear",
        "resnet_jax.lowerings",
        "resnet_jax.normalization",
        "resnet_jax.optimizers",
        "resnet_jax.orders",
        "resnet_jax.propagation",
        "resnet_jax.shortcuts",
        "resnet_jax.statistics",
        "resnet_jax.winograd",
    },
    {
        "resnet_jax.forms",
        "resnet_jax.particles",
        "resnet_jax.pixels",
        "resnet_jax.theory",
    },
    {"resnet_jax.convolution"},
    {"resnet_jax.blocks"},
    {"resnet_jax.networks", "resnet_jax.training"},
    {
        "resnet_jax.counting",
        "resnet_jax.curvature",
        "resnet_jax.directions",
        "resnet_jax.families",
        "resnet_jax.population",
        "resnet_jax.probes",
    },
    {"resnet_jax.diagnostics", "resnet_jax.interventions"},
    {"resnet_jax.lesions", "resnet_jax.paths"},
    {"resnet_jax"},
    {
        "experiments.environment",
        "experiments.errors",
        "experiments.files",
        "experiments.interrupts",
    },
    {"experiments.names"},
    {
        "experiments.binary",
        "experiments.config",
        "experiments.downloads",
        "experiments.npz",
        "experiments.programs",
        "experiments.progress",
        "experiments.sealed",
    },
    {
        "experiments.grid",
        "experiments.images",
        "experiments.kinds",
        "experiments.lock",
        "experiments.manifest",
        "experiments.mapping",
    },
    {
        "experiments.checkpoints",
        "experiments.commandline",
        "experiments.composition",
        "experiments.datasets",
        "experiments.labels",
        "experiments.predictions",
        "experiments.verdicts",
        "experiments.memory",
        "experiments.page",
        "experiments.rates",
        "experiments.rows",
        "experiments.tables",
        "experiments.validation",
        "experiments.weights",
    },
    {
        "experiments.cells",
        "experiments.course",
        "experiments.published",
        "experiments.reach",
        "experiments.records",
        "experiments.summary",
    },
    {
        "experiments.configurations",
        "experiments.estimates",
        "experiments.findings",
        "experiments.optima",
        "experiments.figures",
        "experiments.plan",
        "experiments.store",
    },
    {
        "experiments.boundaries",
        "experiments.profiles",
        "experiments.readings",
        "experiments.remedies",
        "experiments.results",
        "experiments.terminal",
        "experiments.transfers",
    },
    {
        "experiments.agreement",
        "experiments.charts",
        "experiments.contours",
        "experiments.coordinate_check",
        "experiments.compilation",
        "experiments.heatmaps",
        "experiments.layerwise",
        "experiments.lesioning",
        "experiments.presentation",
        "experiments.rate_curves",
        "experiments.sharpness",
        "experiments.slices",
        "experiments.trajectories",
        "experiments.turning_down",
    },
    {
        "experiments.dryrun",
        "experiments.evolution",
        "experiments.lesion_curves",
        "experiments.sweep",
    },
    {"experiments.lesion_figures", "experiments.lesion_findings", "experiments.runner"},
    {
        "experiments.degradation",
        "experiments.dynamics",
        "experiments.landscape",
        "experiments.lesion",
        "experiments.depth_transfer",
        "experiments.networks",
        "experiments.propagation",
        "experiments.report",
        "experiments.shortcut_strength",
        "experiments.trainable_depth",
    },
    {"experiments.__main__"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: pathlib.Path) -> set[str]:
    """Modules of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in FLOOR_OF else node.module for name in names]
        found |= {name for name in names if name in FLOOR_OF}
    return found


FILES = [
    path
    for package in ("resnet_jax", "experiments")
    for path in sorted((ROOT / package).glob("*.py"))
    if path != ROOT / "experiments" / "__init__.py"
]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down(path):
    floor = FLOOR_OF[module_name(path)]
    for name in imported_modules(path):
        assert FLOOR_OF[name] < floor, f"{module_name(path)} may not import {name}"


def test_the_library_touches_nothing_outside():
    forbidden = {"absl", "experiments", "os", "pathlib", "sys", "time", "logging"}
    for path in (ROOT / "resnet_jax").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.module.partition(".")[0] not in forbidden
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print"
