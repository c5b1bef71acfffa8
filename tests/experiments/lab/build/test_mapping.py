import jax
import pytest

from experiments.lab.build import composition, mapping
from experiments.lab.config.config import Config
from experiments.lab.config.validation import validate
from experiments.lab.system.errors import UserError
from resnet_jax.ops import forms


def config(**fields):
    return Config(depths=(8,), family="cifar", **fields)


def test_runs_of_a_tile():
    of = lambda how: mapping.tile(config(map=how))
    assert of("auto") == (1 if jax.default_backend() == "cpu" else None)
    assert (of("map"), of("vmap"), of("vmap:1"), of("vmap:8")) == (1, None, 1, 8)


@pytest.mark.parametrize("how", ["vmap:-1", "vmap:0", "vmap:2.5", "vmap:many", "map:3", "pmap"])
def test_other_tiles_are_refused(how):
    with pytest.raises(UserError, match=f"--map={how}"):
        validate(config(map=how))


def test_the_form_by_platform_and_flag(monkeypatch):
    assert mapping.form(config(convolution="shifts")) is forms.SHIFTS
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert mapping.form(config(map="vmap")) is forms.BY_PLATFORM
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for one_by_one in ("map", "vmap:1"):
        assert mapping.form(config(map=one_by_one)) is forms.BY_PLATFORM  # the stock one there
    assert mapping.form(config()) is mapping.form(config(map="vmap:4")) is forms.COLUMNS
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert mapping.form(config()) is forms.BY_PLATFORM


def test_it_reaches_the_convolutions_of_a_network():
    these = config(convolution="patches")
    network = composition.network(these, 8, these.variants()[0], (8, 8, 1), 10)
    assert network.parts.form is forms.PATCHES
