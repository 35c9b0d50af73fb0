"""How a kernel uses its arrays: read, written, and whether only at its own index.

Plans rest on this: what is only written is not copied to a device, what is used at the kernel's own
index alone can be cut over several executors. It must never claim too little.

The body is run abstractly. Every expression gives the *parts* of arrays that its value may be (`aliases`), names hold
the parts of whatever is assigned to them, anywhere, and functions tell which parts of their arguments they return; so
an alias is followed through names, tuples, conditional expressions and calls. What is not known here (a method, an
unusual function of NumPy) may do anything with the parts that it is given, and gives back any of them.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from portapar.kernel.front.aliases import HIGHEST, Aliases
from portapar.kernel.front.trees import walk
from portapar.kernel.front.tuples import Tuples

NEVER = 99
Made = tuple[Any, int]  #: a call that makes a private array, and the depth of a part of it


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
        The least depth (see `aliases`) of a part of it that is written if that is an array, as `v` by ``v += 1``.
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


_SHAPE = frozenset("shape size ndim dtype itemsize nbytes strides".split())
_BUILTINS = frozenset("abs all any bool complex divmod float int max min pow range round row_number sum".split())
_PRIVATE = frozenset(["private_zeros", "private_empty", "private_full", "private_like", "private_filled"])
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
    aliases : Aliases
        Of `names` and the private arrays that `body` makes.
    parts : dict
        What a name may be a part of, a set of `aliases`.
    returned : list of (ast.Return, int)
        What the body may return.
    """

    def __init__(
        self, body: Sequence[ast.stmt], params: list[str], names: Sequence[str], callees: Mapping[str, Callee]
    ) -> None:
        self.params, self.callees = params, callees
        nodes = [node for statement in body for node in walk(statement)]
        self.stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        private = [n for n in nodes if isinstance(n, ast.Call) and getattr(n.func, "id", "") in _PRIVATE]
        self.aliases = Aliases([*names, *private])
        self._numbers = functools.reduce(operator.or_, map(self._elements, private), 0)  # of private arrays
        self.tuples = Tuples(nodes, names)
        self._open: set[int] = set()  #: items of tuples that are being looked at
        self.parts: dict[str, int] = {name: self.aliases.whole[name] for name in names}
        self.returned: list[tuple[ast.Return, int]] = []
        self._read = self._written = self._consumed = self._moved = self._updated = 0  # parts that are used so
        self._ranks: dict[int, int] = {}  # by how many indices
        self._changed = True
        while self._changed:  # what is found only ever grows
            self._changed = False
            self.run(body)
        self.access = {name: Access() for name in names}
        self._find_uses()
        self._find_covered(body)

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Run the body once."""
        self.returned.clear()
        self._block(body)

    def uses(self, parts: int) -> Iterator[tuple[str, int]]:
        """Which of the names parts belong to, and the bits of each in its lane."""
        return ((root, bits) for root, bits in self.aliases.lanes(parts) if isinstance(root, str))

    def made(self) -> tuple[dict[str, list[Made]], list[tuple[ast.Return, list[Made]]]]:
        """Which private arrays names may be, and statements may return."""
        private = lambda parts: [pair for pair in self.aliases.pairs(parts) if not isinstance(pair[0], str)]
        names = {name: private(parts) for name, parts in self.parts.items()}
        return names, [(node, private(parts)) for node, parts in self.returned]

    def _find_uses(self) -> None:
        whole = self._consumed & self.aliases.arrays  # a part of an element was read when its index was taken
        for name, _ in self.uses(whole | self._read):
            self.access[name].reads = True
        for name, _ in self.uses(self._written):
            self.access[name].writes = True
        for name, _ in self.uses(whole | self._moved):
            self.access[name].pointwise = False
        for rank in sorted(self._ranks):
            for name, _ in self.uses(self._ranks[rank]):
                self.access[name].rank = rank
        for name, bits in self.uses(self._updated):
            self.access[name].updated = (bits & -bits).bit_length() - 1 + HIGHEST
        for root, depth in self.aliases.pairs(functools.reduce(operator.or_, (parts for _, parts in self.returned), 0)):
            if isinstance(root, str):
                self.access[root].returned |= {depth}

    def _find_covered(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, (ast.Return, ast.If, ast.While, ast.For)):
                break
            for target in statement.targets if isinstance(statement, ast.Assign) else ():
                name = target.value if isinstance(target, ast.Subscript) else None
                if isinstance(name, ast.Name) and name.id in self.access and name.id not in self.stored:
                    self.access[name.id].covers = True

    def _elements(self, made: ast.Call) -> int:
        """Parts of a private array that are numbers, of which nothing else is a part."""
        shape = made.args[0]
        return self.aliases.from_depth(made, 2 * (len(shape.elts) if isinstance(shape, ast.Tuple) else 1))

    # what is done to parts ------------------------------------------------------------------------

    def _consume(self, parts: int) -> None:
        """Read as a whole."""
        self._consumed |= parts

    def _update(self, parts: int) -> None:
        """Read, and written if it is an array."""
        self._consume(parts)
        self._updated |= parts

    def _measure(self, parts: int) -> None:
        """Its shape is read, which a part of the array does not know."""
        self._moved |= parts & self.aliases.arrays

    def _indexed(self, parts: int, own: bool, rank: int) -> None:
        """So many indices are taken of it, which are the kernel's own or not."""
        arrays = parts & self.aliases.arrays
        self._moved |= arrays & ~self.aliases.wholes if own else arrays
        self._ranks[rank] = self._ranks.get(rank, 0) | arrays

    def _take(self, node: ast.Subscript, parts: int, reads: bool, writes: bool) -> int:
        """``node`` is an element, a row or a field of `parts`."""
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return self._field(parts, writes)
        index = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        for part in index:
            self._consume(self.value(part))
        taken = sum(not isinstance(part, ast.Slice) for part in index)
        while index and isinstance(index[-1], ast.Slice):  # a part of the row that the first indices take
            index.pop()
        used = parts if writes else parts & ~self.aliases.tuples
        if reads:
            self._read |= used
        if writes:
            self._written |= used
        self._indexed(used, bool(index) and self._own(index), len(index))
        return self.aliases.below(parts, 2 * taken) & ~self._numbers

    def _field(self, parts: int, writes: bool) -> int:
        """A field of a record, or a view."""
        self._consume(parts)
        if writes:
            self._written |= parts
        return self.aliases.fields(parts)

    def _each(self, parts: int) -> int:
        """What comes out when it is iterated over."""
        self._consumed |= parts & ~self.aliases.tuples
        return self.aliases.below(parts, 2) & ~self._numbers

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
                self._update(self.parts.get(node.target.id, 0))
                self._bind(node.target, parts & self.aliases.tuples)  # a longer tuple
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

    def _assign(self, target: ast.expr, parts: int, value: ast.expr | None = None) -> None:
        if isinstance(target, ast.Name):
            self._bind(target, parts)
        elif isinstance(target, (ast.Tuple, ast.List)):
            if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
                for one, given in zip(target.elts, value.elts, strict=True):
                    self._assign(one, self.value(given), given)
            else:
                for place, one in enumerate(target.elts):
                    items = None if value is None else self.tuples.item(value, place)
                    if items is None:
                        self._assign(one, self._each(parts))
                    else:
                        self._assign(one, self._all(items), items[0] if len(items) == 1 else None)
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

    def _bind(self, target: ast.Name, parts: int) -> None:
        known = self.parts.get(target.id, 0)
        self.parts[target.id] = known | parts
        self._changed |= known | parts != known

    # expressions ----------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> int:
        """The parts of arrays that the value of an expression may be, or hold."""
        if isinstance(node, ast.Name):
            return self.parts.get(node.id, 0)
        if isinstance(node, ast.Constant):
            return 0
        if isinstance(node, ast.Subscript):
            whole, items = self.value(node.value), self.tuples.subscript(node)
            if items is None:
                return self._take(node, whole, True, False)
            if id(node) in self._open:  # made from itself: all that comes in comes in elsewhere
                return 0
            self._open.add(id(node))
            found = self._all(items)
            self._open.discard(id(node))
            return found
        if isinstance(node, ast.Attribute):
            parts = self.value(node.value)
            if node.attr in _SHAPE:
                self._measure(parts)
                return 0
            return self._field(parts, False)
        if isinstance(node, ast.Tuple):
            return self.aliases.below(self._all(node.elts), -2)
        if isinstance(node, ast.IfExp):
            self._consume(self.value(node.test))
            return self.value(node.body) | self.value(node.orelse)
        if isinstance(node, ast.NamedExpr):
            parts = self.value(node.value)
            self._bind(node.target, parts)
            return parts
        if isinstance(node, (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Slice)):
            parts = self._all([part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)])
            self._consume(parts)
            if isinstance(node, ast.BinOp):  # of numbers a number, of tuples a tuple
                return parts & self.aliases.tuples
            return parts if isinstance(node, ast.BoolOp) else 0
        if isinstance(node, ast.Call):
            return self._call(node)
        return self._unknown(node)

    def _all(self, nodes: Iterable[ast.expr]) -> int:
        """What any of these may be."""
        return functools.reduce(operator.or_, map(self.value, nodes), 0)

    def _unknown(self, node: ast.AST) -> int:
        """Anything may happen to what goes in, and any of it may come out; so it may under every name given to it."""
        parts = 0
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.stmt):
                self._statement(part)
            elif isinstance(part, ast.expr) and not isinstance(getattr(part, "ctx", None), ast.Store):
                parts |= self.value(part)
            else:
                parts |= self._unknown(part)
        self._update(parts)
        for part in walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self._bind(part, parts)
        return parts

    def _call(self, node: ast.Call) -> int:
        func = node.func
        given = [self.value(part) for part in (*node.args, *(keyword.value for keyword in node.keywords))]
        together = functools.reduce(operator.or_, given, 0)
        if isinstance(func, ast.Name) and func.id in self.callees:
            return self._passed(node, given, self.callees[func.id])
        if isinstance(func, ast.Name) and func.id == "len" and len(given) == 1:
            self._measure(given[0])
            return 0
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic":
            self._atomic(node, func.attr, given[0] if node.args else together)
            for parts in given[1:]:
                self._consume(parts)
            return 0
        parts = together
        if isinstance(func, ast.Name) and func.id in _PRIVATE:
            self._consume(parts)
            return self.aliases.whole[node]
        if not (isinstance(func, ast.Name) and func.id in self.parts) and _harmless(node):
            self._consume(parts)
            return 0
        if isinstance(func, ast.Attribute):
            own = self.value(func.value)
            if func.attr in _METHODS and not (node.keywords and func.attr != "astype"):
                self._consume(parts | own)
                return 0
            parts |= own
        else:
            parts |= self.value(func)
        self._update(parts)
        return parts

    def _atomic(self, node: ast.Call, operation: str, parts: int) -> None:
        """An atomic operation on an element of `parts`."""
        self._read |= parts
        self._written |= parts
        self._moved |= parts & self.aliases.arrays

    def _passed(self, node: ast.Call, given: Sequence[int], callee: Callee) -> int:
        """Parts that are passed on to another kernel function."""
        found = 0
        for parts, name in zip(given, callee.params, strict=False):
            inner = callee.access[name]
            if inner.reads:
                self._read |= parts
            if inner.writes:
                self._written |= parts
            own = inner.rank == 0 or self._own(node.args[: inner.rank])
            self._indexed(parts, inner.pointwise and own, inner.rank)
            if inner.updated < NEVER:
                self._updated |= self.aliases.below(parts, inner.updated)
            found |= self.passed(parts, inner)
        return found

    def passed(self, parts: int, inner: Access) -> int:
        """What a kernel function gives back of parts that it takes and uses so."""
        return functools.reduce(operator.or_, (self.aliases.below(parts, more) for more in inner.returned), 0)


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
