"""The steps of a kernel: what kinds of steps they are, and what they may be taken apart into."""

from __future__ import annotations

import ast
import functools
from typing import Any

import numpy as np

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import names_in, stored_in, walk

#: NumPy's types of numbers that casts name
NUMBERS = {f"{kind}{8 * size}" for kind in ("int", "uint") for size in (1, 2, 4, 8)} | {"float32", "float64"}
_NUMPY = NUMBERS | set("exp log sqrt sin cos tan tanh abs fabs minimum maximum floor ceil".split())
_FUNCTIONS = {"len", "abs", "min", "max", "float", "int", "range"}


def split(step: ast.stmt) -> list[ast.stmt]:
    """A step, with assignments of tuples as one for each number, where none waits for another."""
    for field in ("body", "orelse"):
        if isinstance(step, (ast.For, ast.If)):
            setattr(step, field, [part for inner in getattr(step, field) for part in split(inner)])
    match step:
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            places = [t for t in targets if isinstance(t, ast.Subscript)]
            changed = stored_in(step).union(*(names_in(t.value) for t in places))
            if len(targets) == len(values) and not changed & names_in(*values, *(t.slice for t in places)):
                parts = [ast.Assign([target], value) for target, value in zip(targets, values, strict=True)]
                return [ast.copy_location(part, step) for part in parts]
        case ast.Assign(targets=[_, _, *_] as targets, value=ast.Constant() | ast.Name() as value):
            if all(isinstance(target, ast.Name) for target in targets):
                return [ast.copy_location(ast.Assign([target], value), step) for target in targets]
    return [step]


def private_arrays(function: ast.FunctionDef) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """The shapes and dtypes of the arrays that a function makes for itself, each in one place."""
    found, times = {}, [n.id for n in walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    for node in walk(function):
        match node:
            case ast.Assign(
                [ast.Name(id=name)],
                ast.Call(
                    ast.Name("private_zeros" | "private_empty" | "private_full"),
                    [shape, *_, ast.Attribute(ast.Name("np"), dtype)],
                    [],
                ),
            ) if times.count(name) == 1 and dtype in NUMBERS:
                extents = ast.literal_eval(shape)
                found[name] = (extents if isinstance(extents, tuple) else (extents,)), np.dtype(dtype)
    return found


def adds_up(step: ast.stmt, kinds: dict[str, Any]) -> bool:
    """Whether all that a step does is to add to a whole number: in any order it is the same."""
    match step:
        case ast.AugAssign(ast.Name(id=name), ast.Add() | ast.BitAnd() | ast.BitOr() | ast.BitXor(), value):
            return name not in names_in(value) and name in kinds and "int" in kinds[name][0]
    return False


def known(call: ast.Call) -> bool:
    """Whether it is a function that gives the same for the same, and does nothing else."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in _FUNCTIONS
    return isinstance(function, ast.Attribute) and plain(function)


def plain(name: ast.Attribute) -> bool:
    """Whether it is of the math module, or one of NumPy's functions of numbers."""
    module = ast.unparse(name.value)
    return module == "math" or (module == "np" and name.attr in _NUMPY)


@functools.lru_cache(maxsize=256)
def only_steps(name: str, texts: tuple[tuple[str, str], ...]) -> bool:
    """Whether a function is steps without loops, and so are those that it calls."""
    known = dict(texts)
    nodes = list(walk(tree_of(known[name])))
    called = {node.id for node in nodes if isinstance(node, ast.Name)} & known.keys()
    loops = any(isinstance(node, (ast.For, ast.While)) for node in nodes)
    return not loops and name not in called and all(only_steps(other, texts) for other in called)
