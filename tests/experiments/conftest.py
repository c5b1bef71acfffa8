"""Studies in processes of their own, as their users run them."""

import subprocess
import sys

import pytest

#: A block of one's own, and a study of its networks.
PROGRAM = """
import sys
import flax.linen as nn
from experiments import {study}
from resnet_jax import Parts

class Mine(nn.Module):
    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        z = self.parts.norm()(self.parts.linear(self.width)(a))
        return self.parts.activation(shortcut_weight * a + branch_weight * z)

sys.exit({study}.main(block=Mine, layers_per_block=1))
"""


@pytest.fixture
def command(tmp_path):
    """Runs a command in an empty folder to a good end; returns the finished process."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def with_own_block(tmp_path, command):
    """Runs a study with a block of one's own."""

    def run(study: str, *flags: str) -> subprocess.CompletedProcess:
        (tmp_path / "mine.py").write_text(PROGRAM.format(study=study))
        return command("mine.py", *flags)

    return run
