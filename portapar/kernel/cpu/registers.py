"""Private arrays in vector registers: loops over one that LLVM has to vectorize before it unrolls them.

LLVM unrolls a short loop of constant length first, and does not make vectors of the scalars that are left. So
the innermost loops that work on a private array get a hint (`portapar.kernel.jit.loops.vectors`).
"""

from __future__ import annotations

import ast
import functools
from typing import Any

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import call_behind, names_in

LANES, MOST = 4, 128  #: a loop worth it runs a multiple of so often, and not more than that: it is written out


def hinted(texts: dict[str, str], trees: dict[str, ast.Module] | None = None) -> dict[str, ast.Module]:
    """Those of a program's functions that have such loops, with a call of ``vectors()`` behind each loop.

    `trees` are other forms of some of the functions, to be used instead of their texts.
    """
    if not any("private_" in text for text in texts.values()):
        return {}
    trees = {name: tree_of(text) for name, text in texts.items()} | (trees or {})
    arrays = _private_arrays({name: tree.body[0] for name, tree in trees.items()})
    return {name: tree for name, tree in trees.items() if call_behind(tree, functools.partial(_hint, arrays[name]))}


def _hint(private: set[str], step: ast.stmt) -> str | None:
    return "vectors" if _has_lanes(step, private) else None


def _private_arrays(functions: dict[str, Any]) -> dict[str, set[str]]:
    """The names of the private arrays in each function: those that it makes, and those that callers give it.

    A function comes before those that call it.
    """
    found: dict[str, set[str]] = {name: set() for name in functions}
    for name in reversed(functions):
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _makes_private(node.value):
                found[name].add(node.targets[0].id)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                for given, param in zip(node.args, functions[node.func.id].args.args, strict=False):
                    if isinstance(given, ast.Name) and given.id in found[name]:
                        found[node.func.id].add(param.arg)
    return found


def _makes_private(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id.startswith("private_")


def _has_lanes(loop: ast.stmt, private: set[str]) -> bool:
    """Whether it is a loop of constant length whose every step stores to elements, which steps do not share."""
    if not (isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) and _length(loop.iter) is not None):
        return False
    lane, stored, used = loop.target.id, {}, False
    for step in loop.body:
        if not isinstance(step, (ast.Assign, ast.AugAssign)):
            return False
        for target in step.targets if isinstance(step, ast.Assign) else [step.target]:
            if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
                return False
            if lane not in names_in(target.slice):
                return False
            stored[target.value.id] = ast.unparse(target.slice)
    for node in ast.walk(loop):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            name = node.value.id
            if name in stored and ast.unparse(node.slice) != stored[name]:
                return False
            if lane in names_in(node.slice):
                *outer, last = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                if any(lane in names_in(index) for index in outer) or not _neighbours(last):
                    return False
                used |= name in private
    return used


def _neighbours(index: ast.expr) -> bool:
    """Whether it is the lane plus what is the same for all lanes: vectors are loaded as such, not gathered."""
    plain = (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.BinOp, ast.Add, ast.Load)
    return all(isinstance(node, plain) for node in ast.walk(index))


def _length(call: ast.expr) -> int | None:
    """How often a loop over ``range(constant)`` runs, if that is within the limits."""
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range":
        match call.args:
            case [ast.Constant(value=int(n))] if 0 < n <= MOST and n % LANES == 0:
                return n
    return None
