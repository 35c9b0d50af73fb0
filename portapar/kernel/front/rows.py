"""Rows in kernels: ``X[i] - C[k]``, ``Y[i] = X[i] * 2``, ``X[i, 1:4].sum()`` become loops.

How many axes an array has is known when a call binds its arguments. Then the kernel is written anew: an expression that
has a row as its value becomes a template of its elements, which is used where the row goes: a reduction becomes a
function with a loop, a store a loop in its place, a local name the numbers and arrays that its template is made of.
Sums run in order. What has no such form is refused with the user's own line.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import starmap
from typing import Any

import numpy as np

from portapar import cache, forks
from portapar.errors import KernelError
from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.row_copies import EARLIER, Copies
from portapar.kernel.front.row_forms import LOOP, MOST, PRIVATE, Check, Dim, Given, Kept, Row, Transposed, one_by_one
from portapar.kernel.front.sharing import effects_of
from portapar.kernel.front.sources import kernel_error, tree_of
from portapar.kernel.front.text import tell_apart
from portapar.kernel.front.trees import copied, index_of, item_at, item_of, loaded, loads, mentions, placed, walk

__all__ = ["checking", "row_number", "without_rows"]


def row_number(x: Any, number: Any) -> Any:
    """`number` in the type in which sums of numbers like `x` are kept: 64 bits for whole numbers, else that of `x`."""
    return number


@dataclass(frozen=True, slots=True)
class Expanded:
    """A kernel without rows.

    Attributes
    ----------
    kernel : Kernel
    checks : tuple of Check
        To be held against the shapes of every call.
    apart : tuple
        (two arguments that must not share memory, why, where).
    fixed : tuple of ((str, int), int)
        Axes of arrays whose lengths are constants of the text: those of private arrays.
    """

    kernel: Kernel
    checks: tuple[Check, ...]
    apart: tuple[tuple[tuple[str, str], str, tuple[str, str, int]], ...] = ()
    fixed: tuple[tuple[tuple[str, int], int], ...] = ()

    def fits(self, arrays: Mapping[str, Any]) -> bool:
        """Whether arrays have the lengths that its text was made for."""
        return all(arrays[name].shape[axis] == n for (name, axis), n in self.fixed)

    def check(self, arrays: Mapping[str, Any]) -> None:
        """Raise a `KernelError` if rows have different lengths, or what is read later is written."""
        shapes = {name: array.shape for name, array in arrays.items()}
        for names, what, where in self.apart:
            one, other = (arrays[name] for name in names)
            both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
            if one is other or (both and np.may_share_memory(one, other)):
                raise kernel_error(f"{what}, and {names[0]} and {names[1]} share memory", PRIVATE, *where)
        for check in self.checks:
            one, other = check.one.length(shapes), check.other.length(shapes)
            if one is None or other is None or one == other:
                continue
            lengths = (
                f"{text} has {n} element{'s' * (n != 1)}" for text, n in zip(check.texts, (one, other), strict=True)
            )
            raise kernel_error(" and ".join(lengths), "use rows of one length, or " + LOOP, *check.where)


checking: ContextVar[bool] = ContextVar("portapar_checking", default=False)  #: kernels are to be checked ones
_expanded: dict[tuple[Any, ...], list[Expanded]] = cache.Bounded()
_lock = forks.lock()


def without_rows(kernel: Kernel, found: Mapping[str, Any]) -> Kernel:
    """The kernel with loops in the place of rows, for these arrays, by parameter and capture.

    Raises
    ------
    KernelError
        It uses rows of different lengths, or in a way that has no loop.
    """
    ndims = {name: len(array.shape) for name, array in found.items()}
    with _lock:
        made = _expanded.setdefault((kernel, checking.get(), *ndims.items()), [])
        expanded = next((one for one in made if one.fits(found)), None)
        if expanded is None:
            expanded = _Expander(kernel, {name: array.shape for name, array in found.items()}).expanded(ndims)
            made.append(expanded)
    expanded.check(found)
    return expanded.kernel


class _Expander:
    """Writes a kernel's functions anew, callees first, for the arrays that they are given."""

    def __init__(self, kernel: Kernel, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.old, self.shapes, self.checked = kernel, shapes, checking.get()
        self.fixed: dict[tuple[str, int], int] = {}
        self.returns: dict[str, tuple[int, ...]] = {}  #: functions that return the elements of arrays
        self._probed: dict[Any, tuple[int, ...] | None] = {}
        self.functions = {f.name: f for f in kernel.functions}
        self.effect = effects_of(self.functions)
        self.written: list[Function] = []
        self.names: dict[Any, str] = {}
        self.checks: list[Check] = []
        self.apart: list[tuple[tuple[str, str], str, tuple[str, str, int]]] = []
        self.changed = False
        self.assigned: dict[int, dict[str, list[tuple[ast.expr, bool]]]] = {}
        self.taken: set[str] = {"row_number"}.union(*(f.names() for f in kernel.functions))
        self.made: set[str] = set()  #: names that nobody wrote

    def expanded(self, ndims: Mapping[str, int]) -> Expanded:
        given = {name: tuple(Dim(name, k) for k in range(ndim)) for name, ndim in ndims.items()}
        self.function(self.old.functions[-1].name, given, True)
        if not self.changed:
            return Expanded(self.old, ())
        held = "memory" if self.apart else "shapes" if self.checks or self.fixed else ""
        kernel = replace(self.old, functions=self.written, held=held)
        return Expanded(kernel, tuple(self.checks), tuple(self.apart), tuple(self.fixed.items()))

    def free(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def fresh(self, name: str) -> str:
        """The same for what stands for nothing that the user wrote."""
        name = self.free(name)
        self.made.add(name)
        return name

    def own(self, name: str) -> str:
        """A name for a function made here, that no function of the user's has: always the same one."""
        if name not in self.names:
            self.names[name] = name if name not in self.taken else self.free(name)
            self.made.add(self.names[name])
        return self.names[name]

    def function(self, name: str, given: Given, first: bool = False) -> str:
        """The name of a function for which these parameters are arrays of such shapes."""
        key = (name, tuple(given.items()))
        if key not in self.names:
            old = self.functions[name]
            again = any(known[0] == name for known in self.names)
            kept: dict[str, tuple[int, ...]] = {}
            while True:
                state = self.state()
                node = copied(old.node)
                node.name = self.free(name) if again and not first else name
                tell_apart(node, self.free)
                turned = Transposed({array: len(dims) for array, dims in given.items()})
                turned.visit(node)
                self.changed |= turned.changed
                try:
                    rewriter = _Rewriter(self, self.old.name if first else name, old, node, given, kept)
                    rewriter.first = first
                    node.body = rewriter.block(node.body)
                    break
                except Kept as found:  # from the beginning, with an array of its own for the name
                    kept[found.name] = found.lengths
                    self.restore(state)
            self.names[key] = node.name
            if rewriter.returned is not None:
                self.returns[node.name] = rewriter.returned
            calls, fresh = frozenset(rewriter.calls), frozenset(self.made)
            self.written.append(replace(old, node=ast.fix_missing_locations(node), calls=calls, fresh=fresh))
        return self.names[key]

    def state(self) -> tuple[Any, ...]:
        lengths = len(self.written), len(self.checks), len(self.apart)
        return set(self.taken), set(self.made), dict(self.names), self.changed, dict(self.fixed), lengths

    def restore(self, state: tuple[Any, ...]) -> None:
        """Forget what was made since then."""
        self.taken, self.made, self.names, self.changed, self.fixed, lengths = state
        del self.written[lengths[0] :], self.checks[lengths[1] :], self.apart[lengths[2] :]

    def probed(self, name: str, given: Given) -> tuple[int, ...] | None:
        """The lengths of what a function returns, if that is an array, for such parameters."""
        key = (name, tuple(given.items()))
        if key not in self._probed:
            self._probed[key] = None  # while it is being looked at
            state = self.state()
            try:
                self._probed[key] = self.returns.get(self.function(name, given))
            except KernelError:  # which the call itself tells of
                pass
            finally:
                self.restore(state)
        return self._probed[key]

    def add(self, name: str, params: list[str], text: str, file: str, like: ast.AST) -> str:
        """A function made here."""
        name = self.free(name)
        made = tree_of(f"def {name}({', '.join(params)}):\n{text}").body[0]
        assert isinstance(made, ast.FunctionDef)
        stored = {n.id for n in walk(made) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for node in walk(made):
            if isinstance(node, (ast.stmt, ast.expr)):
                ast.copy_location(node, like)
        function = Function(made, file, fresh=frozenset({*params, *stored}))
        known = {f.name for f in self.written} | self.functions.keys()
        self.written.append(replace(function, calls=frozenset(known & function.names() - function.fresh - {name})))
        return name


_RETURNED = 32  #: elements of a row that a function returns, at most


class _Rewriter(Copies):
    """One function, written without rows."""

    # statements ---------------------------------------------------------------------------------------

    handed_back: ast.Return | None = None
    first = False  #: it is the kernel itself
    returned: tuple[int, ...] | None = None  #: the lengths of the array whose elements it returns

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        outer = self.pending
        for place, statement in enumerate(body):
            self.pending = []
            found = self.statement(statement, body[place + 1 :])
            made += [*self.pending, *(found if isinstance(found, list) else [found])]
        self.pending = outer
        return made

    def passed_row(self, node: ast.expr) -> ast.expr:
        assert self.pending is not None
        row = self.row(node, self.keeper(self.pending, "passed", node, False))
        made = self.copied_to(self.pending, node, row, "passed", f"{id(node)} ")
        return ast.copy_location(ast.Name(made, ast.Load()), node)

    def statement(self, node: ast.stmt, after: list[ast.stmt]) -> ast.stmt | list[ast.stmt]:
        if isinstance(node, (ast.If, ast.While)):
            if self.rank(node.test):
                self.ambiguous(node.test)
            pending = self.pending
            if isinstance(node, ast.While):  # which is tested again and again
                self.pending = None
            node.test = self.visit(node.test)
            self.pending = pending
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
            return node
        if isinstance(node, ast.For):
            if self.computed(node.iter):
                return self.looped(node)
            node.iter = self.visit(node.iter)
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
            return node
        if isinstance(node, ast.Return) and node.value is not None and self.rank(node.value):
            return self.returns_row(node, node.value)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return self.assignment(node, node.targets[0], after)
        if isinstance(node, ast.AugAssign):
            return self.update(node)
        return self.visit(node)

    def looped(self, node: ast.For) -> list[ast.stmt]:
        """``for v in X[i, 1:] * 2``: over the indices."""
        before: list[ast.stmt] = []
        text = ast.unparse(node.iter)
        row = self.row(node.iter, self.keeper(before, "item", node, True))
        if len(row.dims) > 1 or not isinstance(node.target, ast.Name):
            self.fail(node.iter, f"it loops over the row {text}", LOOP)
        for write, changed in (pair for statement in node.body for pair in self.writes(statement)):
            if not isinstance(node.iter, ast.Subscript):
                self.apart(write, changed, row, f"it loops over {text}, which is yet to be computed, and writes")
        k = ast.Name(self.expander.fresh("k"), ast.Load())
        over = ast.Call(ast.Name("range", ast.Load()), [copied(row.lengths[0])], [])
        item = ast.Assign([node.target], row.at([k]))
        body = [item, *self.block(node.body)]
        self.expander.changed = True
        made = ast.For(ast.Name(k.id, ast.Store()), over, body, self.block(node.orelse))
        return [*before, placed(made, node)]

    def returns_row(self, node: ast.Return, value: ast.expr) -> ast.stmt | list[ast.stmt]:
        """An array that was made here is returned by its elements, of which the caller makes one."""
        name = self.root_name(value)
        own = name in self.anew and name not in self.rows
        if self.chosen(value) or (self.is_view(value) and not own):
            self.handed_back = node  # an argument, or a part of one
            self.alike(node)
            return self.visit(node)
        before: list[ast.stmt] = []
        if isinstance(value, ast.Call) and self.view_dims(value) is not None:
            made = self.expander.fresh("returned")
            dims = self.view_dims(value) or ()
            before.append(placed(ast.Assign([ast.Name(made, ast.Store())], self.visit(value)), node))
            row = self.array_row(ast.Name(made, ast.Load()), dims, [(made, "")])
        else:
            row = self.row(value, self.keeper(before, "value", node, False))
        lengths = self.lengths(row.dims)
        count = 0 if lengths is None else math.prod(lengths)
        if self.where[0] == self.expander.old.name and self.first:
            self.fail(node, "it returns a row", "write into an array argument, out[:] = …, or return t[0], t[1]")
        if lengths is None or not 0 < count <= _RETURNED:
            what = f"it returns a row of {count} elements" if lengths else "it returns a row"
            remedy = f"write into an array argument, out[:] = …: a function returns rows of up to {_RETURNED} elements"
            self.fail(node, what, remedy + ", if their lengths are those of arguments or constants")
        lengths = self.kept_lengths(node, row.dims)
        if self.returned not in (None, lengths):
            self.fail(node, "it returns rows of several lengths", "return rows of one length")
        self.returned = lengths
        self.alike(node)
        self.expander.changed = True
        every = [[ast.Constant(k) for k in at] for at in np.ndindex(*lengths)]
        elements = ast.Tuple([row.at(list(index)) for index in every], ast.Load())
        return [*before, placed(ast.Return(elements), node)]

    def alike(self, node: ast.Return) -> None:
        """Refuse a function that returns an argument, or an array of its own."""
        if self.handed_back is not None and self.returned is not None:
            what = "it returns an argument on one way, and a private array, which ends with the function, on another"
            self.fail(node, what, "make the array in the caller and pass it in, or return its elements: t[0], t[1]")

    def assignment(self, node: ast.Assign, target: ast.expr, after: list[ast.stmt]) -> ast.stmt | list[ast.stmt]:
        value = node.value
        for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            self.changes(part)
        own = isinstance(value, ast.Call) and self.is_filled(value)
        if isinstance(target, ast.Name) and (own or target.id in self.kept):
            self.copies(node, target.id, value)
        if isinstance(target, ast.Name) and target.id in self.kept:
            return self.kept_anew(node, target.id, value)
        anew = not self.sharing.roots(value).isdisjoint(self.filled.union(self.kept))
        anew = anew or isinstance(value, ast.Call) and any(map(self.computed, self.handed(value)))
        if isinstance(target, ast.Name) and self.view_dims(value) and anew:
            raise Kept(target.id, self.kept_lengths(value, self.view_dims(value) or ()))
        if isinstance(target, (ast.Tuple, ast.List)) and any(map(self.rank, target.elts)):
            named = all(isinstance(part, ast.Name) or not self.rank(part) for part in target.elts)
            named = named and not any(isinstance(part, ast.Name) and part.id in self.kept for part in target.elts)
            if named and isinstance(value, ast.Tuple) and not any(map(self.computed, value.elts)):
                return self.visit(node)  # arrays exchange their names
            return self.exchanged(node, target.elts, value)
        if isinstance(target, (ast.Tuple, ast.List)) and self.rank(value):
            return self.unpacked(node, target, value)
        if isinstance(target, ast.Subscript) and self.rank(target):
            return self.stored(node, target, value)
        if isinstance(target, ast.Name) and self.computed(value):
            if self.chosen(value) and self.stored_to(target.id) and not anew:
                return self.visit(node)
            return self.named(node, target, value, after)
        if self.rank(value) and isinstance(target, (ast.Subscript, ast.Attribute)):
            self.fail(node, f"it stores the row {ast.unparse(value)} in one element", "reduce it, such as by .sum()")
        return self.visit(node)

    def stored_to(self, name: str) -> bool:
        """Whether elements of what has that name are assigned, or updated by atomics."""
        for node in walk(self.function):
            written: ast.AST | None = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                written = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                written = node.args[0] if ast.unparse(node.func.value) == "atomic" else None
            if isinstance(written, ast.Name) and written.id == name:
                return True
        return False

    def update(self, node: ast.AugAssign) -> ast.stmt | list[ast.stmt]:
        target = node.target
        self.changes(target)
        if isinstance(target, ast.Subscript):
            self.one_by_one(target)
        if (
            isinstance(target, ast.Subscript)
            and self.rank(target)
            or isinstance(target, ast.Name)
            and (self.view_dims(target) is not None)
        ):
            return self.stored(node, target, node.value, node.op)
        if self.rank(node.value):
            row, place = ast.unparse(node.value), ast.unparse(target)
            hint = "reduce it, such as by .sum()"
            if isinstance(target, ast.Attribute):
                hint += f"; or, if this field holds several numbers, write a loop over them: {place}[k] += …"
            self.fail(node, f"it adds the row {row} to {place}", hint)
        return self.visit(node)

    def stored(
        self, node: ast.Assign | ast.AugAssign, target: ast.expr, value: ast.expr, op: ast.operator | None = None
    ) -> list[ast.stmt]:
        """``Y[i] = X[i] * 2``: a loop over the elements."""
        before: list[ast.stmt] = []
        if (known := self.tuples(value, self.function)) and not self.rank(value):
            return self.stored_items(node, target, value, len(known[0].elts), op)
        place = self.row(loaded(target), self.keeper(before, "place", node, False))
        row = self.row(value, self.keeper(before, "value", node, False))
        if len(row.dims) > len(place.dims):
            self.fail(node, f"{ast.unparse(value)} has more axes than {ast.unparse(target)}", LOOP)
        for k in range(1, len(row.dims) + 1):
            self.same(node, row.dims[-k], place.dims[-k], value, target)
        place.reads, row.reads = (list(starmap(self.followed, reads)) for reads in (place.reads, row.reads))
        written = self.roots(target) - {""}
        apart = lambda root, text, other, where: text != where and not self.in_step((root, text), (other, where))
        overlaps = any(
            apart(root, text, other, where)
            and (root == other or not written.isdisjoint(self.roots(ast.Name(other, ast.Load()))))
            for root, text in place.reads for other, where in row.reads
        )  # fmt: skip
        lengths = self.lengths(row.dims) if overlaps else None
        if lengths is not None and math.prod(lengths) <= MOST:  # all is read before anything is written
            made = self.copied_to(before, node, row, "stored", f"{id(node)} ")
            row = self.array_row(ast.Name(made, ast.Load()), row.dims, [(made, "")])
        for root, text in place.reads:
            for other, where in row.reads:
                if other in self.expander.made or not apart(root, text, other, where):
                    continue
                if root == other:
                    what = f"it reads {other} at {where or 'all its elements'} and writes it at {text or 'all'}"
                    self.fail(node, what, "write a loop over the elements in the order that is right, or " + PRIVATE)
                self.apart(node, target, Row([], [], row.at, [(other, where)]), "it stores what it reads elsewhere")
        index = [ast.Name(self.expander.fresh(f"k{axis}"), ast.Load()) for axis in range(len(place.dims))]
        element = place.at(index)
        assert isinstance(element, ast.Subscript)
        element.ctx = ast.Store()
        number = row.at(index)
        inner: ast.stmt = ast.Assign([element], number) if op is None else ast.AugAssign(element, op, number)
        for name, length in zip(index[::-1], place.lengths[::-1], strict=True):
            over = ast.Call(ast.Name("range", ast.Load()), [copied(length)], [])
            inner = ast.For(ast.Name(name.id, ast.Store()), over, [inner], [])
        self.expander.changed = True
        return [*before, placed(inner, node)]

    def stored_items(
        self, node: ast.Assign | ast.AugAssign, target: ast.expr, value: ast.expr, count: int, op: ast.operator | None
    ) -> list[ast.stmt]:
        """``Y[i] = a, b``, of a tuple by its text: item by item, when all are computed."""
        before: list[ast.stmt] = []
        keep = self.keeper(before, "item", node, True)
        if not isinstance(value, (ast.Tuple, ast.Name)):
            value = keep(value)
        items = value.elts if isinstance(value, ast.Tuple) else [item_at(value, k) for k in range(count)]
        rows = [self.tuples(one, self.function) or self.rank(one) for one in items]
        place = self.row(loaded(target), self.keeper(before, "place", node, False))
        if len(place.dims) > 1 and not all(rows):
            what = f"{ast.unparse(target)} has {len(place.dims)} axes, and is given the tuple {ast.unparse(value)}"
            self.fail(node, what, "store its rows one by one")
        self.same(node, Dim("", count), place.dims[0], value, target)
        if len(place.dims) == 1:
            items = [keep(one) for one in items]
        for k, item in enumerate(items):
            index = [ast.Constant(k), *(ast.Slice() for _ in place.dims[1:])]
            element: Any = place.at([ast.Constant(k)]) if len(index) == 1 else item_of(loaded(target), index)
            element.ctx = ast.Store()
            made = ast.Assign([element], item) if op is None else ast.AugAssign(element, op, item)
            before += [placed(made, node)] if len(index) == 1 else self.stored(placed(made, node), element, item, op)
        self.expander.changed = True
        return before

    def followed(self, name: str, text: str) -> tuple[str, str]:
        """What is read, and where, of the array itself for ``y = X[i]``.

        Such parts, of whole axes at an index for each of the first ones, are the same or share nothing: equal
        texts may be stored element by element, also where `i` has another value since.
        """
        made = self.sharing.values.get(name, [])
        if len(made) == 1 == self.assigned.get(name) and name not in self.kept:
            node = made[0]
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and self.view_dims(node):
                return node.value.id, f"[{', '.join(map(ast.unparse, index_of(node)))}]{text}"
        return name, text

    def as_it_was(self, name: str, text: str) -> tuple[str, str]:
        """The same for a row with a name whose slices have ends that may change while it is in use."""
        if EARLIER in text:
            return name, text
        slices = [node for node in walk(tree_of(name + text)) if isinstance(node, ast.Slice)]
        ends = {node.id for part in slices for node in walk(part) if isinstance(node, ast.Name)}
        given = {argument.arg for argument in self.function.args.args}
        again = any(self.assigned.get(end, 0) + (end in given) > 1 for end in ends)
        again = again or any(not ends.isdisjoint(roots) for _, roots in self.sharing.written)
        return name, text + EARLIER if again else text

    def unpacked(self, node: ast.Assign, target: ast.Tuple | ast.List, value: ast.expr) -> list[ast.stmt]:
        """``a, b, c = X[i]``."""
        before: list[ast.stmt] = []
        row = self.row(value, self.keeper(before, "value", node, False))
        if any(isinstance(part, ast.Starred) for part in target.elts) or len(row.dims) != 1:
            self.fail(node, "it takes a row apart into rows", LOOP)
        count = Dim("", len(target.elts))
        self.same(node, row.dims[0], count, value, target)
        fresh = [self.expander.fresh(f"part{k}") for k in range(len(target.elts))]
        for k, name in enumerate(fresh):  # all are read before one is assigned
            before.append(placed(ast.Assign([ast.Name(name, ast.Store())], row.at([ast.Constant(k)])), node))
        for name, part in zip(fresh, target.elts, strict=True):
            before.append(placed(ast.Assign([self.visit(part)], ast.Name(name, ast.Load())), node))
        self.expander.changed = True
        return before

    def named(self, node: ast.Assign, target: ast.Name, value: ast.expr, after: list[ast.stmt]) -> list[ast.stmt]:
        """``d = X[i] - C[k]``: the name stands for the template from here to the end of its block."""
        name = target.id
        before: list[ast.stmt] = []
        row = self.row(value, self.keeper(before, name, node, True))
        if self.assigned[name] > 1 or name in self.arrays:
            what = f"it assigns rows to {name!r} in several places"
            self.keep(node, name, row.dims, what, f"use a name for each, or {PRIVATE}")
        used, uses = sum(loads(part, name) for part in after), loads(self.function, name)
        if not uses and isinstance(value, ast.Subscript):
            self.fail(node, f"it takes the slice {ast.unparse(value)}, which nothing uses", f"leave it out, or {LOOP}")
        if used != uses:
            what = f"it uses the row {name!r} outside of the block that assigns it"
            self.keep(node, name, row.dims, what, PRIVATE)
        moving = [root for root, _ in row.reads if self.assigned.get(root, 0) > 1]
        if moving:
            what = f"the row {name!r} is of {moving[0]!r}, which is assigned several times"
            self.keep(node, name, row.dims, what, PRIVATE)
        last = max((k for k, later in enumerate(after) if mentions(later, name)), default=-1)
        for k, later in enumerate(() if self.is_part(value) else after[: last + 1]):
            simple = k == last and not isinstance(later, (ast.For, ast.While, ast.If))
            for write, changed in () if simple else self.writes(later):
                what = f"it uses the row {name!r}, which is yet to be computed, after a write"
                try:
                    self.apart(write, changed, row, what)
                except KernelError:
                    self.keep(write, name, row.dims, f"{what} to {ast.unparse(changed)}", PRIVATE)
        self.rows[name] = Row(row.dims, row.lengths, row.at, list(starmap(self.as_it_was, row.reads)))
        self.expander.changed = True
        return before or [placed(ast.Pass(), node)]

    def writes(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """(what may change an array, that array) in a statement."""
        for part in walk(node):
            if isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.ctx, ast.Store):
                yield part, part
            elif isinstance(part, ast.AugAssign) and self.rank(part.target):
                yield part, part.target
            elif isinstance(part, ast.Call):
                func = part.func
                if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "atomic":
                    yield part, part.args[0]
                elif isinstance(func, ast.Name) and func.id in self.calls and not self.is_elementwise(func.id):
                    yield from ((part, argument) for argument in part.args if self.rank(argument))

    def apart(self, node: ast.AST, target: ast.AST, row: Row, what: str) -> None:
        """Refuse a write to what a row reads; whether two arguments share memory is known when they are bound."""
        pairs = [(w, r) for name, _ in row.reads for w in sorted(self.roots(target))
                 for r in sorted(self.roots(ast.Name(name, ast.Load())))]  # fmt: skip
        for written, read in pairs:
            private = {other for other in (written, read) if self.assigned.get(other)}
            if written and read and written != read and (private or self.where[0] == self.expander.old.name):
                if not private:
                    line = getattr(node, "lineno", 0)
                    self.expander.apart.append(((written, read), what, (*self.where, line)))
                continue
            self.fail(node, f"{what} to {ast.unparse(target)}", PRIVATE)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.rows:
            self.fail(node, f"it uses the row {node.id!r} as a whole", f"reduce it, store it, or {PRIVATE}")
        if isinstance(node.ctx, ast.Load) and self.arrays.get(node.id) == ():  # an array of no axes is its element
            return self.only(node)
        return node

    def only(self, node: ast.Name, ctx: ast.expr_context | None = None) -> ast.expr:
        """The element of an array without axes, which the call passes as one of a single element."""
        self.expander.changed = True
        return placed(ast.Subscript(node, ast.Constant(0), ctx or ast.Load()), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if any(isinstance(part, ast.Slice) for part in index_of(node)):
            if isinstance(node.value, ast.Tuple):
                self.fail(node, "it takes a slice of a tuple", "name its elements one by one, t[0], t[1]")
            self.fail(node, f"it uses the slice {ast.unparse(node)} as a whole", f"reduce it, store it, or {LOOP}")
        if isinstance(node.value, ast.Name) and self.arrays.get(node.value.id) == ():
            if isinstance(node.slice, ast.Tuple) and not node.slice.elts:
                return self.only(node.value, node.ctx)
            self.fail(node, f"{node.value.id!r} has no axes", f"write {node.value.id}[()]")
        self.one_by_one(node)
        self.generic_visit(node)
        return node

    def one_by_one(self, node: ast.Subscript) -> None:
        """Refuse ``x[rows]``, which are elements anywhere, and would be a new array."""
        if any(map(self.rank, index_of(node))) and self.view_dims(node.value):
            self.fail(node, f"{ast.unparse(node)} is the elements that a row names", one_by_one(node, self.rank))
