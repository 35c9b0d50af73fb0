"""Syntax trees: copies, small pieces, and what is asked of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

_Node = TypeVar("_Node", bound=ast.AST)


def copied(node: _Node) -> _Node:
    """A copy of a tree; `copy.deepcopy` takes many times as long."""
    if not (node._fields or node._attributes):  # an operator, a context: nobody changes those
        return node
    new = node.__class__.__new__(node.__class__)
    for name, value in node.__dict__.items():
        if isinstance(value, ast.AST):
            value = copied(value)
        elif isinstance(value, list):
            value = [copied(part) if isinstance(part, ast.AST) else part for part in value]
        new.__dict__[name] = value
    return new


class _Children(dict[type, tuple[str, ...]]):
    """Kind of node → its fields that hold nodes; of contexts, which nobody looks for, there are none."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        leaves = {"ctx", "id", "attr", "kind", "type_comment"} | ({"value"} if kind is ast.Constant else set())
        self[kind] = tuple(name for name in kind._fields if name not in leaves)
        return self[kind]


_children = _Children()


def walk(node: ast.AST) -> Iterator[Any]:
    """A node and all that is below it, contexts left out, in the order of `ast.walk`, which takes twice as long."""
    nodes: list[ast.AST] = [node]
    for node in nodes:
        found = node.__dict__
        for name in _children[node.__class__]:
            value = found.get(name)
            if value.__class__ is list:
                nodes += [part for part in value if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST):
                nodes.append(value)
        yield node


def placed(node: Any, at: ast.AST) -> Any:
    """A new node at the place of another one in the user's text; parts that have a place keep it."""
    for part in walk(node):
        if isinstance(part, (ast.expr, ast.stmt)) and not hasattr(part, "lineno"):
            ast.copy_location(part, at)
    return node


def call_behind(tree: ast.AST, called: Callable[[ast.stmt], str | None]) -> bool:
    """Put a call, without arguments, of the function that `called` names behind statements; False if there are none."""
    found = False
    for node in walk(tree):
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if not isinstance(block, list):  # of an expression: `lambda`, `x if c else y`
                continue
            for k in range(len(block) - 1, -1, -1):
                name = called(block[k])
                if name is not None:
                    call = ast.Expr(ast.Call(ast.Name(name, ast.Load()), [], []))
                    block.insert(k + 1, ast.fix_missing_locations(ast.copy_location(call, block[k])))
                    found = True
    return found


def names_one(node: ast.AST) -> TypeGuard[Any]:
    """``name = …``."""
    return isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def assignments_of(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement assigns one by one, also as in ``a, b = b, a``, and what."""
    if names_one(node):
        yield node.targets[0].id, node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple):
        names, value = node.targets[0].elts, node.value
        if isinstance(value, ast.Tuple) and len(names) == len(value.elts):
            yield from ((name.id, x) for name, x in zip(names, value.elts, strict=True) if isinstance(name, ast.Name))


def index_of(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def shape_of(node: ast.expr, axis: int) -> ast.expr:
    return ast.Subscript(ast.Attribute(copied(node), "shape", ast.Load()), ast.Constant(axis), ast.Load())


def item_at(node: ast.expr, k: int) -> ast.expr:
    """``node[k]``, in the place of the node."""
    place: ast.expr = ast.Constant(abs(k))
    place = place if k >= 0 else ast.UnaryOp(ast.USub(), place)
    return placed(ast.Subscript(copied(node), placed(place, node), ast.Load()), node)


def item_of(node: ast.expr, index: Sequence[ast.expr]) -> ast.expr:
    parts = [copied(part) for part in index]
    return ast.Subscript(copied(node), parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load()), ast.Load())


def binary(left: ast.expr, op: ast.operator, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, op, right)


def some(node: ast.expr | None) -> ast.expr:
    assert node is not None
    return copied(node)


def whole_number(node: ast.expr | None) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if type(node.operand.value) is int else None
    return None


def at_least_0(node: ast.expr) -> bool:
    number = whole_number(node)
    return number is not None and number >= 0


def loaded(node: ast.expr) -> Any:
    new = copied(node)
    new.ctx = ast.Load()  # type: ignore[attr-defined]
    return new


def numpy_call(name: str, arguments: list[ast.expr]) -> ast.expr:
    return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load()), arguments, [])


def loads(node: ast.AST, name: str) -> int:
    named = (part for part in walk(node) if isinstance(part, ast.Name) and part.id == name)
    return sum(isinstance(part.ctx, ast.Load) for part in named)


def mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in walk(node))


def is_truth(node: ast.expr) -> bool:
    """Whether an expression gives True or False, as its form shows; ``x and y`` gives one of both, perhaps numbers."""
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
            return True
        case ast.BoolOp(values=parts):
            return all(map(is_truth, parts))
    return False


def conditions_of(tree: ast.AST) -> frozenset[int]:
    """The identities of the expressions in a tree of which only the truth counts."""
    left: list[ast.expr] = []
    for node in walk(tree):
        if isinstance(node, (ast.If, ast.While, ast.IfExp)):
            left.append(node.test)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            left.append(node.operand)
    found = set()
    while left:
        part = left.pop()
        found.add(id(part))
        if isinstance(part, ast.BoolOp):
            left += part.values
        elif isinstance(part, ast.IfExp):
            left += [part.body, part.orelse]
    return frozenset(found)


def names_in(*nodes: ast.AST) -> set[str]:
    return {part.id for node in nodes for part in walk(node) if isinstance(part, ast.Name)}


def stored_in(*nodes: ast.AST) -> set[str]:
    """The names that are given values in them."""
    parts = (part for node in nodes for part in walk(node) if isinstance(part, ast.Name))
    return {part.id for part in parts if isinstance(part.ctx, ast.Store)}


class Filled(ast.NodeTransformer):
    """Puts arguments in the place of parameters."""

    def __init__(self, arguments: Mapping[str, ast.expr]) -> None:
        self.arguments = arguments

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copied(self.arguments[node.id]) if node.id in self.arguments else node
