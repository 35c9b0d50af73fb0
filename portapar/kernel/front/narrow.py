"""Sums that wrap unseen: ``s = 0`` and ``s += image[i, k]`` of bytes, which NumPy adds up in bytes too.

Python's numbers are weak, so that `s` takes the dtype of what is added. What a text surely does so in a loop, with
integers of 8 and 16 bits, is told; where a dtype is not certain nothing is. ``s = np.uint8(0)`` says that it is meant.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from portapar import cache
from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.sources import of_library
from portapar.kernel.front.trees import assignments_of, walk

__all__ = ["Narrow", "narrow"]


class Narrow(NamedTuple):
    """A variable that begins as a Python number, and sums up narrow integers; without a name, a generator's sum."""

    name: str
    text: str
    dtype: str
    file: str
    line: int


#: A dtype; "int" or "float" of Python's numbers; None if it is not certain.
_Kind = np.dtype | str | None

_GROWS = (ast.Add, ast.Sub, ast.Mult, ast.LShift, ast.Pow)
_KEEPS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.RShift, ast.FloorDiv, ast.Mod)
_SAME = frozenset("abs min max minimum maximum absolute square negative".split())
_WHOLE = frozenset({"int", "len", "round"})
_known: dict[tuple[Kernel, tuple[tuple[str, np.dtype], ...]], Narrow | None] = cache.Bounded()


def narrow(kernel: Kernel, arrays: Mapping[str, np.dtype]) -> Narrow | None:
    """The first sum of a kernel that wraps unseen.

    Parameters
    ----------
    kernel : Kernel
    arrays : mapping
        The dtypes of its parameters and captures that are arrays.
    """
    if not any(map(_is_narrow, arrays.values())):
        return None
    key = kernel, tuple(arrays.items())
    if key not in _known:
        _known[key] = _Text(kernel).function(kernel.functions[-1], {}, dict(arrays))
    return _known[key]


def _is_narrow(kind: _Kind) -> bool:
    return isinstance(kind, np.dtype) and kind.kind in "iu" and kind.itemsize <= 2


class _Text:
    def __init__(self, kernel: Kernel) -> None:
        self.functions = {function.name: function for function in kernel.functions}
        self.depth = 0

    def function(self, function: Function, numbers: dict[str, _Kind], arrays: dict[str, np.dtype]) -> Narrow | None:
        """The first one of a function, for what its parameters are."""
        loops = [node for node in function.nodes() if isinstance(node, (ast.For, ast.While))]
        names = _Kinds(function, numbers, arrays)
        inside = {id(part) for loop in loops for statement in loop.body for part in walk(statement)}
        for node in function.nodes() if function.file and not of_library(function.file) else ():
            if id(node) not in inside or not isinstance(node, (ast.Assign, ast.AugAssign)):
                continue
            target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
            if not isinstance(target, ast.Name) or "int" not in names.given.get(target.id, ()):
                continue
            if isinstance(node, ast.AugAssign):
                grows = isinstance(node.op, _GROWS) and _is_narrow(names.kind(node.value))
            else:
                grows = any(
                    isinstance(part, ast.BinOp) and isinstance(part.op, _GROWS) and _mentions(part, target.id)
                    and _is_narrow(names.kind(part)) for part in walk(node.value)
                )  # fmt: skip
            found = names.names.get(target.id)
            if grows and _is_narrow(found) and isinstance(found, np.dtype):
                own = dict(function.sums).get(target.id)
                name, text = (target.id, ast.unparse(node)) if own is None else ("", own)
                return Narrow(name, text, found.name, function.file, node.lineno)
        if self.depth < 4:
            self.depth += 1
            for node in function.nodes():
                if isinstance(node, ast.Call) and function.is_called(node.func):
                    found_there = self.called(self.functions[node.func.id], node, names, arrays)
                    if found_there is not None:
                        return found_there
            self.depth -= 1
        return None

    def called(
        self, callee: Function, node: ast.Call, names: _Kinds, arrays: dict[str, np.dtype]
    ) -> Narrow | None:
        given = dict(zip(callee.params, node.args, strict=False))
        whole = {p: arrays[a.id] for p, a in given.items() if isinstance(a, ast.Name) and a.id in arrays}
        return self.function(callee, {p: names.kind(a) for p, a in given.items() if p not in whole}, whole)


def _mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in walk(node))


class _Kinds:
    """The dtypes of the names of a function, where its text says them.

    Attributes
    ----------
    names : dict
        Name → kind.
    given : dict
        Name → the kinds of what is assigned to it.
    """

    def __init__(self, function: Function, names: dict[str, _Kind], arrays: dict[str, np.dtype]) -> None:
        self.arrays = arrays
        values: dict[str, list[ast.expr]] = {}
        stores: dict[str, int] = {}
        for node in function.nodes():
            for name, value in assignments_of(node):
                values.setdefault(name, []).append(value)
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
                values.setdefault(name, []).append(ast.BinOp(ast.Name(name, ast.Load()), node.op, node.value))
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                item = ast.Constant(0) if _is_range(node.iter) else node.iter  # of a row, whose dtype it has
                values.setdefault(node.target.id, []).append(item)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                stores[node.id] = stores.get(node.id, 0) + 1
        surely = {name: found for name, found in values.items() if len(found) == stores.get(name)}
        self.names: dict[str, _Kind] = {name: kind for name, kind in names.items() if name not in stores}
        self.given: dict[str, set[_Kind]] = {}
        for _ in range(4):
            for name, found in surely.items():
                kinds = [kind for kind in map(self.kind, found) if kind is not None]
                whole = [kind for value, kind in zip(found, map(self.kind, found), strict=True)
                         if kind is not None or not _mentions(value, name)]  # fmt: skip
                self.given[name] = {*kinds}
                if kinds and None not in whole:
                    joined: _Kind = kinds[0]
                    for kind in kinds[1:]:
                        joined = _promoted(joined, kind)
                    self.names[name] = joined

    def kind(self, node: ast.expr) -> _Kind:
        match node:
            case ast.Constant(value=bool()):
                return np.dtype(bool)
            case ast.Constant(value=int()):
                return "int"
            case ast.Constant(value=float()):
                return "float"
            case ast.Name(id=name) if name not in self.arrays:
                return self.names.get(name)
            case ast.Subscript(value=ast.Subscript() as whole):
                return self.kind(whole)
            case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)) if name in self.arrays:
                return self.arrays[name] if self.arrays[name].kind in "biuf" else None
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
                return self.kind(operand)
            case ast.BinOp(op=ast.BitAnd() | ast.Mod(), right=ast.Constant(value=int())):
                return None  # small numbers add up to small ones
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, (*_GROWS, *_KEEPS)):
                return _promoted(self.kind(left), self.kind(right))
            case ast.IfExp(body=body, orelse=other):
                return _promoted(self.kind(body), self.kind(other))
            case ast.Compare():
                return np.dtype(bool)
            case ast.Call(func=ast.Name(id=name)) if name in _WHOLE:
                return "int"
            case ast.Call(func=ast.Name(id="float")):
                return "float"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[_, *_] as args) if name in _SAME:
                found = self.kind(args[0])
                for part in args[1:]:
                    found = _promoted(found, self.kind(part))
                return found
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=name), args=[_]):
                kind = getattr(np, name, None)
                return np.dtype(kind) if isinstance(kind, type) and issubclass(kind, np.generic) else None
        return None


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"


def _promoted(a: _Kind, b: _Kind) -> _Kind:
    """As NumPy does; what Python's numbers would make of booleans is not asked."""
    if a is None or b is None:
        return None
    if isinstance(a, str) or isinstance(b, str):
        weak, other = (a, b) if isinstance(a, str) else (b, a)
        if isinstance(other, str):
            return "float" if "float" in (a, b) else "int"
        if other.kind == "b" or (weak == "float" and other.kind in "iu"):
            return np.dtype(np.float64 if weak == "float" else np.int64)
        return other
    return np.result_type(a, b)
