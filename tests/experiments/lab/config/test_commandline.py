import dataclasses
import os
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


def test_a_home_is_found_that_a_shell_left_alone(monkeypatch, tmp_path):
    """Shells expand ``~`` at the beginning of a word, and not after ``=``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("workdir", "data_dir", "dataset", "compilation_cache"):
        config = commandline.parse(Config(), [f"--{name}=~/x.npz"])
        assert getattr(config, name) == f"{tmp_path}/x.npz"
    (tmp_path / "own.flags").write_text("--steps=7\n")
    assert commandline.parse(Config(), ["--flagfile=~/own.flags"]).steps == 7


@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://bucket/x", "https://a.b/x.npz"])
@pytest.mark.parametrize("name", ["workdir", "data_dir", "dataset", "compilation_cache"])
def test_addresses_are_refused(name, address):
    with pytest.raises(UserError, match=f"--{name}={address}: is an address"):
        commandline.parse(Config(), [f"--{name}={address}"])


def test_flag_files_as_editors_leave_them(tmp_path):
    own = tmp_path / "own.flags"
    own.write_bytes(b"\xef\xbb\xbf# mine\r\n--steps=7\r\n\r\n// and\r\n  --depths=2,4\r\n")
    config = commandline.parse(Config(), [f"--flagfile={own}"])
    assert (config.steps, config.depths) == (7, (2, 4))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--steps=7\n--width=3\n--steps=8\n", "--steps stands there twice"),
        ("--flagfile=other.flags\n", "names no other"),
        ("--preset=smoke\n", "names no other"),
    ],
)
def test_what_a_flag_file_may_not_hold(tmp_path, text, said):
    (tmp_path / "own.flags").write_text(text)
    with pytest.raises(UserError, match=said):
        commandline.parse(Config(), [f"--flagfile={tmp_path / 'own.flags'}"])


@pytest.mark.parametrize("arguments", [["-help"], ["--help"], ["-h"], ["--helpfull"]])
def test_help_is_shown_without_docstrings_and_to_nobody(arguments):
    program = [sys.executable, "-OO", "-m", "experiments.degradation", *arguments]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("degradation\n"), done.stderr
    read, write = os.pipe()
    os.close(read)
    unheard = subprocess.run(program, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (unheard.returncode, unheard.stderr) == (0, "")
