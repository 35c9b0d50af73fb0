"""Loops over tuples, written out: each round works on an item of its own; over enumerate, zip, reversed: by indices."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portapar.kernel.front.trees import Filled, copied, item_at, placed, stored_in, walk, whole_number

_MOST_ROUNDS, _MOST_NODES = 32, 4000

#: The length of the tuple that an expression stands for; None if it is none that is known.
Length = Callable[[ast.expr], int | None]
#: The name of the builtin function that an expression is, or "".
Builtin = Callable[[ast.expr], str]


def unrolled(loop: ast.For, function: ast.AST, length: Length, builtin: Builtin) -> list[ast.stmt] | None:
    """The rounds of a loop over tuples, ``range(len(t))``, ``enumerate(zip(t, u))`` …; None if it is another.

    Parameters
    ----------
    function : ast.AST
        All of the function: what is used outside of the loop has its last value there.
    builtin : callable
        The name of the builtin function that an expression is, or "".
    """
    over = _known(loop.iter, length, builtin)
    if over is None or not over.tuples or loop.orelse or over.count > _MOST_ROUNDS:
        return None
    size = sum(1 for statement in loop.body for _ in ast.walk(statement))  # contexts count
    if size * over.count > _MOST_NODES or any(map(_leaves, loop.body)):
        return None
    rounds = [_filled(loop.target, over.item(k), length) for k in range(over.count)]
    names = stored_in(loop.target)
    inside = [part for statement in loop.body for part in walk(statement) if isinstance(part, ast.Name)]
    if None in rounds or any(part.id in names and not isinstance(part.ctx, ast.Load) for part in inside):
        return None
    found: list[ast.stmt] = []
    for given in rounds:
        filled = Filled(given or {})
        found += [filled.visit(copied(statement)) for statement in loop.body]
    uses = sum(1 for part in walk(function) if isinstance(part, ast.Name) and part.id in names)
    if uses not in (0, len(names) + sum(1 for part in inside if part.id in names)):  # 0: it was made here
        last = rounds[-1].items() if rounds and rounds[-1] else ()
        found += [placed(ast.Assign([ast.Name(name, ast.Store())], copied(item)), loop) for name, item in last]
    return found or [ast.copy_location(ast.Pass(), loop)]


def written_out(target: ast.expr, over: ast.expr, length: Length, builtin: Builtin) -> list[dict[str, ast.expr]] | None:
    """What stands for each name of a target, for each item of tuples; None of all others."""
    if isinstance(over, (ast.Tuple, ast.List)):
        parts = list(walk(over))
        pure = not any(isinstance(part, (ast.Call, ast.NamedExpr, ast.Starred)) for part in parts)
        found = [_filled(target, item, length) for item in over.elts] if pure else [None]
    else:
        known = _known(over, length, builtin, 1)
        found = [None] if known is None else [_filled(target, known.item(k), length) for k in range(known.count)]
    return None if None in found else [item for item in found if item is not None]


def evaluated(loop: ast.For, builtin: Builtin, local: Callable[[str], str]) -> tuple[list[ast.stmt], ast.Name | None]:
    """What a loop goes over is evaluated once: numbers in it that the body assigns get names of their own before it.

    The second result is the name of an array or a tuple that the body assigns anew, if there is one.
    """
    inside = [part for statement in loop.body for part in walk(statement)]
    updated = {
        part.target.id for part in inside if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name)
    }
    assigned = stored_in(loop.target, *loop.body)
    plain = assigned - updated | {name for part in inside for name in _assigned(part)}
    before: list[ast.stmt] = []
    anew: list[ast.Name] = []
    nested: list[ast.expr] = []

    def named(node: ast.expr) -> ast.expr:
        name = local("once")
        before.append(placed(ast.Assign([ast.Name(name, ast.Store())], node), loop))
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def number(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Slice):
            bounds = [None if part is None else number(part) for part in (node.lower, node.upper, node.step)]
            return ast.Slice(*bounds)
        if isinstance(node, ast.Tuple):
            return ast.Tuple([number(part) for part in node.elts], node.ctx)
        parts = list(walk(node))
        calls = (part for part in parts if isinstance(part, ast.Call))
        again = nested and any(builtin(call.func) not in _CHEAP for call in calls)  # once, not for every item
        if not again and not any(isinstance(part, ast.Name) and part.id in assigned for part in parts):
            return node
        return named(node)

    def item(node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Tuple):
            return ast.copy_location(ast.Tuple([item(part) for part in node.elts], node.ctx), node)
        return number(node) if _is_plain(node) else named(node)

    def over(node: ast.expr) -> ast.expr:
        name = builtin(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and (name in (*_OVER, "list", "tuple") or name == "range" and nested):
            nested.append(node)
            own = {"enumerate": 1, "range": 0}.get(name, len(node.args))  # from there on there are numbers
            node.args = [number(part) if k >= own else over(part) for k, part in enumerate(node.args)]
            for keyword in node.keywords:
                keyword.value = number(keyword.value)
        elif isinstance(node, ast.Subscript):
            node.value, node.slice = over(node.value), number(node.slice)
        elif isinstance(node, ast.Attribute):
            node.value = over(node.value)
        elif isinstance(node, (ast.Tuple, ast.List)):
            node.elts = [item(part) for part in node.elts]
        elif isinstance(node, ast.Name) and node.id in plain:
            anew.append(node)
        elif nested and not isinstance(node, (ast.Name, ast.Constant, ast.Starred)):
            return named(node)
        return node

    loop.iter = placed(over(loop.iter), loop)
    return before, anew[0] if anew else None


def _is_plain(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_is_plain, node.elts))
    return isinstance(node, (ast.Constant, ast.Name)) or whole_number(node) is not None


def _kind(node: ast.expr) -> Any:
    """What is known of the type of a plain expression: that of a number, or which variable it is."""
    if isinstance(node, ast.Tuple):
        return tuple(map(_kind, node.elts))
    if isinstance(node, ast.Name):
        return node.id
    return type(node.value) if isinstance(node, ast.Constant) else int


def _assigned(node: ast.AST) -> set[str]:
    """The names that a statement assigns anew."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.For) else []
    return stored_in(*targets)


def counted(loop: ast.For, builtin: Builtin, local: Callable[[str], str]) -> ast.For:
    """A loop over ``enumerate(zip(x, reversed(y)))`` and the like as one over indices; else itself."""
    call = loop.iter
    name = builtin(call.func) if isinstance(call, ast.Call) else ""
    whole = name in ("list", "tuple")
    if not isinstance(call, ast.Call) or not (name in _OVER or whole):
        return loop
    if _copies(call, builtin) and any(map(_stores, loop.body)):  # which go over what was there before
        return loop
    back = name == "reversed"
    over = _indexed(call.args[0] if (back or whole) and len(call.args) == 1 else call, builtin)
    k = local("k")
    index = ast.Name(k, ast.Load())
    body = None if over is None else _given(loop.target, over.item(index))
    if over is None or body is None:
        return loop
    ends: list[ast.expr] = [over.count()]
    if back:
        ends = [ast.BinOp(ends[0], ast.Sub(), ast.Constant(1))]
        ends += [ast.UnaryOp(ast.USub(), ast.Constant(1)) for _ in range(2)]
    made = ast.Call(ast.Name("range", ast.Load()), ends, [])
    return placed(ast.For(ast.Name(k, ast.Store()), made, [*body, *loop.body], loop.orelse), loop)


_OVER = frozenset({"enumerate", "zip", "reversed"})
_CHEAP = frozenset({"len", "abs", "min", "max", "int"})


def _copies(node: ast.expr, builtin: Builtin) -> bool:
    return any(isinstance(part, ast.Call) and builtin(part.func) in ("list", "tuple") for part in walk(node))


def _stores(statement: ast.stmt) -> bool:
    """Whether it may write to arrays."""
    parts = list(walk(statement))
    stores = (isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.ctx, ast.Store) for part in parts)
    return any(stores) or any(isinstance(part, (ast.Expr, ast.AugAssign)) for part in parts)


@dataclass(frozen=True, slots=True)
class _Indexed:
    """What a loop goes over: the lengths of which it ends at the least, and the item at an index."""

    lengths: list[ast.expr]
    item: Callable[[ast.expr], ast.expr]

    def count(self) -> ast.expr:
        lengths = [copied(length) for length in self.lengths]
        return lengths[0] if len(lengths) == 1 else ast.Call(ast.Name("min", ast.Load()), lengths, [])


def _indexed(node: ast.expr, builtin: Builtin) -> _Indexed | None:
    """The items of an iterable by their index; None if they have none."""
    length = lambda x: ast.Call(ast.Name("len", ast.Load()), [copied(x)], [])
    if not isinstance(node, ast.Call):
        if not isinstance(node, (ast.Name, ast.Subscript, ast.Attribute, ast.Tuple, ast.List)):
            return None
        if isinstance(node, (ast.Tuple, ast.List)):
            node = ast.copy_location(ast.Tuple(node.elts, ast.Load()), node)
            count: ast.expr = ast.Constant(len(node.elts))
        else:
            count = length(node)
        return _Indexed([count], lambda k: ast.Subscript(copied(node), copied(k), ast.Load()))
    name, args, start = builtin(node.func), node.args, _start(node)
    if any(isinstance(part, ast.Starred) for part in args):
        return None
    if name == "range" and 1 <= len(args) <= 3 and not node.keywords:
        first, plain = args[0], len(args) == 1
        if plain:
            return _Indexed([args[0]], copied)
        if len(args) == 2:
            return _Indexed([ast.BinOp(args[1], ast.Sub(), first)], lambda k: _sum(first, k))
        step = args[2]
        return _Indexed([length(node)], lambda k: _sum(first, ast.BinOp(copied(k), ast.Mult(), copied(step))))
    if name in ("enumerate", "reversed", "list", "tuple") and not args:
        return None
    if name == "zip":
        parts = [_indexed(part, builtin) for part in args]
        known = [part for part in parts if part is not None]
        if not args or len(known) < len(parts):
            return None
        lengths = [length for part in known for length in part.lengths]
        return _Indexed(lengths, lambda k: ast.Tuple([part.item(k) for part in known], ast.Load()))
    inner = _indexed(args[0], builtin) if name in (*_OVER, "list", "tuple") else None
    if inner is None or name in ("list", "tuple"):
        return inner
    if name == "enumerate":
        return _Indexed(inner.lengths, lambda k: ast.Tuple([_sum(start, k), inner.item(k)], ast.Load()))
    last = ast.BinOp(inner.count(), ast.Sub(), ast.Constant(1))
    return _Indexed(inner.lengths, lambda k: inner.item(ast.BinOp(copied(last), ast.Sub(), copied(k))))


def _start(call: ast.Call) -> ast.expr:
    """Where an ``enumerate`` begins to count."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    return call.args[1] if len(call.args) > 1 else named.get("start", ast.Constant(0))


def _sum(start: ast.expr, k: ast.expr) -> ast.expr:
    plain = isinstance(start, ast.Constant) and start.value == 0
    return copied(k) if plain else ast.BinOp(copied(k), ast.Add(), copied(start))


def _given(target: ast.expr, item: ast.expr) -> list[ast.stmt] | None:
    """Assignments of an item to a target, whose parts are told apart as far as both are tuples."""
    pairs = _pairs(target, item)
    return None if pairs is None else [ast.Assign([part], value) for part, value in pairs]


def _pairs(target: ast.expr, item: ast.expr) -> list[tuple[ast.expr, ast.expr]] | None:
    if not isinstance(target, (ast.Tuple, ast.List)) or not isinstance(item, ast.Tuple):
        return [(target, item)]
    if len(target.elts) != len(item.elts) or any(isinstance(part, ast.Starred) for part in target.elts):
        return None
    found = [_pairs(part, value) for part, value in zip(target.elts, item.elts, strict=True)]
    return None if None in found else [pair for pairs in found for pair in pairs or ()]


def _leaves(statement: ast.stmt) -> bool:
    """Whether it ends a round or the loop before its time."""
    if isinstance(statement, (ast.Break, ast.Continue)):
        return True
    inner = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.stmt)]
    return not isinstance(statement, (ast.For, ast.While)) and any(map(_leaves, inner))


@dataclass(frozen=True, slots=True)
class _Known:
    """What a loop goes over, of a length that is known: the item at each place; whether it has one of a tuple."""

    count: int
    item: Callable[[int], ast.expr]
    tuples: bool = True


def _known(node: ast.expr, length: Length, builtin: Builtin, depth: int = 0) -> _Known | None:
    if isinstance(node, (ast.Tuple, ast.List)):
        elements = node.elts
        several = len(set(map(_kind, elements))) > 1
        if not all(map(_is_plain, elements)) or not (depth or several):
            return None
        return _Known(len(elements), lambda k: elements[k], several)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):  # a part of one
        cut = node.slice
        bounds = [whole_number(part) for part in (cut.lower, cut.upper, cut.step)]
        given = [part is not None for part in (cut.lower, cut.upper, cut.step)]
        whole = None if [bound is not None for bound in bounds] != given else _known(node.value, length, builtin, 1)
        if whole is None or bounds[2] == 0:
            return None
        places = range(whole.count)[slice(*bounds)]
        return _Known(len(places), lambda k: whole.item(places[k]), whole.tuples)
    if not isinstance(node, ast.Call):
        count = length(node)
        return None if count is None else _Known(count, lambda k: item_at(node, k))
    name, args, start = builtin(node.func), node.args, _start(node)
    if not args or any(keyword.arg not in ("strict", "start") for keyword in node.keywords):
        return None
    if name == "range":
        if len(args) == 1 and isinstance(args[0], ast.Call) and builtin(args[0].func) == "len" and args[0].args:
            count = length(args[0].args[0])
            return None if count is None else _Known(count, lambda k: _constant(k, node))
        ends = [whole_number(part) for part in args]
        if not depth or None in ends or ends[2:] == [0]:
            return None
        numbers = range(*ends)  # type: ignore[arg-type]
        return _Known(len(numbers), lambda k: _constant(numbers[k], node), False)
    if name not in (*_OVER, "list", "tuple"):
        return None
    parts = [_known(part, length, builtin, depth + 1) for part in (args if name == "zip" else args[:1])]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    count, tuples, first = min(part.count for part in found), any(part.tuples for part in found), found[0]
    if name == "zip":
        return _Known(count, lambda k: ast.Tuple([part.item(k) for part in found], ast.Load()), tuples)
    if name == "enumerate":
        begin = whole_number(start)
        number = lambda k: _constant(k, node) if begin is None else _constant(k + begin, node)
        counted = lambda k: number(k) if begin is not None else ast.BinOp(number(k), ast.Add(), copied(start))
        return _Known(count, lambda k: ast.Tuple([counted(k), first.item(k)], ast.Load()), tuples)
    return _Known(count, (lambda k: first.item(count - 1 - k)) if name == "reversed" else first.item, tuples)


def _filled(target: ast.expr, item: ast.expr, length: Length) -> dict[str, ast.expr] | None:
    """What stands for each name of a target in one round."""
    if isinstance(target, ast.Name):
        return {target.id: item}
    if not isinstance(target, (ast.Tuple, ast.List)):
        return None
    if isinstance(item, (ast.Tuple, ast.List)):
        items = item.elts
    else:
        count = length(item)
        items = [] if count is None else [item_at(item, k) for k in range(count)]
    if len(items) != len(target.elts):
        return None
    parts = [_filled(part, one, length) for part, one in zip(target.elts, items, strict=True)]
    return None if None in parts else {name: one for part in parts for name, one in (part or {}).items()}


def _constant(k: int, at: ast.expr) -> ast.expr:
    number = ast.Constant(abs(k))
    return placed(number if k >= 0 else ast.UnaryOp(ast.USub(), number), at)
