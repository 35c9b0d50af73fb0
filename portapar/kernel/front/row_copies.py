"""Rows that have arrays of their own: ``y = y + h * k``, ``a, b = b, a + x``."""

from __future__ import annotations

import ast
from collections.abc import Callable

from portapar.kernel.front.row_forms import PRIVATE, Dim, Row
from portapar.kernel.front.row_numbers import Numbers
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.trees import copied, index_of, item_of, loaded, placed

EARLIER = " as it was"  #: behind the text of a place whose slices may have had other ends


class Copies(Numbers):
    """What of one function are private arrays that hold the elements of rows."""

    def keeper(self, before: list[ast.stmt], name: str, node: ast.AST, always: bool) -> Callable[[ast.expr], ast.expr]:
        """A `leaf` that assigns numbers to names of their own, in front of a statement."""
        known: dict[str, str] = {}

        def leaf(value: ast.expr) -> ast.expr:
            if isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and not always):
                return value
            value = self.visit(copied(value))
            text = ast.unparse(value)
            if text not in known:
                known[text] = self.expander.fresh(f"{name}_{len(known)}")
                before.append(placed(ast.Assign([ast.Name(known[text], ast.Store())], value), node))
            return ast.Name(known[text], ast.Load())

        return leaf

    def changes(self, target: ast.expr) -> None:
        """A store to a name of computed elements, or to some of them: it must have an array of its own."""
        node = target
        while isinstance(node, ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name) and node.id in self.rows and (node is not target or self.rank(target)):
            known = self.rows[node.id].dims
            self.keep(target, node.id, known, f"it changes the row {node.id!r}, which is no array", PRIVATE)

    def kept_anew(self, node: ast.Assign, name: str, value: ast.expr) -> list[ast.stmt]:
        """``y = y + h * k``, where `y` has an array of its own: its elements are set anew."""
        before: list[ast.stmt] = []
        if not self.rank(value):
            what = f"it assigns the number {ast.unparse(value)} to {name!r}, which is a row elsewhere"
            self.fail(node, what, "use another name")
        if self.view_dims(value) is not None:
            if not isinstance(value, (ast.Name, ast.Subscript)):  # one that is made there
                made, dims = self.expander.fresh(f"{name}_made"), self.view_dims(value) or ()
                before.append(placed(ast.Assign([ast.Name(made, ast.Store())], self.visit(value)), node))
                row = self.array_row(ast.Name(made, ast.Load()), dims, [(made, "")])
            else:
                row = self.row(value, self.keeper(before, name, node, False))
        else:
            row = self.row(value, self.keeper(before, name, node, False))
        if len(row.dims) != len(self.kept[name]):
            self.fail(node, f"{name!r} has another number of axes elsewhere", "use another name")
        for one, n in zip(row.dims, self.kept[name], strict=True):
            self.same(node, one, Dim("", n), value, ast.Name(name, ast.Load()))
        direct = all(root == name and not text or self.root(ast.Name(root, ast.Load())) != name
                     for root, text in row.reads)  # fmt: skip
        made = self.copied_to(before, node, row, name, name)
        if not direct:  # what it reads of itself elsewhere must stay until all is computed
            del before[-2:]
            there = self.copied_to(before, node, row, f"{name}_new", f"{name} ")
            after = self.array_row(ast.Name(there, ast.Load()), row.dims, [(there, "")])
            made = self.copied_to(before, node, after, name, name)
        before.append(placed(ast.Assign([ast.Name(name, ast.Store())], ast.Name(made, ast.Load())), node))
        self.expander.changed = True
        return before

    def copied_to(self, before: list[ast.stmt], node: ast.AST, row: Row, name: str, place: str) -> str:
        """The name of a private array with the elements of a row, which two statements at the end of `before` make."""
        lengths = self.kept_lengths(node, row.dims)
        self.expander.changed = True
        made = self.expander.fresh(name)
        zeros: list[ast.expr] = [ast.Constant(0) for _ in lengths]
        numbers: list[ast.expr] = [ast.Constant(n) for n in lengths]
        shape = numbers[0] if len(numbers) == 1 else ast.Tuple(numbers, ast.Load())
        number = self.places.setdefault(place, len(self.places) + 1)
        call = ast.Call(ast.Name("private_like", ast.Load()), [shape, row.at(zeros), ast.Constant(number)], [])
        before.append(placed(ast.Assign([ast.Name(made, ast.Store())], call), node))
        index = [ast.Name(self.expander.fresh(f"k{axis}"), ast.Load()) for axis in range(len(lengths))]
        element = item_of(ast.Name(made, ast.Load()), index)
        element.ctx = ast.Store()  # type: ignore[attr-defined]
        inner: ast.stmt = ast.Assign([element], row.at(index))
        for k, n in zip(index[::-1], numbers[::-1], strict=True):
            over = ast.Call(ast.Name("range", ast.Load()), [copied(n)], [])
            inner = ast.For(ast.Name(k.id, ast.Store()), over, [inner], [])
        before.append(placed(inner, node))
        return made

    def in_step(self, written: tuple[str, str], read: tuple[str, str]) -> bool:
        """Whether ``A[r, k:] -= A[p, k:]`` reads each element of an array before it may write there.

        So it is if both take the same slices of the same axes: at other indices of the other axes they share nothing.
        """
        (root, text), (other, where) = written, read
        if root != other or root not in self.arrays or EARLIER in text + where:
            return False
        parts: list[list[str]] = []
        for place in (text, where):
            node = tree_of(root + place).body[0].value  # type: ignore[attr-defined]
            index: list[ast.expr] = []
            while isinstance(node, ast.Subscript):
                if any(isinstance(part, ast.Slice) for part in index_of(node)) and index:
                    return False
                index, node = [*index_of(node), *index], node.value
            index += [ast.Slice() for _ in range(len(self.arrays[root]) - len(index))]
            parts.append([ast.unparse(part) if isinstance(part, ast.Slice) else "" for part in index])
        return parts[0] == parts[1]

    def exchanged(self, node: ast.Assign, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
        """``a, b = b, a + x``: all is computed, into arrays for the time being, before a name gets its new elements."""
        values = value.elts if isinstance(value, ast.Tuple) else []
        if len(values) != len(targets) or any(isinstance(part, ast.Starred) for part in (*targets, *values)):
            self.fail(node, "it assigns rows as a tuple", "assign them one by one, with a name for what is yet needed")
        names = [part.id if isinstance(part, ast.Name) else "" for part in targets]
        given = [one.id if isinstance(one, ast.Name) else "" for one in values]
        for k, (name, one) in enumerate(zip(names, values, strict=True)):
            if not self.rank(one):
                continue
            changed = set().union(*(self.sharing.roots(loaded(other)) for other in targets[:k] if self.rank(other)))
            if not name and self.is_part(one) and changed & self.sharing.roots(one):
                text = ast.unparse(one)
                what = f"it stores {text}, of which it changes the array before"  # as NumPy would, with what is new
                self.fail(node, what, f"write {text}.copy()")
            if name and name not in self.kept:
                self.keep(node, name, self.view_dims(one) or self.dims_of(one), "it assigns rows as a tuple", PRIVATE)
            moves = isinstance(one, ast.Name) and one.id in names and given.count(one.id) == 1
            if name and not moves:
                self.copies(node, name, one)
        before: list[ast.stmt] = []
        made: list[str] = []
        for k, one in enumerate(values):
            if self.rank(one):
                row = self.row(one, self.keeper(before, "value", node, False))
                made.append(self.copied_to(before, node, row, "exchanged", f"{id(node)} {k} "))
                self.arrays[made[-1]] = tuple(row.dims)
                continue
            made.append(self.expander.fresh("exchanged"))
            before.append(placed(ast.Assign([ast.Name(made[-1], ast.Store())], self.visit(one)), node))
        for name, part, one in zip(made, targets, values, strict=True):
            new = ast.copy_location(ast.Name(name, ast.Load()), one)
            if not self.rank(one):
                before.append(placed(ast.Assign([self.visit(part)], new), node))
            elif isinstance(part, ast.Name):
                before += self.kept_anew(placed(ast.Assign([part], new), node), part.id, new)
            else:
                before += self.stored(placed(ast.Assign([part], new), node), part, new)
        self.expander.changed = True
        return before

    def stored(
        self, node: ast.Assign | ast.AugAssign, target: ast.expr, value: ast.expr, op: ast.operator | None = None
    ) -> list[ast.stmt]:
        """A store of a row, as a loop."""
        raise NotImplementedError
