"""Private arrays in vector registers: loops over one that LLVM has to vectorize before it unrolls them.

LLVM unrolls a short loop of constant length first, and does not make vectors of the scalars that are left. So
the innermost loops that work on a private array get a hint (`portapar.kernel.jit.loops.vectors`). Of what it unrolled
it makes vectors where neighbouring elements are stored one after the other, so that nests of loops are turned to do
that, where every round stores in a place of its own.
"""

from __future__ import annotations

import ast
import functools
from typing import Any

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import assignments_of, call_behind, index_of, names_in, stored_in, walk

LANES, MOST = 4, 128  #: a loop worth it runs a multiple of so often, and not more than that: it is written out


def hinted(texts: dict[str, str], trees: dict[str, ast.Module] | None = None) -> dict[str, ast.Module]:
    """Those of a program's functions that have such loops, with a call of ``vectors()`` behind each loop.

    `trees` are other forms of some of the functions, to be used instead of their texts.
    """
    if not any("private_" in text for text in texts.values()):
        return {}
    trees = {name: tree_of(text) for name, text in texts.items()} | (trees or {})
    arrays = _private_arrays({name: tree.body[0] for name, tree in trees.items()})
    turned = {name for name, tree in trees.items() if _turn(tree)}
    hints = {name for name, tree in trees.items() if call_behind(tree, functools.partial(_hint, arrays[name]))}
    return {name: trees[name] for name in turned | hints}


def _hint(private: set[str], step: ast.stmt) -> str | None:
    return "vectors" if _has_lanes(step, private) else None


def _private_arrays(functions: dict[str, Any]) -> dict[str, set[str]]:
    """The names of the private arrays in each function: those that it makes, and those that callers give it.

    A function comes before those that call it.
    """
    found: dict[str, set[str]] = {name: set() for name in functions}
    for name in reversed(functions):
        for node in walk(functions[name]):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _makes_private(node.value):
                found[name].add(node.targets[0].id)
        for node in walk(functions[name]):
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
    for node in walk(loop):
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
    return all(isinstance(node, plain) for node in walk(index))


def _length(call: ast.expr) -> int | None:
    """How often a loop over ``range(constant)`` runs, if that is within the limits."""
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range":
        match call.args:
            case [ast.Constant(value=int(n))] if 0 < n <= MOST and n % LANES == 0:
                return n
    return None


def _turn(tree: ast.AST) -> bool:
    """Turn nests of loops, so that the counters are in the order of the indices of what is stored; whether any was."""
    nodes = list(walk(tree))
    elements = {id(node.value) for node in nodes if isinstance(node, ast.Subscript)}
    other = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and id(n) not in elements}
    own = {name for node in nodes for name, value in assignments_of(node) if _makes_private(value)} - other
    found = False
    for node in nodes if own else ():
        loops = [node] if isinstance(node, ast.For) else []
        while loops and len(loops[-1].body) == 1 and isinstance(loops[-1].body[0], ast.For):
            loops.append(loops[-1].body[0])
        while len(loops) > 1:  # the innermost ones may be a part of what each round does
            order = _stored_by(loops, own)
            if order is not None:
                heads = {loop.target.id: (loop.target, loop.iter) for loop in loops}  # type: ignore[attr-defined]
                for loop, name in zip(loops, order, strict=True):
                    loop.target, loop.iter = heads[name]
                found = True
                break
            loops.pop()
    return found


def _stored_by(loops: list[ast.For], private: set[str]) -> list[str] | None:
    """The counters of a nest, as the indices of what it stores have them; None if they are so, or must not be turned.

    Every round must store in elements of its own, of arrays of which it uses no others, and begin with its numbers.
    """
    body = loops[-1].body
    names = [loop.target.id for loop in loops if isinstance(loop.target, ast.Name)]
    if len({*names}) != len(loops) or not all(_rounds(loop.iter) for loop in loops):
        return None
    inside = [node for step in body for node in walk(step)]
    if not all(isinstance(node, _STEPS) for node in inside if isinstance(node, ast.stmt)) or any(
        loop.orelse for loop in loops
    ):
        return None
    if any(isinstance(node, ast.Call) and not _is_pure(node.func) for node in inside):
        return None
    places: dict[str, str] = {}
    orders = set()
    for node in inside:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if not isinstance(node.value, ast.Name) or node.value.id not in private:
                return None
            places[node.value.id] = ast.unparse(node.slice)
            orders.add(tuple(name for name in map(_plain, index_of(node)) if name in names))
    if len(orders) != 1:
        return None
    (order,) = orders
    if sorted(order) != sorted(names) or list(order) == names:
        return None
    used = (node for node in inside if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name))
    if any(places.get(node.value.id, at := ast.unparse(node.slice)) != at for node in used):  # type: ignore[attr-defined]
        return None
    changing = stored_in(*body)
    if changing & {*names} or not all(_begins(name, body) for name in changing):
        return None
    return list(order)


_STEPS = ast.Assign, ast.AugAssign, ast.For
_PURE = "range", "min", "max", "abs", "float", "int", "choose", "nonneg"


def _rounds(call: ast.expr) -> bool:
    """Whether a loop runs a constant number of times, once at the least."""
    match call:
        case ast.Call(ast.Name("range"), [ast.Constant(value=int(n))], []):
            return n > 0
        case ast.Call(ast.Name("range"), [ast.Constant(value=int(lo)), ast.Constant(value=int(hi))], []):
            return lo < hi
    return False


def _is_pure(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Name) and function.value.id in ("np", "math")
    return isinstance(function, ast.Name) and function.id in (
        "range",
        "min",
        "max",
        "abs",
        "float",
        "int",
        "choose",
        "nonneg",
    )


def _plain(index: ast.expr) -> str | None:
    """The name that an index is, if it is one."""
    while isinstance(index, ast.Call) and ast.unparse(index.func) == "np.uint64":
        (index,) = index.args
    return index.id if isinstance(index, ast.Name) else None


def _begins(name: str, body: list[ast.stmt]) -> bool:
    """Whether steps give a name its value before they use it."""
    uses = [step for step in body if name in names_in(step)]
    match uses[0]:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return name not in names_in(value)
        case ast.For(target=ast.Name(id=target), iter=over) as loop if len(uses) == 1 and _rounds(over):
            return target == name or _begins(name, loop.body)
    return False
