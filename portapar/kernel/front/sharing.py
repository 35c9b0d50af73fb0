"""Which names of a function share memory, as in NumPy: ``y = X[i, 1:]``, ``y = f(X[i])`` if `f` returns a part of it.

The text alone is looked at, in no order: what is found may be too much, as far as names, slices and calls go.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from portapar.kernel.front.kernel import Function
from portapar.kernel.front.row_forms import CONSTRUCTORS, PRODUCTS, REDUCTIONS
from portapar.kernel.front.trees import assignments_of, copied, index_of, placed, walk

__all__ = ["Effect", "Sharing", "effects_of", "index_tables", "may_return_a_row"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a function does with its parameters.

    Attributes
    ----------
    rank : int
        How many axes the value that it returns has.
    written, returned : frozenset of int
        The parameters that it writes to, and those that what it returns may be a part of.
    whole : bool
        It returns nothing but whole parameters.
    """

    rank: int = 0
    written: frozenset[int] = frozenset()
    returned: frozenset[int] = frozenset()
    whole: bool = False


Effects = Callable[[str, tuple[int, ...]], Effect]  #: of a function, for arguments of so many axes


def effects_of(functions: Mapping[str, Function]) -> Effects:
    """The effects of a kernel's functions."""
    known: dict[tuple[str, tuple[int, ...]], Effect] = {}

    def effect(name: str, ranks: tuple[int, ...]) -> Effect:
        if (name, ranks) not in known:
            known[name, ranks] = Effect()
            if name not in functions:  # one of rows, which takes numbers
                return known[name, ranks]
            node, params = functions[name].node, functions[name].params
            inside = Sharing(node, dict(zip(params, ranks, strict=False)), functions, effect)
            written = {root for _, roots in inside.written for root in roots}
            values = [part.value for part in walk(node) if isinstance(part, ast.Return) and part.value is not None]
            returned = {root for value in values for root in inside.roots(value)}
            places = lambda roots: frozenset(k for k, param in enumerate(params) if param in roots)
            rank = max(map(inside.rank, values), default=0)
            known[name, ranks] = Effect(rank, places(written), places(returned), all(map(inside.is_whole, values)))
        return known[name, ranks]

    return effect


class Sharing:
    """What shares memory in one function.

    Attributes
    ----------
    written : list of (ast.AST, set of str)
        Stores, updates and calls that change elements, and the names of all that they are a part of.
    """

    def __init__(
        self, function: ast.FunctionDef, ranks: Mapping[str, int], functions: Mapping[str, Function], effect: Effects
    ) -> None:
        self.ranks, self.functions, self.effect = ranks, functions, effect
        self.values: dict[str, list[ast.expr]] = {}
        self._open: set[str] = set()
        for node in walk(function):
            for name, value in assignments_of(node):
                self.values.setdefault(name, []).append(value)
        self._roots = {name: self._reached(name) for name in self.values}
        self.written = [(node, self.roots(part)) for node in walk(function) for part in self._changed(node)]

    def roots(self, node: ast.AST) -> set[str]:
        """The names of all arrays that the value of an expression may be a part of."""
        return {root for name in self.parts(node) for root in self._roots.get(name, {name})}

    def parts(self, node: ast.AST) -> set[str]:
        """The names that an expression may be a part of, itself."""
        match node:
            case ast.Name(id=name):
                return {name}
            case ast.Subscript(value=owner):
                return self.parts(owner) if self.rank(node) else set()
            case ast.IfExp(body=one, orelse=other):
                return self.parts(one) | self.parts(other)
            case ast.Attribute(value=owner, attr="real" | "imag"):
                return self.parts(owner)
            case ast.Call(func=ast.Name(id=name), args=args) if name in self.functions:
                effect = self.effect(name, tuple(map(self.rank, args)))
                return {part for k in effect.returned if k < len(args) for part in self.parts(args[k])}
        return set()

    def is_whole(self, node: ast.AST) -> bool:
        """Whether it is a parameter by its name."""
        return isinstance(node, ast.Name) and node.id in self.ranks and node.id not in self.values

    def _reached(self, name: str) -> set[str]:
        found, new = {name}, [name]
        while new:
            for value in self.values.get(new.pop(), ()):
                more = self.parts(value) - found
                found |= more
                new += more
        return found

    def _changed(self, node: ast.AST) -> Iterator[ast.AST]:
        """The arrays of which a node changes elements."""
        match node:
            case ast.AugAssign(target=ast.Name() as target) if self.rank(target):
                yield target
            case ast.Subscript(value=owner, ctx=ast.Store()) | ast.Attribute(value=owner, ctx=ast.Store()):
                while isinstance(owner, (ast.Subscript, ast.Attribute)):
                    owner = owner.value
                yield owner
            case ast.Call(func=ast.Attribute(value=ast.Name(id="atomic")), args=[first, *_]):
                yield first
            case ast.Call(func=ast.Name(id=name), args=args) if name in self.functions:
                effect = self.effect(name, tuple(map(self.rank, args)))
                yield from (args[k] for k in effect.written if k < len(args))

    def rank(self, node: ast.AST | None) -> int:
        """How many axes the value of an expression has."""
        match node:
            case ast.Name(id=name):
                if name in self.ranks or name in self._open:
                    return self.ranks.get(name, 0)
                self._open.add(name)
                found = max(map(self.rank, self.values.get(name, ())), default=0)
                self._open.remove(name)
                return found
            case ast.Subscript(value=owner):
                taken = sum(not isinstance(part, ast.Slice) for part in index_of(node))
                return max(self.rank(owner) - taken, 0)
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                return max(self.rank(left) + self.rank(right) - 2, 0)
            case ast.BinOp(left=one, right=other) | ast.IfExp(body=one, orelse=other):
                return max(self.rank(one), self.rank(other))
            case ast.UnaryOp(operand=part) | ast.Attribute(value=part, attr="real" | "imag"):
                return self.rank(part)
            case ast.Compare(left=left, comparators=others):
                return max(map(self.rank, [left, *others]))
            case ast.Call(func=ast.Name(id=name), args=args):
                if name in CONSTRUCTORS:
                    return len(args[0].elts) if isinstance(args[0], ast.Tuple) else 1
                if name in self.functions:
                    return self.effect(name, tuple(map(self.rank, args))).rank
                return max(map(self.rank, args), default=0) if name in ("abs", "round") else 0
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "math" | "atomic" as of), attr=name), args=args):
                single = of != "np" or name in REDUCTIONS or name in PRODUCTS
                return 0 if single else max(map(self.rank, args), default=0)
            case ast.Call(func=ast.Attribute(value=owner, attr="copy" | "astype" | "conj" | "conjugate" | "clip")):
                return self.rank(owner)
        return 0


def index_tables(
    function: ast.FunctionDef,
    ranks: Mapping[str, int],
    functions: Mapping[str, Function],
    effect: Effects,
    fresh: Callable[[str], str],
) -> bool:
    """``for row in X``, where X is a table, becomes a loop over indices, ``row = X[k]``; whether there is one."""
    found = False
    for loop in [node for node in walk(function) if isinstance(node, ast.For)]:
        if not isinstance(loop.iter, (ast.Name, ast.Subscript)):
            continue
        if Sharing(function, ranks, functions, effect).rank(loop.iter) < 2:
            continue
        k = fresh("k")
        item = ast.Subscript(copied(loop.iter), ast.Name(k, ast.Load()), ast.Load())
        count = ast.Call(ast.Name("len", ast.Load()), [loop.iter], [])
        loop.body.insert(0, placed(ast.Assign([loop.target], item), loop))
        loop.target = ast.copy_location(ast.Name(k, ast.Store()), loop)
        loop.iter = placed(ast.Call(ast.Name("range", ast.Load()), [count], []), loop)
        found = True
    return found


def may_return_a_row(function: Function) -> bool:
    """Whether it returns anything but numbers that are numbers by their text."""
    for node in function.nodes():
        if isinstance(node, ast.Return) and node.value is not None:
            value = node.value
            number = isinstance(value, (ast.Constant, ast.Compare, ast.BoolOp, ast.Tuple))
            if not number:
                return True
    return False
