"""Between which limits the integers of a kernel lie: what needs no wrap-around, and which sums cannot overflow.

An interval is kept only where it is proven: from the types, from constants, from what the launcher has looked at
(extents of arrays and of the index space, see `Intervals`), and through operators whose exact result fits their
type. Whatever may wrap has all values of its type. One thing is taken on trust: that no loop counts to 2^56 by
small steps, which takes years.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba  # noqa: F401  as a whole first
import numpy as np
from numba.core import ir, types

from portapar.kernel.jit.intrinsics import nonneg
from portapar.kernel.jit.typing import TypedFunction

EXTENTS = (2**31, 2**47, 2**63 - 1)  #: the bounds for which texts are made, see `Intervals`
_COUNTED = 2**56  # no counter gets there
_STEP = 1024  # by steps up to this
_PATIENCE = 4  # how often a limit may grow before it is taken to do so for ever


class Interval(NamedTuple):
    """All integers from `low` to `high`, both included."""

    low: int
    high: int

    def __contains__(self, other: Any) -> bool:
        return self.low <= other.low and other.high <= self.high


_BIT = Interval(0, 1)


def limits(numba_type: types.Type) -> Interval | None:
    """What a type can hold, or None if its values are no integers."""
    numba_type = types.unliteral(numba_type)
    if isinstance(numba_type, types.Boolean):
        return _BIT
    if not isinstance(numba_type, types.Integer):
        return None
    bits = numba_type.bitwidth
    return Interval(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if numba_type.signed else Interval(0, (1 << bits) - 1)


def coarse(known: Any, extent: int) -> Interval | None:
    """One of a few intervals around `known`, so that a function called at many places has few texts."""
    if not isinstance(known, Interval) or known.low < 0:
        return None
    return Interval(0, next(bound for bound in (extent, _COUNTED, 2**64) if known.high <= bound))


class Intervals:
    """The intervals of one function's variables.

    Parameters
    ----------
    typed : TypedFunction
        The function.
    arguments : sequence of Interval or None
        What is known about each argument.
    extent : int
        No array has more elements along an axis: one of `EXTENTS`.
    """

    def __init__(self, typed: TypedFunction, arguments: tuple[Interval | None, ...], extent: int) -> None:
        self.typed = typed
        self.arguments = arguments
        self.extent = Interval(0, extent)
        self.values: dict[str, list[Any]] = {}
        assignments = [s for b in typed.func_ir.blocks.values() for s in b.body if isinstance(s, ir.Assign)]
        for statement in assignments:
            self.values.setdefault(statement.target.name, []).append(statement.value)
        readers: dict[str, list[ir.Assign]] = {}
        for statement in assignments:
            for name in self._sources(statement.value):
                readers.setdefault(name, []).append(statement)
        self._known: dict[str, Any] = {}
        self._grown: dict[str, int] = {}
        waiting, work = set(map(id, assignments)), deque(assignments)
        while work:
            statement = work.popleft()
            waiting.discard(id(statement))
            name = statement.target.name
            if self._rises(name, self._value(name, statement.value)):
                readers_of = readers.get(name, [])
                work += [s for s in readers_of if id(s) not in waiting]
                waiting |= set(map(id, readers_of))

    def of(self, variable: ir.Var) -> Any:
        """The interval of a variable, a list of them for a tuple, None if nothing is known."""
        return self._known.get(variable.name)

    def integer(self, variable: ir.Var, numba_type: types.Type | None = None) -> Interval | None:
        """The interval of a variable converted to a type (its own if not given), None if that is no integer."""
        numba_type = self.typed.typemap.get(variable.name) if numba_type is None else numba_type
        whole, known = limits(numba_type), self.of(variable)
        if whole is None or not isinstance(known, Interval):
            return whole
        if isinstance(types.unliteral(numba_type), types.Boolean):
            return whole
        return known if known in whole else whole

    def nonnegative(self, variable: ir.Var) -> bool:
        """Whether an index needs no wrap-around."""
        known = self.integer(variable)
        return known is not None and known.low >= 0

    def exact(self, function: Any, sides: Sequence[ir.Var], kinds: Sequence[types.Type], result: types.Type) -> bool:
        """Whether an operator's result always fits its type, so that it needs no care for overflow."""
        operands = [self.integer(v, t) for v, t in zip(sides, kinds, strict=True)]
        whole, found = limits(result), _apply(function, operands)
        return whole is not None and found is not None and found in whole

    def constant(self, variable: ir.Var) -> Any:
        """The value of a variable that is assigned one constant, else None."""
        values = self.values.get(variable.name, [])
        if len(values) == 1 and isinstance(values[0], ir.Const | ir.Global | ir.FreeVar):
            return values[0].value
        return None

    # -- how limits grow -----------------------------------------------------------------------------------

    def _rises(self, name: str, found: Any) -> bool:
        """Take one more value of a variable in; whether that changed what is known."""
        old = self._known.get(name)
        if found is None or old == found:
            return False
        if old is not None:
            found = self._joined(name, old, found, self.typed.typemap[name])
            if found == old:
                return False
        self._known[name] = found
        return True

    def _joined(self, name: str, old: Any, new: Any, numba_type: types.Type) -> Any:
        if old is None or new is None:  # a part of a tuple of which nothing is known
            return None
        if isinstance(numba_type, types.BaseTuple):
            parts = enumerate(zip(old, new, numba_type.types, strict=True))
            return [self._joined(f"{name}[{k}]", a, b, t) for k, (a, b, t) in parts]
        whole = limits(numba_type)
        if whole is None:
            return None
        return Interval(
            self._limit(name, old.low, min(old.low, new.low), whole.low),
            self._limit(name, old.high, max(old.high, new.high), whole.high),
        )

    def _limit(self, name: str, old: int, new: int, last: int) -> int:
        """A limit that grows from `old` to `new`, or to where it will end at the latest."""
        if old == new or len(self.values[name.split("[")[0]]) == 1:  # which has no loop of its own
            return new
        key = name + ("-" if new < old else "+")
        self._grown[key] = times = self._grown.get(key, 0) + 1
        if times <= _PATIENCE:
            return new
        if abs(old) == _COUNTED and abs(new - old) <= _STEP:
            return old
        # Searches in arrays do not leave twice their length, counters do not come to the second one.
        bound = next((b for b in (2 * self.extent.high, _COUNTED) if abs(new) <= b < abs(last)), abs(last))
        return bound if new > old else last if bound == abs(last) else -bound

    # -- values ----------------------------------------------------------------------------------------------

    def _value(self, target: str, value: Any) -> Any:
        """What is known of a value, None as long as nothing is known of what it is made from."""
        numba_type = self.typed.typemap.get(target)
        whole = limits(numba_type)
        if whole is None:
            return self._other(value, numba_type)
        if isinstance(types.unliteral(numba_type), types.Boolean):
            return whole
        found = self._integer(value, numba_type)
        return found if found is None or found in whole else whole

    def _other(self, value: Any, numba_type: types.Type) -> Any:
        """The elements of a tuple; what else is no integer is not followed."""
        if not isinstance(numba_type, types.BaseTuple):
            return None
        kinds = numba_type.types
        whole = [limits(t) for t in kinds]
        if isinstance(value, ir.Expr) and value.op == "build_tuple":
            parts = [self._read(item, t) for item, t in zip(value.items, kinds, strict=True)]
            return None if any(p is None and w for p, w in zip(parts, whole, strict=True)) else parts
        if isinstance(value, ir.Expr) and value.op == "getattr" and value.attr == "shape":
            return [self.extent for _ in kinds]
        if isinstance(value, ir.Expr) and value.op in ("exhaust_iter", "cast"):
            value = value.value
        if not isinstance(value, ir.Var):
            return whole
        known = self.of(value)
        if isinstance(known, list) and len(known) == len(whole):
            return [p if w and p and p in w else w for p, w in zip(known, whole, strict=True)]
        return whole if known is not None else None

    def _integer(self, value: Any, numba_type: types.Type) -> Interval | None:
        whole = limits(numba_type)
        assert whole is not None
        if isinstance(value, ir.Var):
            return self._read(value, numba_type)
        if isinstance(value, ir.Arg):
            given = self.typed.argtypes[value.index]
            if isinstance(given, types.Omitted):
                return Interval(int(given.value), int(given.value))
            return self.arguments[value.index] or whole
        if isinstance(value, ir.Const | ir.Global | ir.FreeVar):
            return Interval(int(value.value), int(value.value))
        if not isinstance(value, ir.Expr):
            return whole
        if value.op in ("binop", "inplace_binop"):
            function = value.immutable_fn if value.op == "inplace_binop" else value.fn
            return self._operator(function, value, (value.lhs, value.rhs))
        if value.op == "unary":
            return self._operator(value.fn, value, (value.value,))
        if value.op == "cast":
            return self._read(value.value, numba_type)
        if value.op == "getattr":
            owner = self.typed.typemap[value.value.name]
            inside = isinstance(owner, types.Array) and value.attr in ("ndim", "itemsize")
            return self.extent if inside else whole
        if value.op == "static_getitem":
            parts = self.of(value.value)
            if isinstance(self.typed.typemap[value.value.name], types.BaseTuple) and parts is None:
                return None
            if isinstance(parts, list) and isinstance(value.index, int) and -len(parts) <= value.index < len(parts):
                return parts[value.index] or whole
            return whole
        if value.op == "pair_first":
            return self._item(value.value, whole)
        if value.op == "call":
            return self._call(value, whole)
        return whole if value.op != "null" else None

    def _read(self, variable: ir.Var, numba_type: types.Type) -> Interval | None:
        """A variable's interval as an operand; None if it has no value yet."""
        if variable.name not in self._known and limits(self.typed.typemap.get(variable.name)) is not None:
            return None
        return self.integer(variable, numba_type)

    def _operator(self, function: Any, value: ir.Expr, sides: tuple[ir.Var, ...]) -> Interval | None:
        signature = self.typed.calltypes[value]
        operands = [self._read(v, t) for v, t in zip(sides, signature.args, strict=True)]
        whole = limits(signature.return_type)
        if any(o is None and limits(t) is not None for t, o in zip(signature.args, operands, strict=True)):
            return None  # as long as one of them has no value
        found = _apply(function, operands)
        return found if whole is None or (found is not None and found in whole) else whole

    def _call(self, value: ir.Expr, whole: Interval) -> Interval | None:
        numba_type = self.typed.typemap[value.func.name]
        function = getattr(numba_type, "typing_key", None)
        if function is len:
            owner = self.typed.typemap[value.args[0].name]
            if isinstance(owner, types.BaseTuple):
                return Interval(len(owner), len(owner))
            return self.extent if isinstance(owner, types.Array) else Interval(0, whole.high)
        if isinstance(numba_type, types.NumberClass) or function in _CASTS:
            if len(value.args) != 1 or limits(self.typed.typemap[value.args[0].name]) is None:
                return whole
            return self._read(value.args[0], self.typed.typemap[value.args[0].name])
        if function is nonneg:
            return self.extent
        known = _FUNCTIONS.get(function)
        if known is None or value.kws:
            return whole
        kinds = self.typed.calltypes[value].args
        if len(kinds) != len(value.args) or any(limits(t) is None for t in kinds):
            return whole
        operands = [self._read(v, t) for v, t in zip(value.args, kinds, strict=True)]
        if None in operands:
            return None
        found = operands[0] if len(operands) > 1 else known(*operands)
        for operand in operands[1:]:
            found = known(found, operand)
        return found

    def _range(self, call: ir.Expr) -> list[Interval | None]:
        """Start, stop and step of a range; None as long as one of them has no value."""
        bounds = [self._read(v, types.int64) for v in call.args]
        zero, one = Interval(0, 0), Interval(1, 1)
        return {1: [zero, *bounds, one], 2: [*bounds, one], 3: bounds}[len(bounds)]

    def _item(self, pair: ir.Var, whole: Interval) -> Interval | None:
        """What a loop takes from a range, between its start and its end."""
        call = self.iterator_source(pair)
        if call is None or call.op != "call":
            return whole
        start, stop, step = self._range(call)
        if start is None or stop is None or step is None:
            return None
        low, high = start.low, start.high
        if step.high > 0:
            high = max(high, stop.high - 1)
            if step.high <= _STEP and start.high <= _COUNTED // 2:
                high = min(high, _COUNTED)
        if step.low < 0:
            low = min(low, stop.low + 1)
            if step.low >= -_STEP and start.low >= -_COUNTED // 2:
                low = max(low, -_COUNTED)
        return Interval(low, high)

    def advances(self, call: ir.Expr) -> bool:
        """Whether the counter of a loop over a range, which passes the end at last, cannot overflow there."""
        start, stop, step = self._range(call)
        if start is None or stop is None or step is None:
            return False
        if step in (Interval(1, 1), Interval(-1, -1)):
            return True
        slow = start.high <= _COUNTED // 2 and -_STEP <= step.low and step.high <= _STEP
        up = slow or stop.high + step.high < 2**63
        return up and (slow and start.low >= -_COUNTED // 2 or stop.low + step.low >= -(2**63))

    def _sources(self, value: Any) -> list[str]:
        """The variables from which a value is made; for what a loop takes from a range, those of the range."""
        if isinstance(value, ir.Var):
            return [value.name]
        if not isinstance(value, ir.Expr):
            return []
        if value.op == "pair_first":
            call = self.iterator_source(value.value)
            return [v.name for v in call.args] if call is not None and call.op == "call" else []
        return [v.name for v in (value.args if value.op == "call" else value.list_vars()) if isinstance(v, ir.Var)]

    def iterator_source(self, variable: ir.Var) -> ir.Expr | None:
        """What a pair or iterator stems from, if that is one: a call of range, or the getiter of an array."""
        for _ in range(16):
            values = self.values.get(variable.name, [])
            if len(values) != 1:
                return None
            value = values[0]
            if isinstance(value, ir.Var):
                variable = value
            elif isinstance(value, ir.Expr) and value.op in ("iternext", "getiter"):
                if value.op == "getiter" and not isinstance(self.typed.typemap[value.value.name], types.RangeType):
                    return value
                variable = value.value
            elif isinstance(value, ir.Expr) and value.op == "call":
                key = getattr(self.typed.typemap[value.func.name], "typing_key", None)
                return value if key is range else None
            else:
                return None
        return None


_CASTS = {int, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.intp, np.uintp}


# -- operators on intervals: exact results, None if nothing better than the type is known -------------------------


def _apply(function: Any, operands: Sequence[Interval | None]) -> Interval | None:
    rule = _OPERATORS.get(function)
    return None if rule is None or None in operands else rule(*operands)


def _corners(function: Any) -> Any:
    def rule(a: Interval, b: Interval) -> Interval:
        found = [function(x, y) for x in a for y in b]
        return Interval(min(found), max(found))

    return rule


def _floordiv(a: Interval, b: Interval) -> Interval:
    if a.low >= 0 and b.low >= 0:
        return Interval(0, a.high // max(b.low, 1))
    size = max(abs(a.low), abs(a.high))
    return Interval(-size, size)


def _mod(a: Interval, b: Interval) -> Interval:
    low, high = min(b.low + 1, 0), max(b.high - 1, 0)
    return Interval(low, min(high, a.high) if a.low >= 0 and b.low >= 0 else high)


def _lshift(a: Interval, b: Interval) -> Interval | None:
    if b.low < 0 or b.high > 63:
        return None
    found = [x << y for x in a for y in b]
    return Interval(min(found), max(found))


def _rshift(a: Interval, b: Interval) -> Interval:
    high = a.high >> min(b.low, 63) if b.low >= 0 and a.high >= 0 else max(a.high, 0)
    return Interval(min(a.low, 0), high if a.high >= 0 else 0)


def _and(a: Interval, b: Interval) -> Interval | None:
    highs = [x.high for x in (a, b) if x.low >= 0]
    return Interval(0, min(highs)) if highs else None


def _or(a: Interval, b: Interval) -> Interval | None:
    if a.low < 0 or b.low < 0:
        return None
    return Interval(0, (1 << max(a.high, b.high).bit_length()) - 1)


def _pow(a: Interval, b: Interval) -> Interval | None:
    if a.low < 0 or b.low < 0 or a.high.bit_length() * b.high > 64:
        return None
    return Interval(0, max(1, a.high**b.high))


def _abs(a: Interval) -> Interval:
    return Interval(0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high)), max(abs(a.low), abs(a.high)))


_OPERATORS: dict[Any, Any] = {
    operator.add: lambda a, b: Interval(a.low + b.low, a.high + b.high),
    operator.sub: lambda a, b: Interval(a.low - b.high, a.high - b.low),
    operator.mul: _corners(operator.mul), operator.floordiv: _floordiv, operator.mod: _mod,
    operator.lshift: _lshift, operator.rshift: _rshift, operator.and_: _and, operator.or_: _or, operator.xor: _or,
    operator.pow: _pow, operator.neg: lambda a: Interval(-a.high, -a.low), operator.pos: lambda a: a,
    operator.invert: lambda a: Interval(~a.high, ~a.low),
}  # fmt: skip


def _min(a: Interval, b: Interval | None = None) -> Interval:
    return a if b is None else Interval(min(a.low, b.low), min(a.high, b.high))


def _max(a: Interval, b: Interval | None = None) -> Interval:
    return a if b is None else Interval(max(a.low, b.low), max(a.high, b.high))


_FUNCTIONS: dict[Any, Any] = {
    min: _min, max: _max, np.minimum: _min, np.maximum: _max, np.fmin: _min, np.fmax: _max,
    abs: _abs, np.absolute: _abs,
}  # fmt: skip
