"""Which rows of its arrays a kernel reads and writes: its own, those around it, or any.

Rows are counted along the first axis, by the first index of the kernel, i. The body is run abstractly as in `access`,
but with what its whole numbers may be: ``i + c`` for numbers c between two ends, or a number between two ends that does
not go with i. Tests of i narrow it down in the branches that they guard, called functions are run with what they are
given, and the numbers among a call's arguments are known. So ``a[max(i - 1, 0), j]`` and ``a[i + d]`` in a loop over
``range(-w, w + 1)`` are seen to read the neighbours of row i.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from portapar.kernel.front.access import NEVER, Flow
from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.reached import Reach
from portapar.kernel.front.row_forms import is_push, is_row_bound
from portapar.kernel.front.trees import walk

_CASTS = frozenset("int int64 intp uint64".split())  #: they change no row number
_PINNED = 64  #: a row that does not go with i is told by its distance where i is known to be one of so few
_SWAPPED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq}
_DENIED = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}


class _Number(NamedTuple):
    """A whole number: ``i + c`` if `own`, else c, for lo ≤ c ≤ hi; at least `least` if that says more."""

    own: bool
    lo: int
    hi: int
    least: int = -(2**63)


@dataclass(slots=True)
class _Program:
    """What the functions of a kernel share."""

    functions: Mapping[str, Function]
    span: tuple[int, int]  #: the least and the largest i
    open: set[str] = field(default_factory=set)  #: those that are being looked at
    known: dict[Any, _Walk] = field(default_factory=dict)  #: those that were, by name and what they are given
    dropped: str = ""  #: the one whose value nobody uses


def reaches(
    kernel: Kernel, first: tuple[int, int] | tuple[()], others: Sequence[tuple[int, int]], numbers: Mapping[str, int],
    rows: Mapping[str, tuple[int, ...]], skip: int = 0, drops: bool = False,
) -> dict[str, Reach]:  # fmt: skip
    """How iterations use the rows of arrays.

    Parameters
    ----------
    kernel : Kernel
    first, others : tuple of int
        The least and the largest index on the first axis, and on each other one; empty if it takes none.
    numbers : mapping
        Whole numbers among the arguments, by name.
    rows : mapping
        The shapes of the arrays, by name.
    skip : int
        How many parameters come before the indices.
    drops : bool
        Nobody uses what the kernel returns.
    """
    key = first, tuple(others), tuple(numbers.items()), tuple(rows.items()), skip, drops
    return _reaches(kernel, *key)


@functools.lru_cache(maxsize=4096)
def _reaches(
    kernel: Kernel, first: tuple[Any, ...], others: tuple, numbers: tuple, rows: tuple, skip: int, drops: bool
) -> dict[str, Reach]:
    indices = kernel.params[skip : skip + 1 + len(others)] if first else []
    given = {name: _Number(False, value, value) for name, value in numbers}
    given |= {name: _Number(False, *ends) for name, ends in zip(indices[1:], others, strict=True)}
    if indices:
        given[indices[0]] = _Number(True, 0, 0)
    dropped = kernel.functions[-1].name if drops else ""
    program = _Program({f.name: f for f in kernel.functions}, first or (0, 0), dropped=dropped)
    walk = _Walk(program, kernel.functions[-1], given, dict(rows), first or (0, 0))
    return walk.found


class _Walk(Flow):
    """One kernel function, for what it is given."""

    def __init__(
        self, program: _Program, function: Function, given: Mapping[str, _Number],
        shapes: Mapping[str, tuple[int, ...]], span: tuple[int, int],
    ) -> None:  # fmt: skip
        names = function.params
        nodes = [node for statement in function.body for node in walk(statement)]
        stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.program, self.shapes = program, {k: v for k, v in shapes.items() if k not in stored}
        self.given = {name: number for name, number in given.items() if name not in stored}
        self.numbers: dict[str, _Number | None] = {}
        self.spans: dict[str, tuple[int, int]] = {}  #: the least and the largest i where these were assigned
        self.grown: dict[str, int] = {}
        self.span = self.whole = span  #: the least and the largest i here
        self.unused: set[int] = set()  #: calls whose value nobody uses
        if function.name == program.dropped:
            self.unused |= {id(node.value) for node in nodes if isinstance(node, ast.Return)}
        self.found: dict[str, Reach] = {}
        self.returns: list[_Number | None] = []
        self.names = names
        program.open.add(function.name)
        super().__init__(function.body, names[:1], names, {})
        program.open.discard(function.name)
        for name, use in self.access.items():
            self.found[name].updated = min(self.found[name].updated, use.updated)

    def run(self, body: Sequence[ast.stmt]) -> None:
        self.found, self.returns = {name: Reach() for name in self.names}, []
        self.span = self.whole
        self._far = self._scattered = self._views = self._measured = 0  # parts that are used so
        super().run(body)
        for name, _ in self.uses(self._far & self.aliases.arrays):
            self.found[name].read = self.found[name].far = True
        for name, _ in self.uses(self._measured & self.aliases.arrays):
            self.found[name].measured = True
        for name, _ in self.uses(self._scattered):
            self.found[name].written, self.found[name].lands = True, False
        for name, _ in self.uses(self._views):  # a part of a row that was taken before is written
            reach = self.found[name]
            reach.written, reach.lands = True, reach.lands and reach.own

    # whole numbers --------------------------------------------------------------------------------

    def number(self, node: ast.expr) -> _Number | None:
        """What a whole number may be; None if that is not known."""
        if isinstance(node, ast.Constant):
            return _Number(False, node.value, node.value) if type(node.value) is int else None
        if isinstance(node, ast.Name):
            return self.given.get(node.id) or self.numbers.get(node.id)
        if isinstance(node, ast.NamedExpr):
            return self.number(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            x = self.number(node.operand)
            if x is None or isinstance(node.op, ast.UAdd):
                return x
            return None if x.own else _Number(False, -x.hi, -x.lo)
        if isinstance(node, ast.BinOp):
            return self._computed(node)
        if isinstance(node, ast.IfExp):
            before, found = self.span, []
            for truth, part in ((True, node.body), (False, node.orelse)):
                self.span = self._narrowed(node.test, truth, before)
                if self.span[0] <= self.span[1]:
                    found.append(self._near(self.number(part)))
                self.span = before
            return functools.reduce(_hull, found) if found else None
        if isinstance(node, ast.Subscript):
            return self._extent(node.value, node.slice)
        return self._called(node) if isinstance(node, ast.Call) else None

    def _near(self, x: _Number | None) -> _Number | None:
        """A number that does not go with i by its distance from i, where that is one of a few."""
        return None if x is None else self._from(x, self.span)

    def _from(self, x: _Number, span: tuple[int, int]) -> _Number:
        if x.own or span == self.program.span or span[1] - span[0] > _PINNED:
            return x
        return _Number(True, x.lo - span[1], x.hi - span[0])

    def _computed(self, node: ast.BinOp) -> _Number | None:
        x, y = self.number(node.left), self.number(node.right)
        if x is None or y is None:
            return None
        if isinstance(node.op, ast.Add):
            x, y = (x, y) if x.own else (y, x)
            return None if y.own else _Number(x.own, x.lo + y.lo, x.hi + y.hi, x.least + y.lo)
        if isinstance(node.op, ast.Sub) and (x.own or not y.own):
            return _Number(x.own and not y.own, x.lo - y.hi, x.hi - y.lo, x.least - y.hi)
        if x.own or y.own:
            return None
        if isinstance(node.op, ast.Mult):
            ends = [a * b for a in (x.lo, x.hi) for b in (y.lo, y.hi)]
            return _Number(False, min(ends), max(ends))
        if isinstance(node.op, ast.FloorDiv) and y.lo == y.hi > 0:
            return _Number(False, x.lo // y.lo, x.hi // y.lo)
        return None

    def _extent(self, owner: ast.expr, index: ast.expr) -> _Number | None:
        """``x.shape[k]``."""
        shape = self._shape(owner.value) if isinstance(owner, ast.Attribute) and owner.attr == "shape" else None
        if shape is None or not isinstance(index, ast.Constant) or type(index.value) is not int:
            return None
        return _Number(False, shape[index.value], shape[index.value]) if abs(index.value) < len(shape) else None

    def _shape(self, node: ast.expr) -> tuple[int, ...] | None:
        return self.shapes.get(node.id) if isinstance(node, ast.Name) else None

    def _called(self, node: ast.Call) -> _Number | None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in self.program.functions and isinstance(node.func, ast.Name):
            if is_row_bound(self.program.functions[name].node):
                bound = self.number(node.args[0])
                if bound is not None and bound.own:
                    return bound  # as an index: below 0 it counts from the end, and nothing is beyond that
            inner = self._inner(node)
            return functools.reduce(_hull, inner.returns) if inner is not None and inner.returns else None
        if node.keywords or not node.args:
            return None
        if name == "len" and len(node.args) == 1:
            shape = self._shape(node.args[0])
            return _Number(False, shape[0], shape[0]) if shape else None
        given = [self.number(part) for part in node.args]
        if name in _CASTS and len(given) == 1:
            return given[0]
        if name in ("min", "max", "minimum", "maximum") and len(given) > 1:
            return functools.reduce(self._least if name.startswith("min") else self._most, given)
        return None

    def _most(self, x: _Number | None, y: _Number | None) -> _Number | None:
        if x is None or y is None:
            return None
        if x.own != y.own:
            x, y = (x, y) if x.own else (y, x)
            return _Number(True, x.lo, max(x.hi, y.hi - self.span[0]), max(x.least, y.lo))
        return _Number(x.own, max(x.lo, y.lo), max(x.hi, y.hi), max(x.least, y.least))

    def _least(self, x: _Number | None, y: _Number | None) -> _Number | None:
        if x is None or y is None:
            return None
        if x.own != y.own:
            x, y = (x, y) if x.own else (y, x)
            least = max(x.least, self.span[0] + x.lo)
            return _Number(True, min(x.lo, y.lo - self.span[1]), x.hi, min(least, y.lo))
        return _Number(x.own, min(x.lo, y.lo), min(x.hi, y.hi), min(x.least, y.least))

    # tests of i -----------------------------------------------------------------------------------

    def _narrowed(self, test: ast.expr, truth: bool, span: tuple[int, int]) -> tuple[int, int]:
        """The least and the largest i for which a test is true, or false; the first beyond the second for none."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._narrowed(test.operand, not truth, span)
        if isinstance(test, ast.BoolOp):
            if isinstance(test.op, ast.And) == truth:
                for part in test.values:
                    span = self._narrowed(part, truth, span)
                return span
            return self._any([self._narrowed(part, truth, span) for part in test.values], span)
        if not isinstance(test, ast.Compare):
            return span
        sides = [test.left, *test.comparators]
        pairs = list(zip(sides[:-1], test.ops, sides[1:], strict=True))
        if truth:
            for pair in pairs:
                span = self._compared(*pair, True, span)
            return span
        return self._any([self._compared(*pair, False, span) for pair in pairs], span)

    def _any(self, spans: Iterable[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int]:
        spans = [s for s in spans if s[0] <= s[1]]
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (span[1] + 1, span[1])

    def _compared(
        self, left: ast.expr, op: ast.cmpop, right: ast.expr, truth: bool, span: tuple[int, int]
    ) -> tuple[int, int]:
        kind, x, y = type(op), self.number(left), self.number(right)
        if x is None or y is None or x.own == y.own or kind not in _SWAPPED:
            return span
        if y.own:
            x, y, kind = y, x, _SWAPPED[kind]
        if x.lo != x.hi:
            return span
        kind = kind if truth else _DENIED[kind]
        lo, hi = y.lo - x.lo, y.hi - x.lo  # i is compared with a number between these
        if kind is ast.Lt:
            return span[0], min(span[1], hi - 1)
        if kind is ast.LtE:
            return span[0], min(span[1], hi)
        if kind is ast.Gt:
            return max(span[0], lo + 1), span[1]
        if kind is ast.GtE:
            return max(span[0], lo), span[1]
        if kind is ast.Eq:
            return max(span[0], lo), min(span[1], hi)
        if lo != hi:
            return span
        return span[0] + (span[0] == lo), span[1] - (span[1] == lo)

    # statements and expressions -------------------------------------------------------------------

    def _block(self, body: Iterable[ast.stmt]) -> None:
        before = self.span
        for statement in body:
            self._statement(statement)
            if isinstance(statement, ast.If) and not statement.orelse and isinstance(
                statement.body[-1], (ast.Return, ast.Continue, ast.Break)
            ):
                self.span = self._narrowed(statement.test, False, self.span)
        self.span = before

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If):
            self._consume(self.value(node.test))
            before = self.span
            for truth, body in ((True, node.body), (False, node.orelse)):
                self.span = self._narrowed(node.test, truth, before)
                self._block(body)
                self.span = before
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.unused.add(id(node.value))
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._number_is(node.target.id, None)
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            self._number_is(node.target.id, self._counted(node.iter))
            self._bind(node.target, self._each(self.value(node.iter)))
            self._block([*node.body, *node.orelse])
            return
        if isinstance(node, ast.Return) and node.value is not None:
            self.returns.append(self._near(self.number(node.value)))
        super()._statement(node)

    def _counted(self, node: ast.expr) -> _Number | None:
        """The counter of a loop over a range, or over numbers that are written out."""
        if isinstance(node, (ast.Tuple, ast.List)) and node.elts:
            return functools.reduce(_hull, map(self.number, node.elts))
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "range" or node.keywords:
            return None
        ends = [self.number(part) for part in node.args]
        start, stop = (_Number(False, 0, 0), ends[0]) if len(ends) == 1 else ends[:2]
        step = ends[2] if len(ends) > 2 else _ONE
        if start is None or stop is None or step is None:
            return None
        if start.own != stop.own or step.own or step.lo != step.hi or step.lo == 0:
            return None
        if step.lo > 0:
            return _Number(start.own, start.lo, max(start.lo, stop.hi - 1), start.least)
        return _Number(start.own, min(start.hi, stop.lo + 1), start.hi)

    def _assign(self, target: ast.expr, parts: int, value: ast.expr | None = None) -> None:
        if isinstance(target, ast.Name):
            self._number_is(target.id, None if value is None else self.number(value))
        super()._assign(target, parts, value)

    def _number_is(self, name: str, number: _Number | None) -> None:
        """What a name may hold only grows; after some steps it is anything."""
        if name not in self.numbers:
            self.numbers[name], self.spans[name] = number, self.span
            self._changed = True
            return
        old, before = self.numbers[name], self.spans[name]
        new = old if number == old else None
        if old is not None and number is not None and number != old:
            mixed = old.own != number.own
            new = _hull(self._from(old, before), self._near(number)) if mixed else _hull(old, number)
        self.spans[name] = min(before[0], self.span[0]), max(before[1], self.span[1])
        if new != old:
            self.grown[name] = self.grown.get(name, 0) + 1
            self.numbers[name] = new if self.grown[name] < 4 else None
            self._changed = True

    def value(self, node: ast.expr) -> int:
        if isinstance(node, ast.IfExp):
            self._consume(self.value(node.test))
            before, parts = self.span, 0
            for truth, part in ((True, node.body), (False, node.orelse)):
                self.span = self._narrowed(node.test, truth, before)
                parts |= self.value(part)
                self.span = before
            return parts
        if isinstance(node, ast.BoolOp):
            before, parts = self.span, 0
            for part in node.values:
                parts |= self.value(part)
                self.span = self._narrowed(part, isinstance(node.op, ast.And), self.span)
            self.span = before
            self._consume(parts)
            return parts
        if isinstance(node, ast.Subscript) and self._extent(node.value, node.slice) is not None:
            assert isinstance(node.value, ast.Attribute)
            index = node.slice.value  # type: ignore[attr-defined]
            shape = self._shape(node.value.value)
            if shape is not None and index % len(shape):
                return 0  # the length of a row: parts have it too
        if isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
            self._number_is(node.target.id, self.number(node.value))
        return super().value(node)

    # what is done to parts ------------------------------------------------------------------------

    def _here(self, parts: int) -> int:
        """These parts; none where no iteration comes."""
        return parts if self.span[0] <= self.span[1] else 0

    def _consume(self, parts: int) -> None:
        super()._consume(parts)
        self._far |= self._here(parts)

    def _measure(self, parts: int) -> None:
        super()._measure(parts)
        self._measured |= self._here(parts)

    def _take(self, node: ast.Subscript, parts: int, reads: bool, writes: bool) -> int:
        if not (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)):
            used = self._here(parts if writes else parts & ~self.aliases.tuples)
            rows, views = used & self.aliases.wholes, used & ~self.aliases.arrays
            if reads:
                self._far |= used ^ rows
            if writes:
                self._scattered |= used ^ rows ^ views
                self._views |= views
            for name, _ in self.uses(rows):
                self._row(self.found[name], node.slice, reads, writes)
        return super()._take(node, parts, reads, writes)

    def _row(self, reach: Reach, index: ast.expr, reads: bool, writes: bool) -> None:
        """It takes a row by that index."""
        first = index.elts[0] if isinstance(index, ast.Tuple) and index.elts else index
        row = None if isinstance(first, ast.Slice) else self._near(self.number(first))
        own = row is not None and row.own
        if reads:
            if own and row is not None:
                reach.reads(row.lo, row.hi, max(0, -max(row.least, self.span[0] + row.lo)))
            else:
                reach.read = reach.far = True
        if writes:
            reach.written = True
            reach.lands &= own and row is not None and row.lo == row.hi == 0

    def _field(self, parts: int, writes: bool) -> int:
        if writes:
            self._scattered |= self._here(parts & self.aliases.arrays)
            self._views |= self._here(parts & ~self.aliases.arrays)
        return super()._field(parts, writes)

    def _each(self, parts: int) -> int:
        self._far |= self._here(parts & ~self.aliases.tuples)
        return super()._each(parts)

    def _atomic(self, node: ast.Call, operation: str, parts: int) -> None:
        super()._atomic(node, operation, parts)
        index = node.args[1] if len(node.args) > 1 else None
        first = index.elts[0] if isinstance(index, ast.Tuple) and index.elts else index
        row = None if first is None else self._near(self.number(first))
        lands = row is not None and row.own and row.lo == row.hi == 0
        parts = self._here(parts)
        arrays = parts & self.aliases.arrays
        for name, _ in self.uses(parts):
            self.found[name].atomics |= {operation}
            self.found[name].claims |= id(node) not in self.unused
        for name, _ in self.uses(arrays & ~self.aliases.wholes if lands else arrays):
            self.found[name].strays = True
        self._views |= parts ^ arrays

    def _inner(self, node: ast.Call) -> _Walk | None:
        """The called function, run with what it is given; None if that has no end."""
        assert isinstance(node.func, ast.Name)
        function = self.program.functions[node.func.id]
        if function.name in self.program.open:
            return None
        given, shapes = {}, {}
        for name, part in zip(function.params, node.args, strict=False):
            number, shape = self.number(part), self._shape(part)
            if number is not None:
                given[name] = number
            if shape is not None:
                shapes[name] = shape
        key = function.name, tuple(given.items()), tuple(shapes.items()), self.span
        if key not in self.program.known:
            self.program.known[key] = _Walk(self.program, function, given, shapes, self.span)
        return self.program.known[key]

    def _call(self, node: ast.Call) -> int:
        if not (isinstance(node.func, ast.Name) and node.func.id in self.program.functions):
            return super()._call(node)
        given = [self.value(part) for part in node.args]
        if self.span[0] > self.span[1]:
            return 0  # never
        if len(given) == 3 and is_push(self.program.functions[node.func.id].node):
            return self._push(*given)
        inner = self._inner(node)
        if inner is None:
            parts = functools.reduce(operator.or_, given, 0)
            self._update(parts)
            return parts
        back = 0
        for parts, name in zip(given, inner.names, strict=False):
            use, does = inner.access[name], inner.found[name]
            rows, views = parts & self.aliases.wholes, parts & ~self.aliases.arrays
            for one, _ in self.uses(rows):
                self.found[one].add(does)
            self._far |= parts ^ rows
            if does.written or does.atomics:
                self._scattered |= parts ^ rows ^ views
            if does.written or does.atomics or use.updated < NEVER:
                self._views |= views
            back |= self.passed(parts, use)
        return back


    def _push(self, items: int, tail: int, value: int) -> int:
        for role, parts in (("items", items), ("tail", tail)):
            for name, _ in self.uses(parts & self.aliases.wholes):
                self.found[name].pushed |= {role}
            if parts & ~self.aliases.wholes:  # a row of an array as a list
                self._far |= parts
                self._scattered |= parts & self.aliases.arrays
                self._views |= parts & ~self.aliases.arrays
        self._consume(value)
        return 0


_ONE = _Number(False, 1, 1)


def _hull(x: _Number | None, y: _Number | None) -> _Number | None:
    if x is None or y is None or x.own != y.own:
        return None
    return _Number(x.own, min(x.lo, y.lo), max(x.hi, y.hi), min(x.least, y.least))
