"""Bounds of indices: a form of a program's functions for ranges in which no index can be negative.

Python counts negative indices from the end, and a loop that has to find out which ones are does not become vectors.
So every index that is computed from the kernel's own indices, whole numbers among the arguments, extents of arrays and
loop counters gets bounds, by interval arithmetic on the text. Those whose lower bound is not negative for sure, or
by a test of the ends of a range of indices before the loop, are taken as unsigned, which need no such care. Where the
test fails the functions run as they are.

Of indices that come from arrays (``x[k[i]]``) the least and the greatest are looked for, a few iterations ahead: that
reads `k` once more, in vectors and into the first cache.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from portapar.kernel.front.interior import Interior, Otherwise, Outcome, Taken
from portapar.kernel.front.intervals import (
    MOST,
    UNKNOWN,
    Arithmetic,
    Array,
    Interval,
    Real,
    Value,
    as_float,
    constant,
    is_number,
    needed,
    widened,
)
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.text import tell_apart
from portapar.kernel.front.trees import conditions_of, stored_in, walk
from portapar.kernel.program import Program

_STEPS = 4000  #: of the analysis
_TRIES = 8
_TAKEN = (ast.IfExp, ast.BoolOp, ast.BinOp, ast.Call)
_INT64 = np.dtype(np.int64)
_REALS = np.dtype(np.float64), np.dtype(np.float32)


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
    elements : str
        The body of ``sound(table, lo0, hi0, …)``, which must hold as well for a few indices at a time, and looks at the
        elements of arrays; empty if none is an index.
    gathers : bool
        Loading elements one by one would be most of what a loop in vectors does.
    """

    trees: dict[str, ast.Module]
    test: str
    elements: str = ""
    gathers: bool = False


def bounded(program: Program, texts: dict[str, str], entry: str, elements: bool = True) -> Bounded | None:
    """The form of a program's functions, called from `entry`, for indices that are not negative, if it differs.

    Unless `elements`, those from arrays are taken to be unknown.
    """
    left: set[Any] = set()
    for _ in range(_TRIES):
        trees = {name: tree_of(text) for name, text in texts.items()}
        for tree in trees.values():
            _count_apart(tree)
        first = _Analysis(program, trees, elements)
        first.interior = Interior(first, left)
        try:
            if not first.run(entry):
                return None
        except Otherwise:
            continue
        changed = first.interior.apply(trees)
        second = _Analysis(program, trees, elements)
        second.lines = first.lines
        if not second.run(entry):
            return None
        return second.result(changed, first.interior.tests, first.interior.sizes)
    return None


@dataclass
class _Function:
    node: ast.FunctionDef
    tree: ast.Module
    assigned: dict[str, list[tuple[str, Any, int]]] = field(default_factory=dict)  #: how, what, in which line
    lags: frozenset[str] = frozenset()  #: the texts of differences
    conditions: frozenset[int] = frozenset()  #: as of `conditions_of`


class _Analysis(Arithmetic):
    def __init__(self, program: Program, trees: dict[str, ast.Module], elements: bool) -> None:
        super().__init__()
        self.program = program
        self.elements = elements
        self.interior: Interior | None = None
        self.functions: dict[str, _Function] = {}
        for name, tree in trees.items():
            function = _Function(tree.body[0], tree)  # type: ignore[arg-type]
            _collect(function)
            self.functions[name] = function
        self.returns: dict[Any, Value] = {}  #: of the calls that were looked at
        self.found: dict[int, list[Interval]] = {}  #: index expression → its bounds, by call
        self.nodes: dict[int, tuple[str, ast.expr]] = {}
        self.steps = 0

    def run(self, entry: str) -> bool:
        """Look at all that is called from `entry`; False if that is too much."""
        program, function = self.program, self.functions[entry].node
        values: list[Value] = []
        for d in range(program.ndim):
            values.append(Interval(f"lo{d}", f"hi{d}", not program.signed, (0, 1)))
        for k, spec in enumerate(program.specs):
            if spec.is_array:
                values.append(Array(k))
            elif spec.dtype == _INT64:
                values.append(Interval(f"a{k}", f"a{k}", False, (0, 1)))
            else:
                values.append(Real(f"a{k}", f"a{k}") if spec.dtype in _REALS and self.elements else UNKNOWN)
        if len(values) != len(function.args.args):
            return False
        try:
            self.call(entry, values)
        except RecursionError:
            return False
        return True

    # results ----------------------------------------------------------------------------------

    def result(self, changed: set[str], tests: dict[str, None], sizes: set[tuple[int, int]]) -> Bounded | None:
        """Which index expressions are not negative in all their calls, and what has to be tested for it.

        Besides what is given: functions that have changed, tests, and the sizes of what is compared there.
        """
        sizes.add((0, 1))
        for key, bounds in self.found.items():
            name, node = self.nodes[key]
            if any(b.low is None for b in bounds) or all(self._plain(b) for b in bounds):
                continue
            for b in bounds:
                if not b.sure:
                    tests.update(dict.fromkeys((f"{b.low} >= 0", *sorted(b.needs))))
            sizes.update(b.size for b in bounds if not b.sure)
            unsigned = ast.Attribute(ast.Name("np", ast.Load()), "uint64", ast.Load())
            self._replace(name, node, ast.copy_location(ast.Call(unsigned, [], []), node))
            changed.add(name)
        if not changed:
            return None
        trees = {name: ast.fix_missing_locations(self.functions[name].tree) for name in changed}
        if not tests:
            return Bounded(trees, "")
        found = [test for test in tests if any("extremes(" in line for line in needed(self.lines, [test])[1])]
        plain = [test for test in tests if test not in found]
        places = [f"{end}{d}" for d in range(self.program.ndim * self.program.unit) for end in ("lo", "hi")]
        test, elements = (self.test(some, sizes, places) if some else "" for some in (plain, found))
        return Bounded(trees, test, elements, self._gathers())

    def _gathers(self) -> bool:
        """Whether there are fewer than five steps of arithmetic for each element at an index from an array."""
        nodes = [node for function in self.functions.values() for node in walk(function.node)]
        loops = [node for node in nodes if isinstance(node, (ast.For, ast.While))]
        if not all(isinstance(loop, ast.For) and _constant_range(loop.iter) for loop in loops):
            return False  # what is in there may be worth it
        calls = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        if any(call.func.attr != "uint64" for call in calls):  # type: ignore[attr-defined]
            return False
        far = {id(self.nodes[key][1]) for key, bounds in self.found.items() if any(b.limits for b in bounds)}
        branches = [part for node in nodes if isinstance(node, ast.If) for part in (*node.body, *node.orelse)]
        steps = [step for part in branches for step in walk(part) if isinstance(step, ast.Assign)]
        stored = (id(part) for step in steps for target in step.targets for part in walk(target))
        if far <= {*stored}:
            return False  # a vector stores some of its numbers, where one by one branches mispredict
        return len(far) * 5 > sum(isinstance(node, (ast.BinOp, ast.Compare, ast.IfExp)) for node in nodes)

    def _plain(self, bounds: Interval) -> bool:
        """The kernel's own index or a constant: nothing is to be gained."""
        own = {(f"lo{d}", f"hi{d}") for d in range(self.program.ndim)}
        return bounds.sure and ((bounds.low, bounds.high) in own or bounds.size[1] == 0)

    def _replace(self, name: str, node: ast.expr, call: ast.Call) -> None:
        for parent in walk(self.functions[name].tree):
            for key, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, key, call)
                elif isinstance(value, list) and any(item is node for item in value):
                    value[:] = [call if item is node else item for item in value]
        call.args = [node]

    def most(self, index: list[Interval]) -> str:
        """How many elements may be looked at, by the iterations that use them: it must cost less than it saves."""
        space = " * ".join(f"(hi{d} - lo{d} + 1)" for d in range(self.program.ndim))
        far = any(x.limits and not x.counted for x in index)
        return self.put(f"{4 if far else 256} * ({space}) + {1024 if far else 4096}")

    # evaluation -----------------------------------------------------------------------------------

    def call(self, name: str, values: list[Value]) -> Value:
        """Evaluate a function for arguments with these bounds: what it returns."""
        function = self.functions[name]
        params = [p.arg for p in function.node.args.args]
        if len(params) != len(values):
            values = [UNKNOWN] * len(params)
        key = name, *values
        if key not in self.returns:
            self.returns[key] = _Frame(self, name, function, dict(zip(params, values, strict=True))).run()
        return self.returns[key]


class _Frame:
    """One call of a function."""

    def __init__(self, of: _Analysis, name: str, function: _Function, params: dict[str, Value]) -> None:
        self.of, self.name, self.function, self.params = of, name, function, params
        self.known: dict[str, Value] = {}
        self.open: set[str] = set()
        self.before = 0  #: the line before which assignments count, if they do not all

    def run(self) -> Value:
        returned: list[Value] = []
        for node in self.nodes(self.function.node):
            if isinstance(node, ast.Subscript):
                self.subscript(node)
            elif isinstance(node, ast.Return) and node.value is not None:
                returned.append(self.value(node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.of.functions:
                self.value(node)
        if returned and all(isinstance(r, tuple) and len(r) == len(returned[0]) for r in returned):  # type: ignore[arg-type]
            return tuple(self.of.hull(part) for part in zip(*returned, strict=True))
        return self.of.hull(returned) if returned else UNKNOWN

    def nodes(self, node: ast.AST, looped: bool = False) -> Iterator[ast.AST]:
        """A node and all below it, but for branches that are not taken inside."""
        if isinstance(node, ast.If):
            taken = self.branch(node, 0 if looped else node.lineno)
            if taken is not None:
                for step in taken:
                    yield from self.nodes(step, looped)
                return
        elif isinstance(node, _TAKEN):
            taken = self.taken(node)
            if taken is not None:
                yield from self.nodes(taken, looped)
                return
        yield node
        looped |= isinstance(node, (ast.For, ast.While))
        for part in ast.iter_child_nodes(node):
            yield from self.nodes(part, looped)

    def branch(self, node: ast.If | ast.IfExp, before: int = 0) -> Any:
        """The branch of a condition that is taken inside, None if that is not known."""
        if self.of.interior is None:
            return None
        interior, outer = self.of.interior, self.before
        self.before = before
        lags = self.function.lags

        def decide() -> Taken | None:
            found = _named(interior.condition(node.test, self.interval, lags))
            if found is None or isinstance(node, ast.IfExp):
                return found
            left = node.orelse if found[0] == "body" else node.body
            return None if _defines(left, self.function.node) else found

        found = interior.part(self.name, node, decide)
        self.before = outer
        return found

    def taken(self, node: ast.expr) -> Any:
        """The part of an expression that it is inside, None if that is not known or it is no such expression."""
        interior = self.of.interior
        if interior is None:
            return None
        match node:
            case ast.IfExp():
                return self.branch(node, self.before)
            case ast.BoolOp():
                lags, tested = self.function.lags, id(node) in self.function.conditions
                return interior.part(self.name, node, lambda: interior.shortened(node, self.interval, lags, tested))
            case ast.BinOp(left=a, op=ast.Mod(), right=b):

                def left() -> Taken | None:
                    found = interior.wrapped(self.interval(a), self.interval(b))
                    return None if found is None else ("left", found)

                return interior.part(self.name, node, left)
            case ast.Call(func=ast.Name(id=("min" | "max") as name), args=[a, b]):

                def chosen() -> Taken | None:
                    one, other = self.interval(a), self.interval(b)
                    for k, pair in enumerate(((one, other), (other, one))):
                        found = interior.clamped(name, *pair)
                        if found is not None:
                            return str(k), found
                    return None

                return interior.part(self.name, node, chosen)
        return None

    def subscript(self, node: ast.Subscript) -> None:
        if not isinstance(self.value(node.value), Array):
            return
        for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            found = self.value(part)
            bounds = found if isinstance(found, Interval) else UNKNOWN
            self.of.nodes[id(part)] = self.name, part
            self.of.found.setdefault(id(part), []).append(bounds)

    def variable(self, name: str) -> Value:
        if name in self.known:
            return self.known[name]
        given = self.function.assigned.get(name, [])
        if self.before:
            given = [one for one in given if one[2] < self.before]
        if not given:
            return self.params.get(name, UNKNOWN)
        if name in self.open:
            return UNKNOWN
        self.open.add(name)
        parts = [self.params[name]] if name in self.params else []
        up = down = False
        for kind, what, _ in given:
            if kind == "step":
                up, down = up or what > 0, down or what < 0
            else:
                parts.append(self.item(what) if kind == "item" else self.value(what) if kind == "value" else UNKNOWN)
        self.open.discard(name)
        found = self.of.hull(parts)
        if (up or down) and isinstance(found, Interval):
            if found.limits not in (None, (-MOST, MOST)):  # a narrow number wraps
                return UNKNOWN
            low, high = None if down else found.low, None if up else found.high
            found = replace(found, low=low, high=high, sure=found.sure and not down) if low or high else UNKNOWN
        if not self.open and not self.before:  # what was found inside of a circle does not hold outside
            self.known[name] = found
        return found

    def item(self, what: tuple[ast.expr, int]) -> Value:
        """Element k of a tuple that is assigned to several names."""
        whole, k = what
        found = self.value(whole)
        return found[k] if isinstance(found, tuple) and k < len(found) else UNKNOWN

    def interval(self, node: ast.expr) -> Interval:
        found = self.value(node)
        return found if isinstance(found, Interval) else UNKNOWN

    def whole(self, node: ast.expr) -> Interval:
        """A number as an int64, without its fraction."""
        found = self.value(node)
        return self.of.whole(found) if isinstance(found, Real) else widened(self.interval(node))

    def value(self, node: Any) -> Value:
        of = self.of
        of.steps += 1
        if of.steps > _STEPS:
            return UNKNOWN
        if isinstance(node, _TAKEN) and (taken := self.taken(node)) is not None:
            return self.value(taken)
        match node:
            case ast.Constant(value=int(n)) if not isinstance(n, bool):
                return constant(n)
            case ast.Constant(value=float(x)) if of.elements and abs(x) < 1e30:
                return Real(repr(x), repr(x))
            case ast.Name(id=name):
                return self.variable(name)
            case ast.NamedExpr(value=inner):
                return self.value(inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return self.interval(inner)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return of.binary(ast.Sub(), constant(0), self.interval(inner))
            case ast.BinOp(left=left, op=op, right=right):
                one, other = self.value(left), self.value(right)
                if Real in (type(one), type(other)) or (isinstance(op, ast.Div) and of.elements):
                    return of.real(op, one, other)
                a, b = (x if isinstance(x, Interval) else UNKNOWN for x in (one, other))
                if UNKNOWN in (a, b) and not isinstance(op, ast.BitAnd):
                    return UNKNOWN
                return of.binary(op, a, b)
            case ast.IfExp(body=one, orelse=other):
                return of.hull([self.value(one), self.value(other)])
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.Attribute(value=inner, attr="shape"):
                owner = self.value(inner)
                if isinstance(owner, Array) and owner.number >= 0:
                    spec = of.program.specs[owner.number]
                    return tuple(self.extent(owner, d) for d in range(spec.ndim - owner.axis))
            case ast.Subscript(value=inner, slice=index):
                return self.element(self.value(inner), index)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.called(name, args)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=("int64" | "intp")), args=[inner]):
                return self.whole(inner)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr=("floor" | "trunc")), args=[inner]):
                return self.whole(inner)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=("float32" | "float64")), args=[inner]):
                return as_float(self.value(inner)) if of.elements else UNKNOWN
        return UNKNOWN

    def extent(self, array: Array, d: int) -> Interval:
        spec, axis = self.of.program.specs[array.number], array.axis + d
        if axis >= spec.ndim - len(spec.tail):
            return constant(spec.tail[axis - spec.ndim])
        text = self.of.put(f"a{array.number}.shape[{axis}]")
        return Interval(text, text, True, (0, 1))

    def element(self, owner: Value, index: ast.expr) -> Value:
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if isinstance(owner, tuple) and isinstance(index, ast.Constant) and isinstance(index.value, int):
            return owner[index.value] if -len(owner) <= index.value < len(owner) else UNKNOWN
        if isinstance(owner, Array) and owner.number >= 0:
            axis = owner.axis + len(parts)
            if axis < self.of.program.specs[owner.number].ndim:
                return Array(owner.number, axis)
            if owner.axis == 0 and self.of.elements:
                return self.found(owner.number, [self.interval(part) for part in parts])
        return UNKNOWN

    def found(self, number: int, index: list[Interval]) -> Value:
        """The least and the greatest element of an array of indices, which nobody writes to."""
        program, spec = self.of.program, self.of.program.specs[number]
        kept = program.form != "map" or (program.written is not None and number not in program.written)
        if program.form == "transform" and number == program.out:
            kept = False
        real, limits = spec.dtype in _REALS, None
        if spec.dtype.kind in "iu":
            kind = np.iinfo(spec.dtype)
            limits = max(int(kind.min), -MOST), min(int(kind.max), MOST)
        elif not real:
            return UNKNOWN
        if not (kept and spec.contiguous and len(index) == spec.ndim and all(x.low and x.high for x in index)):
            return UNKNOWN if real else Interval(None, None, False, (0, 1), limits)
        most = self.of.most(index)
        for d, n in enumerate(spec.tail, spec.ndim - len(spec.tail)):  # short rows are looked at as a whole, once
            index[d] = replace(index[d], low="0", high=str(n - 1))
        ends = ", ".join(f"{x.low}, {x.high}" for x in index)
        here = self.of.put(f"extremes(table, a{number}, ({ends}), {most})")
        low, high = (self.of.put(f"{here}[{k}]") for k in range(2))
        needs = frozenset[str]().union(*(x.needs for x in index))
        return Real(low, high, needs=needs) if real else Interval(low, high, False, (0, 1), limits, needs=needs)

    def called(self, name: str, args: list[ast.expr]) -> Value:
        of = self.of
        if name in of.functions:
            if name == self.name:
                return UNKNOWN
            return of.call(name, [self.value(arg) for arg in args])
        if name.startswith("private_"):
            return Array(-1)
        if name == "len" and len(args) == 1:
            owner = self.value(args[0])
            return self.extent(owner, 0) if isinstance(owner, Array) and owner.number >= 0 else UNKNOWN
        if name == "int" and len(args) == 1:
            return self.whole(args[0])
        if name == "float" and len(args) == 1 and of.elements:
            return as_float(self.value(args[0]))
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
            return of.made(of.extreme(name, lows), of.extreme(name, highs), sure, size, parts)
        if name == "abs" and len(parts) == 1 and parts[0].low is not None and parts[0].high is not None:
            minus = of.binary(ast.Sub(), constant(0), parts[0])
            if minus == UNKNOWN:
                return UNKNOWN
            high = of.extreme("max", [parts[0].high, minus.high])
            low = parts[0].low if parts[0].sure else "0"
            return of.made(low, high, minus.limits is None, minus.size, (*parts, minus))
        return UNKNOWN

    def counter(self, parts: list[Interval], args: list[ast.expr]) -> Interval:
        """What a loop over a range counts through; if it has no step, nothing that is said about it matters."""
        of = self.of
        begin, end = (parts[0], parts[1]) if len(parts) > 1 else (constant(0), parts[0])
        step = parts[2] if len(parts) > 2 else constant(1)
        size = max(begin.size[0], end.size[0]) + 1, max(begin.size[1], end.size[1])
        up, down = (step.low or "").isdigit(), (step.high or "").startswith("-") and is_number(step.high)
        if up:
            made = of.made(begin.low, of.sum(end.high, "-", "1"), begin.sure, size, parts)
        elif down:
            made = of.made(of.sum(end.low, "+", "1"), begin.high, False, size, parts)
        else:
            low = of.extreme("min", [begin.low, of.sum(end.low, "+", "1")])
            high = of.extreme("max", [begin.high, of.sum(end.high, "-", "1")])
            made = of.made(low, high, begin.sure and end.sure, size, parts)
        return made if made == UNKNOWN else replace(made, counted=True)


def _constant_range(iterated: ast.expr) -> bool:
    """Whether a loop over it is written out."""
    match iterated:
        case ast.Call(func=ast.Name(id="range"), args=args):
            return all(isinstance(arg, (ast.Constant, ast.UnaryOp)) for arg in args)
    return False


def _count_apart(tree: ast.Module) -> None:
    """Give each of several loops that count by one name a name of its own."""
    names = {node.id for node in walk(tree) if isinstance(node, ast.Name)}

    def fresh(name: str) -> str:
        new = next(new for k in range(len(names) + 1) if (new := f"{name}_{k}") not in names)
        names.add(new)
        return new

    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    tell_apart(function, fresh)


def _named(found: Outcome | None) -> Taken | None:
    return found and ("body" if found[0] else "orelse", found[1])


def _defines(part: list[ast.stmt], function: ast.FunctionDef) -> bool:
    """Whether a part of a function alone assigns something that is read outside of it."""
    inside = {id(node) for step in part for node in walk(step)}
    outside = [node for node in walk(function) if isinstance(node, ast.Name) and id(node) not in inside]
    known = {argument.arg for argument in function.args.args}
    known.update(node.id for node in outside if isinstance(node.ctx, ast.Store))
    return not (stored_in(*part) - known).isdisjoint(node.id for node in outside)


def _collect(function: _Function) -> None:
    """What is assigned to each name: a value, an element of one, a constant step, or what is not known."""
    given = function.assigned

    def assign(target: ast.expr, kind: str, what: Any) -> None:
        if isinstance(target, ast.Name):
            given.setdefault(target.id, []).append((kind, what, target.lineno))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for k, part in enumerate(target.elts):
                if kind == "value" and isinstance(what, ast.Tuple) and len(what.elts) == len(target.elts):
                    assign(part, "value", what.elts[k])
                else:
                    assign(part, "item" if kind == "value" else "none", (what, k))

    taken = (n for n in walk(function.node) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub))
    function.lags = frozenset(ast.unparse(node) for node in taken)
    function.conditions = conditions_of(function.node)
    for node in walk(function.node):
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
                given.setdefault(name, []).append(("step" if step else "none", step, value.lineno))
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
