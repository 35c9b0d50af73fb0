"""Bodies for indices of one residue: ``if (i + j) % 2 == colour: …`` is a loop in steps of 2, without the condition.

So are red and black cells done, even and odd pairs. Where all of a body is behind such a condition on the last index,
the loop begins at the first one that it holds for. Divisors are powers of two: sums that wrap have the same residues.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar.kernel.cpu.quotients import compiled
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, stored_in
from portapar.kernel.program import Program

_DIVISORS = (2, 4, 8)
_NEVER = 1 << 60  #: further than any index space


@dataclass(frozen=True)
class Residue:
    """A body for every so many indices.

    Attributes
    ----------
    tree, first : ast.Module
        ``run(i[, …], *args)``, and ``to_first(i[, …], *args)``, which tells how far the first of these indices is.
    step : int
    """

    tree: ast.Module
    first: ast.Module
    step: int

    def functions(self, program: Program, space: dict[str, Any]) -> dict[str, Any]:
        """What the loop calls, of what is in a namespace."""
        return {"run": compiled(self.tree, program, space), "to_first": compiled(self.first, program, space)}

    def text(self, begin: str, end: str, index: str, loop: str) -> str:
        """The text of a loop over the positions from `begin` to `end`.

        `index` are a call's arguments at position k; `loop` is the plain one. Lines begin with @.
        """
        first = f"@k = {begin}\n@base = k + to_first({index})\n"
        again = f"@    k = base + {self.step} * times\n@    run({index})\n"
        return f"{first}@for times in range(({end} - base + {self.step - 1}) // {self.step}):\n{again}"


def residue(program: Program, body: ast.Module) -> Residue | None:
    """The body for indices of one residue, if all that it does is done for these alone."""
    function = body.body[0]
    assert isinstance(function, ast.FunctionDef)
    params = [p.arg for p in function.args.args]
    plain = program.form == "map" and not program.last and (program.unit or program.steps[-1] == 1)
    if not plain or stored_in(function) & set(params):
        return None
    match function.body:
        case [ast.If(test, steps, [])]:
            pass
        case _:
            return None
    tests = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    found = _Linear(program, params).condition(tests[0])
    if found is None:
        return None
    step, distance, wanted = found
    run, first = copied(function), copied(function)
    if len(tests) > 1:
        left = tests[1] if len(tests) == 2 else ast.BoolOp(ast.And(), tests[1:])
        steps = [ast.copy_location(ast.If(left, steps, []), steps[0])]
    run.name, run.body = "run", [copied(one) for one in steps]
    first.name = "to_first"
    first.body = tree_of(f"return ({distance}) & {step - 1} if 0 <= ({wanted}) < {step} else {_NEVER}").body
    tree, ahead = (ast.fix_missing_locations(ast.Module([one], [])) for one in (run, first))
    return Residue(tree, ahead, step)


class _Linear:
    """Conditions on sums of the last index and of whole numbers that all indices of a row have in common."""

    def __init__(self, program: Program, params: list[str]) -> None:
        self.own, specs = params[program.ndim - 1], zip(params[program.ndim :], program.specs, strict=True)
        self.same = {*params[: program.ndim - 1]}
        self.same |= {name for name, spec in specs if not spec.is_array and spec.dtype == np.int64}

    def condition(self, test: ast.expr) -> tuple[int, str, str] | None:
        """The divisor, how far the next index that fits is but for multiples of it, and the residue that is wanted."""
        most = 2
        given: list[tuple[ast.expr, ast.expr]] = []
        match test:
            case ast.Compare(one, [ast.Eq()], [other]):
                given, most = [(one, other), (other, one)], max(_DIVISORS)
            case ast.Compare(one, [ast.NotEq()], [ast.Constant(0 | 1 as value)]):
                given = [(one, ast.Constant(1 - value))]
            case ast.UnaryOp(ast.Not(), one):
                given = [(one, ast.Constant(0))]
            case ast.BinOp():
                given = [(test, ast.Constant(1))]
        for one, wanted in given:
            if (found := _divided(one)) and found[1] <= most and (sign := self.sign(found[0])) in (1, -1):
                within = _divided(wanted)
                if self.sign(within[0] if within else wanted) == 0:
                    residue, sum_ = ast.unparse(wanted), ast.unparse(found[0])
                    way = f"({residue}) - ({sum_})" if sign > 0 else f"({sum_}) - ({residue})"
                    return found[1], way, residue
        return None

    def sign(self, node: ast.expr) -> int | None:
        """How often the last index is in a sum; None if it is no sum."""
        match node:
            case ast.Name(name):
                return 1 if name == self.own else 0 if name in self.same else None
            case ast.Constant(int()):
                return 0
            case ast.UnaryOp(ast.USub(), one):
                found = self.sign(one)
                return None if found is None else -found
            case ast.BinOp(one, ast.Add() | ast.Sub() | ast.Mult() as op, other):
                a, b = self.sign(one), self.sign(other)
                if a is None or b is None or (isinstance(op, ast.Mult) and (a or b)):
                    return None
                return a - b if isinstance(op, ast.Sub) else a + b
        return None


def _divided(node: ast.expr) -> tuple[ast.expr, int] | None:
    """What a residue is of, and by which divisor."""
    match node:
        case ast.BinOp(one, ast.Mod(), ast.Constant(int(n))) if n in _DIVISORS:
            return one, n
        case ast.BinOp(one, ast.BitAnd(), ast.Constant(int(n))) if n + 1 in _DIVISORS:
            return one, n + 1
    return None
