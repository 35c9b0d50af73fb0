"""Small arrays of a kernel's own: one for each run of the body, on its stack, never on the heap.

Shape and dtype are constants: `private_zeros((3, 3), np.float32)`. Outside a kernel these are NumPy's
functions. Such an array can be handed to another kernel function, but not returned: it ends with its function. Each
call in the text has one place in memory, so the array that it made in an earlier round of a loop must not be in use
when it makes the next one: where `best = new` keeps it, `kept_copies` copies it. `misuse` finds both.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from portapar.kernel.front.trees import assignments_of, names_in, placed, walk

__all__ = [
    "CONSTRUCTORS", "kept_copies", "misuse",
    "private_empty", "private_filled", "private_full", "private_like", "private_zeros",
]  # fmt: skip


def private_empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array whose elements are not set."""
    return np.empty(shape, dtype)


def private_zeros(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array of zeros."""
    return np.zeros(shape, dtype)


def private_full(shape: int | tuple[int, ...], value: Any, dtype: Any) -> Any:
    """An array whose elements all have one value."""
    return np.full(shape, value, dtype)


def private_like(shape: int | tuple[int, ...], value: Any, place: int) -> Any:
    """An array of the dtype of a number, or of several together, whose elements are not set.

    All calls of a function with the same `place` and dtype give the same memory: what a variable holds at a time.
    """
    return np.empty(shape, np.result_type(*value) if isinstance(value, tuple) else np.result_type(value))


def private_filled(shape: int | tuple[int, ...], values: tuple[Any, ...]) -> Any:
    """An array of the elements of a tuple, such as functions return in the place of arrays."""
    return np.array(values).reshape(shape)


CONSTRUCTORS = (private_empty, private_zeros, private_full, private_like, private_filled)


class Misuse(NamedTuple):
    """What a kernel does with a private array that memory on a stack cannot do."""

    node: ast.AST
    what: str
    remedy: str
    kept: tuple[str, ...] = ()  #: the names under which the array of an earlier round is in use


def misuse(
    body: Sequence[ast.stmt],
    parts: Mapping[str, Sequence[tuple[Any, int]]],
    returned: Sequence[tuple[ast.Return, Sequence[tuple[Any, int]]]],
) -> Misuse | None:
    """The first misuse in a lifted body.

    Parameters
    ----------
    parts, returned
        Which parts of private arrays (the calls that make them, and depths) names may be, and statements may return.
    """
    for statement, found in returned:
        for made, depth in found:
            if depth == 0 and isinstance(statement.value, (ast.Name, ast.Call)):
                continue  # the array itself: its elements are returned
            if _is_array(made, depth):
                return Misuse(
                    statement,
                    f"it returns the private array made in line {made.lineno}, which ends with the function",
                    "make the array in the caller and pass it in, or return its elements: return t[0], t[1]",
                )
    if not any(parts.values()):
        return None
    uses = _Uses()
    uses.block(body, set())
    for node, live, rounds in uses.made:
        for call in _calls(node):
            if not rounds:
                continue
            kept = [x for x in live if any(made is call and _is_array(made, depth) for made, depth in parts.get(x, ()))]
            if kept:
                name, later = min(kept), set().union(*(names for other, names, _ in uses.made if other is node))
                kept = [x for x in later if any(made is call and _is_array(made, n) for made, n in parts.get(x, ()))]
                return Misuse(
                    call,
                    "it makes a private array anew while the one from an earlier round of the loop is in use as "
                    f"{name!r}, and both have the same memory",
                    f"write {name} = ….copy() where it is kept, or make both arrays before the loop and copy elements",
                    tuple(sorted({*kept})),
                )
    return None


def kept_copies(
    body: Sequence[ast.stmt],
    wrong: Misuse,
    parts: Mapping[str, Sequence[tuple[Any, int]]],
    writes: Callable[[str, int], bool],
) -> bool:
    """Write ``best = new.copy()`` for ``best = new``, if `new` is made anew in each round; False where that is no same.

    It is the same where nothing is stored in either of both as long as they are one.

    Parameters
    ----------
    body : sequence of ast.stmt
    wrong : Misuse
    parts
        As for `misuse`.
    writes : callable
        Whether a function that the kernel calls, by its name, writes to its argument of a number.
    """
    every = list(_in_order(body))
    has = lambda node, part: any(one is part for one in walk(node))
    loops = [node for node in every if isinstance(node, (ast.For, ast.While)) and has(node, wrong.node)]
    for loop in reversed(loops):  # the innermost one first: what it makes may be kept around it
        inside = list(_in_order(loop.body))
        made = next(k for k, node in enumerate(inside) if has(node, wrong.node) and not isinstance(node, _NESTS))
        new = next((name for name, value in assignments_of(inside[made]) if value is wrong.node), "")
        if not new:
            return False
        outside = [node for node in every if not has(loop, node)]
        arrays = lambda name: {id(call) for call, depth in parts.get(name, ()) if _is_array(call, depth)}
        alike = {name for name in parts if not arrays(name).isdisjoint(arrays(new))} - {*wrong.kept}
        stores = lambda node, new=new, alike=alike: {new if name in alike else name for name in _stored(node, writes)}
        if any(_copied(name, new, inside, made, outside, stores) for name in wrong.kept):
            return True
    return False


def _copied(
    kept: str,
    new: str,
    inside: list[ast.stmt],
    made: int,
    outside: list[ast.stmt],
    stores: Callable[[ast.stmt], set[str]],
) -> bool:
    """The same for one name; the statements inside of the loop, of which one makes the array, and outside."""
    has = lambda node, part: any(one is part for one in walk(node))
    read = any(new in names_in(*_own_nodes(node)) for node in outside)
    keeps = {k for k, node in enumerate(inside) if _kept(node, kept, new)}
    before = [node for node in outside if _kept(node, kept, new)]
    apart = {new, *([kept] if read or before else ())}
    if not keeps or made in keeps or any(stores(node) & apart for node in outside):
        return False
    for k in keeps:
        around = [node for node in inside if isinstance(node, (ast.For, ast.While)) and has(node, inside[k])]
        for at, node in enumerate(inside):
            stored, one = stores(node), not (made < at < k if k > made else not k < at < made)
            if kept in stored or (new in stored and (one or any(has(other, node) for other in around))):
                return False
    for node in [*before, *(inside[k] for k in keeps)]:
        for value in _kept(node, kept, new):
            copy = placed(ast.Call(ast.Attribute(value, "copy", ast.Load()), [], []), value)
            if isinstance(node.value, ast.Tuple) and node.value is not value:  # type: ignore[attr-defined]
                node.value.elts = [copy if part is value else part for part in node.value.elts]  # type: ignore[attr-defined]
            else:
                node.value = copy  # type: ignore[attr-defined]
    return True


def _kept(statement: ast.stmt, name: str, new: str) -> list[ast.expr]:
    """What a statement gives a name that may be a part of the array `new`."""
    found = [value for one, value in assignments_of(statement) if one == name]
    return [x for x in found if isinstance(x, (ast.Name, ast.Subscript, ast.IfExp)) and new in names_in(x)]


_NESTS = (ast.For, ast.While, ast.If)


def _in_order(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, in the order of the text."""
    for node in body:
        yield node
        yield from _in_order([*getattr(node, "body", ()), *getattr(node, "orelse", ())])


def _stored(statement: ast.stmt, writes: Callable[[str, int], bool]) -> set[str]:
    """The names of what a statement itself stores in."""
    targets: list[ast.AST] = [statement.target] if isinstance(statement, ast.AugAssign) else []
    for node in _own_nodes(statement):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            targets.append(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            targets += node.args[:1] if ast.unparse(node.func.value) == "atomic" else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            targets += [part for k, part in enumerate(node.args) if writes(node.func.id, k)]
    found = set()
    for target in targets:
        while isinstance(target, (ast.Subscript, ast.Attribute)):
            target = target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return found


def _is_array(made: Any, depth: int) -> bool:
    """Whether a part of what a call made is an array, not an element."""
    if not isinstance(made, ast.Call):
        return False
    shape = made.args[0]
    return depth < 2 * (len(shape.elts) if isinstance(shape, ast.Tuple) else 1)


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    for part in _own_nodes(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id.startswith("private_"):
            yield part


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements in it."""
    for part in ast.iter_child_nodes(node):
        if not isinstance(part, ast.stmt):
            yield part
            yield from _own_nodes(part)


class _Uses:
    """Which names are read later on, for every statement: liveness, backwards over the statements.

    Attributes
    ----------
    made : list of (statement, names, bool)
        The statements that may make private arrays; the names whose old values are read in them or after them; and
        whether they are in a loop.
    """

    def __init__(self) -> None:
        self.made: list[tuple[ast.stmt, set[str], bool]] = []
        self.loops: list[tuple[set[str], set[str]]] = []  #: live after a break, and after a continue

    def block(self, body: Sequence[ast.stmt], live: set[str]) -> set[str]:
        """The names that are live before some statements, of which `live` are after them."""
        for statement in reversed(body):
            live = self.statement(statement, live)
        return live

    def statement(self, node: ast.stmt, live: set[str]) -> set[str]:
        own = [part for part in _own_nodes(node) if isinstance(part, ast.Name)]
        read = {part.id for part in own if isinstance(part.ctx, ast.Load)}
        stored = {part.id for part in own if isinstance(part.ctx, ast.Store)}
        if isinstance(node, ast.AugAssign):
            read |= stored
        if isinstance(node, ast.If):
            before = read | self.block(node.body, live) | self.block(node.orelse, live)
        elif isinstance(node, (ast.For, ast.While)):
            after = self.block(node.orelse, live)
            before = head = set(after) | (read if isinstance(node, ast.While) else set())
            while True:
                self.loops.append((live, before))
                head = before | (self.block(node.body, before) - (stored if isinstance(node, ast.For) else set()))
                self.loops.pop()
                if head == before:
                    break
                before = head
            before = before | read
        elif isinstance(node, ast.Return):
            before = read
        elif isinstance(node, ast.Break | ast.Continue):
            before = self.loops[-1][isinstance(node, ast.Continue)]
        else:
            before = (live - stored) | read
        if next(_calls(node), None):
            after = before if isinstance(node, (ast.If, ast.For, ast.While)) else (live - stored) | read
            self.made.append((node, after, bool(self.loops) or isinstance(node, ast.While)))
        return before
