"""How a kernel uses its arrays: read, written, and whether only at its own index.

Plans rest on this: what is only written is not copied to a device, what is used at the kernel's own
index alone can be cut over several executors. It must never claim too little.

The body is run abstractly. Every expression gives the *parts* of arrays that its value may be, names hold the parts
of whatever is assigned to them, anywhere, and functions tell which parts of their arguments they return; so an alias
is followed through names, tuples, conditional expressions and calls. What is not known here (a method, an unusual
function of NumPy) may do anything with the parts that it is given, and gives back any of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

NEVER = 99


@dataclass(slots=True)
class Access:
    """How a kernel uses one of its array arguments.

    Attributes
    ----------
    reads, writes : bool
    pointwise : bool
        Every access is at exactly the kernel's own index (its first parameters, in order).
    covers : bool
        With `pointwise`: every index writes its element for sure, so that what was there does not matter.
    rank : int
        How many of the first parameters are used as an index.
    updated : int
        The least depth (see `Part`) of a part of it that is written if that is an array, as `v` by ``v += 1``.
    returned : frozenset of int
        The depths of its parts that the kernel may return.
    """

    reads: bool = False
    writes: bool = False
    pointwise: bool = True
    covers: bool = False
    rank: int = 0
    updated: int = NEVER
    returned: frozenset[int] = frozenset()

    def on(self, dtype: np.dtype, ndim: int) -> Access:
        """The same for an array of this kind: only now it is known which of its parts are arrays or records."""
        fields = [dtype[name] for name in dtype.names or ()]
        deep = any(field.names or field.subdtype for field in fields)
        least = self.updated - bool(fields)  # an element of a record is a part too
        written = self.updated < NEVER and (deep or self.updated < 2 or 2 * ndim > least)
        return replace(self, writes=self.writes or written)


@dataclass(frozen=True, slots=True)
class Callee:
    """A called kernel function: the names of its parameters, and how it uses them."""

    params: list[str]
    access: dict[str, Access]


#: A parameter, or the call that makes a private array, and a depth: 2 for every index that was taken, 1 if a field or a
#: view was, and 2 less for every tuple that it was put into.
Part = tuple[Any, int]

_DEEPEST, _HIGHEST = 16, -16
_SHAPE = frozenset("shape size ndim dtype itemsize nbytes strides".split())
_BUILTINS = frozenset("abs all any bool complex divmod float int max min pow range round sum".split())
_PRIVATE = frozenset(["private_zeros", "private_empty", "private_full"])
#: functions of NumPy, besides ufuncs, that change none of their first so many arguments, and give no part of them back
_PURE = {
    **dict.fromkeys("allclose angle clip cross isclose searchsorted where".split(), 3),
    **dict.fromkeys(
        "all amax amin any argmax argmin argsort around array_equal count_nonzero cumprod cumsum dot iscomplexobj "
        "isrealobj isscalar kron max mean median min nan_to_num nanargmax nanargmin nanmax nanmean nanmin nanprod "
        "nanstd nansum nanvar ndim outer percentile prod ptp quantile round shape sinc size sort std sum trace vdot "
        "var".split(),
        2,
    ),
}
_METHODS = frozenset(
    "all any argmax argmin argsort astype conj conjugate copy cumprod cumsum dot item max mean min nonzero prod ptp "
    "std sum take tolist trace var".split()
)


def _below(depth: int, more: int) -> int:
    """The depth of a part of a part."""
    steps = (depth & ~1) + (more & ~1)
    return min(steps, _DEEPEST) | (depth & 1) | (more & 1)


class Flow:
    """What a lifted body does with arrays.

    Parameters
    ----------
    body : sequence of ast.stmt
    params : list of str
        The kernel's parameters; the first ones are its index.
    names : sequence of str
        Parameters and captures.
    callees : mapping
        By the names under which `body` calls them.

    Attributes
    ----------
    access : dict
        The use of every name of `names`.
    parts : dict
        What a name may be a part of.
    returned : list of (ast.Return, set of Part)
    """

    def __init__(
        self, body: Sequence[ast.stmt], params: list[str], names: Sequence[str], callees: Mapping[str, Callee]
    ) -> None:
        self.params, self.callees = params, callees
        self.access = {name: Access() for name in names}
        nodes = [node for statement in body for node in ast.walk(statement)]
        self.stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.parts: dict[str, set[Part]] = {name: {(name, 0)} for name in names}
        self.returned: list[tuple[ast.Return, set[Part]]] = []
        self._changed = True
        while self._changed:  # what is found only ever grows
            self._changed = False
            self.run(body)
        for _, parts in self.returned:
            for root, depth in parts:
                if root in self.access:
                    self.access[root].returned |= {depth}
        self._find_covered(body)

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Run the body once."""
        self.returned.clear()
        self._block(body)

    def _find_covered(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, (ast.Return, ast.If, ast.While, ast.For)):
                break
            for target in statement.targets if isinstance(statement, ast.Assign) else ():
                name = target.value if isinstance(target, ast.Subscript) else None
                if isinstance(name, ast.Name) and name.id in self.access and name.id not in self.stored:
                    self.access[name.id].covers = True

    # what is done to parts ------------------------------------------------------------------------

    def _uses(self, parts: Iterable[Part]) -> Iterable[tuple[Access, int]]:
        return [(self.access[root], depth) for root, depth in parts if root in self.access]

    def _consume(self, parts: Iterable[Part]) -> None:
        """Read as a whole. (A part of an element was read when its index was taken.)"""
        for use, depth in self._uses(parts):
            if depth < 2:
                use.reads, use.pointwise = True, False

    def _update(self, parts: Iterable[Part]) -> None:
        """Read, and written if it is an array."""
        self._consume(parts)
        for use, depth in self._uses(parts):
            use.updated = min(use.updated, depth)

    def _measure(self, parts: Iterable[Part]) -> None:
        """Its shape is read, which a part of the array does not know."""
        for use, depth in self._uses(parts):
            use.pointwise &= depth >= 2

    def _take(self, node: ast.Subscript, parts: set[Part], reads: bool, writes: bool) -> set[Part]:
        """``node`` is an element, a row or a field of `parts`."""
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return self._field(parts, writes)
        index = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        for part in index:
            self._consume(self.value(part))
        taken = sum(not isinstance(part, ast.Slice) for part in index)
        while index and isinstance(index[-1], ast.Slice):  # a part of the row that the first indices take
            index.pop()
        own = bool(index) and self._own(index)
        for use, depth in self._uses(parts):
            if depth < 0 and not writes:
                continue
            use.reads |= reads
            use.writes |= writes
            if depth < 2:
                use.pointwise &= depth == 0 and own
                use.rank = max(use.rank, len(index))
        return {(root, _below(depth, 2 * taken)) for root, depth in parts}

    def _field(self, parts: set[Part], writes: bool) -> set[Part]:
        """A field of a record, or a view."""
        self._consume(parts)
        if writes:
            for use, _ in self._uses(parts):
                use.writes = True
        return {(root, depth | 1) for root, depth in parts}

    def _each(self, parts: set[Part]) -> set[Part]:
        """What comes out when it is iterated over."""
        for use, depth in self._uses(parts):
            if 0 <= depth < 2:
                use.reads, use.pointwise = True, False
        return {(root, _below(depth, 2)) for root, depth in parts}

    def _own(self, index: Sequence[ast.expr]) -> bool:
        names = [part.id if isinstance(part, ast.Name) else "" for part in index]
        return names == self.params[: len(names)] and not self.stored & set(names)

    # statements -----------------------------------------------------------------------------------

    def _block(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign):
            parts = self.value(node.value)
            for target in node.targets:
                self._assign(target, parts, node.value)
        elif isinstance(node, ast.AugAssign):
            parts = self.value(node.value)
            self._consume(parts)
            if isinstance(node.target, ast.Name):
                self._update(self.parts.get(node.target.id, ()))
                self._bind(node.target, {part for part in parts if part[1] < 0})  # a longer tuple
            else:
                self._store(node.target, True)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                self.returned.append((node, self.value(node.value)))
        elif isinstance(node, ast.For):
            self._assign(node.target, self._each(self.value(node.iter)))
            self._block([*node.body, *node.orelse])
        elif isinstance(node, (ast.If, ast.While)):
            self._consume(self.value(node.test))
            self._block([*node.body, *node.orelse])
        elif isinstance(node, ast.Expr):
            self.value(node.value)
        elif not isinstance(node, (ast.Pass, ast.Break, ast.Continue)):
            self._unknown(node)

    def _assign(self, target: ast.expr, parts: set[Part], value: ast.expr | None = None) -> None:
        if isinstance(target, ast.Name):
            self._bind(target, parts)
        elif isinstance(target, (ast.Tuple, ast.List)):
            if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
                for one, given in zip(target.elts, value.elts, strict=True):
                    self._assign(one, self.value(given), given)
            else:
                for one in target.elts:
                    self._assign(one, self._each(parts))
        elif isinstance(target, (ast.Subscript, ast.Attribute)):
            self._consume(parts)
            self._store(target, False)
        else:
            self._update(parts)
            self._unknown(target)

    def _store(self, target: ast.expr, reads: bool) -> None:
        assert isinstance(target, (ast.Subscript, ast.Attribute))
        parts = self.value(target.value)
        if isinstance(target, ast.Subscript):
            self._take(target, parts, reads, True)
        else:
            self._field(parts, True)

    def _bind(self, target: ast.Name, parts: Iterable[Part]) -> None:
        known = self.parts.setdefault(target.id, set())
        self._changed |= not known.issuperset(parts)
        known.update(parts)

    # expressions ----------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> set[Part]:
        """The parts of arrays that the value of an expression may be, or hold."""
        if isinstance(node, ast.Name):
            return set(self.parts.get(node.id, ()))
        if isinstance(node, ast.Constant):
            return set()
        if isinstance(node, ast.Subscript):
            return self._take(node, self.value(node.value), True, False)
        if isinstance(node, ast.Attribute):
            parts = self.value(node.value)
            if node.attr in _SHAPE:
                self._measure(parts)
                return set()
            return self._field(parts, False)
        if isinstance(node, ast.Tuple):
            return self._tuple([self.value(part) for part in node.elts])
        if isinstance(node, ast.IfExp):
            self._consume(self.value(node.test))
            return self.value(node.body) | self.value(node.orelse)
        if isinstance(node, ast.NamedExpr):
            parts = self.value(node.value)
            self._bind(node.target, parts)
            return parts
        if isinstance(node, (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Slice)):
            operands = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
            parts = set().union(*map(self.value, operands))
            self._consume(parts)
            if isinstance(node, ast.BinOp):  # of numbers a number, of tuples a tuple
                return {part for part in parts if part[1] < 0}
            return parts if isinstance(node, ast.BoolOp) else set()
        if isinstance(node, ast.Call):
            return self._call(node)
        return self._unknown(node)

    def _tuple(self, elements: Iterable[set[Part]]) -> set[Part]:
        parts = set().union(*elements)
        self._update(part for part in parts if part[1] <= _HIGHEST)
        return {(root, depth - 2) for root, depth in parts if depth > _HIGHEST}

    def _unknown(self, node: ast.AST) -> set[Part]:
        """Anything may happen to what goes in, and any of it may come out; so it may under every name given to it."""
        parts: set[Part] = set()
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.stmt):
                self._statement(part)
            elif isinstance(part, ast.expr) and not isinstance(getattr(part, "ctx", None), ast.Store):
                parts |= self.value(part)
            else:
                parts |= self._unknown(part)
        self._update(parts)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self._bind(part, parts)
        return parts

    def _call(self, node: ast.Call) -> set[Part]:
        func = node.func
        given = [self.value(part) for part in (*node.args, *(keyword.value for keyword in node.keywords))]
        if isinstance(func, ast.Name) and func.id in self.callees:
            return self._passed(node, given, self.callees[func.id])
        if isinstance(func, ast.Name) and func.id == "len" and len(given) == 1:
            self._measure(given[0])
            return set()
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic":
            self._atomic(node, func.attr, given[0] if node.args else set().union(*given))
            for parts in given[1:]:
                self._consume(parts)
            return set()
        parts = set().union(*given)
        if isinstance(func, ast.Name) and func.id in _PRIVATE:
            self._consume(parts)
            return {(node, 0)}
        if not (isinstance(func, ast.Name) and func.id in self.parts) and _harmless(node):
            self._consume(parts)
            return set()
        if isinstance(func, ast.Attribute):
            own = self.value(func.value)
            if func.attr in _METHODS and not (node.keywords and func.attr != "astype"):
                self._consume(parts | own)
                return set()
            parts |= own
        else:
            parts |= self.value(func)
        self._update(parts)
        return parts

    def _atomic(self, node: ast.Call, operation: str, parts: set[Part]) -> None:
        """An atomic operation on an element of `parts`."""
        for use, depth in self._uses(parts):
            use.reads = use.writes = True
            use.pointwise &= depth >= 2

    def _passed(self, node: ast.Call, given: Sequence[set[Part]], callee: Callee) -> set[Part]:
        """Parts that are passed on to another kernel function."""
        found: set[Part] = set()
        for parts, name in zip(given, callee.params, strict=False):
            inner = callee.access[name]
            for use, depth in self._uses(parts):
                use.reads |= inner.reads
                use.writes |= inner.writes
                if depth < 2:
                    own = inner.rank == 0 or self._own(node.args[: inner.rank])
                    use.pointwise &= depth == 0 and inner.pointwise and own
                    use.rank = max(use.rank, inner.rank)
                if inner.updated < NEVER:
                    use.updated = min(use.updated, _below(depth, inner.updated))
            found |= self.passed(parts, inner)
        return found

    def passed(self, parts: set[Part], inner: Access) -> set[Part]:
        """What a kernel function gives back of parts that it takes and uses so."""
        return {(root, _below(depth, more)) for root, depth in parts for more in inner.returned}


def _harmless(node: ast.Call) -> bool:
    """Whether a call of no kernel function changes nothing, and gives no part of its arguments back."""
    func = node.func
    if isinstance(func, ast.Name):
        return func.id in _BUILTINS
    if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)):
        return False
    if func.value.id == "math":
        return True
    if func.value.id != "np" or any(keyword.arg in (None, "out") for keyword in node.keywords):
        return False
    found = getattr(np, func.attr, None)
    if isinstance(found, np.ufunc):
        return len(node.args) <= found.nin  # then comes out
    if func.attr in _PURE:
        return len(node.args) <= _PURE[func.attr]
    return isinstance(found, type) and issubclass(found, np.generic)
