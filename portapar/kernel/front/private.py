"""Small arrays of a kernel's own: one for each run of the body, on its stack, never on the heap.

Shape and dtype are constants: `private_zeros((3, 3), np.float32)`. Outside a kernel these are NumPy's
functions. Such an array can be handed to another kernel function, but not returned: it ends with its function. Each
call in the text has one place in memory, so the array that it made in an earlier round of a loop must not be in use
when it makes the next one. `misuse` finds both.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["CONSTRUCTORS", "misuse", "private_empty", "private_filled", "private_full", "private_like", "private_zeros"]


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
                name = min(kept)
                return Misuse(
                    call,
                    "it makes a private array anew while the one from an earlier round of the loop is in use as "
                    f"{name!r}, and both have the same memory",
                    f"make both arrays before the loop, and copy elements: {name}[k] = …",
                )
    return None


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
