"""Items of tuples that a body writes: what ``t[1]`` is of ``t = (x, y)``, so that one item is not taken for another."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from portapar.kernel.front.trees import assignments_of, whole_number

_DEEPEST = 6  #: names and tuples that are followed


class Tuples:
    """The tuples of a body.

    Parameters
    ----------
    nodes : iterable of ast.AST
        All of the body.
    params : iterable of str
        Names that have a value before it.
    """

    def __init__(self, nodes: Iterable[ast.AST], params: Iterable[str]) -> None:
        self._values: dict[str, list[ast.expr]] = {}
        stores: dict[str, int] = dict.fromkeys(params, 1)
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                stores[node.id] = stores.get(node.id, 0) + 1
            for name, value in assignments_of(node):
                self._values.setdefault(name, []).append(value)
        for name, count in stores.items():  # a loop, or a tuple that is taken apart, may give it anything
            if count > len(self._values.get(name, ())):
                self._values.pop(name, None)

    def item(self, node: ast.expr, place: int) -> list[ast.expr] | None:
        """The expressions that an item of a tuple may be; None if that is not known."""
        return self._items(node, (place,), 0)

    def subscript(self, node: ast.Subscript) -> list[ast.expr] | None:
        """The same of ``t[1]``."""
        place = whole_number(node.slice)
        return None if place is None else self.item(node.value, place)

    def _items(self, node: ast.expr, path: tuple[int, ...], depth: int) -> list[ast.expr] | None:
        if not path:
            return [node]
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Tuple):
            count, place = len(node.elts), path[0]
            if not -count <= place < count or any(isinstance(part, ast.Starred) for part in node.elts):
                return None
            return self._items(node.elts[place], path[1:], depth + 1)
        if isinstance(node, ast.Subscript):
            at = whole_number(node.slice)
            return None if at is None else self._items(node.value, (at, *path), depth + 1)
        ways: list[ast.expr] = []
        if isinstance(node, ast.IfExp):
            ways = [node.body, node.orelse]
        elif isinstance(node, ast.Name):
            ways = self._values.get(node.id, [])
        found: list[ast.expr] = []
        for way in ways:
            items = self._items(way, path, depth + 1)
            if items is None:
                return None
            found += items
        return found or None
