"""How often loops run: a hint that is written into a program's functions.

Loops that run as often as elements of arrays say, rows of a sparse matrix, neighbours, words, have few rounds.

LLVM takes eight rounds of a loop together, and has another loop for the rest: more jumps to predict than rounds. So
such loops get a hint (`portapar.kernel.jit.loops.two_rounds_`).
"""

from __future__ import annotations

import ast
import functools

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import assignments_of, call_behind, names_in, walk


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
    made = [pair for node in walk(tree) for pair in assignments_of(node)]
    found: set[str] = set()
    before = -1
    while len(found) > before:
        before = len(found)
        found |= {name for name, value in made if _is_loaded(value, found)}
    return found


def _is_loaded(value: ast.expr, names: set[str]) -> bool:
    for node in walk(value):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):  # but not x.shape[0]
            return True
    return bool(names_in(value) & names)


def _hint(loaded: set[str], step: ast.stmt) -> str | None:
    if not (isinstance(step, ast.For) and isinstance(step.iter, ast.Call) and _is_loaded(step.iter, loaded)):
        return None
    if "min" in names_in(step.iter):  # a part of something long: elements say no more than where that ends
        return None
    loops = sum(isinstance(inner, (ast.For, ast.While)) for inner in walk(step))
    return "two_rounds_" if loops == 1 else "one_round_"
