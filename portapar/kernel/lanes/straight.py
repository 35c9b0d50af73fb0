"""A program's functions as one: what a kernel ends by computing with others of its functions, written into it."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

from portapar.kernel.front.trees import copied, names_in, stored_in, walk

_MOST = 16  #: calls that are written out


def straight(trees: dict[str, ast.Module], entry: str) -> ast.Module | None:
    """The function `entry` with those that its last step calls, and those with loops, written into it; None if not.

    Each of them must be steps, and then ``return`` an expression, or as the first one store it.
    """
    functions = {name: tree.body[0] for name, tree in trees.items()}
    found = copied(functions[entry])
    assert isinstance(found, ast.FunctionDef)
    number = place = 0
    while place < len(found.body) and number < _MOST:
        step, last = found.body[place], place == len(found.body) - 1
        value = step.value if isinstance(step, (ast.Return, ast.Assign, ast.AugAssign)) else None
        call = _call_in(value, functions)
        if call is None:
            place += 1
            continue
        callee = copied(functions[call.func.id])  # type: ignore[attr-defined]
        ends = last and call is value and not isinstance(step, ast.AugAssign)
        if not _ends_by_return(callee, len(call.args)):
            if ends:
                return None
            place += 1
            continue
        if not ends and not (_only_reads(callee, functions) and (last or _loops(callee))):
            place += 1
            continue
        found.body[place : place + 1] = _written_out(step, call, callee, f"_{number}_")
        number += 1
    return ast.fix_missing_locations(ast.Module([found], []))


def _written_out(step: Any, call: ast.Call, callee: Any, end: str) -> list[ast.stmt]:
    """A step with the function that it calls written before it; the names of that one end by `end`."""
    steps: list[ast.stmt] = []
    names = stored_in(callee)
    params = [p.arg for p in callee.args.args]
    given: dict[str, ast.expr] = {name: ast.Name(f"{name}{end}", ast.Load()) for name in names - {*params}}
    for name, x in zip(params, call.args, strict=True):
        if isinstance(x, (ast.Name, ast.Constant)) and name not in names:
            given[name] = x
        else:
            given[name] = ast.Name(f"{name}{end}", ast.Load())
            place = ast.Name(f"{name}{end}", ast.Store())
            steps.append(ast.copy_location(ast.Assign([place], x), step))
    *inner, back = (_Given(given).visit(part) for part in callee.body)
    step.value = _Instead(call, back.value).visit(step.value)
    return [*steps, *inner, step]


def _loops(callee: Any) -> bool:
    return any(isinstance(node, ast.For) for node in walk(callee))


def _ends_by_return(callee: Any, arguments: int) -> bool:
    """Whether a function is steps, and then the only return, of a value, for so many arguments."""
    returns = [node for node in walk(callee) if isinstance(node, ast.Return)]
    one = returns == callee.body[-1:] and returns[0].value is not None
    return one and len(callee.args.args) == arguments


def _only_reads(callee: Any, functions: Collection[str]) -> bool:
    """Whether what a function does beside its value may be done before the rest of the expression that calls it."""
    steps = [node for step in callee.body[:-1] for node in walk(step)]
    stores = any(isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) for node in steps)
    return not stores and not any(isinstance(node, ast.Expr) for node in steps) and not names_in(*steps) & {*functions}


def _call_in(value: Any, functions: Collection[str]) -> ast.Call | None:
    """The first call of one of these functions that is made in any case in an expression of arithmetic."""
    match value:
        case ast.Call(ast.Name(id=name)) if name in functions:
            return value
        case ast.BinOp(left=left, right=right):
            return _call_in(left, functions) or _call_in(right, functions)
        case ast.UnaryOp(operand=operand):
            return _call_in(operand, functions)
        case ast.Call(ast.Attribute(), [argument]):
            return _call_in(argument, functions)
    return None


class _Instead(ast.NodeTransformer):
    """Puts one expression in the place of another."""

    def __init__(self, node: ast.expr, other: ast.expr) -> None:
        self.node, self.other = node, other

    def visit(self, node: ast.AST) -> Any:
        return self.other if node is self.node else self.generic_visit(node)


class _Given(ast.NodeTransformer):
    """Names become what was given for them."""

    def __init__(self, given: dict[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        found = self.given.get(node.id)
        if found is None:
            return node
        return ast.Name(found.id, node.ctx) if isinstance(found, ast.Name) else found
