"""Loops along rows of which each index has its own: ``for j in range(n): s += a[i, j] * x[j]`` for every `i`.

A sum of floats has an order, so that the numbers of a row are added one by one, each waiting for the last. For several
indices at a time blocks of their rows, as many columns as a cache line holds, are turned by shuffles of vectors: then
a column of them is a vector, and a step is done for all rows (`portapar.kernel.lanes.strips`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

import numpy as np

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, index_of, names_in, stored_in, walk
from portapar.kernel.lanes.kinds import Kinds
from portapar.kernel.program import Spec

SHORT = 64  #: rounds of a loop with a constant count that LLVM writes out, and makes vectors of, by itself
CHAIN = 100  #: steps of such a loop, from which on it is slow, or stays a loop
SUMS = 32, 512  #: rounds and steps of one that only adds up, up to which LLVM's own vectors are as fast or faster
WIDTH = 16  #: rows that are done at a time: two vectors of doubles, so that the adder need not wait
HALF = 8  #: the same of what is left
AHEAD = 4  #: cache lines that are asked for before they are needed, where rows of several arrays are read
SIZES = (4, 8)  #: bytes of numbers whose rows are turned
_LEFT = "left_"  #: marks elements that are read one by one, in columns that are no whole block


def is_short(ends: list[ast.expr]) -> bool:
    """Whether a loop's count is a small constant."""
    try:
        numbers = [ast.literal_eval(end) for end in ends]
    except ValueError:
        return False
    return all(type(n) is int for n in numbers) and len(range(*numbers)) <= SHORT


def is_chain(loop: ast.For) -> bool:
    """Whether a loop with a small constant count has so many steps that it takes long if each waits for the last."""
    if not isinstance(loop.iter, ast.Call) or not is_short(loop.iter.args):
        return False
    counted = (ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.AugAssign, ast.Call, ast.Subscript)
    rounds = len(range(*map(ast.literal_eval, loop.iter.args)))
    steps = rounds * sum(isinstance(node, counted) for step in loop.body for node in walk(step))
    most, limit = SUMS
    return steps > CHAIN and (rounds > most or steps > limit or not _only_sums(loop.body))


def _only_sums(body: list[ast.stmt]) -> bool:
    """Whether all that a round hands on to the next one are sums, of what needs nothing from rounds before."""
    steps = [part for step in body for part in (step.body if isinstance(step, ast.For) else [step])]  # of all lanes
    steps = [step for step in steps if not isinstance(step, ast.Expr)]
    changing, given = stored_in(*steps), set[str]()
    for step in steps:
        match step:
            case ast.AugAssign(ast.Name(id=name), ast.Add() | ast.Sub(), value) if name not in given:
                fresh = False
            case ast.Assign([ast.Name(id=name)], ast.BinOp(ast.Name(id=old), ast.Add() | ast.Sub(), value)) if (
                name == old and name not in given
            ):
                fresh = False
            case ast.Assign([ast.Name(id=name)], value):
                fresh = True
            case ast.AugAssign(ast.Name(id=name), value=value) if name in given:
                fresh = True
            case _:
                return False
        if names_in(value) & changing - given:
            return False
        given |= {name} if fresh else set()
    return True


def is_left(node: ast.AST) -> bool:
    """Whether it is an element of a row in columns that are no whole block."""
    return hasattr(node, _LEFT)


def cross(
    function: ast.FunctionDef, own: str, arrays: dict[str, Spec], lane: str, rows: int
) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Take long loops along rows of the index `own` apart into blocks of columns, if there are such.

    Parameters
    ----------
    function : ast.FunctionDef
        Is changed.
    own : str
    arrays : dict
        Those that may be read at any time.
    lane : str
        Names that begin so are free.
    rows : int
        How many at a time.

    Returns
    -------
    dict
        The shapes and dtypes of arrays with the numbers of a block, of which each index has one.
    """
    made: dict[str, tuple[tuple[int, ...], np.dtype]] = {}

    def visit(body: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for step in body:
            for field in ("body", "orelse"):
                if isinstance(step, (ast.For, ast.If)):
                    setattr(step, field, visit(getattr(step, field)))
            parts = None
            if isinstance(step, ast.For):
                parts = _blocks(step, function, own, arrays, lane, rows, made)
            found += parts or [step]
        return found

    function.body = visit(function.body)
    texts = [f"{name} = private_empty({shape[0]}, np.{dtype.name})" for name, (shape, dtype) in made.items()]
    function.body = [*(tree_of(text).body[0] for text in texts), *function.body]
    return made


def _blocks(
    loop: ast.For,
    function: ast.FunctionDef,
    own: str,
    arrays: dict[str, Spec],
    lane: str,
    many: int,
    made: dict[str, tuple[tuple[int, ...], np.dtype]],
) -> list[ast.stmt] | None:
    """A loop as one over blocks of columns, and one over those that are left; None if it is none along rows."""
    match loop:
        case ast.For(target=ast.Name(id=counter), iter=ast.Call(ast.Name("range"), [*ends], []), orelse=[]):
            first, end = (ends[0], ends[1]) if len(ends) == 2 else (ast.Constant(0), ends[0])
        case _:
            return None
    inner = [node for step in loop.body for node in walk(step)]
    if len(ends) > 2 or is_short(ends) or any(isinstance(node, (ast.For, ast.While)) for node in inner):
        return None
    if is_alone(loop):
        return None
    changing = stored_in(*loop.body)
    everywhere, inside = (
        sum(isinstance(n, ast.Name) and n.id == counter for n in nodes) for nodes in (walk(function), inner)
    )
    if everywhere != inside + 1 or changing & {counter, *names_in(*ends)}:  # where it ends is asked twice
        return None
    rows: dict[str, tuple[str, ast.Subscript]] = {}
    for node in _always(loop.body):
        if isinstance(node, ast.Subscript) and _is_along(node, own, counter, arrays, first, changing):
            rows.setdefault(ast.unparse(node), (node.value.id, node))  # type: ignore[attr-defined]
    sizes = {arrays[name].dtype.itemsize for name, _ in rows.values()}
    if len(sizes) != 1 or (width := 64 // sizes.pop()) > many:
        return None
    number = len(made)
    at, whole, column = (f"{lane}{name}{number}" for name in ("at", "whole", "column"))
    block = copied(loop)
    fills, names = "", {}
    for k, (text, (name, node)) in enumerate(rows.items()):
        target = names[text] = f"{lane}rows{number}_{k}"
        made[target] = (width,), arrays[name].dtype
        place, length = "", f"{name}.shape[{arrays[name].ndim - 1}]"
        for axis, part in enumerate(index_of(node)[:-1]):
            here = ast.unparse(part)
            place = f"({place}) * {name}.shape[{axis}] + {here}" if place else here
        place = f"({place} + {lane}) * {length} + {at}"
        if arrays[name].ndim == 1:
            length = f"np.int64({_slope(node.slice, own)})"
            place = ast.unparse(_Signed({own: f"({own} + {lane})", counter: at}).visit(copied(node.slice)))
        fills += f"    for {lane} in range(0, {many}, {width}):\n"
        copy = "crossed_ahead" if len(rows) > 1 else "crossed"
        fills += f"        {copy}({target}, {lane}, {name}, {place}, {length})\n"
    start, stop = ast.unparse(first), ast.unparse(end)
    text = (
        f"{whole} = {start} + max({stop} - ({start}), 0) // {width} * {width}\n"
        f"for {at} in range({start}, {whole}, {width}):\n{fills}"
        f"    for {column} in range({width}):\n        {counter} = {at} + {column}\n"
        f"for {counter} in range({whole}, {stop}):\n    pass\n"
    )
    begin, blocks, left = tree_of(text).body
    assert isinstance(blocks, ast.For) and isinstance(left, ast.For)
    columns = blocks.body[-1]
    assert isinstance(columns, ast.For)
    columns.body += [_Named(names, column).visit(step) for step in block.body]
    left.body = loop.body
    for node in inner:
        if isinstance(node, ast.Subscript) and ast.unparse(node) in rows:
            setattr(node, _LEFT, True)
    for step in (begin, blocks, left):
        ast.fix_missing_locations(ast.copy_location(step, loop))
    return [begin, blocks, left]


def is_alone(loop: ast.For) -> bool:
    """Whether rounds of a loop leave nothing but what they store: ``for j in range(n): o[i, j] = a[i, j] - m``.

    Those that store in one place, as ``o[i] += a[i, j]``, hand that on, and columns, ``o[j, i]``, are vectors of lanes.
    """
    given, seen, stores, counter = stored_in(*loop.body), set[str](), False, stored_in(loop.target)
    for step in loop.body:
        match step:
            case ast.Assign([ast.Name()], value):
                read = names_in(value)
            case ast.AugAssign(ast.Name()):
                read = names_in(step)
            case ast.Assign([ast.Subscript() as place]) | ast.AugAssign(ast.Subscript() as place):
                if not counter & names_in(index_of(place)[-1]):
                    return False
                read, stores = names_in(step), True
            case _:
                return False
        if read & given - seen:
            return False
        seen |= stored_in(step)
    return stores and not is_short(loop.iter.args if isinstance(loop.iter, ast.Call) else [])


def _always(parts: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What is looked at in every round: behind a condition elements may lie outside of their array."""
    for node in parts:
        yield node
        match node:
            case ast.If(test=first) | ast.IfExp(test=first) | ast.BoolOp(values=[first, *_]):
                yield from _always([first])
            case ast.Compare(left=left, comparators=[second, *_]):
                yield from _always([left, second])
            case _:
                yield from _always(ast.iter_child_nodes(node))


def _is_along(
    node: ast.Subscript, own: str, counter: str, arrays: dict[str, Spec], first: ast.expr, changing: set[str]
) -> bool:
    """Whether it is the element at the loop's counter of a row that the index has."""
    name = node.value.id if isinstance(node.value, ast.Name) else ""
    spec, index = arrays.get(name), index_of(node)
    if spec is None or not (spec.contiguous and spec.dtype.kind == "f" and spec.dtype.itemsize in SIZES):
        return False
    if len(index) != spec.ndim or isinstance(node.ctx, ast.Store):
        return False
    if spec.ndim == 1:  # rows that lie one behind the other
        known = isinstance(node.slice, ast.Call) and ast.unparse(node.slice.func) == "np.uint64"
        inner = [n for n in walk(node.slice) if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)]
        if not known or inner or changing & names_in(node.slice):
            return False
        return _slope(node.slice, counter) == "1" and _slope(node.slice, own) not in ("", "0", "1")
    *outer, row, last = index
    begins = isinstance(first, ast.Constant) and isinstance(first.value, int) and first.value >= 0
    if isinstance(last, ast.Call) and ast.unparse(last.func) == "np.uint64":
        (last,), begins = last.args, True
    alone = isinstance(row, ast.Name) and row.id == own
    plain = all(isinstance(part, ast.Name) and part.id != own for part in outer) and not changing & names_in(*outer)
    return alone and plain and begins and isinstance(last, ast.Name) and last.id == counter


def _slope(index: ast.expr, name: str) -> str:
    """By how much an index grows with a number, as text; "" if that is not known."""
    match index:
        case ast.Name(id=other) if other == name:
            return "1"
        case ast.Call(ast.Attribute(attr="uint64" | "int64"), [inner]):
            return _slope(inner, name)
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            one, other = _slope(left, name), _slope(right, name)
            if "0" in (one, other) and not (one == "0" and isinstance(op, ast.Sub)):
                return other if one == "0" else one
        case ast.BinOp(left, ast.Mult(), right):
            grows, by = (left, right) if name in names_in(left) else (right, left)
            slope = "" if name in names_in(by) else _slope(grows, name)
            if slope not in ("", "0"):
                factor = ast.unparse(_Signed({}).visit(copied(by)))
                return f"({factor})" if slope == "1" else f"{slope} * ({factor})"
    return "" if name in names_in(index) else "0"


class _Signed(ast.NodeTransformer):
    """Names become what was given for them; no number is unsigned."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self.given.get(node.id, node.id), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) == "np.uint64":
            node.func = ast.Attribute(ast.Name("np", ast.Load()), "int64", ast.Load())
        return node


class Indexed(ast.NodeTransformer):
    """Rows are used by their elements: ``for v in a[i]``, ``a[i][k]``, ``len(a[i])``, and sums of rows (`row_number`).

    `lane`: names that begin so are free.
    """

    def __init__(self, arrays: dict[str, Spec], kinds: Kinds, lane: str) -> None:
        self.arrays, self.kinds, self.lane, self.loops = arrays, kinds, lane, 0

    def row(self, node: ast.expr) -> tuple[str, list[ast.expr]] | None:
        """The array and the indices of a row of numbers."""
        name, index = node, list[ast.expr]()
        if isinstance(node, ast.Subscript):
            name, index = node.value, index_of(node)
        if not isinstance(name, ast.Name) or any(isinstance(part, ast.Slice) for part in index):
            return None
        spec = self.arrays.get(name.id)
        return (name.id, index) if spec is not None and spec.ndim == len(index) + 1 else None

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        row = self.row(node.iter)
        if row is not None and isinstance(node.target, ast.Name):
            name, index = row
            if names_in(*index) & stored_in(node):
                return node  # it is the row of what the names were before the loop
            counter = f"{self.lane}item{self.loops}"
            self.loops += 1
            element = ast.Subscript(ast.Name(name, ast.Load()), ast.Tuple([*index, ast.Name(counter, ast.Load())]))
            text = f"for {counter} in range({name}.shape[{len(index)}]):\n    {node.target.id} = {ast.unparse(element)}"
            (loop,) = tree_of(text).body
            assert isinstance(loop, ast.For)
            loop.body += node.body
            loop.orelse = node.orelse
            return ast.fix_missing_locations(ast.copy_location(loop, node))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        row = self.row(node.value) if isinstance(node.value, ast.Subscript) else None
        if row is not None and not isinstance(node.slice, (ast.Tuple, ast.Slice)):
            name, index = row
            whole = ast.Tuple([*index, node.slice], ast.Load())
            return ast.copy_location(ast.Subscript(ast.Name(name, ast.Load()), whole, node.ctx), node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name("len"), [ast.Subscript() as given]) if (row := self.row(given)) is not None:
                return tree_of(f"{row[0]}.shape[{len(row[1])}]").body[0].value  # type: ignore[attr-defined]
            case ast.Call(ast.Name("row_number"), [like, number]):
                kind = self.kinds.kind(like)
                if isinstance(kind, np.dtype) and kind.kind == "f":
                    return tree_of(f"np.{kind.name}({ast.unparse(number)})").body[0].value  # type: ignore[attr-defined]
        return node


class _Named(ast.NodeTransformer):
    """Elements of rows become those of the arrays that hold a block."""

    def __init__(self, names: dict[str, str], column: str) -> None:
        self.names, self.column = names, column

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        name = self.names.get(ast.unparse(node))
        if name is None:
            self.generic_visit(node)
            return node
        unsigned = ast.Attribute(ast.Name("np", ast.Load()), "uint64", ast.Load())
        place = ast.Call(unsigned, [ast.Name(self.column, ast.Load())], [])
        return ast.Subscript(ast.Name(name, ast.Load()), place, ast.Load())
