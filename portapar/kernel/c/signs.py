"""Which integers in a kernel cannot be negative, so that indexing with them needs no wrap-around.

Every variable gets a degree: the number of index-like factors that are multiplied in it (an index, an
extent, a loop counter or a small constant counts one). Up to `LIMIT` factors the product is taken to be
far from overflow; beyond, and for everything else, the sign is unknown.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba.core import ir, types

from portapar.kernel.jit.typing import TypedFunction

__all__ = ["LIMIT", "UNKNOWN", "Signs"]

LIMIT = 4
UNKNOWN = LIMIT + 1
_UNSEEN = 0
_SMALL = 2**31

_SAME_SIGN_CASTS = {int, np.int64, np.intp, np.uint64, np.int32, np.uint32}


class Signs:
    """Degrees of the variables of one function.

    Parameters
    ----------
    typed : TypedFunction
        The function.
    arguments : sequence of int
        The degree of each argument (`UNKNOWN` if nothing is known).
    """

    def __init__(self, typed: TypedFunction, arguments: tuple[int, ...]) -> None:
        self.typed = typed
        self.arguments = arguments
        self.degrees: dict[str, Any] = {}
        self.values: dict[str, list[Any]] = {}
        assignments = [s for b in typed.func_ir.blocks.values() for s in b.body if isinstance(s, ir.Assign)]
        for statement in assignments:
            self.values.setdefault(statement.target.name, []).append(statement.value)
        # Degrees only rise and are bounded, so this ends.
        changed = True
        while changed:
            changed = False
            for statement in assignments:
                name = statement.target.name
                degree = _join(self.degrees.get(name, _UNSEEN), self._value(name, statement.value))
                if degree != self.degrees.get(name, _UNSEEN):
                    self.degrees[name] = degree
                    changed = True

    def degree(self, variable: ir.Var) -> Any:
        """The degree of a variable, a tuple of degrees for a tuple."""
        numba_type = self.typed.typemap.get(variable.name)
        if isinstance(numba_type, types.Boolean) or (isinstance(numba_type, types.Integer) and not numba_type.signed):
            return 1
        return self.degrees.get(variable.name, _UNSEEN)

    def nonnegative(self, variable: ir.Var) -> bool:
        """Whether an index variable needs no wrap-around."""
        return bool(_UNSEEN < _scalar(self.degree(variable)) <= LIMIT)

    def constant(self, variable: ir.Var) -> Any:
        """The value of a variable that is assigned one constant, else None."""
        values = self.values.get(variable.name, [])
        if len(values) == 1 and isinstance(values[0], ir.Const | ir.Global | ir.FreeVar):
            return values[0].value
        return None

    def _value(self, target: str, value: Any) -> Any:
        if isinstance(value, ir.Var):
            return self.degree(value)
        if isinstance(value, ir.Arg):
            numba_type = self.typed.argtypes[value.index]
            unsigned = isinstance(numba_type, types.Integer) and not numba_type.signed
            return 1 if unsigned else self.arguments[value.index]
        if isinstance(value, ir.Const | ir.Global | ir.FreeVar):
            return _constant(value.value)
        if not isinstance(value, ir.Expr):
            return UNKNOWN
        if value.op in ("binop", "inplace_binop"):
            function = value.immutable_fn if value.op == "inplace_binop" else value.fn
            if not isinstance(self.typed.typemap.get(target), types.Integer):
                return UNKNOWN
            return self._binary(function, value.lhs, value.rhs)
        if value.op == "build_tuple":
            return tuple(_scalar(self.degree(item)) for item in value.items)
        if value.op in ("exhaust_iter", "cast"):
            return self.degree(value.value)
        if value.op == "getattr":
            return self._attribute(value)
        if value.op == "static_getitem":
            degrees = self.degree(value.value)
            if isinstance(degrees, tuple) and isinstance(value.index, int) and value.index < len(degrees):
                return degrees[value.index]
            return UNKNOWN if degrees else _UNSEEN
        if value.op == "pair_first":
            return self._range_item(value.value)
        if value.op == "call":
            return self._call(value)
        return UNKNOWN if value.op != "null" else _UNSEEN

    def _binary(self, function: Any, lhs: ir.Var, rhs: ir.Var) -> int:
        a, b = _scalar(self.degree(lhs)), _scalar(self.degree(rhs))
        if function is operator.and_ and UNKNOWN in (a, b):
            return min(a, b)
        if function is operator.mod:
            return b
        if _UNSEEN in (a, b):
            return _UNSEEN
        if UNKNOWN in (a, b):
            return UNKNOWN
        if function is operator.mul:
            return min(a + b, UNKNOWN)
        if function in (operator.floordiv, operator.rshift):
            return a
        if function in (operator.add, operator.or_, operator.xor, operator.and_):
            return max(a, b)
        return UNKNOWN

    def _attribute(self, value: ir.Expr) -> Any:
        owner = self.typed.typemap[value.value.name]
        if isinstance(owner, types.Array):
            if value.attr == "shape":
                return (1,) * owner.ndim
            return 1 if value.attr in ("size", "ndim", "itemsize", "nbytes") else UNKNOWN
        return UNKNOWN

    def _call(self, value: ir.Expr) -> int:
        numba_type = self.typed.typemap[value.func.name]
        function = getattr(numba_type, "typing_key", None)
        degrees = [_scalar(self.degree(argument)) for argument in value.args]
        argtypes = [self.typed.typemap[argument.name] for argument in value.args]
        if function is len:
            return 1
        if isinstance(numba_type, types.NumberClass):
            function = int
        if not degrees or not all(isinstance(t, types.Integer | types.Boolean) for t in argtypes):
            return UNKNOWN
        if function is abs:
            return LIMIT
        if function in _SAME_SIGN_CASTS:
            return degrees[0]
        if function is max and any(d != UNKNOWN for d in degrees):
            return max(d for d in degrees if d != UNKNOWN)
        if function is min:
            return max(degrees)
        return UNKNOWN

    def _range_item(self, pair: ir.Var) -> int:
        call = self.iterator_source(pair)
        if call is None or call.op != "call":
            return UNKNOWN
        if len(call.args) == 1:
            return 1
        start, stop = call.args[:2]
        step = self.constant(call.args[2]) if len(call.args) == 3 else 1
        if not isinstance(step, int):
            return UNKNOWN
        if step > 0:
            degree = _scalar(self.degree(start))
            return degree if degree in (_UNSEEN, UNKNOWN) else 1
        last = self.constant(stop)
        if isinstance(last, int) and last >= -1:
            return 1
        degree = _scalar(self.degree(stop))
        return degree if degree in (_UNSEEN, UNKNOWN) else 1

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


def _scalar(degree: Any) -> int:
    return UNKNOWN if isinstance(degree, tuple) else degree


def _join(a: Any, b: Any) -> Any:
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(max(x, y) for x, y in zip(a, b, strict=True))
    if a == _UNSEEN or b == _UNSEEN:
        return a or b
    return max(_scalar(a), _scalar(b))


def _constant(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return 1
    if isinstance(value, int | np.integer):
        return UNKNOWN if value < 0 else 1 if value < _SMALL else 3
    if isinstance(value, tuple):
        return tuple(_scalar(_constant(v)) for v in value)
    return UNKNOWN
