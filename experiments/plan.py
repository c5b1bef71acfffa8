"""The plan: which groups of runs are still to be trained, so that each fits into memory."""

from collections.abc import Iterable

from jax.sharding import Mesh

from experiments import cells, grid, memory
from experiments.composition import OwnBlock
from experiments.config import Config
from experiments.datasets import Dataset
from experiments.grid import Cell, Group, RunKey
from resnet_jax.counting import Counts


class Plan:
    """What a study takes, from shapes alone.

    Attributes:
      counts: of each cell's network.
    """

    def __init__(self, config: Config, dataset: Dataset, block: OwnBlock | None, mesh: Mesh):
        """Counts.

        Raises:
          UserError: a cell cannot fit into memory, even cut into the smallest groups.
        """
        self._config, self._dataset, self._mesh = config, dataset, mesh
        self._available = memory.available_bytes(mesh.devices.flat)
        self.counts: dict[Cell, Counts] = {
            cell: cells.counts(cell, config, dataset, block) for cell in grid.cells(config)
        }
        for cell, count in self.counts.items():
            memory.refuse_what_cannot_fit(
                cell.depth, count, self._needed(cell, mesh.size), self._available
            )

    def groups(self, settled: set[RunKey], begun: Iterable[Group]) -> list[Group]:
        """What is to be trained, in the order of the cells.

        Args:
          settled: runs that are done with.
          begun: groups that have checkpoints, and go on as they are.
        """
        begun = [group for group in begun if settled.isdisjoint(group.runs)]
        taken = settled.union(*(group.runs for group in begun))
        groups = []
        for cell in self.counts:
            groups += [group for group in begun if group.cell == cell]
            # The whole cell is cut first: what has been done must not change how the rest is cut,
            # since vectorised runs depend in their last bits on how many they are.
            for group in self._tiled(cell, list(grid.runs(self._config, cell))):
                missing = tuple(run for run in group.runs if run not in taken)
                groups += [Group(cell, missing)] if missing else []
        return groups

    def _tiled(self, cell: Cell, runs: list[RunKey]) -> list[Group]:
        """The fewest groups of nearly equal size that each fit into memory."""
        pieces = 1
        while self._needed(cell, -(-len(runs) // pieces)) > self._available:
            pieces += 1
        size = -(-len(runs) // pieces)
        return [
            Group(cell, tuple(runs[start : start + size]))
            for start in range(0, len(runs), max(size, 1))
        ]

    def _needed(self, cell: Cell, runs: int) -> int:
        vectorised = cells.how_mapped(self._config, self._mesh) == "vmap"
        at_once = runs if vectorised else min(runs, self._mesh.size)
        data_bytes = sum(array.nbytes for array in self._dataset[:4]) * (1 + self._mesh.size)
        measured = cells.measured_at_once(self._config, self._dataset)
        return memory.peak_bytes(
            self._config, self.counts[cell], runs, data_bytes, at_once, measured
        )
