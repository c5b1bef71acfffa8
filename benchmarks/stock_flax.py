"""Trains a CIFAR ResNet in stock Flax and Optax, as their users would write it, to compare with.

It has ``nn.Conv`` and ``nn.BatchNorm``, a Python loop over the blocks, one run, and several steps
in one compiled loop, as ours has.
"""

import functools
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

CLASSES = 10


class Block(nn.Module):
    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, a):
        conv = functools.partial(nn.Conv, self.width, (3, 3), use_bias=False)
        norm = functools.partial(nn.BatchNorm, use_running_average=False)
        z = nn.relu(norm()(conv(strides=self.stride)(a)))
        z = norm()(conv()(z))
        if z.shape != a.shape:
            a = a[:, :: self.stride, :: self.stride]
            a = jnp.pad(a, [(0, 0)] * 3 + [(0, self.width - a.shape[-1])])
        return nn.relu(a + z)


class ResNet(nn.Module):
    depth: int

    @nn.compact
    def __call__(self, x):
        a = nn.Conv(16, (3, 3), use_bias=False)(x)
        a = nn.relu(nn.BatchNorm(use_running_average=False)(a))
        for stage in range(3):
            for index in range((self.depth - 2) // 6):
                a = Block(16 * 2**stage, 2 if stage and not index else 1)(a)
        return nn.Dense(CLASSES)(a.mean((1, 2)))


class Stock:
    """Trains one run on random images; ``first`` holds the seconds until its first step is done."""

    def __init__(self, depth: int, shape: tuple[int, ...], batch: int):
        self._net, self._optimizer = ResNet(depth), optax.sgd(0.01, momentum=0.9)
        random = np.random.RandomState(0)
        self._x = jnp.asarray(random.randn(4 * batch, *shape), jnp.float32)
        self._y = jnp.asarray(random.randint(0, CLASSES, 4 * batch))
        self._batch = batch
        variables = jax.jit(self._net.init)(jax.random.key(0), self._x[:1])
        momenta = self._optimizer.init(variables["params"])
        self._state = variables["params"], variables["batch_stats"], momenta
        self._train = jax.jit(self._steps, donate_argnums=0)
        self.first = self.seconds(1)

    def _steps(self, state, x, y, steps):
        def step(index, state):
            params, averages, momenta = state
            start = index % 4 * self._batch
            images, labels = (
                jax.lax.dynamic_slice_in_dim(each, start, self._batch) for each in (x, y)
            )

            def loss_of(params):
                variables = {"params": params, "batch_stats": averages}
                logits, written = self._net.apply(variables, images, mutable=["batch_stats"])
                losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
                return losses.mean(), written["batch_stats"]

            gradient, averages = jax.grad(loss_of, has_aux=True)(params)
            update, momenta = self._optimizer.update(gradient, momenta)
            return optax.apply_updates(params, update), averages, momenta

        return jax.lax.fori_loop(0, steps, step, state)

    def seconds(self, steps: int) -> float:
        """Returns the mean seconds of the next steps."""
        start = time.perf_counter()
        self._state = jax.block_until_ready(self._train(self._state, self._x, self._y, steps))
        return (time.perf_counter() - start) / steps
