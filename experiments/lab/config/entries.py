"""Entries: the names that a flag takes, one row each, with all that there is to know of them.

A row says what a name is typed as, where its value is, how figures call it, which theory follows it
and where it makes no sense.  Rows hold no JAX: a value is resolved when it is first asked for.
"""

import dataclasses
import functools
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from experiments.lab.system.errors import UserError, suggest


def nothing(*_: Any) -> str:
    """Returns no complaint, whatever it is about."""
    return ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A name that a flag takes.

    Attributes:
      name: the name as it is typed.
      made: where its value is, ``"module:name"``; empty where the value is None.
      words: what figures and tables call it; by default the flag and the name.
      numbers: the numbers that may follow, ``name:1/2``, as they are where none do.
      wrong: takes numbers that were typed, and says what is wrong with them; empty for nothing.
      problem: takes a configuration and a variant of it that has this name, and says why that makes
        no sense; empty where it does.
    """

    name: str
    made: str = ""
    words: str = ""
    numbers: tuple[float, ...] = ()
    wrong: Callable[..., str] = nothing
    problem: Callable[..., str] = nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Norm(Entry):
    """A normalisation.

    Attributes:
      title: what networks are told apart by in figures.
      clause: what follows the name of a network in a sentence.
      theory: how wide networks see it, ``"module:name"``; empty where theory does not follow it.
      over_batch: whether it averages over the batch.
      per_example: whether what it divides by is each example's own, so that theory knows the size
        of a step's effect from the power of the features.
    """

    title: str
    clause: str
    theory: str = ""
    over_batch: bool = False
    per_example: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order(Entry):
    """An order of operations within a block.

    Attributes:
      theory: the function that follows it block by block, ``"module:name"``; empty for none.
      activated: whether what enters a block has been activated; theory begins in front of that.
    """

    theory: str = ""
    activated: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shortcut(Entry):
    """What is carried around a block; theory follows the identity."""

    identity: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchScale(Entry):
    """What multiplies the end of each branch.

    Attributes:
      weight: ``(blocks, *numbers)`` to the factor at initialisation; None where theory has no word
        for it.
      rate: ``(blocks, adaptive, *numbers)`` to the factor on the learning rates of the blocks;
        None for none.
      bounded: ``(*numbers)`` to whether the sum of all branches stays bounded with depth.
      full: whether branches have their full size, so that a plain network passes on what enters.
      silent: whether the branch's last weights start at zero.
      norm, init: what it brings in the place of ``--norm`` and ``--init``, ``"module:name"``.
    """

    weight: Callable[..., float | None] = lambda *_: None
    rate: Callable[..., float] | None = None
    bounded: Callable[..., bool] = lambda *_: False
    full: bool = False
    silent: bool = False
    norm: str = ""
    init: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Init(Entry):
    """An initialisation; ``silent`` where each branch's last weights start at zero.

    Theory follows all whose weights have the variance 2 over fan-in.
    """

    silent: bool = False
    theory: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(Entry):
    """An optimiser; an adaptive one makes updates of one size, whatever that of the gradient."""

    adaptive: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block(Entry):
    """A kind of block, and the weight layers on its main path."""

    layers: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form(Entry):
    """A form of convolutions, and whether its gradients can be differentiated again."""

    twice: bool = True


E = TypeVar("E", bound=Entry)


class Choice(NamedTuple, Generic[E]):
    """A name that was chosen, and its numbers."""

    entry: E
    numbers: tuple[float, ...]

    @property
    def text(self) -> str:
        """The one way to write it: ``dropout`` is ``dropout:0.5``."""
        numbers = "/".join(f"{number:g}" for number in self.numbers)
        return f"{self.entry.name}:{numbers}" if numbers else self.entry.name

    def value(self) -> Any:
        """Resolves what the name stands for; where it takes numbers, what these make of it."""
        if not self.entry.made:
            return None
        found = pkgutil.resolve_name(self.entry.made)
        return found(*self.numbers) if self.numbers else found


class Names(Generic[E]):
    """The names of one flag, in the order in which help and figures list them."""

    def __init__(self, flag: str, *entries: E):
        """Takes the rows."""
        self.flag = flag
        self._entries = {entry.name: entry for entry in entries}
        self.parse = functools.cache(self._parse)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def get(self, text: str) -> E | None:
        """Returns the row of a name, without its numbers; None of an unknown one."""
        return self._entries.get(text.partition(":")[0])

    def rank(self, name: str) -> int:
        """Returns the place of a name in the list; unknown ones come last."""
        return [*self._entries, name].index(name)

    def value(self, text: str) -> Any:
        """Returns what a name and its numbers stand for; see :meth:`Choice.value`."""
        return self.parse(text).value()

    def _parse(self, text: str) -> Choice[E]:
        """Reads ``"name:1/2"``.

        Raises:
          UserError: nothing known is called so, or the numbers are wrong.
        """
        name, colon, rest = text.partition(":")
        entry, flag = self._entries.get(name), f"--{self.flag}={text}"
        if entry is None:
            raise UserError(f"{flag}: {suggest(name, self)}")
        if not colon:
            return Choice(entry, entry.numbers)
        try:
            numbers = tuple(float(number) for number in rest.split("/"))
        except ValueError:
            numbers = ()
        wanted = entry.numbers
        if len(numbers) != len(wanted) or not numbers or not all(abs(n) <= 1e6 for n in numbers):
            usual = "/".join(f"{number:g}" for number in wanted)
            example = f"such as {name}:{usual}" if wanted else "takes none"
            raise UserError(f"{flag}: numbers after the colon, {example}")
        if wrong := entry.wrong(*numbers):
            raise UserError(f"{flag}: {wrong}")
        return Choice(entry, numbers)
