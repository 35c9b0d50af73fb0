"""What is known of loops beside their text: how often they run, and whether their rounds wait for each other.

Loops that run as often as elements of arrays say, rows of a sparse matrix, neighbours, words, have few rounds.

LLVM takes eight rounds of a loop together, and has another loop for the rest: more jumps to predict than rounds. So
such loops get a hint (`portapar.kernel.jit.loops.two_rounds_`).
"""

from __future__ import annotations

import ast
import functools

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import assignments_of, call_behind, index_of, names_in, stored_in
from portapar.kernel.program import Program


def few_rounds(texts: dict[str, str], trees: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """Those of a program's functions that have such loops, with a call of ``two_rounds_()`` behind each loop.

    It is ``one_round_()`` where there are loops inside.

    `trees` are other forms of some of the functions, to be used instead of their texts.
    """
    found = {}
    for name, text in texts.items():
        if "range(" not in text or "[" not in text:
            continue
        tree = trees.get(name) or tree_of(text)
        if call_behind(tree, functools.partial(_hint, _loaded(tree))):
            found[name] = tree
    return found


def _loaded(tree: ast.Module) -> set[str]:
    """The names of numbers that are, or are computed from, elements of arrays."""
    made = [pair for node in ast.walk(tree) for pair in assignments_of(node)]
    found: set[str] = set()
    before = -1
    while len(found) > before:
        before = len(found)
        found |= {name for name, value in made if _is_loaded(value, found)}
    return found


def _is_loaded(value: ast.expr, names: set[str]) -> bool:
    for node in ast.walk(value):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):  # but not x.shape[0]
            return True
    return bool(names_in(value) & names)


def _hint(loaded: set[str], step: ast.stmt) -> str | None:
    if not (isinstance(step, ast.For) and isinstance(step.iter, ast.Call) and _is_loaded(step.iter, loaded)):
        return None
    if "min" in names_in(step.iter):  # a part of something long: elements say no more than where that ends
        return None
    loops = sum(isinstance(inner, (ast.For, ast.While)) for inner in ast.walk(step))
    return "two_rounds_" if loops == 1 else "one_round_"


def stores_last(program: Program, body: ast.Module) -> bool:
    """Whether iterations that run next to each other may all load before one of them stores.

    So it is where they run at the same time, as ``d[i, j] = min(d[i, j], d[i, k] + d[k, j])``, in whatever order: LLVM
    could only compare addresses, and finds that they meet. All must be read before the first store, which is the last
    step, in one place of a row for each iteration.
    """
    if not program.written or program.updated:
        return False
    function = body.body[0]
    assert isinstance(function, ast.FunctionDef)
    params = [p.arg for p in function.args.args]
    own, arrays = params[program.ndim - 1], params[program.ndim :]
    written = {arrays[k]: program.specs[k] for k in program.written}
    elements = {id(n.value) for n in ast.walk(function) if isinstance(n, (ast.Subscript, ast.Attribute))}
    if any(isinstance(n, ast.Name) and n.id in written and id(n) not in elements for n in ast.walk(function)):
        return False  # functions may do anything with an array
    stores = [n for n in ast.walk(function) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)]
    for store in stores:
        name = store.value.id if isinstance(store.value, ast.Name) else ""
        last = index_of(store)[-1]
        if name not in written or not written[name].contiguous or len(index_of(store)) != written[name].ndim:
            return False
        while isinstance(last, ast.Call) and ast.unparse(last.func) == "np.uint64":
            (last,) = last.args
        if not (isinstance(last, ast.Name) and last.id == own):
            return False
    return bool(stores) and own not in stored_in(function) and _ends_by(function.body, len(stores))


def _ends_by(body: list[ast.stmt], stores: int) -> bool:
    """Whether so many stores are in last steps, each in a branch of its own; there is no loop, nor a function that
    might store."""
    found = 0

    def look(steps: list[ast.stmt], end: bool) -> bool:
        nonlocal found
        for place, step in enumerate(steps, 1):
            last = end and place == len(steps)
            match step:
                case ast.If(body=some, orelse=others):
                    if not (look(some, last) and look(others, last)):
                        return False
                case ast.Assign(targets=[ast.Subscript()]) | ast.AugAssign(target=ast.Subscript()):
                    if not last:
                        return False
                    found += 1
                case ast.Assign(targets=[ast.Name()]) | ast.AugAssign(target=ast.Name()) | ast.Pass():
                    pass
                case _:
                    return False
        return True

    return look(body, True) and found == stores
