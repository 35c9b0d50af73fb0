"""What rows are made of: lengths, templates of elements, and the texts of folds over them."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, index_of, item_of, placed

LOOP = "write a loop over the elements: for k in range(len(x))"
PRIVATE = "use a private array, d = np.zeros(3), and fill it: d[:] = …"
REDUCTIONS = {"amin": "min", "amax": "max", **{n: n for n in "sum prod min max argmin argmax mean any all".split()}}
CONSTRUCTORS = ("private_zeros", "private_empty", "private_full", "private_like", "private_filled")
MOST = 1024  #: elements of a row that gets an array of its own
PRODUCTS = frozenset({"dot", "vdot", "inner"})
#: where a slice of n elements begins or ends
ROW_BOUND = "    if b < 0:\n        b += n\n    return 0 if b < 0 else (b if b < n else n)\n"
#: small functions of whole numbers: their parameters and texts
HELPERS = {
    "row_bound": (["b", "n"], ROW_BOUND),
    "row_last": (["b", "n"], "    b = b + n if b < 0 else b\n    return -1 if b < 0 else min(b, n - 1)\n"),
    "row_length": (
        ["start", "stop", "step"],
        "    return (stop - start + step - 1) // step if stop > start else 0\n",
    ),
    "row_place": (["k", "n"], "    return k + n if k < 0 else k\n"),
    "row_element": (["k", "n", "axis", "text", "row"], "    return k + n if k < 0 else k\n"),  # of checked calls
}
_BOUND = ast.dump(tree_of(textwrap.dedent(ROW_BOUND)))
PUSH = "place = atomic.add(tail, 0, 1)\nif place < len(items):\n    items[place] = value\n"
_PUSH = ast.dump(tree_of(PUSH))


def one_by_one(node: ast.Subscript, rank: Callable[[ast.expr], int]) -> str:
    """What to write instead of ``x[rows]``."""
    parts = index_of(node)
    place = next(k for k, part in enumerate(parts) if rank(part))
    rows, whole = ast.unparse(parts[place]), ast.unparse(node.value)
    if not isinstance(parts[place], ast.Name):
        return f"write a loop with an if, or np.where({rows}, {whole}, 0) for sums of what a mask takes"
    index = ", ".join(f"{rows}[k]" if k == place else ast.unparse(part) for k, part in enumerate(parts))
    return f"write a loop: for k in range(len({rows})), with {whole}[{index}]; if {rows} is a mask, with if {rows}[k]"


def is_row_bound(function: ast.FunctionDef) -> bool:
    """Whether it is the function by which slices are bounded."""
    names = [arg.arg for arg in function.args.args]
    return names == ["b", "n"] and ast.dump(ast.Module(function.body, [])) == _BOUND


def is_push(function: ast.FunctionDef) -> bool:
    """Whether it is `pp.push`, which puts a value at the end of a list."""
    names = [arg.arg for arg in function.args.args]
    return names == ["items", "tail", "value"] and ast.dump(ast.Module(function.body, [])) == _PUSH


@dataclass(frozen=True, slots=True)
class Dim:
    """A length: of an axis of an argument, cut by a constant slice; or one that is known only as the kernel runs.

    Attributes
    ----------
    name, axis
        The argument, and its axis. No name: `axis` is the length itself, or, of other lengths, what it is made from.
    cut : tuple of slice
        Constant slices, one after the other.
    base
        Of a slice whose bounds are known only as the kernel runs: what it is cut from.
    """

    name: str
    axis: Any
    cut: tuple[tuple[int | None, int | None, int | None], ...] = ()
    base: Dim | None = None

    @property
    def known(self) -> bool:
        return bool(self.name) or isinstance(self.axis, int)

    def length(self, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
        if not self.known:
            return None
        n = shapes[self.name][self.axis] if self.name else self.axis
        for bounds in self.cut:
            n = len(range(*slice(*bounds).indices(n)))
        return n


@dataclass(frozen=True, slots=True)
class Check:
    """Two lengths that must be the same, and where."""

    one: Dim
    other: Dim
    texts: tuple[str, str]
    where: tuple[str, str, int]  #: kernel, file, line


@dataclass(slots=True)
class Row:
    """A template for the elements of a row.

    Attributes
    ----------
    dims : list of Dim
        Its lengths, for checks.
    lengths : list of ast.expr
        The same as code.
    at : callable
        The element at these indices, as code.
    reads : list of (str, str)
        Arrays that it reads, and how: the text of the place.
    view : ast.expr or None
        The array itself, if it is one.
    """

    dims: list[Dim]
    lengths: list[ast.expr]
    at: Callable[[Sequence[ast.expr]], ast.expr]
    reads: list[tuple[str, str]] = field(default_factory=list)
    view: ast.expr | None = None


Given = Mapping[str, tuple[Dim, ...]]  #: arrays by name, and the lengths of their axes


class Kept(Exception):
    """A name of computed elements needs a private array of its own, of these lengths."""

    def __init__(self, name: str, lengths: tuple[int, ...]) -> None:
        super().__init__(name)
        self.name, self.lengths = name, lengths


class Transposed(ast.NodeTransformer):
    """``X.T[i, j]`` is ``X[j, i]``, and ``X.T[i]`` is ``X[:, i]``, of arrays that are known by their names.

    Of records ``X["p"][i, 2]`` is ``X[i]["p"][2]``, and ``X["p"]["q"][i]`` is ``X[i]["p"]["q"]``.
    """

    def __init__(self, ndims: Mapping[str, int]) -> None:
        self.ndims, self.changed = ndims, False

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        array, index = node.value, index_of(node)
        keys: list[ast.expr] = []
        whole: Any = array
        while isinstance(whole, ast.Subscript) and isinstance(getattr(whole.slice, "value", None), str):
            keys, whole = [whole.slice, *keys], whole.value
        if keys and isinstance(whole, ast.Name) and whole.id in self.ndims:
            own, more = index[: self.ndims[whole.id]], index[self.ndims[whole.id] :]
            places = not any(isinstance(x, ast.Slice) or isinstance(getattr(x, "value", None), str) for x in own)
            if len(own) == self.ndims[whole.id] > 0 and places:
                self.changed = True
                field: Any = item_of(whole, own)
                for key in keys:
                    field = ast.Subscript(field, key, ast.Load())
                field = item_of(field, more) if more else field
                field.ctx = node.ctx
                return placed(field, node)
        if isinstance(array, ast.Attribute) and array.attr == "T" and isinstance(array.value, ast.Name):
            index += [ast.Slice()] * (self.ndims.get(array.value.id, 0) - len(index))
            numbers = all(not isinstance(x, ast.Constant) or type(x.value) is int for x in index)
            if numbers and len(index) > 1 and sum(isinstance(x, ast.Slice) for x in index) < 2:
                self.changed = True
                made = ast.Subscript(array.value, ast.Tuple([copied(x) for x in index[::-1]], ast.Load()), node.ctx)
                return placed(made, node)
        return node


def fold_text(kind: str, element: str, first: str, index: list[str], lengths: list[str]) -> str:
    """The body of a function that folds elements in order."""
    if kind in ("argmin", "argmax"):
        sign, (k,), (n,) = "<" if kind == "argmin" else ">", index, lengths
        return (
            f"    best = {first}\n    at = 0\n    for {k} in range(1, {n}):\n        value = {element}\n"
            f"        if value {sign} best or (value != value and best == best):\n"
            f"            best = value\n            at = {k}\n    return at\n"
        )
    count = " * ".join(lengths)
    begin, step, end = {
        "sum": (f"row_number({first}, 0)", f"total = total + ({element})", "total"),
        "prod": (f"row_number({first}, 1)", f"total = total * ({element})", "total"),
        "mean": (f"row_number({first}, 0)", f"total = total + ({element})", f"total / row_number(total, {count})"),
        "min": (first, f"total = np.minimum(total, {element})", "total"),
        "max": (first, f"total = np.maximum(total, {element})", "total"),
        "any": ("False", f"total = total or ({element}) != 0", "total"),
        "all": ("True", f"total = total and ({element}) != 0", "total"),
    }[kind]
    text, indent = f"    total = {begin}\n", "    "
    for k, n in zip(index, lengths, strict=True):
        text += f"{indent}for {k} in range({n}):\n"
        indent += "    "
    return f"{text}{indent}{step}\n    return {end}\n"
