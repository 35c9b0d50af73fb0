"""Races that the text of a kernel shows: stores at an index that several iterations have, or that others read.

The body is run abstractly, from the kernel into the functions that it calls. Every value is told by how it goes with
the iteration (`Way`); a store is a race where the ways of its indices say that iterations meet, and what they store
differs or is made from what was there. A store at the iteration's own index is one where others certainly read it, as
in ``x[i] = x[i - 1] + y[i]``: both indices are an index of the kernel and a constant. Where the text does not say, such
as for ``y[start[i] + k] += 1``, which may well be a segment of the iteration's own, it is taken to be right: a warning
that is wrong would soon be turned off.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.sources import of_library
from portapar.kernel.front.trees import walk

__all__ = ["Race", "Run", "race"]


class Race(NamedTuple):
    """A store at an index that several iterations have, or that others read.

    Attributes
    ----------
    name : str
        The array.
    text : str
        The statement's target, as the user wrote it.
    update : bool
        It stores what is made from what was there.
    file, line
    read : str
        What others read, as the user wrote it.
    apart : tuple of int
        And how far from the store that is, on each axis of the space.
    """

    name: str
    text: str
    update: bool
    file: str
    line: int
    read: str = ""
    apart: tuple[int, ...] = ()

    def meets(self, extent: Sequence[int], step: Sequence[int]) -> bool:
        """Whether iterations of a space do meet there."""
        if not self.read:
            return math.prod(extent) > 1
        if len(extent) != len(self.apart):
            return False
        return all(far % s == 0 and abs(far // s) < n for far, n, s in zip(self.apart, extent, step, strict=True))


#: How a value goes with the iteration: the same in all; the same, one after the other in a loop; another one in each;
#: surely the same in some; perhaps the same in some; not known.
_Way = Literal["same", "loop", "own", "folded", "shared", "unknown"]


@dataclass(frozen=True, slots=True)
class _Value:
    """What is known of the value of an expression.

    Attributes
    ----------
    way : str
    follows : frozenset of str
        The indices of the kernel that an ``own`` value follows one to one.
    scaled : bool
        It was multiplied: what is added to it may fill the gaps.
    claimed : bool
        It comes from an atomic operation, which may have given the iteration something for itself.
    places : frozenset of (str, tuple of _Value)
        The arrays that it may be a part of, and the indices that were taken.
    items : tuple of _Value or None
        Of a tuple.
    loads : frozenset of str
        The elements that it was made from, as text.
    at : (str, int) or None
        It is this index of the kernel and a constant, or with "" the constant.
    """

    way: _Way = "same"
    follows: frozenset[str] = frozenset()
    scaled: bool = False
    claimed: bool = False
    places: frozenset[tuple[str, tuple[_Value, ...]]] = frozenset()
    items: tuple[_Value, ...] | None = None
    loads: frozenset[str] = frozenset()
    at: tuple[str, int] | None = None


_Place = tuple[tuple[str, int], ...]  #: of each index taken the index of the kernel, and what is added to it

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_SAME = _Value()
_CASTS = frozenset("int int16 int32 int64 intp uint16 uint32 uint64 uintp".split())


def _made(way: _Way, parts: Iterable[_Value], follows: frozenset[str] = frozenset(), scaled: bool = False) -> _Value:
    """A number that was computed from others."""
    parts = list(parts)
    loads = frozenset().union(*(part.loads for part in parts))
    return _Value(way, follows, scaled, any(part.claimed for part in parts), loads=loads)


def _mixed(parts: Sequence[_Value]) -> _Value:
    """What some function makes of values."""
    ways = {part.way for part in parts} - {"same"}
    if not ways:
        return _made("same", parts)
    if ways == {"loop"}:
        return _made("loop", parts)
    return _made("unknown" if ways & {"unknown", "own"} else "shared", parts)


def _sum(x: _Value, y: _Value) -> _Value:
    for one, other in ((x, y), (y, x)):
        if one.way == "same":
            return _made(other.way, (x, y), other.follows, other.scaled)
    scaled, ways = x.scaled or y.scaled, {x.way, y.way}
    if "own" in ways and ways <= {"own", "loop"} and not x.follows & y.follows:  # i * n + j is its own, i + j is not
        return _made("own" if scaled else "shared", (x, y), x.follows | y.follows if scaled else frozenset(), True)
    if ways == {"loop"}:
        return _made("loop", (x, y), scaled=scaled)
    return _made("shared" if ways == {"shared"} else "unknown", (x, y))


def _product(x: _Value, y: _Value) -> _Value:
    for one, other in ((x, y), (y, x)):
        if one.way == "same":
            return _made(other.way, (x, y), other.follows, True)
    return _mixed((x, y))


def _joined(x: _Value, y: _Value) -> _Value:
    """Either of two values."""
    items = None
    if x.items is not None and y.items is not None and len(x.items) == len(y.items):
        items = tuple(map(_joined, x.items, y.items))
    if x.way == y.way and x.follows == y.follows:
        way, follows = x.way, x.follows
    else:
        ways, follows = {x.way, y.way}, frozenset()
        way = "unknown" if ways & {"own", "unknown"} else "loop" if ways <= {"same", "loop"} else "shared"
    return _Value(
        way, follows, x.scaled and y.scaled, x.claimed or y.claimed, x.places | y.places, items, x.loads | y.loads,
        x.at if x.at == y.at else None,
    )  # fmt: skip


class _Guard(NamedTuple):
    """What a condition says of the iterations that come through."""

    follows: frozenset[str]  #: indices that have one value then
    equal: bool  #: something of the iteration's own is compared with ==
    claimed: bool
    bounds: bool = False  #: it compares indices of the kernel with what is the same in all iterations


class Run:
    """Runs a kernel abstractly.

    Parameters
    ----------
    kernel : Kernel
    ndim : int
        How many of its first parameters are the index; if 0, its parameters are elements.
    arrays : frozenset of str
        Which of its parameters and captures are arrays.

    Attributes
    ----------
    found : dict
        Its races.
    locked : bool
        It waits for others, and perhaps holds a lock.
    indexed : dict
        The nodes, by their `id`, that take an index of an array (subscripts, and calls of atomic operations), and of
        which ones: their names if it is their first index, else "".
    tuples : dict
        The expressions, by their `id`, that are tuples, and of how many elements.
    """

    def __init__(self, kernel: Kernel, ndim: int, arrays: frozenset[str]) -> None:
        self.ndim = ndim
        self.kernel, self.index = kernel, frozenset(kernel.params[:ndim] or [""])
        self.functions = {function.name: function for function in kernel.functions}
        self.found: dict[tuple[str, int, str], Race] = {}
        self.locked = False
        self.indexed: dict[int, set[str]] = {}
        self.tuples: dict[int, int] = {}
        self.guards: list[_Guard] = []
        self.reads: dict[tuple[str, _Place], str] = {}
        self.writes: dict[tuple[str, _Place], Race] = {}
        given = []
        for k, param in enumerate(kernel.functions[-1].params):
            if k < ndim:
                given.append(_Value("own", frozenset([param]), at=(param, 0)))
            elif param in arrays:
                given.append(_Value(places=frozenset([(param, ())])))
            else:
                given.append(_Value("shared" if ndim == 0 and k < len(kernel.params) else "same"))
        self.call(kernel.functions[-1], given)

    def call(self, function: Function, given: Sequence[_Value]) -> _Value:
        """Run a function; what it returns."""
        frame = _Frame(self, function)
        frame.names = dict(zip(function.params, given, strict=False))
        before: dict[str, _Value] = {}
        found = self.found, self.reads, self.writes
        for _ in range(8):
            if before == frame.names:
                break
            before = dict(frame.names)
            # what half of the names gave does not count
            self.found, self.reads, self.writes = dict(found[0]), dict(found[1]), dict(found[2])
            frame.block(function.body)
        return frame.returned or _SAME

    def take(self, node: ast.AST, value: _Value) -> None:
        """Note that a node takes an index of a value."""
        self.indexed.setdefault(id(node), set()).update("" if path else name for name, path in value.places)

    def read(self, places: Iterable[tuple[str, tuple[_Value, ...]]], node: ast.expr) -> None:
        """Note that an iteration reads there."""
        for name, taken in places:
            if name and (place := self.place(taken)) is not None:
                self.reads.setdefault((name, place), ast.unparse(node))

    def place(self, indices: Sequence[_Value]) -> _Place | None:
        """Where that is, if all iterations within some bounds come there."""
        if all(guard.bounds for guard in self.guards):
            found = tuple(part.at for part in indices if part.at is not None)
            names = [name for name, _ in found if name]
            if len(found) == len(indices) and len(names) == len(set(names)):
                return found
        return None

    def carried(self) -> Iterator[Race]:
        """Stores at an iteration's own index, of which others read what is stored."""
        for (name, place), where in self.writes.items():
            for (read, other), text in self.reads.items():
                far = {a: n - m for (a, m), (b, n) in zip(place, other, strict=False) if a == b}
                if read == name and len(place) == len(other) == len(far) and any(far.values()) and not far.get("", 0):
                    yield where._replace(read=text, apart=tuple(far.get(p, 0) for p in self.kernel.params[: self.ndim]))

    def store(self, value: _Value, indices: tuple[_Value, ...], stored: _Value, update: bool, where: Race) -> None:
        for name, taken in value.places:
            if name and self.races((*taken, *indices), stored, update):
                self.found.setdefault((where.file, where.line, name), where._replace(name=name))
            elif name and (place := self.place((*taken, *indices))) is not None:
                self.writes.setdefault((name, place), where._replace(name=name))

    def races(self, indices: Sequence[_Value], stored: _Value, update: bool) -> bool:
        ways = [part.way for part in indices]
        if "unknown" in ways or ways.count("folded") > 1 or any(guard.claimed for guard in self.guards):
            return False
        follows = frozenset().union(*(part.follows for part in indices), *(guard.follows for guard in self.guards))
        if follows >= self.index:
            return False
        if update:
            return True
        guarded = any(guard.equal for guard in self.guards)
        return "shared" not in ways and not guarded and stored.way not in ("same", "loop")


class _Frame:
    """One function as it runs."""

    def __init__(self, run: Run, function: Function) -> None:
        self.run, self.function = run, function
        self.names: dict[str, _Value] = {}
        self.returned: _Value | None = None

    def block(self, body: Sequence[ast.stmt]) -> None:
        depth = len(self.run.guards)
        for statement in body:
            self.statement(statement)
            if isinstance(statement, ast.If) and not statement.orelse and _leaves(statement.body):
                self.run.guards.append(self.guard(statement.test, False))
        del self.run.guards[depth:]

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self.assign(target, value, node.value)
        elif isinstance(node, ast.AugAssign):
            value = self.value(node.value)
            if isinstance(node.target, ast.Name):
                self.bind(node.target.id, self.operation(node.op, self.names.get(node.target.id, _SAME), value), True)
            else:
                self.store(node.target, value, True)
        elif isinstance(node, ast.Return) and node.value is not None:
            value = self.value(node.value)
            self.returned = value if self.returned is None else _joined(self.returned, value)
        elif isinstance(node, ast.If):
            self.value(node.test)
            for body, holds in ((node.body, True), (node.orelse, False)):
                self.run.guards.append(self.guard(node.test, holds))
                self.block(body)
                self.run.guards.pop()
        elif isinstance(node, ast.While):
            self.run.locked |= self.value(node.test).claimed
            self.run.guards.append(self.guard(node.test, True))
            self.block(node.body)
            self.run.guards.pop()
            self.block(node.orelse)
        elif isinstance(node, ast.For):
            self.assign(node.target, self.iterated(node.iter))
            self.block(node.body)
            self.block(node.orelse)
        elif isinstance(node, ast.Expr):
            self.value(node.value)

    def iterated(self, node: ast.expr) -> _Value:
        """An element of what a loop runs over."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            bounds = [self.value(part) for part in node.args]
            return _made("loop" if all(part.way in ("same", "loop") for part in bounds) else "unknown", bounds)
        value = self.value(node)
        if value.items:
            return functools.reduce(_joined, value.items)
        return _made("unknown", [value])

    def guard(self, test: ast.expr, holds: bool) -> _Guard:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.guard(test.operand, not holds)
        claimed, none = self.value(test).claimed, frozenset[str]()
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) == holds:
            guards = [self.guard(part, holds) for part in test.values]
            bounds = all(g.bounds for g in guards)
            return _Guard(none.union(*(g.follows for g in guards)), any(g.equal for g in guards), claimed, bounds)
        sides: list[ast.expr] = []
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            (op,), (right,) = test.ops, test.comparators
            bound = right.value if isinstance(right, ast.Constant) else None
            least = (isinstance(op, ast.Lt) and bound == 1) or (isinstance(op, ast.LtE) and bound == 0)
            if isinstance(op, ast.Eq if holds else ast.NotEq) or (holds and least):
                sides = [test.left, right]
        elif isinstance(test, ast.Name) and not holds:
            sides = [test]
        values = [self.value(side) for side in sides]
        equal = any(value.way not in ("same", "loop") for value in values)
        bounds = holds and isinstance(test, ast.Name) and self.value(test).at is not None  # all but index 0
        bounds |= isinstance(test, ast.Compare) and not sides
        if bounds and isinstance(test, ast.Compare):
            among = map(self.value, (test.left, *test.comparators))
            bounds = all(isinstance(op, (*_ORDER, ast.NotEq if holds else ast.Eq)) for op in test.ops)
            bounds &= all(value.at is not None or value.way == "same" for value in among)
        return _Guard(none.union(*(value.follows for value in values)), equal, claimed, bounds)

    # names and stores -----------------------------------------------------------------------------

    def assign(self, target: ast.expr, value: _Value, node: ast.expr | None = None) -> None:
        if isinstance(target, ast.Name):
            again = node is not None and any(isinstance(n, ast.Name) and n.id == target.id for n in walk(node))
            self.bind(target.id, value, again)
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = value.items if value.items and len(value.items) == len(target.elts) else None
            for k, part in enumerate(target.elts):
                self.assign(part, items[k] if items else _made("unknown", [value]))
        else:
            self.store(target, value, False)

    def bind(self, name: str, value: _Value, again: bool) -> None:
        """`again` says that the value was made from the name's old one, which a loop may do many times."""
        if again and value.way not in ("same", "loop"):
            value = _made("unknown", [value])
        self.names[name] = _joined(self.names[name], value) if name in self.names else value

    def store(self, target: ast.expr, stored: _Value, update: bool) -> None:
        text = ast.unparse(target)
        update = update or text in stored.loads
        indices: list[_Value] = []
        place = target
        while isinstance(place, ast.Attribute):
            place = place.value
        if isinstance(place, ast.Subscript):
            if place is not target:
                self.value(place)
            indices = self.indices(place)
            place = place.value
        line = target.lineno if self.function.file else self.run.kernel.line
        where = Race("", text, update, self.function.file or self.run.kernel.file, line)
        value = self.value(place)
        if indices and value.places and isinstance(target, ast.Subscript):
            self.run.take(target, value)
        self.run.store(value, tuple(indices), stored, update, where)

    def indices(self, node: ast.Subscript) -> list[_Value]:
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [self.value(part) for part in parts if not (isinstance(part, ast.Constant) and type(part.value) is str)]

    # expressions ----------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> _Value:
        value = self.evaluated(node)
        if value.items is not None:
            self.run.tuples[id(node)] = len(value.items)
        return value

    def evaluated(self, node: ast.expr) -> _Value:
        if isinstance(node, ast.Name):
            return self.names.get(node.id, _SAME)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return _Value(at=("", node.value))
        if isinstance(node, ast.Tuple):
            return _Value("unknown", items=tuple(map(self.value, node.elts)))
        if isinstance(node, ast.Subscript):
            return self.element(node)
        if isinstance(node, ast.Attribute):
            value = self.value(node.value)
            if node.attr in ("shape", "size", "ndim"):
                return _SAME
            return value
        if isinstance(node, ast.NamedExpr):
            value = self.value(node.value)
            self.assign(node.target, value, node.value)
            return value
        if isinstance(node, ast.UnaryOp):
            value = self.value(node.operand)
            plain = isinstance(node.op, (ast.USub, ast.UAdd))
            return _made(value.way, [value], value.follows, value.scaled) if plain else _mixed([value])
        if isinstance(node, ast.BinOp):
            return self.operation(node.op, self.value(node.left), self.value(node.right), node.right)
        if isinstance(node, ast.IfExp):
            test, found = self.value(node.test), _joined(*self.either(node))
            if found.way in ("same", "loop") and test.way not in ("same", "loop"):
                return replace(found, way="shared", claimed=found.claimed or test.claimed)
            return found
        if isinstance(node, ast.Call):
            return self.called(node)
        return _mixed([self.value(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)])

    def either(self, node: ast.IfExp) -> Iterator[_Value]:
        """The values of both sides of a conditional expression."""
        for side, holds in ((node.body, True), (node.orelse, False)):
            self.run.guards.append(self.guard(node.test, holds))
            yield self.value(side)
            self.run.guards.pop()

    def element(self, node: ast.Subscript) -> _Value:
        base, taken = self.value(node.value), self.indices(node)
        if base.items is not None:
            at = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if isinstance(at, int) and -len(base.items) <= at < len(base.items):
                return base.items[at]
            return functools.reduce(_joined, base.items, _SAME)
        found = _mixed([base, *taken])
        if base.places and not (isinstance(node.slice, ast.Constant) and type(node.slice.value) is str):
            self.run.take(node, base)
        known = base.way != "unknown" and all(part.way in ("own", "same", "loop") for part in taken)
        if base.places and known and found.way == "unknown":
            found = _made("shared", [base, *taken])  # what an array holds
        places = frozenset((name, (*path, *taken)) for name, path in base.places)
        self.run.read(places, node)
        return _Value(
            found.way, claimed=found.claimed, places=places, loads=frozenset([ast.unparse(node)]) | base.loads
        )

    def operation(self, op: ast.operator, x: _Value, y: _Value, right: ast.expr | None = None) -> _Value:
        literal = right.value if isinstance(right, ast.Constant) else None
        if isinstance(op, (ast.Add, ast.Sub)):
            found = _sum(x, y)
            if x.at is not None and y.at is not None and not (x.at[0] and y.at[0]):
                name, far = x.at[0] or y.at[0], x.at[1] + y.at[1] * (1 if isinstance(op, ast.Add) else -1)
                return replace(found, at=(name, far) if isinstance(op, ast.Add) or not y.at[0] else None)
            return found
        if isinstance(op, ast.Mult):
            return _mixed([x, y]) if isinstance(literal, float) or literal == 0 else _product(x, y)
        one = x.way == "own" and not x.scaled and y.way == "same" and literal != 0
        if one and (isinstance(op, ast.RShift) or (isinstance(op, ast.FloorDiv) and literal != 1)):
            return _made("folded", [x, y])
        if one and isinstance(op, (ast.Mod, ast.BitAnd)) and isinstance(literal, int):
            return _made("folded", [x, y])  # another modulus may be the number of iterations: (i + 1) % n
        return _mixed([x, y])

    def called(self, node: ast.Call) -> _Value:
        func, given = node.func, [self.value(part) for part in node.args]
        given += [self.value(keyword.value) for keyword in node.keywords]
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
        if self.function.is_called(func):
            return self.run.call(self.run.functions[name], given)
        if name == "len":
            return _SAME
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic":
            if len(node.args) > 1 and given[0].places:
                self.run.take(node, given[0])
            return _Value("unknown", claimed=True)
        if name.startswith("private_") and isinstance(func, ast.Name):
            return _Value("unknown", places=frozenset([("", ())]))
        if name in _CASTS and len(given) == 1:
            return replace(_made(given[0].way, given, given[0].follows, given[0].scaled), at=given[0].at)
        if isinstance(func, ast.Attribute):
            given.append(self.value(func.value))
        return _mixed(given)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Continue, ast.Break))


@functools.lru_cache(maxsize=4096)
def race(kernel: Kernel, ndim: int, arrays: frozenset[str]) -> Race | None:
    """The first race that the text of a kernel shows.

    Parameters
    ----------
    kernel : Kernel
    ndim : int
        How many of its first parameters are the index; if 0, its parameters are elements.
    arrays : frozenset of str
        Which of its parameters and captures are arrays.
    """
    if of_library(kernel.file):
        return None
    run = Run(kernel, ndim, arrays)
    if run.locked:
        return None
    found = run.found.values() or [*run.carried()]
    return min(found, key=lambda found: (found.file != kernel.file, found.line), default=None)
