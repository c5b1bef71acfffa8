"""A block of a user's own, as awkward as blocks may be."""

import pytest
from flax import linen as nn

from resnet_jax import Parts


class Awkward(nn.Module):
    """Two layers named as parts of networks are, a gate, and a weight in front of the layers."""

    width: int
    blocks: int
    parts: Parts

    @nn.compact
    def __call__(self, a, shortcut_weight, branch_weight):
        carried, _ = self.parts.shortcut(a, self.width, 1, self.parts)
        gate = self.param("gate", nn.initializers.constant(-3.0), (1, self.width))
        heat = self.param("heat", nn.initializers.ones, ())
        z = self.parts.linear(self.width, name="first")(branch_weight * self.parts.norm()(a))
        z = self.parts.linear(self.width, name="stack")(self.parts.activation(z))
        return self.parts.activation(shortcut_weight * carried + heat * nn.sigmoid(gate) * z)


@pytest.fixture(scope="session")
def own_block():
    """It takes ``layers_per_block=2``, also where the width changes."""
    return Awkward
