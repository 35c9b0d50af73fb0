"""Loops over lists of indices, ``i = zones[k]``: where these follow one another vectors are loaded, and none gathered.

Lists of the cells inside of a grid, of a material or of a boundary are runs of neighbours, a row of the grid each. The
body is written a second time, for positions of which the list's elements are the position and what a run has in common.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar.kernel.cpu.quotients import compiled
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import assignments_of, copied, index_of, names_in, stored_in, walk
from portapar.kernel.program import Program

_SHIFT = "shift_"
_LEAST = 16  #: elements that runs have on average where it is worth to find them
_USES = 3  #: elements of arrays at such places where it is


@dataclass(frozen=True)
class Listed:
    """The body for positions in a run of a list."""

    tree: ast.Module
    array: str  #: the list, as a loop's text has it

    def functions(self, program: Program, space: dict[str, Any]) -> dict[str, Any]:
        """What the loop calls, of what is in a namespace."""
        return {"run": compiled(self.tree, program, space)}

    def runs(self, unpacked: str, call: str) -> str:
        """The text of ``runs(near, far, block)``, which does the positions between two if most of them are in runs.

        Elements must become more and more: then those between the first and the last one of a run are in it.

        `unpacked` is the line that takes the arguments from a block.
        """
        at = f"np.int64({self.array}[nonneg({{}})])".format
        return (
            f"def runs(near, far, block):\n    seldom()\n    wide()\n{unpacked}"
            "    breaks = falls = near - near\n"
            f"    for k in range(near + 1, min(near + {_LEAST}, far)):\n"
            f"        breaks += int({at('k')} - {at('k - 1')} != 1)\n"
            f"    if breaks > {_LEAST // 4}:\n        return False\n"
            "    breaks = falls\n"
            "    for k in range(near + 1, far):\n"
            f"        by = {at('k')} - {at('k - 1')}\n"
            "        breaks += int(by != 1)\n"
            "        falls += int(by < 1)\n"
            f"    if falls > 0 or breaks * {_LEAST} > far - near:\n        return False\n"
            "    first = near\n"
            "    while first < far:\n"
            f"        shift, stop = {at('first')} - first, first + 1\n"
            f"        while stop + 8 <= far and {at('stop + 7')} - (stop + 7) == shift:\n            stop += 8\n"
            f"        while stop < far and {at('stop')} - stop == shift:\n            stop += 1\n"
            f"        for k in range(first, stop):\n            run(nonneg(k), {call}, shift)\n"
            "        first = stop\n"
            "    return True\n"
        )


def listed(program: Program, body: ast.Module) -> Listed | None:
    """The body for runs, if it takes its place from one list that it does not write, and has no loop."""
    function = copied(body.body[0])
    assert isinstance(function, ast.FunctionDef)
    params = [p.arg for p in function.args.args]
    if program.ndim != 1 or not program.unit or program.form == "reduce" or stored_in(function) & {*params}:
        return None
    if any(isinstance(node, (ast.For, ast.While)) for node in walk(function)) or _SHIFT in ast.unparse(function):
        return None
    own, arrays = params[0], params[1:]
    lists = {
        name: spec.dtype.itemsize
        for k, (name, spec) in enumerate(zip(arrays, program.specs, strict=True))
        if spec.is_array and spec.ndim == 1 and spec.contiguous and spec.dtype in (np.int64, np.int32)
        if k != program.out and k not in (program.written or ())
    }
    found = _Elements(own, lists)
    found.visit(function)
    others = {n.id for n in walk(function) if isinstance(n, ast.Name)}
    if len(found.lists) != 1 or found.lists & others or _uses(function) < _USES:
        return None
    function.name = "run"
    function.args.args.append(ast.arg(_SHIFT))
    (name,) = found.lists
    return Listed(ast.fix_missing_locations(ast.Module([function], [])), f"a{arrays.index(name)}")


def _uses(function: ast.FunctionDef) -> int:
    """How many elements of arrays lie where a list says."""
    made, names, before = [pair for n in walk(function) for pair in assignments_of(n)], {_SHIFT}, 0
    while len(names) > before:
        before = len(names)
        names |= {name for name, value in made if names & names_in(value)}
    return sum(isinstance(n, ast.Subscript) and bool(names & names_in(n.slice)) for n in walk(function))


class _Elements(ast.NodeTransformer):
    """Elements of lists at the kernel's own index become that index and what a run has in common.

    Those of 32 bits only where each is an index itself: what is computed of them wraps.
    """

    def __init__(self, own: str, among: dict[str, int]) -> None:
        self.own, self.among, self.lists = own, among, set[str]()
        self.places: set[int] = set()  #: nodes that are an index
        self.number = tree_of(f"np.int64({own} + {_SHIFT})").body[0].value  # type: ignore[attr-defined]

    def list_of(self, node: ast.AST) -> str | None:
        """The list of which it is the element at the kernel's own index."""
        if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
            return None
        own = isinstance(at := _signed(node.slice), ast.Name) and at.id == self.own
        return node.value.id if own and node.value.id in self.among else None

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        name = self.list_of(node)
        if name is not None and (self.among[name] == 8 or id(node) in self.places):
            self.lists.add(name)
            return ast.copy_location(copied(self.number), node)
        self.places |= {id(_signed(part)) for part in index_of(node)}
        self.generic_visit(node)
        return node


def _signed(index: ast.expr) -> ast.expr:
    while isinstance(index, ast.Call) and ast.unparse(index.func) == "np.uint64":
        (index,) = index.args
    return index
