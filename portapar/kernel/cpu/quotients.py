"""Quotients of the index: ``k // width`` is the same for `width` neighbouring indices, in which ``k % width`` counts.

So are rows and columns told from a flat index, blocks and places from that of a transform's stage. Where the width is
the same for all indices, the loop over them is cut where the quotient changes: in between nothing is divided, and what
is next to each other in memory is known to be.
"""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar.kernel.front.trees import copied, names_in, stored_in, walk, whole_number
from portapar.kernel.jit.functions import weak_places
from portapar.kernel.jit.native import callee
from portapar.kernel.program import Program

FEWEST = 4  #: indices with one quotient from which on a loop of their own pays; for fewer they are counted
_WHICH, _MOST = "which_", 1 << 31


@dataclass(frozen=True)
class Quotients:
    """A body for indices that have one quotient.

    Attributes
    ----------
    tree : ast.Module
        ``run(i[, …], *args, which)``.
    width : str
        The divisor, and `holds`, when it is right: texts of a chunk's arguments.
    """

    tree: ast.Module
    width: str
    holds: str

    def functions(self, program: Program, space: dict[str, Any]) -> dict[str, Any]:
        """What the loop calls, of what is in a namespace."""
        return {"run": compiled(self.tree, program, space, True)}

    def text(self, begin: str, end: str, index: str, loop: str) -> str:
        """The text of a loop over the positions from `begin` to `end`, cut where the quotient changes.

        `index` are a call's arguments at position k; `loop` is the plain one. Lines begin with @.
        """
        run = f"run({index}, nonneg(which))\n"
        return (
            f"@if {self.holds}:\n"
            f"@    base, width = {begin}, {self.width}\n"
            "@    which = base // width\n"
            f"@    if width < {FEWEST}:\n"
            "@        place = base - which * width\n"
            f"@        for k in range(base, {end}):\n"
            f"@            {run}"
            "@            place += 1\n"
            "@            if place == width:\n"
            "@                place = 0\n"
            "@                which += 1\n"
            "@    else:\n"
            f"@        while base < {end}:\n"
            f"@            limit = min({end}, (which + 1) * width)\n"
            "@            for k in range(base, limit):\n"
            f"@                {run}"
            "@            base = limit\n"
            "@            which += 1\n"
            f"@else:\n{loop.replace('@', '@    ')}"
        )


def compiled(tree: ast.Module, program: Program, space: dict[str, Any], more: bool = False) -> Any:
    """A function for a loop to call, of what is in a namespace; `more`: with one argument besides a program's."""
    code = compile(tree, "<portapar loop>", "exec").co_consts[0]
    made = types.FunctionType(code, {name: space[name] for name in code.co_names if name in space})
    return callee(made, weak_places(program, more))


def quotients(program: Program, body: ast.Module) -> Quotients | None:
    """The body for indices that have one quotient, if it divides its last index by what all have in common."""
    function = copied(body.body[0])
    assert isinstance(function, ast.FunctionDef)
    params = [p.arg for p in function.args.args]
    if program.signed or not program.unit or stored_in(function) & set(params) or _WHICH in ast.unparse(function):
        return None
    found = _Divided(program, params)
    found.visit(function)
    widths = [width for width in found.widths if (whole_number(width) or 3) & ((whole_number(width) or 3) - 1)]
    if not widths:
        return None
    width = min(widths, key=lambda width: len(ast.unparse(width)))
    found.width = width
    function = found.visit(function)
    function.name = "run"
    function.args.args.append(ast.arg(_WHICH))
    own = {name: f"a{k}" for k, name in enumerate(params[program.ndim :])}

    def text(node: ast.expr) -> str:
        node = copied(node)
        for name in walk(node):
            if isinstance(name, ast.Name):
                name.id = own.get(name.id, name.id)
        return ast.unparse(node)

    tests = [f"0 < {text(width)} < {_MOST}", *(f"0 < {text(m)} < {_MOST}" for m in found.factors.values())]
    return Quotients(ast.fix_missing_locations(ast.Module([function], [])), text(width), " and ".join(tests))


class _Divided(ast.NodeTransformer):
    """Finds what the last index is divided by; as soon as there is a `width`, these quotients become names."""

    def __init__(self, program: Program, params: list[str]) -> None:
        self.program, self.own = program, params[program.ndim - 1]
        self.specs = dict(zip(params[program.ndim :], program.specs, strict=True))
        self.widths: list[ast.expr] = []
        self.factors: dict[str, ast.expr] = {}
        self.width: ast.expr | None = None

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if isinstance(node.op, (ast.FloorDiv, ast.Mod)) and self.is_own(node.left) and self.common(node.right):
            quotient = self.quotient(node.right)
            if quotient is not None:
                return quotient if isinstance(node.op, ast.FloorDiv) else self.rest(quotient, node.right)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(func=ast.Name(id="divmod"), args=[left, right]) if self.is_own(left) and self.common(right):
                quotient = self.quotient(right)
                if quotient is not None:
                    return ast.Tuple([quotient, self.rest(quotient, right)], ast.Load())
        return self.generic_visit(node)  # type: ignore[return-value]

    def is_own(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self.own

    def common(self, node: ast.expr) -> bool:
        """Whether it is a whole number of 64 bits that all indices have in common."""
        match node:
            case ast.Constant(value=int() as n):
                return type(n) is int and n > 0
            case ast.Name(id=name):
                spec = self.specs.get(name)
                return spec is not None and not spec.is_array and spec.dtype == np.int64
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
                return self.common(left) and self.common(right)
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name), attr="shape"), slice=ast.Constant()):
                return name in self.specs
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]):
                return name in self.specs and self.specs[name].is_array
        return False

    def quotient(self, divisor: ast.expr) -> ast.expr | None:
        """The quotient of the index by a divisor, which the width may be a factor of."""
        if self.width is None:
            self.widths.append(divisor)
            return None
        specs = [self.specs[name] for name in names_in(divisor) if name in self.specs]
        weak = all(spec.weak for spec in specs if not spec.is_array)
        which: ast.expr = ast.Name(_WHICH, ast.Load())
        if not weak:
            which = ast.Call(ast.Attribute(ast.Name("np", ast.Load()), "int64", ast.Load()), [which], [])
        width = ast.dump(self.width)
        if ast.dump(divisor) == width:
            return which
        match divisor:
            case ast.BinOp(left=one, op=ast.Mult(), right=other) if width in (ast.dump(one), ast.dump(other)):
                factor = other if ast.dump(one) == width else one
                self.factors[ast.dump(factor)] = factor
                return ast.BinOp(which, ast.FloorDiv(), factor)
        return None

    def rest(self, quotient: ast.expr, divisor: ast.expr) -> ast.expr:
        whole = ast.BinOp(quotient, ast.Mult(), divisor)
        return ast.BinOp(ast.Name(self.own, ast.Load()), ast.Sub(), whole)

