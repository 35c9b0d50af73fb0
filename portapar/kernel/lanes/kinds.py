"""What kinds of numbers the variables of a kernel are: NumPy's promotion, on the program's text.

Numba knows as soon as it has typed a function; here it has to be known before there is one.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import stored_in, walk
from portapar.kernel.jit.functions import function_texts
from portapar.kernel.program import Program

#: a dtype, also of a record; the kind of a weak number, which takes the kind that it meets, or a small constant itself;
#: a tuple of them; or None: not known
Kind = Any


class _Weak(enum.Enum):  # a string would be equal to a dtype
    INT, FLOAT = "int", "float"


_INT, _FLOAT = _Weak.INT, _Weak.FLOAT
_BOOL = np.dtype(bool)
#: functions of the math module that give a float of any numbers
_FLOATS = {
    getattr(math, name) for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "copysign", "cos", "cosh", "degrees", "erf", "erfc",
        "exp", "expm1", "fabs", "gamma", "hypot", "lgamma", "log", "log10", "log1p", "log2", "pow", "radians", "sin",
        "sinh", "sqrt", "tan", "tanh",
    )
}  # fmt: skip


class Kinds:
    """The kinds of the variables of `function`, a form of a program's body, wherever it reads them.

    `private` are the dtypes of the arrays that it makes.
    """

    def __init__(self, program: Program, function: ast.FunctionDef, private: Mapping[str, np.dtype] = {}) -> None:
        params = [p.arg for p in function.args.args]
        self.arrays: dict[str, np.dtype] = {**private}
        self.known: dict[str, Kind] = dict.fromkeys(params[: program.ndim], _INT)  #: at a step
        for name, spec in zip(params[program.ndim :], program.specs, strict=True):
            if spec.is_array:
                self.arrays[name] = spec.dtype
            else:
                weak = {"i": _INT, "f": _FLOAT}.get(spec.dtype.kind) if spec.weak else None
                self.known[name] = weak or spec.dtype
        self.read: dict[str, set[Kind]] = {}
        self._functions: dict[str, Any] = {k: tree_of(text).body[0] for k, text in function_texts(program).items()}
        self._back: dict[int, Kind] = {}  #: what it gives back, by the places where it does
        self._results: dict[Any, Kind] = {}  #: what other functions give back, by name and what they are given
        self._block(function.body)

    def _result_of(self, name: str, given: list[Kind]) -> Kind:
        """Of what another function of the program gives back."""
        key = name, *given
        if key not in self._results:
            self._results[key] = None  # of one that calls itself
            inner, function = object.__new__(Kinds), self._functions[name]
            inner._functions, inner._results = self._functions, self._results
            inner.arrays, inner.read, inner._back = {}, {}, {}
            inner.known = dict(zip([p.arg for p in function.args.args], given, strict=False))
            inner._block(function.body)
            if inner._back and len(inner._back) == sum(isinstance(node, ast.Return) for node in walk(function)):
                self._results[key] = functools.reduce(_either, inner._back.values())
        return self._results[key]

    def of(self, name: str) -> tuple[str, str] | None:
        """The name of the dtype that keeps it, and ``int`` or ``float`` if it is weak; None if it is not known."""
        kinds = self.read.get(name) or {self.known.get(name)}
        if len(kinds) > 1 or tuple in map(type, kinds):  # Numba has a variable of each kind
            return None
        (kind,) = kinds
        if isinstance(kind, _Weak):
            return ("int64" if kind is _INT else "float64"), kind.value
        if kind is None or type(kind) is int or kind.kind not in "iufb":
            return None
        return ("bool_" if kind == _BOOL else kind.name), ""

    def _block(self, body: list[ast.stmt]) -> None:
        for step in body:
            match step:
                case ast.If(test=test, body=some, orelse=others):
                    self._reads(test)
                    before = self.known.copy()
                    self._block(some)
                    one, self.known = self.known, before
                    self._block(others)
                    self.known = _met(one, self.known)
                case ast.For(target=ast.Name(id=name), iter=iterable, body=some, orelse=[]):
                    self._reads(iterable)
                    read = {key: kinds.copy() for key, kinds in self.read.items()}
                    former: dict[str, Kind] | None = None
                    while former is None or not _same(former, self.known):  # of what the round before gave
                        former, self.read = self.known, {key: kinds.copy() for key, kinds in read.items()}
                        self.known = {**former, name: _INT}
                        self._block(some)
                        self.known = _met(former, self.known)
                case _:
                    self._step(step)

    def _step(self, step: ast.stmt) -> None:
        self._reads(step)
        match step:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.known[name] = self.kind(value)
            case ast.Assign(targets=[ast.Tuple()], value=ast.Attribute(ast.Name(id=name), "shape")):
                self.known.update(dict.fromkeys(stored_in(step), _INT if name in self.arrays else None))
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                kind = self.kind(value)
                self.known.update(dict.fromkeys(stored_in(step)))
                if isinstance(kind, tuple) and len(kind) == len(targets):
                    pairs = zip(targets, kind, strict=True)
                    self.known.update((target.id, one) for target, one in pairs if isinstance(target, ast.Name))
            case ast.Return(value=ast.expr() as value):
                self._back[id(step)] = self.kind(value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                before = self.known.get(name)
                self.read.setdefault(name, set()).add(before)
                self.known[name] = _result(op, before, self.kind(value))
            case _:
                self.known.update(dict.fromkeys(stored_in(step)))

    def _reads(self, node: ast.AST) -> None:
        for part in walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                self.read.setdefault(part.id, set()).add(self.known.get(part.id))

    def kind(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant(value=bool()):
                return _BOOL
            case ast.Constant(value=int(value)):
                return value if 0 <= value < 128 else _INT if value < 2**63 else np.dtype(np.uint64)
            case ast.Constant(value=float()):
                return _FLOAT
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
                return _BOOL if isinstance(op, ast.Not) else _soft(self.kind(operand))
            case ast.Compare():
                return _BOOL
            case ast.BoolOp(values=values):
                return _BOOL if all(self.kind(value) == _BOOL for value in values) else None
            case ast.IfExp(body=body, orelse=orelse):
                return _either(self.kind(body), self.kind(orelse))
            case ast.Tuple(elts=parts):
                return tuple(map(self.kind, parts))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in self._functions:
                return self._result_of(name, [self.kind(x) for x in args])
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]):
                return _called(getattr(builtins, name, None), [self.kind(x) for x in args])
            case ast.Call(func=ast.Attribute(ast.Name(id="math" | "np" as owner), name), args=args, keywords=[]):
                function = getattr(math if owner == "math" else np, name, None)
                return _called(function, [self.kind(x) for x in args])
        return None


def _called(function: Any, given: list[Kind]) -> Kind:
    """Of what a function gives; None for all that is not certain."""
    if function is len:
        return _INT
    if tuple in map(type, given):
        return None
    least, given = functools.reduce(_either, given, given[0] if given else None), [_soft(kind) for kind in given]
    if not given or any(kind is None or not (isinstance(kind, _Weak) or kind.kind in "iufb") for kind in given):
        return None
    if isinstance(function, type) and issubclass(function, np.generic):
        return np.dtype(function)
    if function is float:
        return _FLOAT
    if function in (int, math.floor, math.ceil, math.trunc):
        return given[0] if given[0] == np.uint64 else _INT  # which is too large for int64
    if isinstance(function, np.ufunc):
        return _of_ufunc(function, given)
    if function in (abs, min, max):
        return None if least == _BOOL else _soft(least)
    joined = functools.reduce(_joined, given)
    if function not in _FLOATS or joined is None:
        return None
    if isinstance(joined, _Weak):
        return _FLOAT
    if len(given) > 1 and len({*given}) > 1:
        return None  # Numba's own rules
    return joined if joined.kind == "f" else np.dtype(np.float64)


def _of_ufunc(function: np.ufunc, given: list[Kind]) -> Kind:
    """NumPy's answer."""
    kinds: list[Any] = [{_INT: int, _FLOAT: float}.get(kind, kind) for kind in given]
    if all(isinstance(kind, _Weak) for kind in given):
        kinds = [np.dtype(kind) for kind in kinds]
    try:
        found = function.resolve_dtypes((*kinds, *(None,) * function.nout))
    except (TypeError, ValueError):
        return None
    return found[-1] if function.nout == 1 and found[-1].kind in "iufb" and found[-1] != np.float16 else None


def _same(one: dict[str, Kind], other: dict[str, Kind]) -> bool:
    """Whether they are equal; NumPy takes None for a dtype, too."""
    return one.keys() == other.keys() and all(_equal(kind, other[name]) for name, kind in one.items())


def _equal(a: Kind, b: Kind) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return type(a) is type(b) and bool(a == b)


def _met(one: dict[str, Kind], other: dict[str, Kind]) -> dict[str, Kind]:
    """Of variables that are what they are here or there."""
    both = {name: _either(kind, other[name]) for name, kind in one.items() if name in other}
    return {**one, **other, **both}


def _soft(kind: Kind) -> Kind:
    """Without the value of a constant."""
    return _INT if type(kind) is int else kind


def _either(a: Kind, b: Kind) -> Kind:
    """Of what is one or the other: a narrow kind holds small constants, and not every whole number."""
    if type(a) is int and type(b) is int:
        return a if a == b else _INT
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(map(_either, a, b))
    for one, other in ((a, b), (b, a)):
        if one is _INT and isinstance(other, np.dtype) and other.kind in "iu" and other.itemsize < 8:
            return None
    return _joined(a, b)


def _joined(a: Kind, b: Kind) -> Kind:
    """What holds both."""
    a, b = _soft(a), _soft(b)
    if a is None or b is None or isinstance(a, tuple) or isinstance(b, tuple):
        return None
    if isinstance(a, _Weak) and isinstance(b, _Weak):
        return _FLOAT if _FLOAT in (a, b) else _INT
    if isinstance(b, _Weak):
        a, b = b, a
    if isinstance(a, _Weak):
        if b.names or (b.kind == "b"):
            return None
        return np.dtype(np.float64) if a == _FLOAT and b.kind in "iu" else b
    if a == b:
        return a
    return None if a.names or b.names or _BOOL in (a, b) else np.result_type(a, b)


def _result(op: ast.operator, a: Kind, b: Kind) -> Kind:
    """Of an operation on both."""
    a, b = _soft(a), _soft(b)
    if a is None or b is None or isinstance(a, tuple) or isinstance(b, tuple):
        return None
    joined = _joined(a, b)
    if isinstance(op, ast.Div):
        if isinstance(joined, _Weak):
            return _FLOAT
        return joined if joined is None or joined.kind == "f" else np.dtype(np.float64)
    if isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)):
        return joined if joined != _BOOL else None
    if isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
        return joined if joined is _INT or (isinstance(joined, np.dtype) and joined.kind in "iub") else None
    if isinstance(op, (ast.LShift, ast.RShift)):
        whole = all(x is _INT or (isinstance(x, np.dtype) and x.kind in "iu") for x in (a, b))
        return _INT if joined is _INT else a if whole and (b is _INT or a == b) else None
    return joined if joined is _FLOAT or (isinstance(joined, np.dtype) and joined.kind == "f") else None  # powers


def lanes_of(program: Program, texts: dict[str, str]) -> np.dtype | None:
    """The dtype in which a reduction adds up a tile: a narrow one where it counts, since a tile has 4096 elements."""
    acc = program.acc
    if acc is None or program.ordered or acc.kind not in "iu" or acc.itemsize < 4:
        return acc
    functions: dict[str, Any] = {name: tree_of(text).body[0] for name, text in texts.items()}
    op = functions["op"]
    plus = ast.unparse(op.body[-1]) == "return {} + {}".format(*(p.arg for p in op.args.args))
    counts = len(op.body) == 1 and plus and _is_0_or_1(functions["elem"], functions)
    return np.dtype(np.int16) if counts else acc


def _is_0_or_1(function: Any, functions: dict[str, Any], depth: int = 0) -> bool:
    """Whether all that a function returns is a truth value, or 0 or 1."""

    def fits(node: ast.expr | None) -> bool:
        match node:
            case ast.Constant(value=value):
                return value in (0, 1) and type(value) in (int, bool)
            case ast.IfExp(body=one, orelse=other):
                return fits(one) and fits(other)
            case ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return True
            case ast.BoolOp(values=values):
                return all(map(fits, values))
            case ast.Call(func=ast.Name(id=name)) if name in functions and depth < len(functions):
                return _is_0_or_1(functions[name], functions, depth + 1)
        return False

    back = [node for node in walk(function) if isinstance(node, ast.Return)]
    return bool(back) and all(fits(node.value) for node in back)
