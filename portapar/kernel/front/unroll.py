"""Loops over tuples whose items are known, written out: each round works on an item of its own."""

from __future__ import annotations

import ast
from collections.abc import Callable

from portapar.kernel.front.trees import Filled, copied, item_at

_MOST_ROUNDS, _MOST_NODES = 32, 4000

#: The length of the tuple that an expression stands for; None if it is none that is known.
Length = Callable[[ast.expr], int | None]


def unrolled(
    loop: ast.For, function: ast.AST, length: Length, builtin: Callable[[ast.expr], str]
) -> list[ast.stmt] | None:
    """The rounds of a loop over tuples, ``range(len(t))``, ``enumerate(t)`` or ``zip(t, u)``; None if it is another.

    Parameters
    ----------
    function : ast.AST
        All of the function: what the loop assigns must not be used outside of it.
    builtin : callable
        The name of the builtin function that an expression is, or "".
    """
    rounds = _rounds(loop.iter, length, builtin)
    if rounds is None or loop.orelse or len(rounds) > _MOST_ROUNDS:
        return None
    names = _names(loop.target)
    size = sum(1 for statement in loop.body for _ in ast.walk(statement))
    if not names or size * len(rounds) > _MOST_NODES or any(map(_leaves, loop.body)):
        return None
    inside = [part for statement in loop.body for part in ast.walk(statement) if isinstance(part, ast.Name)]
    if any(part.id in names and not isinstance(part.ctx, ast.Load) for part in inside):
        return None
    uses = sum(1 for part in ast.walk(function) if isinstance(part, ast.Name) and part.id in names)
    if uses != len(names) + sum(1 for part in inside if part.id in names):
        return None
    found: list[ast.stmt] = []
    for items in rounds:
        if len(items) != len(names):
            return None
        given = Filled(dict(zip(names, items, strict=True)))
        found += [given.visit(copied(statement)) for statement in loop.body]
    return found or [ast.copy_location(ast.Pass(), loop)]


def _names(target: ast.expr) -> list[str]:
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else []


def _leaves(statement: ast.stmt) -> bool:
    """Whether it ends a round or the loop before its time."""
    if isinstance(statement, (ast.Break, ast.Continue)):
        return True
    inner = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.stmt)]
    return not isinstance(statement, (ast.For, ast.While)) and any(map(_leaves, inner))


def _rounds(node: ast.expr, length: Length, builtin: Callable[[ast.expr], str]) -> list[list[ast.expr]] | None:
    """What the target gets in each round."""
    if not isinstance(node, ast.Call):
        count = length(node)
        return None if count is None else [[item_at(node, k)] for k in range(count)]
    name, args = builtin(node.func), node.args
    if node.keywords or not args:
        return None
    if name == "range" and len(args) == 1:
        (inner,) = args
        if not (isinstance(inner, ast.Call) and builtin(inner.func) == "len" and len(inner.args) == 1):
            return None
        count = length(inner.args[0])
        return None if count is None else [[_constant(k, node)] for k in range(count)]
    if name == "enumerate" and len(args) == 1:
        count = length(args[0])
        return None if count is None else [[_constant(k, node), item_at(args[0], k)] for k in range(count)]
    if name == "zip":
        counts = [length(one) for one in args]
        known = [count for count in counts if count is not None]
        return None if len(known) < len(counts) else [[item_at(one, k) for one in args] for k in range(min(known))]
    return None


def _constant(k: int, at: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Constant(k), at)
