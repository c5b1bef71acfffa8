"""Trains many runs in one compiled program: over seeds, shortcut weights, rates, and devices.

The population axis is added from outside to a training that is written for one run.  Runs are
sharded over a mesh of devices (the cores of a CPU can be devices).  On each device they are cut
into tiles: the runs of a tile are vectorised (``vmap``), and the tiles run one after the other
(``lax.map``).  On CPU, tiles of one run are faster, because one run's weights fit a core's cache
and those of many do not; accelerators want many runs at once, as far as their memory reaches.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from resnet_jax.training.footprint import program_bytes, tree_bytes
from resnet_jax.training.run import Data, Metrics, Run, State, Training

AXIS = "runs"


def product(
    seeds: Sequence[int], shortcut_weights: Sequence[float], learning_rates: Sequence[float]
) -> Run:
    """Returns all combinations, as a population with arrays ``[runs]``; the seed varies fastest."""
    rate, weight, seed = np.meshgrid(
        np.asarray(learning_rates, np.float32),
        np.asarray(shortcut_weights, np.float32),
        np.asarray(seeds, np.int32),
        indexing="ij",
    )
    return Run(seed.ravel(), weight.ravel(), rate.ravel())


def runs_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh with one axis, over runs, of the given devices or of all."""
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (AXIS,))


def even_tile(runs: int, tile: int | None) -> int:
    """Returns the runs per tile where ``runs`` are cut into equal tiles of at most ``tile``."""
    tiles = -(-runs // min(tile or runs, runs))
    return -(-runs // tiles)


def over_runs(function: Callable, tile: int | None) -> Callable:
    """Maps ``function(run_arguments, shared_arguments)`` over the first arguments' leading axis.

    Args:
      function: function of one run.
      tile: how many runs are vectorised, a divisor of their number; the tiles run one after the
        other.  With 1, each run has the same bits whatever its neighbours; with more, the last bits
        depend on how many there are.  None vectorises all runs.
    """
    at_once = jax.vmap(function, in_axes=(0, None))

    def mapped(each, shared):
        if tile == 1:
            return jax.lax.map(lambda one: function(one, shared), each)
        runs = jax.tree.leaves(each)[0].shape[0]
        if tile is None or tile == runs:
            return at_once(each, shared)
        cut = jax.tree.map(lambda leaf: leaf.reshape(-1, tile, *leaf.shape[1:]), each)
        done = jax.lax.map(lambda several: at_once(several, shared), cut)
        return jax.tree.map(lambda leaf: leaf.reshape(runs, *leaf.shape[2:]), done)

    return mapped


class Population:
    """Trains several runs at once.

    One program draws their initial states, and one does all the rest (train, measure), so that a
    population costs two compilations, whatever its size and however its training is cut into
    chunks.  They are separate because states are drawn only once, which is not worth the time of an
    optimised compilation.
    """

    def __init__(self, training: Training, runs: Run, data: Data, mesh: Mesh, tile: int | None):
        """Lays out a population on its devices; nothing is compiled yet.

        Args:
          training: training of one run.
          runs: arrays ``[runs]``.
          data: dataset, shared by all runs.
          mesh: devices; see :func:`runs_mesh`.
          tile: the most runs that are vectorised on a device; see :func:`over_runs`.
        """
        self.size = len(runs.seed)
        # Every device gets the same number of equal tiles: the last run is repeated as padding, and
        # its copies are dropped later.
        of_device = -(-self.size // mesh.size)
        self._tile = tile = even_tile(of_device, tile)
        padded = mesh.size * -(-of_device // tile) * tile
        rows = np.minimum(np.arange(padded), self.size - 1)
        self._split = NamedSharding(mesh, PartitionSpec(AXIS))
        shared = NamedSharding(mesh, PartitionSpec())
        self._runs = jax.device_put(jax.tree.map(lambda leaf: leaf[rows], runs), self._split)
        self._data = jax.device_put(data, shared)
        self._start = jax.jit(_start_program(training, mesh, tile))
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), runs)
        self._rows = rows
        self._state = jax.eval_shape(training.start, one, data)
        self._program = jax.jit(_chunk_program(training, mesh, tile), donate_argnums=0)

    def lower(self) -> tuple[jax.stages.Lowered, jax.stages.Lowered]:
        """Returns the programs before compilation: that of a chunk, and that of the start."""
        shared = self._runs, self._data
        program = self._program.lower(self._shapes(), *shared, np.int32(0), np.bool_(True))
        return program, self._start.lower(*shared)

    def _shapes(self) -> State:
        """Returns the shapes of the states of all runs, padded, on their devices."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (len(self._rows), *leaf.shape), leaf.dtype, sharding=self._split
            ),
            self._state,
        )

    def compile(
        self,
        options: dict[str, str | bool] | None = None,
        start_options: dict[str, str | bool] | None = None,
    ) -> Callable[[State | None, int, bool], tuple[State, Metrics | None]]:
        """Compiles the programs.

        Args:
          options: options of the compiler: XLA's flags without their dashes.
          start_options: the same for the program that draws the initial states.

        Returns:
          ``(states, steps, measure) -> (states, metrics)``: advances all runs by ``steps``, from
          their start if ``states`` is None, and returns when they have finished.  Metrics
          ``[runs]`` are NumPy arrays, or None if they were not requested.  The states passed in are
          donated: they cannot be used again.
        """
        shared = self._runs, self._data
        program, first = self.lower()
        compiled, start = program.compile(options), first.compile(start_options)

        def advance(states: State | None, steps: int, measure: bool):
            """Advances all runs; see :meth:`Population.compile`."""
            states = start(*shared) if states is None else states
            states, metrics = compiled(states, *shared, np.int32(steps), np.bool_(measure))
            jax.block_until_ready(states)
            return states, self.unpad(metrics) if measure else None

        return advance

    def compile_reading(
        self, read: Callable[[State, Run, Data], Any], options: dict[str, str | bool] | None = None
    ) -> Callable[[State], Any]:
        """Compiles another measurement, apart from training, which it does not slow down.

        Args:
          read: function of one run that returns a tree of arrays.
          options: options of the compiler, as above.

        Returns:
          A function from the states of all runs to the same tree of NumPy arrays ``[runs, ...]``;
          the states stay usable.
        """
        split, shared = PartitionSpec(AXIS), PartitionSpec()

        def on_device(states, runs, data):
            of_run = lambda each, data: read(each[0], each[1], data)
            return over_runs(of_run, self._tile)((states, runs), data)

        program = jax.shard_map(
            on_device,
            mesh=self._split.mesh,
            in_specs=(split, split, shared),
            out_specs=split,
            check_vma=False,  # as in _chunk_program
        )
        compiled = jax.jit(program).lower(self._shapes(), self._runs, self._data).compile(options)
        return lambda states: self.unpad(compiled(states, self._runs, self._data))

    def unpad(self, tree):
        """Returns the requested runs, as NumPy arrays, of a tree of arrays over the padded runs."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[: self.size], tree)

    def pad(self, states: State) -> State:
        """Puts states of the requested runs, as returned by ``unpad``, back on their devices."""
        return jax.device_put(jax.tree.map(lambda leaf: leaf[self._rows], states), self._split)

    @property
    def states(self) -> State:
        """Returns the shapes and dtypes of the states of the requested runs."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((self.size, *leaf.shape), leaf.dtype), self._state
        )


def _start_program(training: Training, mesh: Mesh, tile: int) -> Callable:
    """Returns ``(runs, data) -> states``, over all runs and devices."""
    split, shared = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(
        over_runs(training.start, tile),
        mesh=mesh,
        in_specs=(split, shared),
        out_specs=split,
        check_vma=False,  # as in _chunk_program
    )


def _one_run(training: Training) -> Callable:
    """Returns ``((state, run), (data, steps, measure)) -> (state, metrics)``, of one run."""

    def one_run(each: tuple[State, Run], shared) -> tuple[State, Metrics]:
        state, run = each
        data, steps, measure = shared
        state = training.advance(state, run, data, steps)
        nothing = Metrics(*[jnp.zeros(())] * len(Metrics._fields))
        metrics = jax.lax.cond(measure, lambda: training.measure(state, run, data), lambda: nothing)
        return state, metrics

    return one_run


def _chunk_program(training: Training, mesh: Mesh, tile: int) -> Callable:
    """Returns ``(states, runs, data, steps, measure) -> (states, metrics)``, over all devices."""

    def on_device(states, runs, data, steps, measure):
        return over_runs(_one_run(training), tile)((states, runs), (data, steps, measure))

    split, shared = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(split, split, shared, shared, shared),
        out_specs=(split, split),
        check_vma=False,  # runs never communicate, so there is no replication to check
    )


class Footprint(NamedTuple):
    """Holds the bytes that a population takes on a device.

    Attributes:
      data: bytes of the examples.
      state: bytes of one run's state.
      each: bytes of one of the vectorised runs, with all memory of its own.
      alone: bytes of one run that is not vectorised: a loop over one run is no loop, and an axis
        over one run is taken away.
      tile: the most runs that are vectorised; None for all.
    """

    data: int
    state: int
    each: int
    alone: int
    tile: int | None

    def total(self, runs: int) -> int:
        """Returns the bytes of ``runs`` runs on the device."""
        tile = even_tile(runs, self.tile)
        working = self.alone if tile == 1 else tile * self.each
        tiles = -(-runs // tile)  # their states are read from one stack, and written to another
        return self.data + working + (2 * tiles * tile * self.state if tiles > 1 else 0)


def footprint(training: Training, data: Data, tile: int | None) -> Footprint:
    """Computes what the program of a population takes, from shapes alone.

    See :mod:`resnet_jax.training.footprint`.

    Args:
      training: training of one run.
      data: dataset, or its shapes.
      tile: see :func:`over_runs`.
    """
    scalar = lambda dtype: jax.ShapeDtypeStruct((), dtype)
    run = jax.eval_shape(lambda: Run(jnp.int32(0), jnp.float32(1), jnp.float32(1)))
    one = jax.eval_shape(training.start, run, data), run
    shared = data, scalar(np.int32), scalar(np.bool_)
    examples, state = tree_bytes(data), tree_bytes(one[0])
    alone = each = program_bytes(_one_run(training), one, shared)
    if tile != 1:
        stack = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), one)
        each = program_bytes(over_runs(_one_run(training), None), stack, shared)
    return Footprint(examples, state, each, alone, tile)
