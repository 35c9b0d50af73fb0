"""The checked form of a kernel: every index of every array of the user's is tested before it is used.

``a[i, j]`` becomes ``a[check_2(a, i, j, …)]``, which gives the indices back, or 0 for those that are out of bounds, so
that nothing outside of the array is read or written. The first one that is found is written down in a record, an
argument more: the number of its place in the text, the iteration, the indices and the extents.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.races import Run
from portapar.kernel.front.sources import of_library, tree_of
from portapar.kernel.front.trees import copied, placed, walk
from portapar.kernel.program import INDICES

__all__ = ["WORDS", "Checked", "Site", "checked", "numbers"]

_MOST = len(INDICES)  #: indices of an iteration, and of an array
_COUNTS = range(1, _MOST + 1)
WORDS = 1 + 3 * _MOST  #: of a record


class Site(NamedTuple):
    """A place in the user's text where an array is indexed.

    Attributes
    ----------
    name : str
        The array.
    here : str
        What it is called in the function at hand.
    text, file, line
    indices : int
        How many.
    axis : int or None
        Of a row that is no array, whose element it is.
    """

    name: str
    here: str
    text: str
    file: str
    line: int
    indices: int
    axis: int | None = None


@dataclass(frozen=True)
class Checked:
    """A kernel that checks itself.

    Attributes
    ----------
    kernel : Kernel
        Its last function takes the record after everything else, and then, where the parameters of the kernel are
        elements, as many numbers as there may be indices, that say which.
    sites : tuple of Site
        Of which a record has the number, from 1.
    ndim : int
        How many numbers say which iteration it was; 0 where they mean nothing to the user.
    """

    kernel: Kernel
    sites: tuple[Site, ...]
    ndim: int


def numbers(record: np.ndarray, kind: str, count: int) -> list[int]:
    """What a record says: the iteration, ``"i"``, the indices, ``"k"``, or the extents, ``"n"``."""
    first, extents = (1 + _MOST * "ikn".index(of) for of in (kind, "n"))
    found = [int(number) for number in record[first : first + count]]
    if kind == "i":
        return found
    inverted = [extent < 0 for extent in record[extents : extents + count]]  # the index is of uint64, and that large
    other = {"k": lambda number: number + 2**64, "n": lambda number: ~number}[kind]
    return [other(number) if large else number for number, large in zip(found, inverted, strict=True)]


def _several(kind: str, count: int = _MOST) -> list[str]:
    return [f"{kind}{d}" for d in range(count)]


_FRAME = ", ".join(["record", "site", *_several("i")])


def _tell(names: dict[str, str]) -> str:
    told = [*_several("i"), *_several("k"), *_several("n")]
    lines = "".join(f"        record[{place}] = {name}\n" for place, name in enumerate(told, 1))
    return (
        f"def {names['tell']}({_FRAME}, {', '.join(told[_MOST:])}):\n"
        f"    if atomic.cas(record, 0, 0, site) == 0:\n{lines}    return 0\n"
    )


def _check(names: dict[str, str], count: int, row: bool = False) -> str:
    """The text of the function that tests `count` indices; that of a `row` is given a length, not an array."""
    name, extent = ("check_row", "array") if row else (f"check_{count}", "array.shape[{}]")
    lines = [f"def {names[name]}(array, {', '.join(_several('k', count))}, {_FRAME}):"]
    for d in range(count):
        lines += [f"    n{d} = np.int64({extent.format(d)})", f"    w{d} = np.int64(k{d})"]
        lines += [f"    j{d} = w{d} + n{d} if k{d} < 0 else w{d}"]
    zero = ["np.int64(0)"]
    extents = [f"n{d} if k{d} < 0 or w{d} >= 0 else ~n{d}" for d in range(count)]
    found = [name for kind in (_several("w", count), extents) for name in [*kind, *zero * (_MOST - count)]]
    lines += [
        f"    if {' and '.join(f'j{d} >= 0 and j{d} < n{d}' for d in range(count))}:",
        f"        return {', '.join(f'j{d}' for d in range(count))}",
        f"    {names['tell']}({_FRAME}, {', '.join(found)})",
        f"    return {', '.join(zero * count)}",
    ]
    return "\n".join(lines) + "\n"


def _item(names: dict[str, str], count: int) -> str:
    """The text of the function that gives the element at tested indices of an array that has no name."""
    given = ", ".join([*_several("k", count), _FRAME])
    item, check = (names[f"{test}_{count}"] for test in ("item", "check"))
    return f"def {item}(array, {given}):\n    return array[{check}(array, {given})]\n"


def _of(names: dict[str, str], test: str, count: int) -> str:
    """The text of the same function for indices in a tuple, which is evaluated once."""
    given = ", ".join([*(f"at[{d}]" for d in range(count)), _FRAME])
    return (
        f"def {names[f'{test}_of_{count}']}(array, at, {_FRAME}):\n"
        f"    return {names[f'{test}_{count}']}(array, {given})\n"
    )


@functools.lru_cache(maxsize=1024)
def checked(
    kernel: Kernel, ndim: int, arrays: frozenset[str], safe: frozenset[str], pointwise: frozenset[str], first: int
) -> Checked | None:
    """The checked form of a kernel; None if it takes no index.

    Parameters
    ----------
    ndim : int
        How many of its first parameters are its index; if 0, its parameters are elements.
    arrays : frozenset of str
        Which of its parameters and captures are arrays.
    safe : frozenset of str
        Those of them that have an element for every index of the space.
    pointwise : frozenset of str
        Those of `safe` that are used at the kernel's own index alone.
    first : int
        How many sites other kernels of the call have.
    """
    run = Run(kernel, ndim, arrays)
    taken: set[str] = set().union(*(f.names() for f in kernel.functions))
    names: dict[str, str] = {}
    kinds = [f"{test}_{count}" for test in ("check", "item", "check_of", "item_of") for count in _COUNTS]
    kinds.append("check_row")
    for name in ("tell", "record", "base", *_several("at_"), *kinds):
        names[name] = name
        while any(other.startswith(names[name]) for other in taken):
            names[name] += "_"
    sites: list[Site] = []
    functions: list[Function] = []
    used: set[str] = set()
    for function in kernel.functions:
        top = function is kernel.functions[-1]
        fresh = copied(function.node)
        rewriter = _Rewriter(kernel, run, names, sites, used, function)
        rewriter.pointwise, rewriter.first = pointwise, first
        if top and ndim:
            rewriter.own, rewriter.safe = kernel.params[:ndim], safe
        rewriter.pair(function.node, fresh)
        fresh.body = rewriter.block(fresh.body)
        extra = [names["record"]]
        places = [names[name] for name in _several("at_")]
        if top and ndim:
            starts = [*kernel.params[:ndim], *["0"] * (_MOST - ndim)]
            lines = "".join(f"{place} = {start}\n" for place, start in zip(places, starts, strict=True))
            begin = (ast.increment_lineno(one, fresh.lineno - one.lineno) for one in tree_of(lines).body)
            fresh.body = [*begin, *fresh.body]
        else:
            extra += places
        fresh.args = ast.arguments([], [*fresh.args.args, *map(ast.arg, extra)], None, [], [], None, [])
        calls = function.calls | rewriter.calls
        functions.append(replace(function, node=ast.fix_missing_locations(fresh), calls=calls))
    if not sites:
        return None
    helpers = [_tell(names)]
    tests = frozenset(names[test] for test in ("tell", *kinds))
    for count in _COUNTS:
        if {f"check_{count}", f"item_{count}", f"check_of_{count}", f"item_of_{count}"} & used:
            helpers.append(_check(names, count))
        if {f"item_{count}", f"item_of_{count}"} & used:
            helpers.append(_item(names, count))
        helpers += [_of(names, test, count) for test in ("check", "item") if f"{test}_of_{count}" in used]
    if "check_row" in used:
        helpers.append(_check(names, 1, True))
    for k, text in enumerate(helpers):
        (helper,) = tree_of(text).body
        assert isinstance(helper, ast.FunctionDef)
        functions.insert(k, Function(helper, "", tests))
    told = 0 if of_library(kernel.file) else ndim or 1
    return Checked(replace(kernel, functions=functions), tuple(sites), told)


def _before_continue(body: list[ast.stmt], stops: list[ast.stmt]) -> list[ast.stmt]:
    """The body of a loop with some statements before each `continue`."""
    made: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If):
            node.body = _before_continue(node.body, stops)
        if isinstance(node, (ast.If, ast.For, ast.While)):
            node.orelse = _before_continue(node.orelse, stops)
        made += [*map(copied, stops), node] if isinstance(node, ast.Continue) else [node]
    return made


class _Rewriter(ast.NodeTransformer):
    """Puts the checks into one function."""

    def __init__(
        self,
        kernel: Kernel,
        run: Run,
        names: dict[str, str],
        sites: list[Site],
        used: set[str],
        function: Function,
    ) -> None:
        self.kernel, self.run, self.names, self.sites, self.used = kernel, run, names, sites, used
        self.function, self.users = function, bool(function.file) and not of_library(function.file)
        self.calls: set[str] = set()
        self.own: list[str] = []
        self.safe: frozenset[str] = frozenset()
        self.pointwise: frozenset[str] = frozenset()
        self.first = 0
        self.before: list[ast.stmt] = []  #: what must come before the statement at hand
        self.found: dict[int, ast.AST] = {}
        self.stored: set[str] = set()

    def pair(self, old: ast.AST, new: ast.AST) -> None:
        """Which nodes of the copy `new` are which of `old`, that the abstract run knows."""
        for a, b in zip(walk(old), walk(new), strict=True):
            self.found[id(b)] = a
            if isinstance(b, ast.Name) and isinstance(b.ctx, ast.Store):
                self.stored.add(b.id)

    def indexed(self, node: ast.AST) -> bool:
        """Whether it takes an index of an array."""
        names = self.run.indexed.get(id(self.found.get(id(node))))
        return self.users and names is not None and not names <= self.pointwise

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for statement in body:
            for name in ("body", "orelse"):
                inner = getattr(statement, name, None)
                if isinstance(inner, list):
                    setattr(statement, name, self.block(inner))
            self.before = []
            fresh = self.visit(statement)
            done += [*self.before, fresh]
        return done

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and not (value and isinstance(value[0], ast.stmt)):
                value[:] = [self.visit(part) if isinstance(part, ast.AST) else part for part in value]
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if not self.indexed(node):
            return self.generic_visit(node)  # type: ignore[return-value]
        index = self.indices(node.slice)
        if not index:
            return self.generic_visit(node)  # type: ignore[return-value]
        if isinstance(node.value, ast.Name) and node.value.id in self.safe - self.stored and self.is_own(index):
            return node
        told, count = self.told(node, node.value), self.count(index[0]) if len(index) == 1 else 0
        base, index = self.visit(node.value), [self.visit(part) for part in index]
        if any(isinstance(part, (ast.Call, ast.NamedExpr)) and not self.is_check(part) for part in walk(base)):
            if isinstance(node.ctx, ast.Load):
                return self.checks("item", node, base, index, told, count)
            name = f"{self.names['base']}_{len(self.sites)}"
            self.before.append(placed(ast.Assign([ast.Name(name, ast.Store())], base), node))
            base = ast.Name(name, ast.Load())
        node.value = base
        node.slice = self.checks("check", node, base, index, told, count)
        return node

    def told(self, node: ast.expr, base: ast.expr) -> tuple[str, str, str]:
        """What to call the array, what it is called here, and the text of the node, if it is the user's."""
        here = ast.unparse(base)
        names = self.run.indexed[id(self.found[id(node)])]
        known = not of_library(self.kernel.file) and len(names) == 1 and "" not in names
        if any(isinstance(part, ast.Name) and part.id in self.function.fresh for part in walk(node)):
            return repr(next(iter(names))) if known else "", "", ""
        return next(iter(names)) if known else here, here, ast.unparse(node)

    def is_check(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.names.values()

    def is_own(self, index: list[ast.expr]) -> bool:
        names = [part.id if isinstance(part, ast.Name) else "" for part in index]
        return names == self.own[: len(names)] and not self.stored & {*names}

    def indices(self, node: ast.expr) -> list[ast.expr]:
        """The single numbers of an index, or the one tuple that has them; none of slices."""
        if not isinstance(node, ast.Tuple):
            return [] if isinstance(node, ast.Slice) or self.count(node) > len(_COUNTS) else [node]
        for part in node.elts:
            if isinstance(part, (ast.Slice, ast.Starred)) or self.count(part):
                return []
        return list(node.elts) if len(node.elts) <= len(_COUNTS) else []

    def count(self, node: ast.expr) -> int:
        """How many elements an expression has that is a tuple; 0 for others."""
        return self.run.tuples.get(id(self.found.get(id(node))), 0)

    def checks(
        self, test: str, node: ast.AST, base: ast.expr, index: list[ast.expr], told: tuple[str, str, str], count: int
    ) -> ast.expr:
        """A call of a test, for the place in the text that `told` tells of; the index is a tuple of `count` numbers."""
        test = f"{test}_of_{count}" if count else f"{test}_{len(index)}"
        return self.site(test, node, base, index, told, count or len(index))

    def site(
        self,
        test: str,
        node: ast.AST,
        base: ast.expr,
        index: list[ast.expr],
        told: tuple[str, str, str],
        count: int,
        axis: int | None = None,
    ) -> ast.expr:
        """The same for a test by its name."""
        assert isinstance(node, ast.expr)
        name, here, text = map(self.kernel.shown, told)
        self.sites.append(Site(name, here, text, self.function.file, node.lineno, count, axis))
        self.used.add(test)
        names = [self.names["record"], *(self.names[name] for name in _several("at_"))]
        record, *places = [ast.Name(name, ast.Load()) for name in names]
        given = [copied(base), *index, record, ast.Constant(self.first + len(self.sites)), *places]
        for part in walk(given[0]):
            if isinstance(part, (ast.Subscript, ast.Attribute, ast.Name)):
                part.ctx = ast.Load()
        self.calls.add(self.names[test])
        return placed(ast.Call(ast.Name(self.names[test], ast.Load()), given, []), node)

    def visit_While(self, node: ast.While) -> ast.AST:
        """What is read for an index that is wrong may keep a loop going for ever: it ends once one was found."""
        self.generic_visit(node)
        stop = tree_of(f"while 1:\n    if {self.names['record']}[0] != 0:\n        break\n").body[0]
        assert isinstance(stop, ast.While)
        stops = [placed(statement, node) for statement in stop.body]
        if not (isinstance(node.test, ast.Constant) and node.test.value):
            node.body = [*stops, *node.body]
            return node
        ends = copied(stops[0])  # what a round assigns is read after an endless loop
        if not any(isinstance(part, ast.Return) and part.value for part in self.function.nodes()):
            ends.body = [placed(ast.Return(None), node)]
        node.body = [*_before_continue(node.body, [ends]), *stops]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if self.indexed(node):  # an atomic operation
            told, count = self.told(node, node.args[0]), self.count(node.args[1])
            count = 0 if isinstance(node.args[1], ast.Tuple) else count
            index = [self.visit(part) for part in self.indices(node.args[1])]
            node.args = [part if k == 1 and index else self.visit(part) for k, part in enumerate(node.args)]
            if index:
                node.args[1] = self.checks("check", node, node.args[0], index, told, count)
            return node
        self.generic_visit(node)
        match node.args:
            case [k, n, ast.Constant(value=int(axis)), ast.Constant(value=str(text)), ast.Constant(value=str(row))]:
                if self.users:  # only rows (`row_numbers`) have texts among their arguments
                    return self.site("check_row", node, n, [k], (row, row, text), 1, axis)
                node.args[3:] = [ast.Constant(0), ast.Constant(0)]
        if self.function.is_called(node.func):
            names = [self.names["record"], *(self.names[name] for name in _several("at_"))]
            node.args += [placed(ast.Name(name, ast.Load()), node) for name in names]
        return node
