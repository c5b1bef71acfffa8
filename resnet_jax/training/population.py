"""Many runs in one compiled program: over seeds, shortcut weights, rates, and devices.

The population axis is put on from outside a training written for one run.  Runs are sharded over
a mesh of devices (the cores of a CPU can be devices).  On each device they are cut into tiles: the
runs of a tile are vectorised (``vmap``), and one tile follows the other (``lax.map``).  Tiles of
one run are faster on CPU, where one run's weights fit a core's cache and those of many do not;
accelerators want many runs at once, as far as their memory reaches.
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
    """All combinations, as a population with arrays ``[runs]``; the seed varies fastest."""
    rate, weight, seed = np.meshgrid(
        np.asarray(learning_rates, np.float32),
        np.asarray(shortcut_weights, np.float32),
        np.asarray(seeds, np.int32),
        indexing="ij",
    )
    return Run(seed.ravel(), weight.ravel(), rate.ravel())


def runs_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, over runs: all devices, or those given."""
    return Mesh(np.asarray(jax.devices() if devices is None else devices), (AXIS,))


def even_tile(runs: int, tile: int | None) -> int:
    """The runs of each tile where so many runs are cut into equal ones of at most ``tile``."""
    tiles = -(-runs // min(tile or runs, runs))
    return -(-runs // tiles)


def over_runs(function: Callable, tile: int | None) -> Callable:
    """Maps ``function(run_arguments, shared_arguments)`` over the leading axis of the former.

    Args:
      function: of one run.
      tile: how many runs are vectorised, which divides their number; one tile follows the other.
        With 1 each run has the same bits whatever its neighbours; with more the last bits depend
        on how many there are.  None vectorises all.
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
    """The runs that are trained at once.

    One program draws their initial states, and one does all the rest (train, measure), so that a
    population costs two compilations, whatever its size and however its training is cut into
    chunks.  They are two because drawing is done once, and compiling it well is not worth the time.
    """

    def __init__(self, training: Training, runs: Run, data: Data, mesh: Mesh, tile: int | None):
        """Lays out a population; nothing is compiled yet.

        Args:
          training: of one run.
          runs: arrays ``[runs]``.
          data: shared by all runs.
          mesh: see :func:`runs_mesh`.
          tile: how many runs are vectorised on a device at most; see :func:`over_runs`.
        """
        self.size = len(runs.seed)
        # Every device gets equally many tiles of equally many: the last run is repeated, and its
        # copies dropped later.
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
        """The programs before they are compiled: that of a chunk, and that of the start."""
        shared = self._runs, self._data
        program = self._program.lower(self._shapes(), *shared, np.int32(0), np.bool_(True))
        return program, self._start.lower(*shared)

    def _shapes(self) -> State:
        """Of the states of all runs, padded, on their devices."""
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
          options: of the compiler; XLA's flags without their dashes.
          start_options: the same for the program that draws the initial states.

        Returns:
          ``(states, steps, measure) -> (states, metrics)``: takes all runs ``steps`` further, from
          their start where ``states`` is None, and returns when they are there.  Metrics ``[runs]``
          are NumPy arrays, and None where they were not asked for.  The states passed in are used
          up.
        """
        shared = self._runs, self._data
        program, first = self.lower()
        compiled, start = program.compile(options), first.compile(start_options)

        def advance(states: State | None, steps: int, measure: bool):
            states = start(*shared) if states is None else states
            states, metrics = compiled(states, *shared, np.int32(steps), np.bool_(measure))
            jax.block_until_ready(states)
            return states, self.unpad(metrics) if measure else None

        return advance

    def compile_reading(
        self, read: Callable[[State, Run, Data], Any], options: dict[str, str | bool] | None = None
    ) -> Callable[[State], Any]:
        """Compiles something else to measure, apart from training, which it does not slow.

        Args:
          read: of one run; returns a tree of arrays.
          options: as above.

        Returns:
          States of all runs to the same tree of NumPy arrays ``[runs, ...]``; the states stay.
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
            check_vma=False,  # as below
        )
        compiled = jax.jit(program).lower(self._shapes(), self._runs, self._data).compile(options)
        return lambda states: self.unpad(compiled(states, self._runs, self._data))

    def unpad(self, tree):
        """The runs asked for, as NumPy arrays, of a tree of arrays over the padded ones."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[: self.size], tree)

    def pad(self, states: State) -> State:
        """States of the runs asked for, as they were unpadded, on their devices again."""
        return jax.device_put(jax.tree.map(lambda leaf: leaf[self._rows], states), self._split)

    @property
    def states(self) -> State:
        """Shapes and dtypes of the states of the runs asked for."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((self.size, *leaf.shape), leaf.dtype), self._state
        )


def _start_program(training: Training, mesh: Mesh, tile: int) -> Callable:
    """``(runs, data) -> states``, over all runs and devices."""
    split, shared = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(
        over_runs(training.start, tile),
        mesh=mesh,
        in_specs=(split, shared),
        out_specs=split,
        check_vma=False,  # as below
    )


def _one_run(training: Training) -> Callable:
    """``((state, run), (data, steps, measure)) -> (state, metrics)``, of one run."""

    def one_run(each: tuple[State, Run], shared) -> tuple[State, Metrics]:
        state, run = each
        data, steps, measure = shared
        state = training.advance(state, run, data, steps)
        nothing = Metrics(*[jnp.zeros(())] * len(Metrics._fields))
        metrics = jax.lax.cond(measure, lambda: training.measure(state, run, data), lambda: nothing)
        return state, metrics

    return one_run


def _chunk_program(training: Training, mesh: Mesh, tile: int) -> Callable:
    """``(states, runs, data, steps, measure) -> (states, metrics)``, over all runs and devices."""

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
    """Bytes that a population takes on a device.

    Attributes:
      data: of the examples.
      state: of one run.
      each: of one run among those that are vectorised, with all that it keeps for itself.
      alone: of one run that is not vectorised: a loop over one run is none, and an axis over one is
        taken away.
      tile: how many runs are vectorised at most; None for all.
    """

    data: int
    state: int
    each: int
    alone: int
    tile: int | None

    def total(self, runs: int) -> int:
        """Bytes for so many runs on the device."""
        tile = even_tile(runs, self.tile)
        working = self.alone if tile == 1 else tile * self.each
        tiles = -(-runs // tile)  # their states are read from one stack, and written to another
        return self.data + working + (2 * tiles * tile * self.state if tiles > 1 else 0)


def footprint(training: Training, data: Data, tile: int | None) -> Footprint:
    """What the program of a population takes, from shapes alone.

    See :mod:`resnet_jax.training.footprint`.

    Args:
      training: of one run.
      data: or its shapes.
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
