"""Imports go down only: in the library by folders, in ``experiments/`` by floors of files."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent

#: The library's folders, from the ground up; those of one floor do not import each other.
ROOMS = [{"ops"}, {"nn"}, {"training", "diagnostics", "theory"}]
ROOM_FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}

#: Files of ``experiments/``, from the ground up; those of one floor do not import each other.
FLOORS = [
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
    for path in sorted((ROOT / "experiments").glob("*.py"))
    if path != ROOT / "experiments" / "__init__.py"
]
LIBRARY = sorted((ROOT / "resnet_jax").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down(path):
    floor = FLOOR_OF[module_name(path)]
    for name in imported_modules(path):
        assert FLOOR_OF[name] < floor, f"{module_name(path)} may not import {name}"


def library_imports(source: str) -> set[str]:
    """Modules of the library that a file imports, as they are written."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "resnet_jax"}


def upward(room: str, source: str) -> set[str]:
    """What a file in a room imports, and may not: of another room that does not lie below."""
    rooms = {name: name.split(".")[1] for name in library_imports(source)}
    allowed = {room} | {name for name, floor in ROOM_FLOOR.items() if floor < ROOM_FLOOR[room]}
    return {name for name, other in rooms.items() if other not in allowed}


def test_every_folder_of_the_library_is_a_room():
    folders = {path.parent.relative_to(ROOT / "resnet_jax").as_posix() for path in LIBRARY}
    assert folders == {".", *ROOM_FLOOR}


@pytest.mark.parametrize("path", LIBRARY, ids=module_name)
def test_rooms_of_the_library_import_downward(path):
    source, room = path.read_text(encoding="utf-8"), path.parent.name
    if room in ROOM_FLOOR:
        assert not upward(room, source)
    elif path.name != "__init__.py":
        assert not library_imports(source)  # statistics and version stand on nothing


def test_an_upward_import_would_be_seen():
    """To a room above, to one beside, and to the library's own front door."""
    assert upward("ops", "from resnet_jax.nn import blocks")
    assert upward("theory", "from resnet_jax.training.run import Run")
    assert upward("nn", "def late():\n    from resnet_jax import theory")
    assert upward("nn", "import resnet_jax.training.population")
    assert not upward("training", "from resnet_jax.ops.linear import product")


def test_files_of_a_room_import_each_other_without_a_circle():
    imports = {}
    for path in LIBRARY:
        if path.parent.name in ROOM_FLOOR and path.name != "__init__.py":
            found = library_imports(path.read_text(encoding="utf-8"))
            both = found | {name.rpartition(".")[0] for name in found}
            imports[module_name(path)] = both - {module_name(path)}
    left = set(imports)
    while ready := {name for name in left if not imports[name] & left}:
        left -= ready
    assert not left


def test_the_library_touches_nothing_outside():
    forbidden = {"absl", "experiments", "os", "pathlib", "sys", "time", "logging"}
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.module.partition(".")[0] not in forbidden
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print"
