"""Loops over tuples whose items are known, written out: each round works on an item of its own."""

from __future__ import annotations

import ast
from collections.abc import Callable

from portapar.kernel.front.trees import Filled, copied, item_at, placed, stored_in

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


def evaluated(
    loop: ast.For, builtin: Callable[[ast.expr], str], local: Callable[[str], str]
) -> tuple[list[ast.stmt], ast.Name | None]:
    """What a loop goes over is evaluated once: numbers in it that the body assigns get names of their own before it.

    The second result is the name of an array or a tuple that the body assigns anew, if there is one.
    """
    inside = [part for statement in loop.body for part in ast.walk(statement)]
    updated = {
        part.target.id for part in inside if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name)
    }
    assigned = stored_in(loop.target, *loop.body)
    plain = assigned - updated | {name for part in inside for name in _assigned(part)}
    before: list[ast.stmt] = []
    anew: list[ast.Name] = []

    def number(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Slice):
            bounds = [None if part is None else number(part) for part in (node.lower, node.upper, node.step)]
            return ast.Slice(*bounds)
        if isinstance(node, ast.Tuple):
            return ast.Tuple([number(part) for part in node.elts], node.ctx)
        if not any(isinstance(part, ast.Name) and part.id in assigned for part in ast.walk(node)):
            return node
        name = local("once")
        before.append(placed(ast.Assign([ast.Name(name, ast.Store())], node), loop))
        return ast.Name(name, ast.Load())

    def over(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Call) and builtin(node.func) in ("enumerate", "zip", "reversed"):
            counting = builtin(node.func) == "enumerate"
            node.args = [number(part) if k and counting else over(part) for k, part in enumerate(node.args)]
            for keyword in node.keywords:
                keyword.value = number(keyword.value)
        elif isinstance(node, ast.Subscript):
            node.value, node.slice = over(node.value), number(node.slice)
        elif isinstance(node, ast.Attribute):
            node.value = over(node.value)
        elif isinstance(node, (ast.Tuple, ast.List)):
            node.elts = [number(part) for part in node.elts]
        elif isinstance(node, ast.Name) and node.id in plain:
            anew.append(node)
        return node

    loop.iter = placed(over(loop.iter), loop)
    return before, anew[0] if anew else None


def _assigned(node: ast.AST) -> set[str]:
    """The names that a statement assigns anew."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.For) else []
    return stored_in(*targets)


def counted(loop: ast.For, builtin: Callable[[ast.expr], str], local: Callable[[str], str]) -> ast.For:
    """A loop over ``enumerate(x)``, ``zip(x, y)`` or ``reversed(x)`` of arrays as one over indices; else itself."""
    call = loop.iter
    name = builtin(call.func) if isinstance(call, ast.Call) else ""
    if not isinstance(call, ast.Call) or name not in ("enumerate", "zip", "reversed") or not call.args:
        return loop
    start = {keyword.arg: keyword.value for keyword in call.keywords}.get("start", ast.Constant(0))
    given, targets = list(call.args), [loop.target]
    if name != "reversed":
        if not isinstance(loop.target, ast.Tuple):
            return loop
        targets = list(loop.target.elts)
    if name == "enumerate":
        start = given.pop(1) if len(given) > 1 else start
        given = [ast.Call(ast.Name("range", ast.Load()), [ast.Constant(0)], []), *given]
    if len(targets) != len(given) or any(isinstance(part, ast.Starred) for part in (*given, *targets)):
        return loop
    k = local("k")
    index: ast.expr = ast.Name(k, ast.Load())
    lengths: list[ast.expr] = []
    items: list[ast.expr] = []
    for place, x in enumerate(given):
        ranged = isinstance(x, ast.Call) and builtin(x.func) == "range"
        if name == "enumerate" and not place:
            plain = isinstance(start, ast.Constant) and start.value == 0
            items.append(copied(index) if plain else ast.BinOp(copied(index), ast.Add(), start))
        elif ranged and isinstance(x, ast.Call) and len(x.args) == 1:
            lengths.append(x.args[0])
            items.append(copied(index))
        elif isinstance(x, (ast.Name, ast.Subscript, ast.Attribute)):
            lengths.append(ast.Call(ast.Name("len", ast.Load()), [copied(x)], []))
            items.append(ast.Subscript(copied(x), copied(index), ast.Load()))
        else:
            return loop
    count = lengths[0] if len(lengths) == 1 else ast.Call(ast.Name("min", ast.Load()), lengths, [])
    ends: list[ast.expr] = [count]
    if name == "reversed":
        ends = [ast.BinOp(count, ast.Sub(), ast.Constant(1))]
        ends += [ast.UnaryOp(ast.USub(), ast.Constant(1)) for _ in range(2)]
    body = [ast.Assign([target], item) for target, item in zip(targets, items, strict=True)]
    over = ast.Call(ast.Name("range", ast.Load()), ends, [])
    return placed(ast.For(ast.Name(k, ast.Store()), over, [*body, *loop.body], loop.orelse), loop)


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
