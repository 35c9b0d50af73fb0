"""What kinds of numbers the variables of a kernel are: NumPy's promotion, on the program's text.

Numba knows as soon as it has typed a function; here it has to be known before there is one.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from portapar.kernel.program import Program

#: a dtype, also of a record; the kind of a weak number, which takes the kind that it meets; or None: not known
Kind = Any
_INT, _FLOAT = "int", "float"
_SAME = {"abs", "fabs", "min", "max", "minimum", "maximum"}
_BOOL = np.dtype(bool)


class Kinds:
    """The kinds of the variables of `function`, a form of a program's body."""

    def __init__(self, program: Program, function: ast.FunctionDef) -> None:
        params = [p.arg for p in function.args.args]
        self.arrays: dict[str, np.dtype] = {}
        self.known: dict[str, Kind] = dict.fromkeys(params[: program.ndim], _INT)
        for name, spec in zip(params[program.ndim :], program.specs, strict=True):
            if spec.is_array:
                self.arrays[name] = spec.dtype
            else:
                weak = {"i": _INT, "f": _FLOAT}.get(spec.dtype.kind) if spec.weak else None
                self.known[name] = weak or spec.dtype
        self.strange: set[str] = set()  #: variables of which it cannot be said
        self.given: dict[str, set[Kind]] = {}  #: all that they are given, but for weak numbers
        before: dict[str, Kind] | None = None
        while before != self.known:  # numbers only ever become wider
            before, self.strange, self.given = dict(self.known), set(), {}
            for node in ast.walk(function):
                self._step(node)

    def of(self, name: str) -> tuple[str, str] | None:
        """The name of the dtype that keeps it, and ``int`` or ``float`` if it is weak; None if it is not known."""
        kind = self.known.get(name)
        if kind is None or name in self.strange or (isinstance(kind, np.dtype) and kind.kind not in "iufb"):
            return None
        if self.given.get(name, {kind}) != {kind}:  # Numba has a variable of each kind
            return None
        if isinstance(kind, str):
            return ("int64" if kind == _INT else "float64"), kind
        return ("bool_" if kind == _BOOL else kind.name), ""

    def _step(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._more(name, self.kind(value))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self._more(name, _result(op, self.known.get(name), self.kind(value)))
            case ast.For(target=ast.Name(id=name)):
                self._more(name, _INT)

    def _more(self, name: str, kind: Kind) -> None:
        if isinstance(kind, np.dtype):
            self.given.setdefault(name, set()).add(kind)
        before = self.known.get(name)
        joined = None if kind is None else kind if before is None else _joined(before, kind)
        if joined is None:
            self.strange.add(name)  # unless it is known the next time
        else:
            self.known[name] = joined

    def kind(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant(value=value):
                return _BOOL if isinstance(value, bool) else {int: _INT, float: _FLOAT}.get(type(value))
            case ast.Name(id=name):
                return self.known.get(name)
            case ast.Subscript(value=ast.Name(id=name)):
                return self.arrays.get(name)
            case ast.Subscript(value=ast.Attribute(attr="shape")):
                return _INT
            case ast.Attribute(value=owner, attr=name):
                if isinstance(owner, ast.Name) and owner.id in ("math", "np"):
                    return _FLOAT
                record = self.kind(owner)
                fields = record.fields if isinstance(record, np.dtype) else None
                return fields[name][0] if fields and name in fields else None
            case ast.BinOp(left=left, op=op, right=right):
                return _result(op, self.kind(left), self.kind(right))
            case ast.UnaryOp(op=op, operand=operand):
                return _BOOL if isinstance(op, ast.Not) else self.kind(operand)
            case ast.Compare() | ast.BoolOp():
                return _BOOL
            case ast.IfExp(body=body, orelse=orelse):
                return _joined(self.kind(body), self.kind(orelse))
            case ast.Call(func=ast.Name(id="len")):
                return _INT
            case ast.Call(func=ast.Name(id="float" | "int" as name)):
                return name
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[first, *others]):
                return self._called(name, [self.kind(x) for x in (first, *others)])
        return None

    def _called(self, name: str, given: list[Kind]) -> Kind:
        cast = getattr(np, name, None)
        if isinstance(cast, type) and issubclass(cast, np.generic):
            return np.dtype(cast)
        joined = given[0]
        for kind in given[1:]:
            joined = _joined(joined, kind)
        if name in _SAME or joined is None:
            return joined
        if isinstance(joined, str):
            return _FLOAT
        return joined if joined.kind == "f" else np.dtype(np.float64)


def _joined(a: Kind, b: Kind) -> Kind:
    """What holds both."""
    if a is None or b is None:
        return None
    if isinstance(a, str) and isinstance(b, str):
        return _FLOAT if _FLOAT in (a, b) else _INT
    if isinstance(b, str):
        a, b = b, a
    if isinstance(a, str):
        if b.names or (b.kind == "b"):
            return None
        return np.dtype(np.float64) if a == _FLOAT and b.kind in "iu" else b
    if a == b:
        return a
    return None if a.names or b.names or _BOOL in (a, b) else np.result_type(a, b)


def _result(op: ast.operator, a: Kind, b: Kind) -> Kind:
    """Of an operation on both."""
    if a is None or b is None:
        return None
    joined = _joined(a, b)
    if isinstance(op, ast.Div):
        if isinstance(joined, str):
            return _FLOAT
        return joined if joined is None or joined.kind == "f" else np.dtype(np.float64)
    if isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)):
        return joined if joined != _BOOL else None
    return joined if isinstance(joined, np.dtype) and joined.kind == "f" else None  # powers, bits, shifts
