"""Loops of a kernel's own whose rounds know nothing of each other: several rounds at a time.

In ``for j in range(n): s = 0.0; for k in range(m): s += a[i, k] * b[k, j]``, then ``c[i, j] = s``, which each row `i`
does for itself, a round of the outer loop is what an index of the space is elsewhere: it becomes a lane of vectors
(`portapar.kernel.lanes.strips`).
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, index_of, names_in, stored_in, walk
from portapar.kernel.lanes.crossed import is_short
from portapar.kernel.lanes.kinds import Kinds
from portapar.kernel.lanes.strips import strip
from portapar.kernel.program import Program, Spec

PREFIX = "inner_"  #: names that begin so are free, or there are no such strips


@dataclass(frozen=True)
class Rounds:
    """A loop of a kernel: what one round does, so many, and fewer, as functions of a program of its own."""

    name: str
    program: Program
    one: ast.Module
    whole: ast.Module
    fewer: ast.Module


def inner_strips(program: Program, body: ast.Module) -> tuple[ast.Module, tuple[Rounds, ...]] | None:
    """A body whose loops call functions for several rounds, and these; None if it has no such loop.

    The body must be right where indices cannot be negative, and arrays that are written share memory with no others.
    """
    found = copied(body)
    function = found.body[0]
    assert isinstance(function, ast.FunctionDef)
    if program.form != "map" or not program.written or program.signed or program.updated or PREFIX in program.text:
        return None
    made: list[Rounds] = []
    counters = {p.arg for p in function.args.args[: program.ndim]}  # which are not negative
    _visit(program, function, function.body, [[]], counters, made)
    return (ast.fix_missing_locations(found), tuple(made)) if made else None


def _visit(
    program: Program,
    function: ast.FunctionDef,
    block: list[ast.stmt],
    rest: list[list[ast.stmt]],
    counters: set[str],
    made: list[Rounds],
) -> None:
    """Replace loops of a block, or inside of them; `rest` is what runs behind the block, and where it ends early."""
    place = 0
    while place < len(block):
        step, behind = block[place], [[*block[place + 1 :], *rest[0]], *rest[1:]]
        again = [[step, *behind[0]], *behind[1:]]
        if any(isinstance(node, (ast.Break, ast.Continue)) for node in walk(step)):
            again.append(again[0])
        if isinstance(step, ast.If):
            for part in (step.body, step.orelse):
                _visit(program, function, part, behind, counters, made)
        elif isinstance(step, ast.While):
            _visit(program, function, step.body, again, counters, made)
        elif isinstance(step, ast.For):
            parts = _replaced(program, function, step, behind, counters, len(made))
            if parts is not None:
                steps, rounds = parts
                block[place : place + 1] = steps
                made.append(rounds)
                place += len(steps)
                continue
            inside = counters if _ends(step, counters) is None else counters | stored_in(step.target)
            _visit(program, function, step.body, again, inside - stored_in(*step.body), made)
        place += 1


def _ends(loop: ast.For, counters: set[str]) -> tuple[ast.expr, ast.expr] | None:
    """Where a loop in steps of 1 begins, which is not negative for certain, and ends."""
    match loop.iter:
        case ast.Call(ast.Name("range"), [stop], []):
            return ast.Constant(0), stop
        case ast.Call(ast.Name("range"), [start, stop], []) if _at_least_0(start, counters):
            return start, stop
    return None


def _at_least_0(node: ast.expr, counters: set[str]) -> bool:
    """Whether it is a counter plus small constants: there are no such sums beyond 2**63 where there are elements."""
    match node:
        case ast.Constant(value=int(value)):
            return 0 <= value < 2**31
        case ast.Name(id=name):
            return name in counters
        case ast.BinOp(left=left, op=ast.Add(), right=ast.Constant(value=int(value))):
            return 0 <= value < 2**31 and isinstance(left, ast.Name) and left.id in counters
    return False


def _replaced(
    program: Program,
    function: ast.FunctionDef,
    loop: ast.For,
    behind: list[list[ast.stmt]],
    counters: set[str],
    number: int,
) -> tuple[list[ast.stmt], Rounds] | None:
    """What stands for a loop if several of its rounds can be done at a time."""
    ends = _ends(loop, counters)
    if ends is None or not isinstance(loop.target, ast.Name) or loop.orelse or is_short(loop.iter.args):  # type: ignore[attr-defined]
        return None
    if not any(isinstance(node, ast.For) for step in loop.body for node in walk(step)):
        return None
    own, given = loop.target.id, stored_in(*loop.body)
    params = [p.arg for p in function.args.args]
    assigned = stored_in(function)
    if own in given or assigned & {*params}:
        return None
    if any(_first_use(name, loop.body) == "read" for name in given):  # what a round leaves to the next one
        return None
    if any(_first_use(name, way) == "read" for name in {own, *given} for way in behind):
        return None
    kinds = Kinds(program, function)
    if any(kinds.of(name) != ("int64", "int") for name in _numbers(*ends)):
        return None
    specs = dict(zip(params[program.ndim :], program.specs, strict=True))
    used = [name for name in dict.fromkeys(_names(loop.body)) if name not in given and name != own]
    scalars: dict[str, Spec] = {}
    for name in used:
        if name in specs and specs[name].is_array:
            continue
        if name in assigned or name in params:
            kind = kinds.of(name)
            if kind is None:
                return None
            scalars[name] = Spec(np.dtype(kind[0].rstrip("_")), weak=kind[1] != "")
    arrays = [name for name in used if name in specs and specs[name].is_array]
    names = [*scalars, *arrays]
    rounds = tree_of(f"def body({', '.join([own, *names])}):\n    pass").body[0]
    assert isinstance(rounds, ast.FunctionDef)
    rounds.body = [copied(step) for step in loop.body]
    one = ast.fix_missing_locations(ast.copy_location(ast.Module([rounds], []), loop))
    written = {params[program.ndim + k] for k in program.written or ()}
    inner = dataclasses.replace(
        program, ndim=1, unit=True, steps=(), last=0, out=-1, own=(), idle=(), once=False,
        specs=tuple(scalars.get(name) or specs[name] for name in names),
        written=tuple(k for k, name in enumerate(names) if name in written),
    )  # fmt: skip
    apart = _apart(loop.body, own)
    whole, fewer = (strip(inner, one, part, apart) for part in (False, True))
    if whole is None or fewer is None:
        return None
    width, name = whole[0], f"{PREFIX}{number}"
    first, last, middle, at = (f"{PREFIX}{what}{number}" for what in ("first", "last", "middle", "at"))
    more = "".join(f", {other}" for other in names)
    text = (
        f"{first} = {ast.unparse(ends[0])}\n"
        f"{last} = max({ast.unparse(ends[1])}, {first})\n"
        f"{middle} = {first} + ({last} - {first}) // {width} * {width}\n"
        f"for {at} in range({first}, {middle}, {width}):\n    {name}(nonneg({at}){more})\n"
        f"if {middle} < {last}:\n    {name}fewer(nonneg({middle}){more}, nonneg({last} - {middle}))\n"
    )
    steps = [ast.copy_location(step, loop) for step in tree_of(text).body]
    return steps, Rounds(name, inner, one, whole[1], fewer[1])


def _apart(body: list[ast.stmt], own: str) -> bool:
    """Whether what rounds store surely lies at an index that is not negative: from the end it might be another's."""
    for node in (n for step in body for n in walk(step)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            last = index_of(node)[-1]
            unsigned = isinstance(last, ast.Call) and ast.unparse(last.func) == "np.uint64"
            if not (unsigned or (isinstance(last, ast.Name) and last.id == own)):
                return False
    return True


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for step in body:
        yield from (node.id for node in walk(step) if isinstance(node, ast.Name))


def _numbers(*parts: ast.expr) -> set[str]:
    """The names in expressions but for arrays whose lengths are asked for, and functions."""
    found = names_in(*parts)
    for part in parts:
        for node in walk(part):
            match node:
                case ast.Attribute(ast.Name(id=name), "shape") | ast.Call(ast.Name("len"), [ast.Name(id=name)]):
                    found.discard(name)
    return found - {"len", "min", "max"}


def _first_use(name: str, steps: list[ast.stmt]) -> str:
    """How a name is used first when steps run: "given" a value or "read", where it may be either "read"; else ""."""
    for step in steps:
        if name not in names_in(step):
            continue
        match step:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return "read" if name in names_in(value) else "given"
            case ast.For(target=ast.Name(id=target), iter=over, body=body, orelse=[]):
                if name in names_in(over) or (target != name and _first_use(name, body) == "read"):
                    return "read"  # or else it may run no round at all
            case ast.If(test=test, body=body, orelse=orelse):
                ways = [_first_use(name, part) for part in (body, orelse)]
                if name in names_in(test) or "read" in ways:
                    return "read"
                if ways == ["given", "given"]:
                    return "given"
            case _:
                return "read"
    return ""
