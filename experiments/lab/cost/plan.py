"""Plans which groups of runs are still to be trained, so that each fits into memory.

Runs that are mapped one by one have the same bits in any group, and groups are cut to the memory
that is free now.  The bits of vectorised runs depend on how many there are at once, so these groups
are cut to the machine's whole memory, which is the same at every launch; if that is not free now,
nothing is started.
"""

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from experiments.lab.build.experiment import Experiment
from experiments.lab.config import grid
from experiments.lab.config.grid import Cell, Group, RunKey
from experiments.lab.config.variants import Variant
from experiments.lab.config.vocabulary import NORMS
from experiments.lab.system import memory
from experiments.lab.system.errors import UserError
from resnet_jax.nn.counting import Counts
from resnet_jax.training.population import Footprint

#: A multiple of the memory of a run's weights, activations and measurements that is always enough.
_AMPLE = 16


class Plan:
    """Plans what a study trains, from shapes alone.

    Attributes:
      counts: counts of each cell's network.
      available: bytes of memory that are free now.
    """

    def __init__(self, experiment: Experiment):
        """Counts the networks, and checks that every cell fits.

        Raises:
          UserError: a cell cannot fit into memory, even cut into the smallest groups.
        """
        self._experiment, self._config = experiment, experiment.config
        self._footprints: dict[Cell, Footprint] = {}
        self._whole, self.available = memory.room(experiment.devices)
        vectorised = experiment.tile != 1
        self._cut_to = self._whole if vectorised else self.available
        self.counts: dict[Cell, Counts] = {
            cell: experiment.counts(cell) for cell in grid.cells(self._config)
        }
        self._roomy = self._variants_with_room()
        for cell in self.counts:
            if not self._fits(cell, experiment.mesh.size, self.available):
                raise UserError(self._refusal(cell))

    def groups(self, settled: set[RunKey], begun: Iterable[Group]) -> list[Group]:
        """Returns the groups to train, in the order of the cells.

        Args:
          settled: runs that need no more training.
          begun: groups that have checkpoints, and continue as they are.
        """
        begun = [group for group in begun if settled.isdisjoint(group.runs)]
        taken = settled.union(*(group.runs for group in begun))
        groups = []
        for cell in self.counts:
            groups += [group for group in begun if group.cell == cell]
            # The whole cell is cut first: finished runs must not change how the rest is cut, since
            # the last bits of vectorised runs depend on how many there are.
            for group in self._tiled(cell, list(grid.runs(self._config, cell))):
                missing = tuple(run for run in group.runs if run not in taken)
                groups += [Group(cell, missing)] if missing else []
        return groups

    def check(self, groups: Iterable[Group]) -> None:
        """Raises :class:`UserError` if a group, as it was cut, needs more memory than is free."""
        for group in groups:
            if not self._fits(group.cell, len(group.runs), self.available):
                raise UserError(
                    f"depth {group.cell.depth} needs about {memory.text(self.needed(group))} for "
                    f"{len(group.runs)} runs, which are trained together, and of the "
                    f"{memory.text(self._whole)} that this machine has for it "
                    f"{memory.text(self.available)} are free now; end what else is running, and "
                    "launch it again"
                )

    def needed(self, group: Group) -> int:
        """Returns the bytes that training a group takes."""
        return self._needed(group.cell, len(group.runs))

    def _variants_with_room(self) -> set[Variant]:
        """Returns the variants of which every cell fits whole into the memory that is free now.

        The deepest cell decides: by its counts if there is ample memory, or else by tracing it.
        """
        deepest = {cell.variant: cell for cell in self.counts}
        most = max(len(list(grid.runs(self._config, cell))) for cell in self.counts)
        return {
            variant
            for variant, cell in deepest.items()
            # Counts do not include what a custom block takes inside.
            if (self._experiment.block is None and self._ample(cell, most) <= self.available)
            or self._needed(cell, most) <= self.available
        }

    def _ample(self, cell: Cell, runs: int) -> int:
        """Returns several times the bytes that suffice; counting takes no time, tracing seconds."""
        counts, examples = self.counts[cell], self._experiment.dataset
        data = sum(array.nbytes for array in examples[:4])
        most = max(len(examples.x_train), len(examples.x_test)) * counts.largest
        each = counts.parameters + self._config.batch_size * counts.activations + most
        return _AMPLE * (data * (1 + self._experiment.mesh.size) + 4 * runs * each)

    def _fits(self, cell: Cell, runs: int, room: int) -> bool:
        return cell.variant in self._roomy or self._needed(cell, runs) <= room

    def _tiled(self, cell: Cell, runs: list[RunKey]) -> list[Group]:
        """Returns the fewest groups of nearly equal size that each fit into memory."""
        parts = 1
        while not self._fits(cell, -(-len(runs) // parts), self._cut_to):
            parts += 1
        size = -(-len(runs) // parts)
        return [
            Group(cell, tuple(runs[start : start + size]))
            for start in range(0, len(runs), max(size, 1))
        ]

    def _needed(self, cell: Cell, runs: int) -> int:
        if cell not in self._footprints:
            self._footprints[cell] = self._experiment.footprint(cell)
        return memory.needed_bytes(self._footprints[cell], runs, self._experiment.devices)

    def _refusal(self, cell: Cell) -> str:
        counts, needed = self.counts[cell], self._needed(cell, self._experiment.mesh.size)
        devices = self._experiment.devices
        saving = memory.saving_bytes(self._footprints[cell], len(devices), devices)
        fitting = " or ".join(self._what_would_fit(cell))
        advice = f"{fitting} would fit" if fitting else "it fits with no batch and no depth"
        if saving > self.available:  # which neither batch nor rematerialisation would change
            needed = saving
            what = (
                f"to keep {len(devices)} runs of {counts.parameters:,} parameters in a checkpoint"
            )
        else:
            what = (
                f"({counts.parameters:,} parameters a run, {counts.activations:,} activations an "
                "example)"
            )
        return (
            f"--depths: depth {cell.depth} needs about {memory.text(needed)} {what}, and of the "
            f"{memory.text(self._whole)} that this machine has for it "
            f"{memory.text(self.available)} are free; {advice}"
        )

    def _what_would_fit(self, cell: Cell) -> Iterator[str]:
        """Yields single changes, each of which makes the smallest group of a cell fit."""
        devices = self._experiment.devices

        def needed(cell: Cell, **changes) -> int:
            footprint = self._experiment.but(**changes).footprint(cell)
            return memory.needed_bytes(footprint, len(devices), devices)

        least = 2 if NORMS[cell.variant.norm].over_batch else 1
        sizes = [2**power for power in range(32) if least <= 2**power < self._config.batch_size]
        depths = self._experiment.depths_up_to(cell.depth)[:-1]
        at_depth = lambda depth: needed(dataclasses.replace(cell, depth=depth))
        if self._config.remat != "sqrt" and needed(cell, remat="sqrt") <= self.available:
            yield "--remat=sqrt"
        if size := _greatest(sizes, lambda size: needed(cell, batch_size=size), self.available):
            yield f"--batch_size={size}"
        if depth := _greatest(depths, at_depth, self.available):
            yield f"depth {depth}"


def _greatest(values: Sequence[int], needed: Callable[[int], int], available: int) -> int:
    """Returns the greatest of ascending values that needs at most ``available``; 0 if none does.

    The need grows almost linearly with the value, so that interpolation takes few steps.
    """
    low, high = 0, len(values) - 1
    if not values or (least := needed(values[low])) > available:
        return 0
    if (most := needed(values[high])) <= available:
        return values[high]
    while high - low > 1:
        share = (available - least) / (most - least)
        aim = values[low] + share * (values[high] - values[low])
        middle = min(max(bisect.bisect(values, aim) - 1, low + 1), high - 1)
        if (there := needed(values[middle])) <= available:
            low, least = middle, there
        else:
            high, most = middle, there
    return values[low]
