"""Imports go down only, folder by folder: a new file is guarded by the room it stands in."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = [
    path
    for package in ("resnet_jax", "experiments")
    for path in sorted((ROOT / package).rglob("*.py"))
]
FOLDERS = {".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES}

#: Every folder of ``experiments/`` but the engine's is a study.
STUDIES = {name for name in FOLDERS if name.count(".") == 1 and name.startswith("experiments.")} - {
    "experiments.lab"
}

#: Folders from the ground up; those of one floor do not import each other.
FLOORS = [
    {"resnet_jax.ops"},
    {"resnet_jax.nn"},
    {"resnet_jax.training", "resnet_jax.diagnostics", "resnet_jax.theory"},
    {"resnet_jax"},
    {"experiments.lab.system"},
    {"experiments.lab.data"},
    {"experiments.lab.config"},
    {"experiments.lab.store", "experiments.lab.analysis", "experiments.lab.build"},
    {"experiments.lab.cost", "experiments.lab.report"},
    {"experiments.lab.run"},
    {"experiments.lab"},
    STUDIES,
    {"experiments"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> set[str]:
    """What of ours a file imports, anywhere in it: modules, and the names taken from them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "later":
            found |= {".".join(argument.value for argument in node.args)}
    return {name for name in found if name.split(".")[0] in ("resnet_jax", "experiments")}


def room(name: str) -> str:
    """The folder that a module, or a name in it, stands in."""
    while name not in FOLDERS:
        name = name.rpartition(".")[0]
    return name


def upward(where: str, source: str) -> set[str]:
    """What a file in a room imports, and may not: of another room that does not lie below."""
    return {
        name
        for name in imports(source)
        if room(name) != where and FLOOR_OF[room(name)] >= FLOOR_OF[where]
    }


def test_every_folder_has_a_floor():
    assert FLOOR_OF.keys() == FOLDERS
    assert len(STUDIES) > 5


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_go_down(path):
    where, source = room(module_name(path)), path.read_text(encoding="utf-8")
    assert not upward(where, source)
    if where == "resnet_jax" and path.name != "__init__.py":
        assert not imports(source)  # statistics and version stand on nothing


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("resnet_jax.ops", "from resnet_jax.nn import blocks"),
        ("resnet_jax.theory", "from resnet_jax.training.run import Run"),
        ("resnet_jax.nn", "def late():\n    from resnet_jax import theory"),
        ("resnet_jax.nn", "import resnet_jax.training.population"),
        ("experiments.lab.config", "from experiments.lab.run import study"),
        ("experiments.lab.store", "from experiments.lab.analysis.summary import KIND"),
        ("experiments.lab.run", "from experiments.lesion import curves"),
        ("experiments.lab.run", "from experiments import STUDIES"),
        ("experiments.lesion", "from experiments.landscape.figures import planes"),
        ("experiments.lesion", 'later("experiments.landscape.report", "report")'),
    ],
)
def test_an_upward_import_would_be_seen(where, source):
    assert upward(where, source)


def test_a_downward_import_is_none():
    assert not upward("resnet_jax.training", "from resnet_jax.ops.linear import product")
    assert not upward("experiments.lesion", "from experiments.lab.run.study import Study")


def test_files_of_a_room_import_each_other_without_a_circle():
    graph = {}
    for path in SOURCES:
        if path.name != "__init__.py":
            found = imports(path.read_text(encoding="utf-8"))
            found |= {name.rpartition(".")[0] for name in found}
            graph[module_name(path)] = found - {module_name(path)}
    left = set(graph)
    while ready := {name for name in left if not graph[name] & left}:
        left -= ready
    assert not left


def test_the_library_touches_nothing_outside():
    forbidden = {"absl", "experiments", "os", "pathlib", "sys", "time", "logging"}
    for path in sorted((ROOT / "resnet_jax").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.module.partition(".")[0] not in forbidden
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print"


def too_long(source: str) -> list[str]:
    """What of a file is longer than can be read at a glance: itself, or functions in it."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    long = [each.name for each in functions if each.end_lineno - each.lineno >= 40]
    return long + ["the file"] * (len(source.splitlines()) > 300)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_and_functions_are_short(path):
    assert not too_long(path.read_text(encoding="utf-8"))


def test_a_long_one_would_be_seen():
    assert too_long("def f():\n" + "    x = 1\n" * 40) == ["f"]
    assert too_long("x = 1\n" * 301) == ["the file"]
    assert not too_long("def f():\n" + "    x = 1\n" * 39)


@pytest.mark.parametrize("room", sorted(FOLDERS - {"resnet_jax", "experiments.lab"}))
def test_every_room_has_tests(room):
    """In the folder of the same name, and at least one that plain pytest runs."""
    files = sorted((ROOT / "tests").joinpath(*room.split(".")).glob("test_*.py"))
    quick = [path for path in files if "pytestmark = pytest.mark.slow" not in path.read_text()]
    assert quick, room
