"""What makes a kernel's loop slow although it is right: how it walks through memory, and where it computes in double.

For every place of an array in the text it is asked how far apart neighbouring iterations of the innermost loop around
it look: next to each other, at distances, or anywhere. That is a linear form in one loop's counter, found by walking
through the functions in order; a name that is given several values has none. Types come from the typed functions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import names_in, walk
from portapar.kernel.jit.check import argument_types
from portapar.kernel.jit.functions import function_texts, namespace, place
from portapar.kernel.program import Program

_MOST = 3  #: calls inside of calls that are followed


@dataclass(frozen=True)
class Hindrance:
    """One thing that costs time, and where.

    Attributes
    ----------
    kind : str
        ``"dependence"``, ``"atomic"``, ``"gather"``, ``"scatter"``, ``"stride"``, ``"double"``, ``"division"`` or
        ``"loop"``.
    what : str
        In words, with the expression of the kernel.
    place : (str, int) or None
        The user's file and line.
    """

    kind: str
    what: str
    place: tuple[str, int] | None


@dataclass(frozen=True)
class _Number:
    """An integer: `by` is how much it grows with the counter of the innermost loop, None if that is not constant.

    `loaded`: it depends on an element of an array. `text` is what it is, to tell two indices apart.
    """

    by: int | None = 0
    loaded: bool = False
    text: str = ""


@dataclass(frozen=True)
class _Array:
    """An argument, of which the first indices may be given already."""

    name: str
    ndim: int
    given: tuple[_Number, ...] = ()


_ANY = _Number(None)
_Value = _Number | _Array


def hindrances(program: Program) -> list[Hindrance]:
    """All that are found, each once, those that stop vectors first."""
    found = _Walk(program).run()
    found += _doubles(program)
    order = ("dependence", "atomic", "gather", "scatter", "stride", "double", "division", "loop")
    return sorted(dict.fromkeys(found), key=lambda one: order.index(one.kind))


@dataclass
class _Walk:
    program: Program
    found: list[Hindrance] = field(default_factory=list)
    read: dict[str, dict[str, ast.AST]] = field(default_factory=dict)
    written: dict[str, dict[str, ast.AST]] = field(default_factory=dict)
    counters: tuple[str, ...] = ()  #: of the kernel's own loops around
    depth: int = 0  #: calls of other functions around

    def run(self) -> list[Hindrance]:
        texts = function_texts(self.program)
        self.functions: dict[str, ast.FunctionDef] = {}
        line = 1
        for name, text in texts.items():
            (function,) = (node for node in tree_of(text).body if isinstance(node, ast.FunctionDef))
            ast.increment_lineno(function, line - 1)
            self.functions[name] = function
            line += text.count("\n")
        entry = self.functions["body" if "body" in self.functions else "elem"]
        names = [argument.arg for argument in entry.args.args]
        values: dict[str, _Value] = {}
        for k, name in enumerate(names):
            if k < self.program.ndim:
                values[name] = _Number(int(k == self.program.ndim - 1), text=name)
                continue
            spec = self.program.specs[k - self.program.ndim]
            values[name] = _Array(name, spec.ndim) if spec.is_array else _Number(0, text=name)
        self._block(entry.body, values)
        self._dependences()
        return self.found

    def _tell(self, kind: str, what: str, node: ast.AST) -> None:
        origin, line = self.program.origin or {}, getattr(node, "lineno", 0)
        where = next((origin[k] for k in range(line, 0, -1) if k in origin), None)
        self.found.append(Hindrance(kind, what, where))

    def _dependences(self) -> None:
        """An element that one iteration writes and another reads."""
        for name, places in self.written.items():
            if name == self._out():
                continue
            others = {text: node for text, node in self.read.get(name, {}).items() if text not in places}
            for text, node in others.items():
                wrote = next(iter(places))
                self._tell("dependence", f"{name}[{text}] is read and {name}[{wrote}] is written by iterations", node)
                break

    def _out(self) -> str | None:
        """The output of a transform, which is never read."""
        return None if self.program.inplace or self.program.form != "transform" else f"a{self.program.out}"

    # statements

    def _block(self, body: Iterable[ast.stmt], values: dict[str, _Value]) -> _Value:
        result: _Value = _ANY
        for statement in body:
            if isinstance(statement, ast.Assign):
                value = self._value(statement.value, values)
                for target in statement.targets:
                    self._store(target, value, values)
            elif isinstance(statement, ast.AugAssign):
                value = self._value(statement.value, values)
                if isinstance(statement.target, ast.Name):
                    old = values.get(statement.target.id, _ANY)
                    values[statement.target.id] = _arithmetic(statement.op, old, value, statement.target.id)
                else:
                    self._value(statement.target, values)
                    self._store(statement.target, value, values)
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self._store(statement.target, self._value(statement.value, values), values)
            elif isinstance(statement, ast.Return):
                result = self._value(statement.value, values) if statement.value is not None else _ANY
            elif isinstance(statement, ast.If):
                self._value(statement.test, values)
                other = dict(values)
                self._block(statement.body, values)
                self._block(statement.orelse, other)
                _join(values, other)
            elif isinstance(statement, ast.For):
                self._loop(statement, values)
            elif isinstance(statement, ast.While):
                self._tell("loop", f"while {ast.unparse(statement.test)} ends sooner for some elements", statement)
                self._value(statement.test, values)
                _forget(statement.body, values)
                self._block(statement.body, values)
            elif isinstance(statement, ast.Expr):
                self._value(statement.value, values)
        return result

    def _loop(self, loop: ast.For, values: dict[str, _Value]) -> None:
        """A loop inside of the kernel: what is next to each other for its counter needs no gathers."""
        ends = loop.iter.args if isinstance(loop.iter, ast.Call) else [loop.iter]
        if not all(isinstance(end, ast.Constant) for end in ends):
            self._tell("loop", f"{ast.unparse(loop.iter)} has a length that only the call knows", loop)
        for end in ends:
            self._value(end, values)
        _forget(loop.body, values)
        if isinstance(loop.target, ast.Name):
            values[loop.target.id] = _Number(0, text=loop.target.id)
        counters = self.counters
        self.counters = (*counters, *names_in(loop.target))
        self._block(loop.body, values)
        self.counters = counters

    def _store(self, target: ast.expr, value: _Value, values: dict[str, _Value]) -> None:
        if isinstance(target, ast.Name):
            values[target.id] = value if isinstance(value, _Array) else _named(value, target.id)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self._store(part, _Number(None, isinstance(value, _Number) and value.loaded), values)
        elif isinstance(target, ast.Subscript):
            self._index(target, values, "scatter")
        elif isinstance(target, ast.Attribute):
            self._value(target.value, values)

    # expressions

    def _value(self, node: ast.expr | None, values: dict[str, _Value]) -> _Value:
        if isinstance(node, ast.Name):
            return values.get(node.id, _ANY)
        if isinstance(node, ast.Constant):
            return _Number(0, text=repr(node.value))
        if isinstance(node, ast.BinOp):
            left, right = self._value(node.left, values), self._value(node.right, values)
            if isinstance(node.op, (ast.FloorDiv, ast.Mod)) and not isinstance(node.right, ast.Constant):
                self._tell("division", f"{ast.unparse(node)} divides, which vectors of integers cannot", node)
            return _arithmetic(node.op, left, right, ast.unparse(node))
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, values)
            if isinstance(value, _Number) and isinstance(node.op, ast.USub):
                return _Number(None if value.by is None else -value.by, value.loaded, ast.unparse(node))
            return _ANY
        if isinstance(node, ast.Subscript):
            return self._index(node, values, "gather")
        if isinstance(node, ast.Call):
            return self._call(node, values)
        if isinstance(node, ast.Attribute):
            inner = self._value(node.value, values)
            return inner if isinstance(inner, _Number) else _Number(0, text=ast.unparse(node))
        loaded = False
        for child in ast.iter_child_nodes(node) if node is not None else ():
            if isinstance(child, ast.expr):
                value = self._value(child, values)
                loaded |= isinstance(value, _Number) and value.loaded
        return _Number(None, loaded)

    def _call(self, node: ast.Call, values: dict[str, _Value]) -> _Value:
        given = [self._value(argument, values) for argument in node.args]
        name = ast.unparse(node.func)
        function = self.functions.get(name)
        if function is not None and self.depth < _MOST:
            self.depth += 1
            names = [argument.arg for argument in function.args.args]
            result = self._block(function.body, dict(zip(names, given, strict=False)))
            self.depth -= 1
            return result
        if name.startswith("atomic."):
            self._tell("atomic", f"{ast.unparse(node)} is done one after the other", node)
        if name.startswith(("np.int", "np.uint", "int", "np.intp")) and len(given) == 1:
            return given[0]  # a cast
        return _Number(None, any(isinstance(value, _Number) and value.loaded for value in given))

    def _index(self, node: ast.Subscript, values: dict[str, _Value], kind: str) -> _Value:
        array = self._value(node.value, values)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        indices = [self._value(part, values) for part in parts]
        if not isinstance(array, _Array):
            return _Number(None, True)
        numbers = tuple(x if isinstance(x, _Number) else _ANY for x in indices)
        given = (*array.given, *numbers)
        if len(given) < array.ndim:
            return _Array(array.name, array.ndim, given)
        self._walked(node, array.name, given, kind)
        return _Number(None, True, ast.unparse(node))

    def _walked(self, node: ast.Subscript, name: str, given: tuple[_Number, ...], kind: str) -> None:
        """How neighbouring iterations walk through an array whose indices are all given."""
        text = ast.unparse(node)
        (self.written if kind == "scatter" else self.read).setdefault(name, {})[", ".join(x.text for x in given)] = node
        if not names_in(node).isdisjoint(self.counters):
            return  # neighbours for the inner loop
        if any(x.loaded and x.by is None for x in given):
            self._tell(kind, f"{text} is anywhere in memory", node)
        elif any(x.by is None for x in given):
            return
        elif any(x.by for x in given[:-1]):
            self._tell("stride", f"{text}: neighbouring iterations are a row apart", node)
        elif given and abs(given[-1].by or 0) > 1:
            self._tell("stride", f"{text}: neighbouring iterations are {abs(given[-1].by or 0)} elements apart", node)


def _named(value: _Value, name: str) -> _Value:
    return value if not isinstance(value, _Number) or value.text else _Number(value.by, value.loaded, name)


def _forget(body: Iterable[ast.stmt], values: dict[str, _Value]) -> None:
    """What a loop assigns has no one value in it."""
    for statement in body:
        for node in walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                values[node.id] = _Number(None, False, node.id)


def _join(values: dict[str, _Value], other: dict[str, _Value]) -> None:
    for name in {*values, *other}:
        if values.get(name) != other.get(name):
            both = [x for x in (values.get(name), other.get(name)) if isinstance(x, _Number)]
            values[name] = _Number(None, any(x.loaded for x in both), name)


def _arithmetic(op: ast.operator, left: _Value, right: _Value, text: str) -> _Value:
    if not (isinstance(left, _Number) and isinstance(right, _Number)):
        return _ANY
    loaded = left.loaded or right.loaded
    by: int | None = None
    if left.by is not None and right.by is not None:
        if isinstance(op, ast.Add):
            by = left.by + right.by
        elif isinstance(op, ast.Sub):
            by = left.by - right.by
        elif isinstance(op, ast.Mult) and right.text.lstrip("-").isdigit():
            by = left.by * int(right.text)
        elif isinstance(op, ast.Mult) and left.text.lstrip("-").isdigit():
            by = right.by * int(left.text)
        elif not left.by and not right.by:
            by = 0
    return _Number(by, loaded, text)


def _doubles(program: Program) -> Iterator[Hindrance]:
    """Where single precision becomes double: half as many numbers to a vector."""
    import numba  # noqa: F401  as a whole first
    from numba.core import ir, types

    from portapar.kernel.jit.typing import TypingFailure, infer

    singles = (types.float32, types.complex64)
    name = "body" if "body" in program.names else "elem"
    try:
        waiting = [infer(namespace(program)[name], (types.int64,) * program.ndim + argument_types(program))]
    except TypingFailure:
        return
    while waiting:
        typed = waiting.pop()
        waiting += typed.callees.values()
        for block in typed.func_ir.blocks.values():
            for statement in block.find_insts(ir.Assign):
                value = statement.value
                if not isinstance(value, ir.Expr) or value.op not in ("binop", "inplace_binop", "call"):
                    continue
                made = typed.typemap[statement.target.name]
                if made not in (types.float64, types.complex128) or value in typed.callees:
                    continue
                used = [typed.typemap[v.name] for v in value.list_vars()]
                if any(kind in singles for kind in used):
                    yield Hindrance("double", "single precision becomes double", place(program, statement.loc.line))
