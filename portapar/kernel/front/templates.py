"""Templates of rows: for an expression whose value is a row, its lengths and the code of its elements."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from portapar.errors import KernelError
from portapar.kernel.front import functions
from portapar.kernel.front.kernel import Function, place_of
from portapar.kernel.front.row_forms import (
    CONSTRUCTORS,
    HELPERS,
    LOOP,
    MOST,
    PRODUCTS,
    REDUCTIONS,
    Check,
    Dim,
    Given,
    Kept,
    Row,
    one_by_one,
)
from portapar.kernel.front.sharing import Sharing, index_tables, may_return_a_row
from portapar.kernel.front.sources import kernel_error
from portapar.kernel.front.trees import (
    assignments_of,
    binary,
    copied,
    index_of,
    item_of,
    names_one,
    numpy_call,
    placed,
    shape_of,
    some,
    walk,
    whole_number,
)

_WHOLE = frozenset({"interp", "polyval", "dist", "prod", "sumprod"})  #: functions of our own that take a row as a whole


class Templates(ast.NodeTransformer):
    """What of one function are rows.

    Attributes
    ----------
    arrays : dict
        Names of arrays and of parts of arrays, and the lengths of their axes.
    rows : dict
        Local names of rows that are no arrays.
    kept : dict
        Names of computed rows that have private arrays of their own, and the lengths of these.
    """

    def __init__(
        self,
        expander: Any,
        name: str,
        old: Function,
        function: ast.FunctionDef,
        given: Given,
        kept: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.kept, self.places = kept, dict[str, int]()
        self.pending: list[ast.stmt] | None = None  #: what must be done before the statement, where that can be
        self.guessed: dict[str, int] = {}  #: names that are rows, before it is known of which arrays
        self.anew: set[str] = set()  #: names that are more than arrays and parts of arrays
        self.expander, self.where = expander, (name, old.file)
        self.calls, self.choices = set(old.calls), old.choices
        self.arrays: dict[str, tuple[Dim, ...]] = dict(given)
        self.rows: dict[str, Row] = {}  #: local names of computed rows
        self.assigned: dict[str, int] = {}
        ranks = {name: len(dims) for name, dims in given.items()}
        expander.changed |= index_tables(function, ranks, expander.functions, expander.effect, expander.fresh)
        for node in walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.assigned[node.id] = self.assigned.get(node.id, 0) + 1
        self.function = function
        self.made_constant(function)
        self.sharing = Sharing(function, ranks, expander.functions, expander.effect)
        self.find_arrays(function)

    def fail(self, node: ast.AST, what: str, remedy: str) -> NoReturn:
        line = getattr(node, "lineno", self.expander.old.line)
        raise kernel_error(what, remedy, *self.where, line, getattr(node, "col_offset", None))

    def ambiguous(self, node: ast.AST) -> NoReturn:
        text = ast.unparse(node)
        self.fail(node, f"it asks whether the row {text} is true", f"write ({text}).any() or ({text}).all()")

    def made_constant(self, function: ast.FunctionDef) -> None:
        """Lengths of arrays as the shapes of private arrays: ``np.zeros(X.shape[1])``."""
        for node in walk(function):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONSTRUCTORS):
                continue
            parts = node.args[0].elts if isinstance(node.args[0], ast.Tuple) else [node.args[0]]
            if all(isinstance(part, ast.Constant) for part in parts):
                continue
            sizes = [self.size(part, 0) for part in parts]
            if any(n is None or not 0 < n <= MOST for n in sizes):
                what = f"the shape of a private array, {ast.unparse(node.args[0])}, is not a constant"
                remedy = f"write numbers up to {MOST}, np.zeros(4), or lengths of arguments, X.shape[1]; else pass an "
                self.fail(node, what, remedy + "array in, of which every index has a row of its own")
            numbers: list[ast.expr] = [ast.copy_location(ast.Constant(n), node) for n in sizes]
            node.args[0] = numbers[0] if len(numbers) == 1 else ast.copy_location(ast.Tuple(numbers, ast.Load()), node)
            self.expander.changed = True

    def size(self, node: ast.expr, depth: int) -> int | None:
        """The value of an expression of lengths of arguments."""
        match node:
            case ast.Constant(value=int(n)):
                return n
            case ast.Name(id=name) if depth < 5 and self.assigned.get(name) == 1:
                made = self.assignments(self.function).get(name, [])
                return self.size(made[0][0], depth + 1) if len(made) == 1 and not made[0][1] else None
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv() as op, right=right):
                a, b = self.size(left, depth), self.size(right, depth)
                if a is None or b is None or (b == 0 and isinstance(op, ast.FloorDiv)):
                    return None
                return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b, ast.FloorDiv: a // (b or 1)}[type(op)]
            case ast.Call(func=ast.Name(id="len"), args=[owner]):
                axis = 0
            case ast.Subscript(value=ast.Attribute(value=owner, attr="shape"), slice=index):
                found = whole_number(index)
                if found is None:
                    return None
                axis = found
            case _:
                return None
        dims = self.view_dims(owner)
        if dims is None or not -len(dims) <= axis < len(dims) or self.lengths([dims[axis]]) is None:
            return None
        return self.kept_lengths(node, [dims[axis]])[0]

    # which names are arrays -----------------------------------------------------------------------

    def find_arrays(self, function: ast.FunctionDef) -> None:
        """Local names of arrays and of parts of arrays, whichever is assigned first."""
        assigned = [pair for node in walk(function) for pair in assignments_of(node)]
        self.arrays.update((name, tuple(Dim("", n) for n in lengths)) for name, lengths in self.kept.items())
        for _ in range(3):
            before = len(self.arrays)
            for name, value in assigned:
                dims = self.view_dims(value)
                if dims is not None and name not in self.arrays:
                    self.arrays[name] = dims
            if len(self.arrays) == before:
                break
        plain = [name for name, _ in assigned]
        for name in self.arrays.keys() - self.kept.keys():  # loops, tuples and updates assign it too
            if self.assigned.get(name, 0) > plain.count(name) + self.updates(function, name):
                del self.arrays[name]
        for _ in range(3):  # names of computed rows, for now
            self.guessed.update({name: rank for name, value in assigned if (rank := self.rank(value))})
        for name, value in assigned:
            own = self.arrays.get(name, ())
            computed = name not in self.kept and self.view_dims(value) is None and not self.is_chosen(value)
            if computed and 0 < len(own) == self.rank(value) and self.lengths(own) is not None:
                raise Kept(name, self.kept_lengths(value, own))
        self.guessed = {}
        self.anew = {name for name, value in assigned if not self.is_view(value)}
        for name, value in assigned:  # a name that is an array of other lengths too
            dims, known = self.view_dims(value), self.arrays.get(name)
            if known is not None and dims != known and name not in self.kept:
                if dims is None or len(dims) != len(known):
                    del self.arrays[name]
                else:
                    self.arrays[name] = tuple(Dim("", f"{name}.shape[{k}]") for k in range(len(known)))

    @staticmethod
    def updates(function: ast.FunctionDef, name: str) -> int:
        """How often ``x += …`` changes an array in its place."""
        found = (node.target for node in walk(function) if isinstance(node, ast.AugAssign))
        return sum(isinstance(target, ast.Name) and target.id == name for target in found)

    def is_view(self, node: ast.expr) -> bool:
        """Whether it is an array or a part of one, and no new one."""
        return self.view_dims(node) is not None and not isinstance(node, ast.Call)

    def is_chosen(self, node: ast.expr) -> bool:
        """Whether it is one of several arrays."""
        return isinstance(node, ast.IfExp) and place_of(node) not in self.choices

    def keep(self, node: ast.AST, name: str, dims: Sequence[Dim], what: str, remedy: str) -> NoReturn:
        """Give a name of computed elements a private array of its own, if its lengths are known; else refuse it."""
        if name in self.kept or self.lengths(dims) is None:
            self.fail(node, what, remedy)
        raise Kept(name, self.kept_lengths(node, dims))

    def lengths(self, dims: Sequence[Dim]) -> tuple[int, ...] | None:
        """The lengths of a row as numbers; None if they are known only as the kernel runs."""
        found = [dim.length(self.expander.shapes) for dim in dims]
        return None if None in found else tuple(found)  # type: ignore[arg-type]

    def kept_lengths(self, node: ast.AST, dims: Sequence[Dim]) -> tuple[int, ...]:
        """The same for a private array, of whose text they become a part."""
        found = self.lengths(dims) or (0,)
        count = math.prod(found)
        if not 0 < count <= MOST:
            what = f"a private array of it would have {count} elements: from 1 to {MOST} are possible"
            self.fail(node, what, "pass an array in, of which every index has a row of its own, or " + LOOP)
        for dim, n in zip(dims, found, strict=True):
            if dim.name:
                whole = replace(dim, cut=()).length(self.expander.shapes)
                self.expander.fixed[dim.name, dim.axis] = n if whole is None else whole
        return found

    def root_name(self, node: ast.AST) -> str:
        """The name that a part of an array is taken of."""
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        return node.id if isinstance(node, ast.Name) else ""

    def root(self, node: ast.AST) -> str:
        """The array that a part belongs to: an argument, or a private array; "" if that is not certain."""
        found = self.roots(node)
        return found.pop() if len(found) == 1 else ""

    def roots(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> set[str]:
        """The arrays that a part may belong to; "" among them if not all are known."""
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        if not isinstance(node, ast.Name):
            return {""}
        name = node.id
        if not self.assigned.get(name) or name in self.kept:
            return {name}
        found: set[str] = set()
        for made in (n.value for n in walk(self.function) if names_one(n) and n.targets[0].id == name):
            if isinstance(made, ast.Call):  # a new one, or one of the arguments of a function
                own = isinstance(made.func, ast.Name) and self.returned_by(made.func.id, made) is not None
                handed = [] if own else [part for part in self.handed(made) if self.view_dims(part) is not None]
                found |= {name}.union(*(self.roots(part, seen | {name}) for part in handed if name not in seen))
            elif self.root_name(made) not in seen | {name}:
                found |= self.roots(made, seen | {name})
        return found or {""}

    def view_dims(self, node: ast.AST) -> tuple[Dim, ...] | None:
        """The lengths of an expression that is an array or a part of one as it stands; None for all others."""
        if isinstance(node, ast.Name):
            return self.arrays.get(node.id)
        if isinstance(node, ast.Subscript):
            owner = self.view_dims(node.value)
            index = index_of(node)
            if owner is None or len(index) >= len(owner) or any(isinstance(part, ast.Slice) for part in index):
                return None
            if self.is_tuple(node.slice):
                return None
            if (
                any(self.rank(part) for part in index)
                or isinstance(node.slice, ast.Constant)
                and isinstance(node.slice.value, str)
            ):
                return None
            return owner[len(index) :]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CONSTRUCTORS:
            shape = node.args[0]
            parts = shape.elts if isinstance(shape, ast.Tuple) else [shape]
            return tuple(Dim("", part.value) for part in parts if isinstance(part, ast.Constant))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.calls:
            lengths = self.returned_by(node.func.id, node)
            return self.handed_on(node) if lengths is None else tuple(Dim("", n) for n in lengths)
        return None

    def handed_on(self, node: ast.Call) -> tuple[Dim, ...] | None:
        """The lengths of the argument that a function returns as it stands; None if that is not certain."""
        effect = self.sharing.effect(node.func.id, tuple(map(self.rank, node.args)))  # type: ignore[attr-defined]
        try:
            dims = {self.view_dims(argument) or self.dims_of(argument) for argument in self.handed(node)}
        except (KeyError, KernelError):  # not yet known
            return None
        found = dims.pop() if len(dims) == 1 else None
        return found if found and effect.whole and effect.rank == len(found) else None

    def handed(self, node: ast.Call) -> list[ast.expr]:
        """The arguments of which a function may return parts."""
        if not isinstance(node.func, ast.Name) or node.func.id not in self.calls:
            return []
        returned = self.sharing.effect(node.func.id, tuple(map(self.rank, node.args))).returned
        return [argument for k, argument in enumerate(node.args) if k in returned]

    def returned_by(self, name: str, node: ast.Call) -> tuple[int, ...] | None:
        """The lengths of the array that a call of a function returns; None if it returns none."""
        function = self.expander.functions.get(name)
        if function is None or self.is_elementwise(name) or not may_return_a_row(function):
            return None
        given: dict[str, tuple[Dim, ...]] = {}
        for param, argument in zip(function.params, node.args, strict=False):
            if self.rank(argument):
                try:
                    own = self.view_dims(argument)
                    given[param] = self.dims_of(argument) if own is None else own
                except (KeyError, KernelError):  # not yet known
                    return None
        return self.expander.probed(name, given)

    def is_tuple(self, node: ast.AST) -> bool:
        """Whether an index is a tuple, other than one that is written there."""
        return not isinstance(node, ast.Tuple) and bool(self.tuples(node, self.function))

    def assignments(self, function: ast.FunctionDef) -> dict[str, list[tuple[ast.expr, bool]]]:
        """What is assigned to the names of a function, and whether it is each item of that, in a loop."""
        found: dict[str, list[tuple[ast.expr, bool]]] | None = self.expander.assigned.get(id(function))
        if found is None:
            found = self.expander.assigned[id(function)] = dict[str, list[tuple[ast.expr, bool]]]()
            for node in walk(function):
                for name, value in assignments_of(node):
                    found.setdefault(name, []).append((value, False))
                if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                    found.setdefault(node.target.id, []).append((node.iter, True))
        return found

    def tuples(self, node: ast.AST | None, function: ast.FunctionDef, depth: int = 0) -> list[ast.Tuple]:
        """The tuples, as they are written, that an expression in a function may be."""
        if isinstance(node, ast.Tuple):
            return [node]
        if isinstance(node, ast.IfExp):
            return self.tuples(node.body, function, depth) + self.tuples(node.orelse, function, depth)
        if depth > 4:
            return []
        found: list[tuple[ast.AST | None, ast.FunctionDef]] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = self.expander.functions.get(node.func.id)
            if called is not None:
                found = [(n.value, called.node) for n in called.nodes() if isinstance(n, ast.Return)]
        elif isinstance(node, ast.Subscript) and (k := whole_number(node.slice)) is not None:
            whole = self.tuples(node.value, function, depth + 1)
            found = [(made.elts[k], function) for made in whole if -len(made.elts) <= k < len(made.elts)]
        elif isinstance(node, ast.Name):
            for value, each in self.assignments(function).get(node.id, ()):
                if each:
                    whole = self.tuples(value, function, depth + 1)
                    found += [(part, function) for made in whole for part in made.elts]
                else:
                    found.append((value, function))
        return [made for value, scope in found for made in self.tuples(value, scope, depth + 1)]

    # ranks ----------------------------------------------------------------------------------------

    def rank(self, node: ast.AST | None) -> int:
        """How many axes the value of an expression has, as far as it concerns rows."""
        if isinstance(node, ast.Name):
            if node.id in self.rows:
                return len(self.rows[node.id].dims)
            return len(self.arrays.get(node.id, ())) or self.guessed.get(node.id, 0)
        if isinstance(node, ast.Subscript):
            owner = self.rank(node.value)
            index = index_of(node)
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return 0
            if self.is_tuple(node.slice):  # an index for each axis
                return 0
            taken = sum(not isinstance(part, ast.Slice) for part in index)
            return max(owner - taken, 0) if owner else 0
        if isinstance(node, ast.BinOp):
            left, right = self.rank(node.left), self.rank(node.right)
            if isinstance(node.op, ast.MatMult):
                return max(left + right - 2, 0)
            return max(left, right)
        if isinstance(node, ast.UnaryOp):
            return 0 if isinstance(node.op, ast.Not) else self.rank(node.operand)
        if isinstance(node, ast.Compare):
            return max(map(self.rank, [node.left, *node.comparators]))
        if isinstance(node, ast.IfExp):
            own = self.rank(node.test) if place_of(node) in self.choices else 0
            return max(own, self.rank(node.body), self.rank(node.orelse))
        if isinstance(node, ast.Call):
            return self.call_rank(node)
        if isinstance(node, ast.Attribute) and node.attr in ("real", "imag"):
            return self.rank(node.value)
        return 0

    def call_rank(self, node: ast.Call) -> int:
        ranks = [self.rank(argument) for argument in node.args]
        func = node.func
        if isinstance(func, ast.Attribute):
            if isinstance(func.value, ast.Name) and func.value.id in ("np", "math", "atomic"):
                single = func.value.id != "np" or func.attr in REDUCTIONS or func.attr in PRODUCTS
                return 0 if single else max(ranks, default=0)
            return self.rank(func.value) if func.attr in ("copy", "astype", "conj", "conjugate", "clip") else 0
        if isinstance(func, ast.Name):
            if func.id in self.calls:
                elementwise = self.is_elementwise(func.id)
                return max(ranks, default=0) if elementwise else len(self.view_dims(node) or ())
            if func.id in ("abs", "round"):
                return max(ranks, default=0)
            if func.id in CONSTRUCTORS:
                return len(self.view_dims(node) or ())
        return 0

    def is_elementwise(self, name: str) -> bool:
        """Whether a function is one of NumPy's that is written out by us."""
        function = self.expander.functions.get(name)
        own = function is not None and function.file == functions.__file__
        return own and name.rstrip("_") not in _WHOLE

    def dims_of(self, node: ast.expr) -> tuple[Dim, ...]:
        """The lengths of a row."""
        pending, self.pending = self.pending, []
        try:
            return tuple(self.row(node, lambda value: value).dims)
        finally:
            self.pending = pending

    def made_before(self, node: ast.Call) -> ast.Name:
        """The name of an array that an expression makes, and that the statement before makes in its place."""
        if self.pending is None:
            self.fail(node, f"it makes the array {ast.unparse(node)} under a condition", "give it a name before")
        name = self.expander.fresh("made")
        self.expander.changed = True
        self.pending.append(placed(ast.Assign([ast.Name(name, ast.Store())], self.visit(copied(node))), node))
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    # rows as templates ------------------------------------------------------------------------------

    def row(self, node: ast.expr, leaf: Callable[[ast.expr], ast.expr]) -> Row:
        """The template of an expression; `leaf` keeps a number that it uses, and gives the name for it."""
        rank = self.rank(node)
        if rank == 0:
            kept = leaf(node)
            return Row([], [], lambda index: copied(kept))
        if isinstance(node, ast.Name):
            if node.id in self.rows:
                known = self.rows[node.id]
                return replace(known, view=None)
            return self.array_row(node, self.arrays[node.id], [(node.id, "")])
        if isinstance(node, ast.Subscript):
            return self.subscript_row(node, leaf)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            self.fail(node, f"{ast.unparse(node)} is a row of products", "write a loop over its rows: row @ x")
        if isinstance(node, ast.BinOp):
            return self.joined(node, [node.left, node.right], leaf, lambda a, b: ast.BinOp(a, node.op, b))
        if isinstance(node, ast.UnaryOp):
            return self.joined(node, [node.operand], leaf, lambda a: ast.UnaryOp(node.op, a))
        if isinstance(node, ast.Compare):
            if len(node.ops) > 1 or isinstance(node.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot)):
                self.fail(node, "it compares rows in a chain, or by `in` or `is`", "write one comparison, or " + LOOP)
            return self.joined(node, [node.left, *node.comparators], leaf, lambda a, b: ast.Compare(a, node.ops, [b]))
        if isinstance(node, ast.IfExp):
            return self.joined(node, [node.test, node.body, node.orelse], leaf, ast.IfExp)
        if isinstance(node, ast.Attribute):
            return self.joined(node, [node.value], leaf, lambda a: ast.Attribute(a, node.attr, ast.Load()))
        if isinstance(node, ast.Call):
            dims = self.view_dims(node)
            if dims is not None:  # an array that is made there
                parts = sorted(self.sharing.parts(node))
                made = self.made_before(node)
                return self.array_row(made, dims, [(part, "") for part in (made.id, *parts)])
            return self.call_row(node, leaf)
        self.fail(node, f"it uses the row {ast.unparse(node)}", LOOP)

    def array_row(self, node: ast.expr, dims: Sequence[Dim], reads: list[tuple[str, str]]) -> Row:
        """Of an array by name."""
        lengths: list[ast.expr] = [shape_of(node, axis) for axis in range(len(dims))]
        count = len(dims)
        return Row(list(dims), lengths, lambda index: item_of(node, index[len(index) - count :]), reads, node)

    def subscript_row(self, node: ast.Subscript, leaf: Callable[[ast.expr], ast.expr]) -> Row:
        owner, index = self.row(node.value, leaf), index_of(node)
        if any(self.rank(part) for part in index):
            self.fail(node, f"{ast.unparse(node)} is the elements that a row names", one_by_one(node, self.rank))
        dims: list[Dim] = []
        lengths: list[ast.expr] = []
        places: list[Callable[[ast.expr | None], ast.expr]] = []
        kept = [self.place(part, owner, axis, leaf, dims, lengths, places) for axis, part in enumerate(index)]
        rest = len(index)
        dims += owner.dims[rest:]
        lengths += owner.lengths[rest:]
        count = len(dims)

        def at(asked: Sequence[ast.expr]) -> ast.expr:
            own = list(asked[len(asked) - count :])
            full = [place(own.pop(0) if cut else None) for place, cut in zip(places, kept, strict=True)]
            return owner.at([*full, *own])

        texts = [ast.unparse(part) for part in index]
        while texts and texts[-1] == ":":
            texts.pop()
        text = f"[{', '.join(texts)}]" if texts else ""
        return Row(dims, lengths, at, [(name, place + text) for name, place in owner.reads])

    def place(
        self,
        part: ast.expr,
        owner: Row,
        axis: int,
        leaf: Callable[[ast.expr], ast.expr],
        dims: list[Dim],
        lengths: list[ast.expr],
        places: list[Callable[[ast.expr | None], ast.expr]],
    ) -> bool:
        """One index: a number is kept, a slice makes an axis; whether it is a slice."""
        if not isinstance(part, ast.Slice):
            number = leaf(part)
            places.append(lambda k: copied(number))
            return False
        whole, dim = owner.lengths[axis], owner.dims[axis]
        bounds = [whole_number(bound) for bound in (part.lower, part.upper, part.step)]
        step = 1 if part.step is None else bounds[2]
        constant = all(
            b is not None or given is None for b, given in zip(bounds, (part.lower, part.upper), strict=False)
        )
        if not step:
            self.fail(part, f"it takes the slice {ast.unparse(part)}, whose step is no constant", LOOP)
        back, size, every = step < 0, abs(step), part.lower is None and part.upper is None
        last, before = binary(whole, ast.Sub(), ast.Constant(1)), ast.UnaryOp(ast.USub(), ast.Constant(1))
        ends: list[ast.expr] = [leaf(last), before] if back else [ast.Constant(0), whole]
        for k, bound in enumerate((part.lower, part.upper)):
            if bound is not None:
                ends[k] = leaf(self.helper("row_last" if back else "row_bound", [bound, whole], part))
        start, stop = ends
        if every and size == 1:
            lengths.append(whole)
        else:
            lengths.append(leaf(self.helper("row_length", [*(ends[::-1] if back else ends), ast.Constant(size)], part)))
        scaled = (lambda k: k) if size == 1 else (lambda k: binary(k, ast.Mult(), ast.Constant(size)))
        sign = ast.Sub() if back else ast.Add()
        plain = part.lower is None and not back
        places.append(lambda k: scaled(some(k)) if plain else binary(copied(start), sign, scaled(some(k))))
        if every and size == 1:
            dims.append(dim)
            return True
        if constant and dim.known:
            dims.append(replace(dim, cut=(*dim.cut, (bounds[0], bounds[1], step))))
        else:
            dims.append(Dim("", f"[{ast.unparse(part)}]", base=dim))
        return True

    def helper(self, name: str, arguments: list[ast.expr], like: ast.AST) -> ast.expr:
        """A call of a small function of whole numbers."""
        known = self.expander.names
        if name not in known:
            known[name] = self.expander.add(name, *HELPERS[name], self.where[1], like)
        return self.called(known[name], [copied(argument) for argument in arguments])

    def called(self, name: str, arguments: list[ast.expr]) -> ast.Call:
        """A call of a function of the kernel."""
        self.calls.add(name)
        return ast.Call(ast.Name(name, ast.Load()), arguments, [])

    def joined(
        self, node: ast.expr, parts: list[ast.expr], leaf: Callable[[ast.expr], ast.expr], make: Callable[..., ast.expr]
    ) -> Row:
        """Element by element."""
        rows = [self.row(part, leaf) for part in parts]
        most = max(rows, key=lambda row: len(row.dims))
        dims, lengths = list(most.dims), list(most.lengths)
        for row, part in zip(rows, parts, strict=True):
            for k in range(1, len(row.dims) + 1):
                self.same(node, row.dims[-k], dims[-k], part, parts[rows.index(most)])
        reads = [read for row in rows for read in row.reads]
        return Row(dims, lengths, lambda index: make(*(row.at(index) for row in rows)), reads)

    def same(self, node: ast.AST, one: Dim, other: Dim, part: ast.AST, most: ast.AST) -> None:
        """Have two lengths compared when the shapes are known."""
        while one.base and other.base and one.axis == other.axis:  # the same slice of both
            one, other = one.base, other.base
        if one == other:
            return
        texts = ast.unparse(part), ast.unparse(most)
        if not one.known or not other.known:
            what = f"whether {texts[0]} and {texts[1]} have the same length is known only as it runs"
            self.fail(node, what, LOOP)
        line = getattr(node, "lineno", 0)
        self.expander.checks.append(Check(one, other, texts, (*self.where, line)))

    def call_row(self, node: ast.Call, leaf: Callable[[ast.expr], ast.expr]) -> Row:
        func = node.func
        if node.keywords:
            self.fail(node, f"{ast.unparse(node)} works on rows and takes keywords", LOOP)
        if isinstance(func, ast.Attribute) and not (isinstance(func.value, ast.Name) and func.value.id == "np"):
            if func.attr in ("copy", "conj", "conjugate"):
                name = "conjugate" if func.attr != "copy" else ""
                make = lambda a: numpy_call(name, [a]) if name else a
                return replace(self.joined(node, [func.value], leaf, make), view=None)
            if func.attr == "astype" and len(node.args) == 1:
                return self.joined(node, [func.value], leaf, lambda a: ast.Call(copied(node.args[0]), [a], []))
            if func.attr == "clip" and len(node.args) == 2:
                clip = lambda a, low, high: numpy_call("minimum", [numpy_call("maximum", [a, low]), high])
                return self.joined(node, [func.value, *node.args], leaf, clip)
        made = self.visit_callee(func, node) if isinstance(func, ast.Name) and func.id in self.calls else func
        return self.joined(node, list(node.args), leaf, lambda *args: ast.Call(copied(made), list(args), []))

    def visit_callee(self, func: ast.Name, node: ast.Call) -> ast.Name:
        """A function of ours that is called for every element."""
        name = self.expander.function(func.id, {})
        self.calls.add(name)
        return ast.copy_location(ast.Name(name, ast.Load()), node)
