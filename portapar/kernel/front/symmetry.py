"""Operators of two values that give the same for both orders, as their text shows."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from portapar.kernel.front.kernel import Kernel

_EITHER_WAY = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
#: as they are called in the text of kernels, where no function of the user's has the name of a builtin or is in np
_EXTREMES = {f"np.{long}": short for short in ("min", "max") for long in (f"{short}imum", f"f{short}")}
_EXTREMES |= {"min": "min", "max": "max"}
_TURNED = {"Gt": "Lt", "GtE": "LtE"}
_TRUTHS = {"Lt", "LtE", "Eq", "NotEq", "In", "NotIn", "Is", "IsNot", "Not"}
_OPPOSITE = {"Lt": "LtE", "LtE": "Lt"}


class _Unknown(Exception):
    """A step that says nothing."""


def symmetric(kernel: Kernel, dtype: np.dtype | None = None) -> bool:
    """Whether ``op(a, b)`` is ``op(b, a)`` but for rounding; False also where it is too much to see.

    `dtype` is that of both, which are tuples.
    """
    function = kernel.functions[-1].node
    a, b = (p.arg for p in function.args.args[:2])
    kinds = [dtype[name].kind for name in dtype.names or ()] if dtype is not None else []
    truths = tuple(("constant", repr(k)) for k, kind in enumerate(kinds) if kind == "b")
    try:
        ways = ("x", "y"), ("y", "x")
        forms = [_returned(function, {a: (one, truths), b: (other, truths)}) for one, other in ways]
    except (_Unknown, RecursionError):
        return False
    return bool(forms[0] == forms[1])


def _returned(function: ast.FunctionDef, names: dict[str, Any]) -> Any:
    """What steps of assignments return, in a form that is the same for what means the same."""
    *steps, last = function.body
    for step in steps:
        match step:
            case ast.Assign(targets=[target], value=value):
                _assign(target, _form(value, names), names)
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                raise _Unknown
    if not isinstance(last, ast.Return) or last.value is None:
        raise _Unknown
    return _form(last.value, names)


def _assign(target: ast.expr, form: Any, names: dict[str, Any]) -> None:
    match target:
        case ast.Name(id=name):
            names[name] = form
        case ast.Tuple(elts=targets):
            for k, part in enumerate(targets):
                item = form[1 + k] if form[0] == "tuple" else ("item", form, ("constant", str(k)))
                _assign(part, item, names)
        case _:
            raise _Unknown


def _form(node: ast.expr, names: dict[str, Any]) -> Any:
    def form(part: ast.expr) -> Any:
        return _form(part, names)

    match node:
        case ast.Name(id=name):
            return names.get(name, ("name", name))
        case ast.Constant(value=value):
            return ("constant", repr(value))
        case ast.Tuple(elts=parts):
            return ("tuple", *map(form, parts))
        case ast.Attribute(value=value, attr=name):
            return ("field", form(value), name)
        case ast.Subscript(value=value, slice=index):
            return ("item", form(value), form(index))
        case ast.UnaryOp(op=op, operand=inner):
            return (type(op).__name__, form(inner))
        case ast.BinOp(left=left, op=op, right=right):
            return (type(op).__name__, *_sorted([form(left), form(right)], isinstance(op, _EITHER_WAY)))
        case ast.BoolOp(op=op, values=parts):
            made = [form(part) for part in parts]
            return (type(op).__name__, *_sorted(made, all(map(_is_truth, made))))  # else of numbers it gives the last
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            name, sides = type(op).__name__, [form(left), form(right)]
            if name in _TURNED:
                name, sides = _TURNED[name], sides[::-1]
            return (name, *_sorted(sides, name in ("Eq", "NotEq")))
        case ast.IfExp(test=test, body=one, orelse=other):
            return _choice(form(test), form(one), form(other))
        case ast.Call(func=func, args=args, keywords=[]):
            extreme = _EXTREMES.get(ast.unparse(func))
            given = _sorted(map(form, args), extreme is not None)
            return (extreme, *given) if extreme else ("call", form(func), *given)
    raise _Unknown


def _is_truth(form: Any) -> bool:
    """Whether it is True or False."""
    name, *parts = form
    if name in ("And", "Or"):
        return all(map(_is_truth, parts))
    return name in _TRUTHS or (name == "item" and parts[0][0] in ("x", "y") and parts[1] in parts[0][1])


def _choice(test: Any, one: Any, other: Any) -> Any:
    """One of two, of which each order of comparing says the same."""
    if test[0] not in _OPPOSITE:
        return ("choice", test, one, other)
    name, low, high = test
    if {one, other} == {low, high}:
        return ("min" if one == low else "max", *_sorted([low, high]))
    return min(("choice", test, one, other), ("choice", (_OPPOSITE[name], high, low), other, one), key=repr)


def _sorted(parts: Any, really: bool = True) -> list[Any]:
    return sorted(parts, key=repr) if really else list(parts)
