"""What the compiler is told, by platform."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from experiments.lab.build import compilation
from experiments.lab.build.compilation import brief_options, training_options
from experiments.lab.build.readings import Reading
from experiments.lab.config.config import Config
from experiments.lab.config.grid import Group, all_runs

CONFIGS = [
    Config(family=family, depths=(8,), deterministic=deterministic)
    for family in ("dense", "cifar")
    for deterministic in (True, False)
]


def told(monkeypatch, backend):
    """Options of training, and of what runs once, of each configuration on a backend."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    return [(training_options(config), brief_options(config)) for config in CONFIGS]


@pytest.mark.optimized
def test_cpus_need_nothing_for_the_same_bits(monkeypatch):
    first = {"xla_backend_optimization_level": "1"}
    assert told(monkeypatch, "cpu") == [(first, first)] * 2 + [(None, first)] * 2


def test_nor_where_nothing_is_optimised(monkeypatch):
    assert told(monkeypatch, "cpu") == [(None, None)] * 4


@pytest.mark.parametrize("unoptimised", [True, False])
def test_gpus_are_told_unless_asked_not_to(unoptimised, monkeypatch):
    monkeypatch.setattr(jax.config, "read", lambda _: unoptimised)
    same = {"xla_gpu_deterministic_ops": True}
    assert told(monkeypatch, "gpu") == [(same, same), (None, None)] * 2


def test_tpus_need_nothing(monkeypatch):
    assert told(monkeypatch, "tpu") == [(None, None)] * 4


def test_jax_knows_what_gpus_are_told(monkeypatch):
    (options, _), *_ = told(monkeypatch, "gpu")
    monkeypatch.undo()
    compiled = jax.jit(jnp.sin).lower(jnp.ones(3)).compile(options)
    assert compiled(jnp.ones(3)).shape == (3,)


@pytest.mark.parametrize("deterministic", [True, False])
def test_every_program_of_a_group_is_told(deterministic, monkeypatch):
    config = Config(depths=(4,), num_seeds=1, deterministic=deterministic)
    group = Group(all_runs(config)[0].cell, tuple(all_runs(config)))
    options = []

    class Population:
        def compile(self, *of_both):
            options.extend(of_both)

        def compile_reading(self, _, of_reading):
            options.append(of_reading)

    experiment = SimpleNamespace(
        config=config,
        population=lambda *_: Population(),
        network=lambda _: None,
        training=lambda *_: None,
    )
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    reading = Reading(lambda _: (), lambda *_: None)
    compilation.compile_group(group, experiment, reading)
    assert options == [{"xla_gpu_deterministic_ops": True} if deterministic else None] * 3
