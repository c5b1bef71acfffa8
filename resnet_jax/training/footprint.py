"""Computes the memory that a program takes, from its shapes alone, before anything is compiled.

A program is traced, and its operations are visited one by one: an array takes memory from the
operation that makes it to the last one that reads it, as compilers assign buffers.  So both what a
gradient keeps and what rematerialisation does not keep are counted correctly.  As in XLA,

* loops update their carry in place, and stack their outputs in separate arrays;
* reshapes are free, and elementwise operations that only others of their kind read make no array;
* on CPU, operations run breadth first: what could run at once is in memory at once.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

#: The calls, which the compiler inlines, and the parameters that hold their bodies.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}

#: The operations that return the same memory under another shape.
_ALIASES = {"reshape", "squeeze", "expand_dims", "stop_gradient", "copy", "optimization_barrier"}

_SELECT = ("select_n", "clamp", "convert_element_type")
_UNARY = "neg sign floor ceil round exp exp2 log log1p expm1 sqrt rsqrt cbrt tanh logistic sin cos"
_UNARY += " is_finite not abs integer_pow square"
_BINARY = "add sub mul div rem max min pow and or xor eq ne lt le gt ge add_any"
_ELEMENTWISE = {*_SELECT, *_UNARY.split(), *_BINARY.split()}
_MOVES = "broadcast_in_dim iota slice dynamic_update_slice pad rev transpose"
_FUSED = {*_ELEMENTWISE, *_MOVES.split()}
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "argmax"}


def program_bytes(function: Callable, owned: Any, borrowed: Any) -> int:
    """Returns the most bytes that the arrays of ``function(owned, borrowed)`` take at a time.

    Args:
      function: function of two trees of arrays.
      owned: arrays or shapes whose memory the function may reuse; it is counted.
      borrowed: arrays or shapes whose memory the function may not reuse; it is not counted.
    """
    jaxpr = jax.make_jaxpr(function)(owned, borrowed).jaxpr
    return _peak(jaxpr, range(len(jax.tree.leaves(owned))), jax.default_backend())


def tree_bytes(tree: Any) -> int:
    """Returns the bytes of a tree of arrays or their shapes."""
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _bytes(array) -> int:
    if not hasattr(array, "shape") or array.dtype == jax.dtypes.float0:
        return 0
    return array.size * array.dtype.itemsize


class _Operation(NamedTuple):
    """Describes one operation of a program without calls; arrays are given by number."""

    eqn: Any
    reads: tuple[int, ...]
    makes: tuple[int, ...]


class _Program:
    """Holds the operations of a jaxpr, with calls inlined, and the sizes of its arrays."""

    def __init__(self, jaxpr: Jaxpr, platform: str):
        self._platform = platform
        self.sizes: list[int] = []
        self.operations: list[_Operation] = []
        names = {var: self._new(var.aval) for var in (*jaxpr.constvars, *jaxpr.invars)}
        self.inputs = [names[var] for var in jaxpr.invars]
        self._add(jaxpr, names)
        self.outputs = [self._number(var, names) for var in jaxpr.outvars]

    def _new(self, aval) -> int:
        self.sizes.append(_bytes(aval))
        return len(self.sizes) - 1

    def _number(self, atom, names: dict) -> int:
        return self._new(atom.aval) if isinstance(atom, Literal) else names[atom]

    def _add(self, jaxpr: Jaxpr, names: dict) -> None:
        for eqn in jaxpr.eqns:
            reads = [self._number(atom, names) for atom in eqn.invars]
            body = _called(eqn, self._platform)
            if body is None:
                makes = [self._new(var.aval) for var in eqn.outvars]
                self.operations.append(_Operation(eqn, tuple(reads), tuple(makes)))
            else:
                reads = reads[len(reads) - len(body.invars) :]  # without the platform's index
                inside = dict(zip(body.invars, reads, strict=True))
                inside |= {var: self._new(var.aval) for var in body.constvars}
                self._add(body, inside)
                makes = [self._number(atom, inside) for atom in body.outvars]
            names.update(zip(eqn.outvars, makes, strict=True))


def _called(eqn, platform: str) -> Jaxpr | None:
    """Returns the body of a call, or the branch for a platform; None for other operations."""
    name, body = eqn.primitive.name, None
    if name in _CALLS:
        body = eqn.params[_CALLS[name]]
    if name == "cond" and (platforms := eqn.params.get("branches_platforms")):
        branches = zip(eqn.params["branches"], platforms, strict=True)
        body = next(branch for branch, names in branches if names is None or platform in names)
    return body.jaxpr if isinstance(body, ClosedJaxpr) else body


class _Step(NamedTuple):
    """Holds an operation that makes arrays, and the arrays that it reads, directly or by fusion."""

    operation: _Operation
    reads: frozenset[int]


def _steps(program: _Program) -> tuple[list[_Step], list[frozenset[int]]]:
    """Returns a program's steps after fusion, and the arrays in which each of its outputs lies."""
    readers = collections.defaultdict(list)
    wanted, useful = set(program.outputs), []
    for operation in reversed(program.operations):
        if wanted.isdisjoint(operation.makes):
            continue  # nothing reads its results
        wanted.update(operation.reads)
        useful.append(operation)
        for number in operation.reads:
            readers[number].append(operation)
    lies_in = {number: frozenset([number]) for number in range(len(program.sizes))}
    kept = set(program.outputs)
    steps = []
    for operation in reversed(useful):
        reads = frozenset().union(*(lies_in[number] for number in operation.reads))
        name = operation.eqn.primitive.name
        if name in _ALIASES:
            for number, source in zip(operation.makes, operation.reads, strict=True):
                lies_in[number] = lies_in[source]
        elif _is_fused(operation, readers, kept):
            lies_in[operation.makes[0]] = reads
        else:
            steps.append(_Step(operation, reads))
    return steps, [lies_in[number] for number in program.outputs]


def _is_fused(operation: _Operation, readers: dict, kept: set[int]) -> bool:
    if operation.eqn.primitive.name not in _FUSED or kept.intersection(operation.makes):
        return False
    into = {reader.eqn.primitive.name for reader in readers[operation.makes[0]]}
    return into <= _FUSED | _REDUCTIONS


def _breadth_first(steps: Sequence[_Step]) -> Iterator[_Step]:
    """Yields the steps in the order in which their arguments become ready."""
    makers = {number: index for index, step in enumerate(steps) for number in step.operation.makes}
    missing = [{makers[n] for n in step.reads if n in makers} for step in steps]
    waiting = collections.defaultdict(list)
    for index, needed in enumerate(missing):
        for maker in needed:
            waiting[maker].append(index)
    ready = collections.deque(index for index, needed in enumerate(missing) if not needed)
    while ready:
        index = ready.popleft()
        yield steps[index]
        for reader in waiting[index]:
            missing[reader].discard(index)
            if not missing[reader]:
                ready.append(reader)


def _peak(jaxpr: Jaxpr, owned: Iterable[int], platform: str) -> int:
    """Returns the most bytes in memory at once: what is made, and owned inputs until last read.

    Args:
      jaxpr: the program.
      owned: indices of the inputs whose memory the program may reuse.
      platform: platform that it runs on.
    """
    program = _Program(jaxpr, platform)
    steps, outputs = _steps(program)
    order = list(_breadth_first(steps)) if platform == "cpu" else steps
    last = {number: index for index, step in enumerate(order) for number in step.reads}
    last |= dict.fromkeys(frozenset().union(*outputs), len(order))
    size = program.sizes.__getitem__
    live = {program.inputs[place] for place in owned}
    if platform == "cpu":  # a loop's stacked outputs depend on nothing, and so are there first
        live.update(n for step in steps for n in _stacks(step.operation) if n in last)
    most = sum(map(size, live))
    for index, (operation, reads) in enumerate(order):
        dying = {number for number in reads & live if last[number] == index}
        during = _bytes_during(operation, program, dying, platform)
        during -= sum(map(size, live.intersection(operation.makes)))
        most = max(most, sum(map(size, live)) + during)
        live = (live - dying).union(n for n in operation.makes if n in last)
    return most


def _bytes_during(operation: _Operation, program: _Program, dying: set[int], platform: str) -> int:
    """Returns the bytes that an operation adds while it runs to what was in memory before."""
    size, eqn = program.sizes.__getitem__, operation.eqn
    makes = sum(map(size, operation.makes))
    name, params = eqn.primitive.name, eqn.params
    if name == "scan":
        body = params["jaxpr"].jaxpr
        # A scan has its constants first, then its carry, then what is scanned over or stacked.
        stacked = sum(map(size, _stacks(operation)))
        until = sum(map(_equally_shaped, eqn.invars, body.invars))
        first = until - sum(map(_equally_shaped, eqn.outvars, body.outvars))
        taken = dying.intersection(operation.reads[first:until])
        inside = _peak(body, range(first, len(body.invars)), platform)
        return stacked + inside - sum(map(size, taken))
    if name == "while":
        first = params["body_nconsts"]
        body = params["body_jaxpr"].jaxpr
        taken = dying.intersection(operation.reads[params["cond_nconsts"] + first :])
        return _peak(body, range(first, len(body.invars)), platform) - sum(map(size, taken))
    if name == "cond":
        return max(_peak(branch.jaxpr, (), platform) for branch in params["branches"])
    if name in _ELEMENTWISE or name in ("dynamic_update_slice", "scatter", "scatter-add"):
        return makes - min(makes, sum(map(size, dying)))
    return makes


def _stacks(operation: _Operation) -> tuple[int, ...]:
    """Returns the stacked outputs of a loop; nothing for other operations."""
    if operation.eqn.primitive.name != "scan":
        return ()
    body = operation.eqn.params["jaxpr"].jaxpr
    return operation.makes[sum(map(_equally_shaped, operation.eqn.outvars, body.outvars)) :]


def _equally_shaped(one, other) -> bool:
    return one.aval.shape == other.aval.shape
