"""Defines entries: the names that a flag takes, one row each, with all that is known of them.

A row says how a name is typed, where its value is defined, what figures call it, which theory
describes it, and where it makes no sense.  Rows do not import JAX: a value is resolved when needed.
"""

import dataclasses
import functools
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from experiments.lab.system.errors import UserError, suggest


def nothing(*_: Any) -> str:
    """Returns the empty string: no problem, whatever the arguments."""
    return ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Describes a name that a flag takes.

    Attributes:
      name: the name as it is typed.
      made: where its value is defined, ``"module:name"``; empty if the value is None.
      words: what figures and tables call it; by default the flag and the name.
      numbers: defaults of the numbers that may follow the name, as in ``name:1/2``.
      wrong: function of the typed numbers that returns what is wrong with them; empty if nothing.
      problem: function of a configuration and one of its variants, which has this name, that
        returns why they make no sense together; empty if they do.
    """

    name: str
    made: str = ""
    words: str = ""
    numbers: tuple[float, ...] = ()
    wrong: Callable[..., str] = nothing
    problem: Callable[..., str] = nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Norm(Entry):
    """Describes a normalisation.

    Attributes:
      title: its name in figures.
      clause: words that follow the name of a network in a sentence.
      theory: its model in wide networks, ``"module:name"``; empty if theory has none.
      over_batch: whether it averages over the batch.
      per_example: whether it divides by a number of each example, so that theory can compute the
        size of a step's effect from the power of the features.
    """

    title: str
    clause: str
    theory: str = ""
    over_batch: bool = False
    per_example: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order(Entry):
    """Describes an order of operations within a block.

    Attributes:
      theory: the function that predicts it block by block, ``"module:name"``; empty if none does.
      activated: whether a block's input has passed an activation; theory starts before that.
    """

    theory: str = ""
    activated: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shortcut(Entry):
    """Describes what is carried around a block; theory covers only the identity."""

    identity: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchScale(Entry):
    """Describes what multiplies the end of each branch.

    Attributes:
      weight: ``(blocks, *numbers)`` to the factor at initialisation, or to None if theory does not
        cover it.
      rate: ``(blocks, adaptive, *numbers)`` to the factor on the learning rates of the blocks;
        None if there is no such factor.
      bounded: ``(*numbers)`` to whether the sum of all branches stays bounded with depth.
      full: whether branches have their full size, so that signals pass through a plain network.
      silent: whether the branch's last weights start at zero.
      norm, init: replacements for ``--norm`` and ``--init``, ``"module:name"``; empty for none.
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
    """Describes an initialisation; it is ``silent`` if each branch's last weights start at zero.

    Theory covers all whose weights have the variance 2 over fan-in.
    """

    silent: bool = False
    theory: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(Entry):
    """Describes an optimiser; an adaptive one makes updates of one size for any gradient."""

    adaptive: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block(Entry):
    """Describes a kind of block, and counts the weight layers on its main path."""

    layers: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form(Entry):
    """Describes a form of convolution; ``twice`` if its gradients can be differentiated again."""

    twice: bool = True


E = TypeVar("E", bound=Entry)


class Choice(NamedTuple, Generic[E]):
    """Holds the row of a chosen name, and its numbers."""

    entry: E
    numbers: tuple[float, ...]

    @property
    def text(self) -> str:
        """Returns the choice in its canonical form: ``dropout`` becomes ``dropout:0.5``."""
        numbers = "/".join(f"{number!r}".removesuffix(".0") for number in self.numbers)
        return f"{self.entry.name}:{numbers}" if numbers else self.entry.name

    def value(self) -> Any:
        """Imports and returns what the name stands for; if it takes numbers, calls it with them."""
        if not self.entry.made:
            return None
        found = pkgutil.resolve_name(self.entry.made)
        return found(*self.numbers) if self.numbers else found


class Names(Generic[E]):
    """Holds the names of one flag, in the order in which help and figures list them."""

    def __init__(self, flag: str, *entries: E):
        """Builds the table from its rows."""
        self.flag = flag
        self._entries = {entry.name: entry for entry in entries}
        self.parse = functools.cache(self._parse)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def get(self, text: str) -> E | None:
        """Returns the row of a name, whose numbers are ignored; None if the name is unknown."""
        return self._entries.get(text.partition(":")[0])

    def rank(self, name: str) -> int:
        """Returns the position of a name in the list; unknown ones come last."""
        return [*self._entries, name].index(name)

    def value(self, text: str) -> Any:
        """Returns what a name and its numbers stand for; see :meth:`Choice.value`."""
        return self.parse(text).value()

    def _parse(self, text: str) -> Choice[E]:
        """Parses ``"name:1/2"``.

        Raises:
          UserError: the name is unknown, or the numbers are wrong.
        """
        name, colon, rest = text.partition(":")
        entry, flag = self._entries.get(name), f"--{self.flag}={text}"
        if entry is None:
            raise UserError(f"{flag}: {suggest(name, self)}")
        if not colon:
            return Choice(entry, entry.numbers)
        try:
            numbers = tuple(float(number) + 0.0 for number in rest.split("/"))  # -0 becomes 0
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
