import dataclasses
import subprocess
import sys

import pytest

from experiments.degradation import STUDY
from experiments.lab.config import commandline
from experiments.lab.config.config import Config
from experiments.lab.config.validation import validate
from experiments.lab.system.errors import UserError


def test_no_flags_give_the_defaults():
    assert commandline.parse(Config(), []) == Config()


def test_every_field_is_a_flag_and_parses_back():
    """Each default, typed as a flag over other defaults, gives the same configuration."""
    others = Config(depths=(2,), num_seeds=1, learning_rates=(1.0,), width=3, steps=1)
    argv = [
        f"--{field.name}={commandline.show(getattr(Config(), field.name))}"
        for field in dataclasses.fields(Config)
    ]
    assert commandline.parse(others, argv) == Config()


def test_lists_and_numbers():
    config = commandline.parse(Config(), ["--depths=2,4", "--learning_rates", "1e-3, 0.5"])
    assert config.depths == (2, 4) and config.learning_rates == (0.001, 0.5)
    assert commandline.parse(Config(), ["--norm=layer"]).norm == ("layer",)
    for flag, value in {"--deterministic": True, "--nodeterministic": False}.items():
        assert commandline.parse(Config(), [flag]).deterministic is value


@pytest.mark.parametrize("name", commandline.presets())
def test_presets_are_valid(name):
    config = STUDY.configuration([f"--preset={name}"])
    validate(config)
    assert config != Config()


@pytest.mark.parametrize(
    "argv", [["--steps=7", "--preset=smoke"], ["--preset", "smoke", "--steps=7"]]
)
def test_flags_beside_a_preset_win(argv):
    config = commandline.parse(Config(), argv)
    assert config.steps == 7 and config.width == 16


def test_own_flag_files(tmp_path):
    path = tmp_path / "größe der studie.flags"
    path.write_text("# half as wide\n--width=32\n", encoding="utf-8")
    assert commandline.parse(Config(), [f"--flagfile={path}"]).width == 32
    path.write_text("--wide=32\n", encoding="utf-8")
    with pytest.raises(UserError, match="no flag --wide"):
        commandline.parse(Config(), [f"--flagfile={path}"])


def test_help_explains_every_flag():
    text = commandline.help_text("experiments.degradation", "Question.", Config())
    for field in dataclasses.fields(Config):
        assert f"--{field.name}=" in text
        assert field.metadata["help"].split(",")[0][:40] in " ".join(text.split())
    assert "smoke" in text and max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["experiments"], "degradation"),
        (["experiment"], "degradation"),
        (["experiments", "degradation", "--help"], "--depths="),
        (["experiments.degradation", "--help"], "--depths="),
        (["experiment.degradation", "--help"], "--depths="),
        (["experiment", "degradation", "--help"], "--depths="),
        (["experiments", "report", "--help"], "--workdir="),
    ],
)
def test_ways_to_call(arguments, word, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0 and word in done.stdout and not done.stderr


def test_an_unknown_study_is_refused(tmp_path):
    command = [sys.executable, "-m", "experiments", "degradatoin"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'degradation'" in done.stderr
