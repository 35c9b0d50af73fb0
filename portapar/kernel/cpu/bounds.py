"""Bounds of indices: a form of a program's functions for ranges in which no index can be negative.

Python counts negative indices from the end, and a loop that has to find out which ones are does not become vectors.
So every index that is computed from the kernel's own indices, whole numbers among the arguments, extents of arrays and
loop counters gets bounds, by interval arithmetic on the text. Those whose lower bound is not negative for sure, or
by a test of the ends of a range of indices before the loop, are taken as unsigned, which need no such care. Where the
test fails the functions run as they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portapar.kernel.front.sources import tree_of
from portapar.kernel.program import Program

_INDEX_BITS = 47  #: no loop has more iterations, and no array more elements
_MOST_FACTORS, _MOST_STEPS = 3, 4000
_INT64 = np.dtype(np.int64)


@dataclass(frozen=True)
class Bounded:
    """What is known about a program's indices.

    Attributes
    ----------
    trees : dict
        The functions that differ, in their form for indices that are not negative.
    test : str
        The body of ``holds(lo0, hi0, …, a0, a1, …)``, true if that form is right for indices from `lo0` to `hi0` on
        the first axis, and so on, with these arguments; empty if it always is.
    """

    trees: dict[str, ast.Module]
    test: str


@dataclass(frozen=True)
class _Interval:
    """Numbers from `low` to `high`, texts of int64 values, None if unknown.

    `sure`: not negative in any call. `size`: its bits without those of unknown values, and how many of these are
    multiplied in it.
    """

    low: str | None = None
    high: str | None = None
    sure: bool = False
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _Array:
    """An argument, or a row of one (`axis` indices are given); -1 for a private one."""

    number: int
    axis: int = 0


_UNKNOWN = _Interval()
_Value = _Interval | _Array | tuple[Any, ...]


def bounded(program: Program, texts: dict[str, str], entry: str) -> Bounded | None:
    """The form of a program's functions, called from `entry`, for indices that are not negative, if it differs."""
    return _Analysis(program, texts).run(entry)


@dataclass
class _Function:
    node: ast.FunctionDef
    tree: ast.Module
    assigned: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)


class _Analysis:
    def __init__(self, program: Program, texts: dict[str, str]) -> None:
        self.program = program
        self.functions: dict[str, _Function] = {}
        for name, text in texts.items():
            tree = tree_of(text)
            function = _Function(tree.body[0], tree)  # type: ignore[arg-type]
            _collect(function)
            self.functions[name] = function
        self.lines: dict[str, str] = {}  #: expression → the variable of the test that holds it
        self.returns: dict[Any, _Value] = {}  #: of the calls that were looked at
        self.found: dict[int, list[_Interval]] = {}  #: index expression → its bounds, by call
        self.nodes: dict[int, tuple[str, ast.expr]] = {}
        self.conditions: dict[str, None] = {}
        self.steps = 0

    def run(self, entry: str) -> Bounded | None:
        program, function = self.program, self.functions[entry].node
        values: list[_Value] = []
        for d in range(program.ndim):
            values.append(_Interval(f"lo{d}", f"hi{d}", not program.signed, (0, 1)))
        for k, spec in enumerate(program.specs):
            if spec.is_array:
                values.append(_Array(k))
            else:
                values.append(_Interval(f"a{k}", f"a{k}", False, (0, 1)) if spec.dtype == _INT64 else _UNKNOWN)
        if len(values) != len(function.args.args):
            return None
        try:
            self.call(entry, values)
        except RecursionError:
            return None
        return self.result()

    # results ----------------------------------------------------------------------------------

    def result(self) -> Bounded | None:
        """Which index expressions are not negative in all their calls, and what has to be tested for it."""
        changed: set[str] = set()
        tests: dict[str, None] = {}
        sizes: set[tuple[int, int]] = set()
        for key, bounds in self.found.items():
            name, node = self.nodes[key]
            if any(b.low is None for b in bounds) or all(self._plain(b) for b in bounds):
                continue
            tests.update((f"{b.low} >= 0", None) for b in bounds if not b.sure)
            sizes.update(b.size for b in bounds if not b.sure)
            unsigned = ast.Attribute(ast.Name("np", ast.Load()), "uint64", ast.Load())
            self._replace(name, node, ast.copy_location(ast.Call(unsigned, [], []), node))
            changed.add(name)
        if not changed:
            return None
        trees = {name: ast.fix_missing_locations(self.functions[name].tree) for name in changed}
        return Bounded(trees, self._test([*tests, *self.conditions], sizes) if tests else "")

    def _plain(self, bounds: _Interval) -> bool:
        """The kernel's own index or a constant: nothing is to be gained."""
        own = {(f"lo{d}", f"hi{d}") for d in range(self.program.ndim)}
        return bounds.sure and ((bounds.low, bounds.high) in own or bounds.size[1] == 0)

    def _replace(self, name: str, node: ast.expr, call: ast.Call) -> None:
        for parent in ast.walk(self.functions[name].tree):
            for key, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, key, call)
                elif isinstance(value, list) and any(item is node for item in value):
                    value[:] = [call if item is node else item for item in value]
        call.args = [node]

    def _test(self, tests: list[str], sizes: set[tuple[int, int]]) -> str:
        limit = min([(62 - bits) // factors for bits, factors in sizes if factors] or [62])
        needed, lines = _needed(self.lines, tests)
        small = [f"({x} >= {-(1 << limit)}) & ({x} <= {1 << limit})" for x in sorted(needed)]
        ends = [f"({t})" for t in tests]
        return "".join(f"    {line}\n" for line in lines) + f"    return {' & '.join([*small, *ends])}\n"

    # bounds of expressions ------------------------------------------------------------------------

    def put(self, text: str) -> str:
        """The variable of the test that holds a value."""
        return self.lines.setdefault(text, f"t{len(self.lines)}")

    def sum(self, a: str | None, sign: str, b: str | None) -> str | None:
        if a is None or b is None:
            return None
        if _number(a) and _number(b):
            return str(int(a) + int(b) if sign == "+" else int(a) - int(b))
        if b == "0":
            return a
        return self.put(f"{a} {sign} {b}")

    def extreme(self, which: str, parts: Sequence[str | None]) -> str | None:
        found = list(dict.fromkeys(parts))
        if None in found:
            return None
        if all(_number(p) for p in found):
            return str((min if which == "min" else max)(int(p) for p in found))  # type: ignore[arg-type]
        return found[0] if len(found) == 1 else self.put(f"{which}({', '.join(found)})")  # type: ignore[arg-type]

    def made(self, low: str | None, high: str | None, sure: bool, size: tuple[int, int]) -> _Interval:
        if size[1] > _MOST_FACTORS or size[0] > 40 or (low is None and high is None):
            return _UNKNOWN
        return _Interval(low, high, sure and size[0] + size[1] * _INDEX_BITS <= 62, size)

    def binary(self, op: ast.operator, a: _Interval, b: _Interval) -> _Interval:
        bits, factors = max(a.size[0], b.size[0]) + 1, max(a.size[1], b.size[1])
        if isinstance(op, ast.Add):
            return self.made(
                self.sum(a.low, "+", b.low), self.sum(a.high, "+", b.high), a.sure and b.sure, (bits, factors)
            )
        if isinstance(op, ast.Sub):
            return self.made(self.sum(a.low, "-", b.high), self.sum(a.high, "-", b.low), False, (bits, factors))
        exact = b.low == b.high and _number(b.low)
        n = int(b.low) if exact else 0  # type: ignore[arg-type]
        if isinstance(op, ast.LShift) and exact and 0 <= n < 32:
            op, n = ast.Mult(), 1 << n
            b = _constant(n)
        if isinstance(op, ast.Mult):
            size = a.size[0] + b.size[0], a.size[1] + b.size[1]
            if size[1] > _MOST_FACTORS:
                return _UNKNOWN
            if a.sure and b.sure:
                return self.made(self.product(a.low, b.low), self.product(a.high, b.high), True, size)
            ends = [self.product(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
            return self.made(self.extreme("min", ends), self.extreme("max", ends), False, size)
        if isinstance(op, ast.BitAnd):
            masks = [x for x in (a, b) if x.low == x.high and _number(x.low) and int(x.low) >= 0]  # type: ignore[arg-type]
            if masks:
                return _Interval("0", masks[0].high, True, masks[0].size)
        if isinstance(op, ast.RShift) and exact and 0 <= n < 63:
            op, n = ast.FloorDiv(), 1 << n
        if isinstance(op, (ast.FloorDiv, ast.Mod)):
            positive = n > 0
            if not positive and b.low is not None and b.low == b.high and not exact:
                self.conditions[f"{b.low} >= 1"] = None
                positive = True
            if not positive:
                return _UNKNOWN
            by = str(n) if n else b.low
            if isinstance(op, ast.Mod):
                return self.made("0", self.sum(by, "-", "1"), n > 0, b.size)
            return self.made(self.quotient(a.low, by), self.quotient(a.high, by), a.sure and n > 0, a.size)
        return _UNKNOWN

    def product(self, a: str | None, b: str | None) -> str | None:
        if a is None or b is None:
            return None
        if "0" in (a, b):
            return "0"
        if _number(a) and _number(b):
            return str(int(a) * int(b))
        return a if b == "1" else b if a == "1" else self.put(f"{a} * {b}")

    def quotient(self, a: str | None, by: str | None) -> str | None:
        if a is None or by is None:
            return None
        return str(int(a) // int(by)) if _number(a) and _number(by) else self.put(f"{a} // {by}")

    def hull(self, parts: Sequence[_Value]) -> _Value:
        if parts and all(part == parts[0] for part in parts):
            return parts[0]
        whole = [p if isinstance(p, _Interval) else _UNKNOWN for p in parts]
        size = max((p.size[0] for p in whole), default=0), max((p.size[1] for p in whole), default=0)
        low = self.extreme("min", [p.low for p in whole])
        high = self.extreme("max", [p.high for p in whole])
        return self.made(low, high, all(p.sure for p in whole), size)

    # evaluation -----------------------------------------------------------------------------------

    def call(self, name: str, values: list[_Value]) -> _Value:
        """Evaluate a function for arguments with these bounds: what it returns."""
        function = self.functions[name]
        params = [p.arg for p in function.node.args.args]
        if len(params) != len(values):
            values = [_UNKNOWN] * len(params)
        key = name, *values
        if key not in self.returns:
            self.returns[key] = _Frame(self, name, function, dict(zip(params, values, strict=True))).run()
        return self.returns[key]


class _Frame:
    """One call of a function."""

    def __init__(self, of: _Analysis, name: str, function: _Function, params: dict[str, _Value]) -> None:
        self.of, self.name, self.function, self.params = of, name, function, params
        self.known: dict[str, _Value] = {}
        self.open: set[str] = set()

    def run(self) -> _Value:
        returned: list[_Value] = []
        for node in ast.walk(self.function.node):
            if isinstance(node, ast.Subscript):
                self.subscript(node)
            elif isinstance(node, ast.Return) and node.value is not None:
                returned.append(self.value(node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.of.functions:
                self.value(node)
        if returned and all(isinstance(r, tuple) and len(r) == len(returned[0]) for r in returned):  # type: ignore[arg-type]
            return tuple(self.of.hull(part) for part in zip(*returned, strict=True))
        return self.of.hull(returned) if returned else _UNKNOWN

    def subscript(self, node: ast.Subscript) -> None:
        if not isinstance(self.value(node.value), _Array):
            return
        for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            found = self.value(part)
            bounds = found if isinstance(found, _Interval) else _UNKNOWN
            self.of.nodes[id(part)] = self.name, part
            self.of.found.setdefault(id(part), []).append(bounds)

    def variable(self, name: str) -> _Value:
        if name in self.known:
            return self.known[name]
        given = self.function.assigned.get(name, [])
        if not given:
            return self.params.get(name, _UNKNOWN)
        if name in self.open:
            return _UNKNOWN
        self.open.add(name)
        parts = [self.params[name]] if name in self.params else []
        up = down = False
        for kind, what in given:
            if kind == "step":
                up, down = up or what > 0, down or what < 0
            else:
                parts.append(self.item(what) if kind == "item" else self.value(what) if kind == "value" else _UNKNOWN)
        self.open.discard(name)
        found = self.of.hull(parts)
        if (up or down) and isinstance(found, _Interval):
            low, high = None if down else found.low, None if up else found.high
            found = _Interval(low, high, found.sure and not down, found.size) if low or high else _UNKNOWN
        if not self.open:  # what was found inside of a circle does not hold outside
            self.known[name] = found
        return found

    def item(self, what: tuple[ast.expr, int]) -> _Value:
        """Element k of a tuple that is assigned to several names."""
        whole, k = what
        found = self.value(whole)
        return found[k] if isinstance(found, tuple) and k < len(found) else _UNKNOWN

    def interval(self, node: ast.expr) -> _Interval:
        found = self.value(node)
        return found if isinstance(found, _Interval) else _UNKNOWN

    def value(self, node: Any) -> _Value:
        of = self.of
        of.steps += 1
        if of.steps > _MOST_STEPS:
            return _UNKNOWN
        match node:
            case ast.Constant(value=int(n)) if not isinstance(n, bool):
                return _constant(n)
            case ast.Name(id=name):
                return self.variable(name)
            case ast.NamedExpr(value=inner):
                return self.value(inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return self.interval(inner)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return of.binary(ast.Sub(), _constant(0), self.interval(inner))
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self.interval(left), self.interval(right)
                if a == _UNKNOWN and not isinstance(op, ast.BitAnd):
                    return _UNKNOWN
                return _UNKNOWN if a == _UNKNOWN or b == _UNKNOWN else of.binary(op, a, b)
            case ast.IfExp(body=one, orelse=other):
                return of.hull([self.value(one), self.value(other)])
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.Attribute(value=inner, attr="shape"):
                owner = self.value(inner)
                if isinstance(owner, _Array) and owner.number >= 0:
                    spec = of.program.specs[owner.number]
                    return tuple(self.extent(owner, d) for d in range(spec.ndim - owner.axis))
            case ast.Subscript(value=inner, slice=index):
                return self.element(self.value(inner), index)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.called(name, args)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=("int64" | "intp")), args=[inner]):
                return self.interval(inner)
        return _UNKNOWN

    def extent(self, array: _Array, d: int) -> _Interval:
        spec, axis = self.of.program.specs[array.number], array.axis + d
        if axis >= spec.ndim - len(spec.tail):
            return _constant(spec.tail[axis - spec.ndim])
        text = self.of.put(f"a{array.number}.shape[{axis}]")
        return _Interval(text, text, True, (0, 1))

    def element(self, owner: _Value, index: ast.expr) -> _Value:
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if isinstance(owner, tuple) and isinstance(index, ast.Constant) and isinstance(index.value, int):
            return owner[index.value] if -len(owner) <= index.value < len(owner) else _UNKNOWN
        if isinstance(owner, _Array) and owner.number >= 0:
            axis = owner.axis + len(parts)
            if axis < self.of.program.specs[owner.number].ndim:
                return _Array(owner.number, axis)
        return _UNKNOWN

    def called(self, name: str, args: list[ast.expr]) -> _Value:
        of = self.of
        if name in of.functions:
            if name == self.name:
                return _UNKNOWN
            return of.call(name, [self.value(arg) for arg in args])
        if name.startswith("private_"):
            return _Array(-1)
        if name == "len" and len(args) == 1:
            owner = self.value(args[0])
            return self.extent(owner, 0) if isinstance(owner, _Array) and owner.number >= 0 else _UNKNOWN
        if name == "int" and len(args) == 1:
            return self.interval(args[0])
        parts = [self.interval(arg) for arg in args]
        if name == "range" and parts:
            return self.counter(parts, args)
        if name in ("min", "max") and len(parts) > 1:
            size = max(p.size[0] for p in parts), max(p.size[1] for p in parts)
            lows: list[str | None] = [p.low for p in parts]
            highs: list[str | None] = [p.high for p in parts]
            if name == "max":  # the largest lower bound that is known holds already
                lows = [x for x in lows if x is not None] or [None]
            else:
                highs = [x for x in highs if x is not None] or [None]
            sure = (any if name == "max" else all)(p.sure for p in parts)
            return of.made(of.extreme(name, lows), of.extreme(name, highs), sure, size)
        if name == "abs" and len(parts) == 1 and parts[0].low is not None and parts[0].high is not None:
            minus = of.binary(ast.Sub(), _constant(0), parts[0])
            high = of.extreme("max", [parts[0].high, minus.high])
            return of.made(parts[0].low if parts[0].sure else "0", high, True, minus.size)
        return _UNKNOWN

    def counter(self, parts: list[_Interval], args: list[ast.expr]) -> _Interval:
        """What a loop over a range counts through; if it has no step, nothing that is said about it matters."""
        of = self.of
        begin, end = (parts[0], parts[1]) if len(parts) > 1 else (_constant(0), parts[0])
        step = parts[2] if len(parts) > 2 else _constant(1)
        size = max(begin.size[0], end.size[0]) + 1, max(begin.size[1], end.size[1])
        up, down = (step.low or "").isdigit(), (step.high or "").startswith("-") and _number(step.high)
        if up:
            return of.made(begin.low, of.sum(end.high, "-", "1"), begin.sure, size)
        if down:
            return of.made(of.sum(end.low, "+", "1"), begin.high, False, size)
        low = of.extreme("min", [begin.low, of.sum(end.low, "+", "1")])
        high = of.extreme("max", [begin.high, of.sum(end.high, "-", "1")])
        return of.made(low, high, begin.sure and end.sure, size)


def _constant(n: int) -> _Interval:
    return _Interval(str(n), str(n), n >= 0, (n.bit_length(), 0))


def _number(text: str | None) -> bool:
    return text is not None and text.lstrip("-").isdigit()


def _collect(function: _Function) -> None:
    """What is assigned to each name: a value, an element of one, a constant step, or what is not known."""
    given = function.assigned

    def assign(target: ast.expr, kind: str, what: Any) -> None:
        if isinstance(target, ast.Name):
            given.setdefault(target.id, []).append((kind, what))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for k, part in enumerate(target.elts):
                if kind == "value" and isinstance(what, ast.Tuple) and len(what.elts) == len(target.elts):
                    assign(part, "value", what.elts[k])
                else:
                    assign(part, "item" if kind == "value" else "none", (what, k))

    for node in ast.walk(function.node):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    assign(target, "value", value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                assign(target, "value", value)
            case ast.NamedExpr(target=target, value=value):
                assign(target, "value", value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                step = _step(op, value)
                given.setdefault(name, []).append(("step", step) if step else ("none", None))
            case ast.For(target=target, iter=iterated):
                ranged = isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name)
                ranged = ranged and iterated.func.id == "range"  # type: ignore[attr-defined]
                assign(target, "value" if ranged else "none", iterated)


def _step(op: ast.operator, value: ast.expr) -> int:
    """The constant that is added or taken away, if it is small; else 0."""
    if isinstance(op, (ast.Add, ast.Sub)) and isinstance(value, ast.Constant) and type(value.value) is int:
        n = value.value if isinstance(op, ast.Add) else -value.value
        return n if abs(n) < 1 << 16 else 0
    return 0


def _needed(lines: dict[str, str], tests: list[str]) -> tuple[set[str], list[str]]:
    """Of the lines of a test those that its conditions need, in order, and the unknown values that they begin with."""
    by_name = {name: text for text, name in lines.items()}
    leaves: set[str] = set()
    used: set[str] = set()

    def visit(text: str) -> None:
        if ".shape[" in text:
            return
        for word in re.findall(r"\b(?:t|a|lo|hi)\d+\b", text):
            if word in used:
                continue
            used.add(word)
            if word in by_name:
                visit(by_name[word])
                if ".shape[" in by_name[word]:
                    leaves.add(word)
            else:
                leaves.add(word)

    for text in tests:
        visit(text)
    return leaves, [f"{name} = {text}" for text, name in lines.items() if name in used]
