"""Assignments inside of expressions, ``(y := f(x))``, become statements of their own, in Python's order of evaluation.

Numba does not type them where their value is used in place. What stands before such an assignment and is evaluated
earlier is kept in a temporary if the assignment could change it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from portapar.kernel.front.trees import placed, walk

Fresh = Callable[[str], str]
Fail = Callable[[ast.AST, str, str], NoReturn]


def hoist(body: list[ast.stmt], fresh: Fresh, fail: Fail) -> list[ast.stmt]:
    """A function's statements without named expressions.

    Parameters
    ----------
    body : list of ast.stmt
    fresh : callable
        Gives a name like this one that nothing in the function has.
    fail : callable
        ``fail(node, what, remedy)`` raises the error for what has no such form.
    """
    return _Hoister(fresh, fail).block(body) if any(map(_assigns, body)) else body


_LONG = 64  #: operations of a chain, a + b + c + …, that one statement has at most


def split(body: list[ast.stmt], fresh: Fresh) -> list[ast.stmt]:
    """A function's statements, ``a, b = x, y`` and sums of hundreds of terms in several.

    Compilers nest what they do for each operation of a sum.
    """
    made: list[ast.stmt] = []
    for statement in [part for whole in body for part in _one_by_one(whole)]:
        new = copy.copy(statement)
        if isinstance(new, (ast.If, ast.For, ast.While)):
            new.body, new.orelse = split(new.body, fresh), split(new.orelse, fresh)
        elif isinstance(new, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr)) and new.value is not None:
            chain: list[ast.BinOp] = []
            value = new.value
            while isinstance(value, ast.BinOp):
                chain.append(value)
                value = value.left
            for k, operation in enumerate(reversed(chain) if len(chain) > _LONG else ()):
                if k and k % _LONG == 0:
                    name = fresh("kept")
                    made.append(placed(ast.Assign([ast.Name(name, ast.Store())], value), new))
                    value = ast.copy_location(ast.Name(name, ast.Load()), operation)
                value = ast.copy_location(ast.BinOp(value, operation.op, operation.right), operation)
                new.value = value
        made.append(new)
    return made


def _one_by_one(node: ast.stmt) -> list[ast.stmt]:
    """``a, b = x, y`` as two assignments, where no value needs what the first ones change."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(values):
            for k, name in enumerate(names):
                later = [part for value in values[k + 1 :] for part in walk(value)]
                if not isinstance(name, ast.Name) or any(
                    isinstance(part, (ast.NamedExpr, ast.Starred)) or getattr(part, "id", "") == name.id
                    for part in (*later, *walk(values[k]))
                ):
                    return [node]
            return [ast.copy_location(ast.Assign([n], v), v) for n, v in zip(names, values, strict=True)]
    return [node]


def _assigns(node: ast.AST) -> bool:
    return any(isinstance(part, ast.NamedExpr) for part in walk(node))


def _targets(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that named expressions inside of these assign."""
    return {part.target.id for node in nodes for part in walk(node) if isinstance(part, ast.NamedExpr)}


class _Hoister:
    def __init__(self, fresh: Fresh, fail: Fail) -> None:
        self.fresh, self.fail = fresh, fail

    # statements -------------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [made for statement in body for made in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        if not _assigns(node):
            return [node]
        before: list[ast.stmt] = []
        if isinstance(node, ast.While):
            return self._while(node)
        if isinstance(node, (ast.If, ast.For)):
            field = "test" if isinstance(node, ast.If) else "iter"
            before, value = self.split(getattr(node, field))
            setattr(node, field, value)
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        elif isinstance(node, ast.Assign):
            match node:  # the name itself: messages are about it
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.IfExp() as value):
                    before, test = self.split(value.test)
                    branches = [self._assigned(name, part) for part in (value.body, value.orelse)]
                    return [*before, placed(ast.If(test, *branches), node)]
            before, node.value = self.split(node.value)
            if any(map(_assigns, node.targets)):
                node.value = self.kept(node.value, before)
                for k, target in enumerate(node.targets):
                    more, node.targets[k] = self.split(target)
                    before += more
        elif isinstance(node, ast.AugAssign):
            return self._augmented(node)
        elif isinstance(node, (ast.Return, ast.Expr)) and node.value is not None:
            before, node.value = self.split(node.value)
        return [*before, node]

    def _while(self, node: ast.While) -> list[ast.stmt]:
        """What the test assigns is assigned before the loop, at its end, and before every `continue`."""
        before, node.test = self.split(node.test)
        body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        if before:
            body = [*self._again(body, before), *copy.deepcopy(before)]
        node.body = body
        return [*before, node]

    def _again(self, body: list[ast.stmt], before: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for statement in body:
            if isinstance(statement, ast.Continue):
                made += copy.deepcopy(before)
            elif isinstance(statement, ast.If):
                statement.body = self._again(statement.body, before)
                statement.orelse = self._again(statement.orelse, before)
            elif isinstance(statement, (ast.For, ast.While)):
                statement.orelse = self._again(statement.orelse, before)
            made.append(statement)
        return made

    def _augmented(self, node: ast.AugAssign) -> list[ast.stmt]:
        before, target = self.split(node.target)
        read = {part.id for part in walk(target) if isinstance(part, ast.Name)}
        changed = read & _targets([node.value])
        if changed and not isinstance(target, ast.Name):
            what = f"it assigns {min(changed)!r} by := on the right of what uses it on the left"
            self.fail(node, what, "write the := as a statement of its own")
        old: ast.expr | None = None
        if changed:
            old = self.kept(ast.copy_location(ast.Name(min(changed), ast.Load()), node), before)
        more, value = self.split(node.value)
        before += more
        if old is None:
            node.target, node.value = target, value
            return [*before, node]
        return [*before, placed(ast.Assign([target], ast.BinOp(old, node.op, value)), node)]

    # expressions ------------------------------------------------------------------------------------

    def kept(self, value: ast.expr, before: list[ast.stmt]) -> ast.expr:
        """A temporary for a value, assigned at the end of `before`."""
        name = self.fresh("kept")
        before.append(placed(ast.Assign([ast.Name(name, ast.Store())], value), value))
        return ast.copy_location(ast.Name(name, ast.Load()), value)

    def split(self, node: Any) -> tuple[list[ast.stmt], Any]:
        """(statements to run first, the expression without named expressions)."""
        if not _assigns(node):
            return [], node
        if isinstance(node, ast.NamedExpr):
            before, value = self.split(node.value)
            before.append(placed(ast.Assign([node.target], value), node))
            return before, ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        if isinstance(node, ast.BoolOp):
            return self._either(node)
        if isinstance(node, ast.IfExp):
            before, test = self.split(node.test)
            if not (_assigns(node.body) or _assigns(node.orelse)):
                node.test = test
                return before, node
            name = self.fresh("kept")
            branches = [self._assigned(name, part) for part in (node.body, node.orelse)]
            before.append(placed(ast.If(test, *branches), node))
            return before, ast.copy_location(ast.Name(name, ast.Load()), node)
        if isinstance(node, ast.Compare) and any(map(_assigns, node.comparators[1:])):
            self.fail(node, "it has := in a later part of a chain of comparisons", "join two comparisons with `and`")
        places = [(field, None) for field in node._fields if isinstance(getattr(node, field), ast.AST)]
        parts: list[tuple[Any, Any]] = []  # (where to put it, the part), in the order of evaluation
        for field in node._fields:
            value = getattr(node, field)
            if isinstance(value, list):
                parts += [((value, k), part) for k, part in enumerate(value) if isinstance(part, ast.AST)]
            elif (field, None) in places:
                parts.append(((node, field), value))
        before = []
        for k, ((owner, place), part) in enumerate(parts):
            later = [other for _, other in parts[k + 1 :]]
            more, value = self.split(part)
            before += more
            if isinstance(value, ast.expr) and self._changes(value, later):
                value = self.kept(value, before)
            if isinstance(owner, list):
                owner[place] = value
            else:
                setattr(owner, place, value)
        return before, node

    @staticmethod
    def _changes(value: ast.expr, later: list[ast.AST]) -> bool:
        """Whether a part that is evaluated first must be kept for what follows."""
        if isinstance(value, ast.Constant) or not any(map(_assigns, later)):
            return False
        parts = list(walk(value))
        read = {part.id for part in parts if isinstance(part, ast.Name)}
        return bool(read & _targets(later)) or any(isinstance(part, ast.Call) for part in parts)

    def _assigned(self, name: str, value: ast.expr) -> list[ast.stmt]:
        before, value = self.split(value)
        return [*before, placed(ast.Assign([ast.Name(name, ast.Store())], value), value)]

    def _either(self, node: ast.BoolOp) -> tuple[list[ast.stmt], ast.expr]:
        """``a and (y := b)``: what follows is evaluated under a condition."""
        first, *rest = node.values
        before, value = self.split(first)
        if not any(map(_assigns, rest)):
            node.values[0] = value
            return before, node
        name = self.fresh("kept")
        before.append(placed(ast.Assign([ast.Name(name, ast.Store())], value), node))
        test: ast.expr = ast.Name(name, ast.Load())
        if isinstance(node.op, ast.Or):
            test = ast.UnaryOp(ast.Not(), test)
        other = rest[0] if len(rest) == 1 else ast.copy_location(ast.BoolOp(node.op, rest), node)
        before.append(placed(ast.If(test, self._assigned(name, other), []), node))
        return before, ast.copy_location(ast.Name(name, ast.Load()), node)
