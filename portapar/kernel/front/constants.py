"""Constants of the text: ``float("inf")``, ``ord(",")``, ``b","[0]``, ``np.finfo(np.float32).eps``, ``2 * n + 1``.

An expression of constants alone is evaluated as the kernel is lifted, by Python itself, if all that it calls is pure.
"""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Failed", "Known", "evaluate"]


@dataclass(frozen=True, slots=True)
class Known:
    """The value of an expression; a `number` if all that it is made of are numbers, and functions of them."""

    value: Any
    number: bool


class Failed(Exception):
    """What a pure call raised."""

    def __init__(self, node: ast.expr, error: Exception) -> None:
        super().__init__(str(error))
        self.node, self.what = node, f"{ast.unparse(node)} gives {type(error).__name__}: {error}"


_PURE = frozenset("abs bool bytes chr complex divmod float int len max min ord pow round str sum tuple".split())
_OWNERS = (str, bytes, int, float, complex, tuple, np.finfo, np.iinfo, np.dtype, np.generic)
_UNARY: dict[type[ast.unaryop], Any] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_,
}  # fmt: skip
_BINARY: dict[type[ast.operator], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.LShift: operator.lshift,
    ast.RShift: operator.rshift, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_COMPARED: dict[type[ast.cmpop], Any] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def evaluate(node: ast.AST | None, leaf: Callable[[ast.expr], tuple[Any] | None]) -> Known | None:
    """The value of an expression; None if it is none of constants.

    Parameters
    ----------
    node : ast.AST
    leaf : callable
        The value of a name, an attribute or an item that is known, pure functions too; None of all others.

    Raises
    ------
    Failed
        Evaluating it raised an error.
    """
    if isinstance(node, ast.Constant):
        return Known(node.value, isinstance(node.value, (int, float, complex)))
    if not isinstance(node, ast.expr):
        return None
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        found = leaf(node)
        if found is not None:
            return Known(found[0], isinstance(found[0], (int, float, complex, np.generic)))
    parts, make = _parts(node)
    known: list[Known] = []
    for part in parts:
        one = evaluate(part, leaf)
        if one is None:
            return None
        known.append(one)
    if make is None:
        return None
    function = isinstance(node, ast.Call) and is_pure(known[0].value)
    number = all(one.number for one in known[function:])
    try:
        with np.errstate(all="ignore"):  # nor are there warnings in kernels
            value = make(*(one.value for one in known))
        return None if value is NotImplemented else Known(value, number)
    except _ERRORS as error:
        if number:  # kernels have values where Python raises
            return None
        raise Failed(node, error) from None


def _parts(node: ast.expr) -> tuple[list[ast.expr], Callable[..., Any] | None]:
    """What an expression is made of, and how; None if that is not known."""
    match node:
        case ast.Tuple(elts=parts) if not any(isinstance(part, ast.Starred) for part in parts):
            return parts, lambda *values: values
        case ast.UnaryOp(op=op, operand=operand):
            return [operand], _UNARY[type(op)]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return [left, right], lambda a, b: _computed(type(op), a, b)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
            return [left, right], _COMPARED[type(op)]
        case ast.Subscript(value=owner, slice=ast.Slice(lower=lower, upper=upper, step=step)):
            ends = [ast.Constant(None) if end is None else end for end in (lower, upper, step)]
            return [owner, *ends], lambda x, *bounds: _item(x, slice(*bounds))
        case ast.Subscript(value=owner, slice=index):
            return [owner, index], _item
        case ast.Attribute(value=owner, attr=name):
            return [owner], lambda x: _attribute(x, name)
        case ast.Call(func=func, args=args, keywords=[]) if not any(isinstance(part, ast.Starred) for part in args):
            return [func, *args], lambda called, *given: called(*given)
    return [], None


def _computed(op: type[ast.operator], a: Any, b: Any) -> Any:
    if op in (ast.Pow, ast.LShift) and not (isinstance(a, float) or isinstance(b, float) or -1024 <= b <= 1024):
        raise ValueError("too large")
    if op is ast.Mult and not all(isinstance(side, (int, float, complex, np.generic)) for side in (a, b)):
        raise TypeError("it repeats a text")
    return _BINARY[op](a, b)


def _item(x: Any, index: Any) -> Any:
    if not isinstance(x, (str, bytes, tuple)):
        return NotImplemented
    return x[index]


def _attribute(x: Any, name: str) -> Any:
    known = isinstance(x, _OWNERS) or any(x is kind for kind in (int, float, str, bytes))
    return getattr(x, name) if known else NotImplemented


def is_pure(function: Any) -> bool:
    """Whether calling it with constants gives a constant: functions of Python and math, and types of NumPy."""
    name = getattr(function, "__name__", "")
    if name in _PURE and getattr(builtins, name, None) is function:
        return True
    if isinstance(function, type):
        return issubclass(function, (np.generic, np.dtype)) or function in (np.finfo, np.iinfo)
    return callable(function) and getattr(math, name, None) is function
