"""How JAX is set up for a study: in a process of its own, as launchers do it once."""

import importlib
import os
import subprocess
import sys

import pytest

from experiments import STUDIES

PROGRAM = """
import sys
from experiments.lab.system import startup

for asked in sys.argv[1:]:
    startup.import_jax(1, "none", asked)
    import jax
    lowered = jax.jit(lambda x: x @ x).lower(jax.ShapeDtypeStruct((3, 3), "f4")).as_text()
    print(jax.config.jax_default_matmul_precision, "HIGHEST" in lowered)
"""


@pytest.mark.parametrize(
    ("own", "seen"), [("", "None False"), ("high", "high False"), ("float32", "float32 True")]
)
def test_products_are_as_exact_as_asked_for_and_then_as_jax_has_them(own, seen):
    """One study after the other; the user's own choice stands where none is made."""
    environment = {**os.environ, "JAX_DEFAULT_MATMUL_PRECISION": own}
    if not own:
        del environment["JAX_DEFAULT_MATMUL_PRECISION"]
    command = [sys.executable, "-c", PROGRAM, "default", "highest", "high", "default"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [seen, "highest True", "high False", seen]


CACHES = """
import sys
from experiments.lab.system import startup

for asked in ("none", sys.argv[1]):
    startup.import_jax(1, asked, "highest")
    import jax
    print(jax.config.jax_enable_compilation_cache)
startup.import_jax(1, "none", "default")
print(jax.config.jax_default_matmul_precision)
"""


def test_a_study_after_another_in_one_process_has_its_own_settings(tmp_path):
    command = [sys.executable, "-c", CACHES, str(tmp_path)]
    environment = {**os.environ, "JAX_DEFAULT_MATMUL_PRECISION": "high"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == ["False", "True", "high"], done.stderr


def test_studies_of_small_differences_compute_products_in_full():
    studies = {name: importlib.import_module(f"experiments.{name}").STUDY for name in STUDIES}
    chosen = {name: study.defaults.matmul_precision for name, study in studies.items()}
    in_full = {"propagation", "depth_transfer", "landscape"}
    assert {name for name, precision in chosen.items() if precision == "highest"} == in_full
    assert set(chosen.values()) == {"default", "highest"}
    of_images = studies["propagation"].configuration(["--family=cifar"])
    assert of_images.matmul_precision == "highest"


DRAWS = """
import sys
from experiments.lab.system import startup

startup.import_jax(1)
import jax, numpy as np
from resnet_jax.training.run import Run, _key

draw = lambda run: jax.random.normal(_key(run, 0), (3,))
print(np.asarray(jax.jit(draw)(Run(np.int32(3), None, None))).tobytes().hex())
print(jax.jit(lambda x: x)(np.ones(2)).dtype, jax.config.jax_disable_jit)
"""


def draws(**changes):
    command = [sys.executable, "-c", DRAWS]
    environment = {**os.environ, **changes}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def usual():
    return draws().stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_DEFAULT_PRNG_IMPL", "rbg"),
        ("JAX_THREEFRY_PARTITIONABLE", "0"),
        ("JAX_ENABLE_X64", "1"),
        ("JAX_DISABLE_JIT", "1"),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strict"),
    ],
)
def test_the_users_settings_of_jax_change_neither_draws_nor_widths(usual, name, value):
    done = draws(**{name: value})
    assert (done.returncode, done.stdout) == (0, usual)
    assert done.stderr.startswith(f"warning: {name.lower()} is ") and done.stderr.count("\n") == 1


def test_a_platform_that_is_not_there_is_told_in_one_line(capsys):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.networks", "--family=dense", "--depths=4"],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cuda"},
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "JAX_PLATFORMS=cuda" in done.stderr and "unset" in done.stderr
