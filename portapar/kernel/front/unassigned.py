"""Variables that have no value where they are read, and functions that return one on some paths alone.

What surely has none is refused. What has none where a condition is false is zero there, and is told: what reads the
variable behind the condition, and under no other one, does so whatever it was. Loops are taken to run: nobody can tell
otherwise from the text, and a warning that is wrong would soon be turned off.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from portapar.kernel.front.trees import stored_in

__all__ = ["Found", "unassigned"]


class Found(NamedTuple):
    """What is wrong with a function's variables.

    Attributes
    ----------
    never : ast.Name or None
        The first read of a variable that has no value yet.
    perhaps : list of (ast.Name, int)
        Reads of variables that have one where a condition holds, and the line of the condition.
    ends : bool
        It returns values, and may come to its end without.
    """

    never: ast.Name | None
    perhaps: list[tuple[ast.Name, int]]
    ends: bool


def unassigned(body: Sequence[ast.stmt], given: Iterable[str]) -> Found:
    """Look through the statements of a function, to which the names `given` are arguments."""
    walk = _Walk(stored_in(*body) - {*given})
    end = walk.block(body, {})
    return Found(walk.never, walk.perhaps, walk.values and (end is not None or walk.bare))


#: Variables that have a value; those that have one under a condition alone with that, and the block that it stands in.
_State = dict[str, tuple[object, int] | None]


class _Walk:
    def __init__(self, local: set[str]) -> None:
        self.local = local
        self.inside = object()  #: the block that is run whenever what is looked at is
        self.never: ast.Name | None = None
        self.perhaps: list[tuple[ast.Name, int]] = []
        self.values = self.bare = False

    def block(self, body: Sequence[ast.stmt], state: _State) -> _State | None:
        """What is known behind statements; None if nothing comes behind them."""
        left: _State | None = state
        for statement in body:
            if left is None:
                break
            left = self.statement(statement, left)
        return left

    def _branch(self, parts: Sequence[ast.AST], state: _State) -> _State | None:
        outside, self.inside = self.inside, object()
        left: _State | None = dict(state)
        for part in parts:
            if isinstance(part, ast.expr):
                assert left is not None
                self.read(part, left)
            elif left is not None and isinstance(part, ast.stmt):
                left = self.statement(part, left)
        self.inside = outside
        return left

    def statement(self, node: ast.stmt, state: _State) -> _State | None:
        if isinstance(node, ast.If):
            self.read(node.test, state)
            yes, no = self._branch(node.body, state), self._branch(node.orelse, state)
            if yes is None or no is None:
                return no if yes is None else yes
            both = [name for name in yes.keys() & no.keys() if yes[name] is None and no[name] is None]
            either = dict.fromkeys(yes.keys() | no.keys(), (self.inside, node.lineno))
            return {**either, **dict.fromkeys(both)} | {k: x for k, x in state.items() if x and yes[k] and no[k]}
        if isinstance(node, (ast.For, ast.While)):
            self.read(node.iter if isinstance(node, ast.For) else None, state)
            state = state | dict.fromkeys(stored_in(node))
            if isinstance(node, ast.While):
                self.read(node.test, state)
            self._branch(node.body, state)
            endless = isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value
            if endless and not _breaks(node.body):
                return None
            self._branch(node.orelse, state)
            return state
        if isinstance(node, ast.Return):
            self.read(node.value, state)
            none = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
            self.bare, self.values = self.bare or none, self.values or not none
        if isinstance(node, (ast.Return, ast.Break, ast.Continue)):
            return None
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._name(node.target, state)
        for part in ast.iter_child_nodes(node):
            if part not in getattr(node, "targets", ()):
                self.read(part, state)
        for part in getattr(node, "targets", ()):  # after the value
            self.read(part, state)
        return state

    def read(self, node: ast.AST | None, state: _State) -> None:
        """Look at an expression, in the order in which its parts have their values; stores give them."""
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                state[node.id] = None
            else:
                self._name(node, state)
        elif isinstance(node, ast.NamedExpr):
            self.read(node.value, state)
            state[node.target.id] = None
        elif isinstance(node, (ast.IfExp, ast.BoolOp)):
            first, *others = node.values if isinstance(node, ast.BoolOp) else (node.test, node.body, node.orelse)
            self.read(first, state)
            for other in others:
                self._branch([other], state)
            state |= dict.fromkeys(stored_in(*others))
        elif node is not None and not isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            for part in ast.iter_child_nodes(node):
                self.read(part, state)

    def _name(self, node: ast.Name, state: _State) -> None:
        if node.id not in self.local:
            return
        if node.id not in state:
            self.never = self.never or node
        elif (found := state[node.id]) is not None and found[0] is self.inside:
            self.perhaps.append((node, found[1]))
        state.setdefault(node.id)


def _breaks(body: Sequence[ast.stmt]) -> bool:
    """Whether statements leave the loop that they are in."""
    for node in body:
        inner = [node.orelse] if isinstance(node, (ast.For, ast.While)) else []
        inner += [node.body, node.orelse] if isinstance(node, ast.If) else []
        if isinstance(node, ast.Break) or any(map(_breaks, inner)):
            return True
    return False
