"""What takes rows and gives numbers: ``X[i].sum()``, ``X[i] @ w``, ``np.argmin(d)``, elements of rows, lengths."""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar.kernel.front.kernel import place_of
from portapar.kernel.front.remedies import refusal
from portapar.kernel.front.row_forms import LOOP, PRIVATE, PRODUCTS, REDUCTIONS, Dim, fold_text
from portapar.kernel.front.templates import Templates
from portapar.kernel.front.trees import (
    Filled,
    at_least_0,
    copied,
    index_of,
    item_at,
    names_one,
    placed,
    walk,
    whole_number,
)

#: names in a template that are none of an array
_NEVER_ARRAYS = frozenset("np math int float abs round bool complex".split())


class Numbers(Templates):
    """What of one function takes rows and gives numbers."""

    def reduced(self, node: ast.expr, kind: str, parts: list[ast.expr]) -> ast.expr:
        """A function that folds the elements of a row, or of the products of two."""
        params: list[str] = []
        arguments: list[ast.expr] = []
        known: dict[str, str] = {}

        def leaf(value: ast.expr) -> ast.expr:
            if isinstance(value, ast.Constant):
                return value
            value = Filled(dict(zip(params, arguments, strict=True))).visit(self.visit(copied(value)))
            text = ast.unparse(value)
            if text not in known:
                known[text] = self.expander.own(f"p{len(params)}")
                params.append(known[text])
                arguments.append(value)
            return ast.Name(known[text], ast.Load())

        if len(parts) == 2:
            rows = [self.row(part, leaf) for part in parts]
            if [len(row.dims) for row in rows] != [1, 1]:
                self.fail(node, f"{ast.unparse(node)} is a product of tables", "write a loop over its rows: row @ x")
            row = self.joined(node, parts, leaf, lambda a, b: ast.BinOp(a, ast.Mult(), b))
        else:
            row = self.row(parts[0], leaf)
        if kind in ("argmin", "argmax") and len(row.dims) > 1:
            self.fail(node, f"{ast.unparse(node)} is of a table", "write a loop over its rows")
        arrays: dict[str, str] = {}
        index = [self.expander.own(f"k{axis}") for axis in range(len(row.dims))]

        def shown(expression: ast.expr) -> str:
            """The text, arrays under the names of parameters."""
            expression = copied(expression)
            for part in walk(expression):
                if isinstance(part, ast.Name) and part.id not in index and part.id not in params:
                    if part.id in self.calls or part.id in _NEVER_ARRAYS:
                        continue
                    if part.id not in arrays:
                        arrays[part.id] = self.expander.own(f"q{len(arrays)}")
                    part.id = arrays[part.id]
            return ast.unparse(ast.fix_missing_locations(expression))

        element = shown(row.at([ast.Name(k, ast.Load()) for k in index]))
        first = shown(row.at([ast.Constant(0)] * len(index)))
        lengths = [shown(copied(length)) for length in row.lengths]
        text = fold_text(kind, element, first, index, lengths)
        names = [*arrays.values(), *params]
        name = self.expander.add(f"row_{kind}", names, text, self.where[1], node)
        self.expander.changed = True
        whole: list[ast.expr] = [ast.Name(array, ast.Load()) for array in arrays]
        return placed(self.called(name, [*whole, *arguments]), node)

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and not isinstance(node, ast.Name):
            made = self.expression(node)
            if made is not None:
                return made
            if self.computed(node) and not self.chosen(node):
                what = f"it uses the row {ast.unparse(node)} as a whole"
                self.fail(node, what, f"reduce it, such as by .sum(), store it, y[:] = …, or {LOOP}")
        if isinstance(node, (ast.IfExp, ast.BoolOp)):  # of which not all is evaluated
            pending, self.pending = self.pending, None
            made = super().visit(node)
            self.pending = pending
            return made
        return super().visit(node)

    def expression(self, node: ast.expr) -> ast.expr | None:
        """What stands for an expression that takes a row and gives a number; None for all others."""
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            if self.rank(node.left) == self.rank(node.right) == 1:
                return self.reduced(node, "sum", [node.left, node.right])
            self.fail(node, f"{ast.unparse(node)} is no product of two rows", "write a loop over its rows: row @ x")
        if isinstance(node, (ast.BoolOp, ast.IfExp)) and place_of(node) not in self.choices:
            for part in node.values if isinstance(node, ast.BoolOp) else [node.test]:
                if self.rank(part):
                    self.ambiguous(part)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and self.rank(node.operand):
            self.ambiguous(node.operand)
        if isinstance(node, ast.Attribute) and self.is_array(node.value):
            return self.attribute(node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            items = self.items(node.value)
            bounds = [whole_number(b) for b in (node.slice.lower, node.slice.upper, node.slice.step)]
            given = (node.slice.lower, node.slice.upper, node.slice.step)
            if items is not None and all(b is not None or g is None for b, g in zip(bounds, given, strict=True)):
                self.expander.changed = True
                return placed(ast.Tuple([self.visit(part) for part in items[slice(*bounds)]], ast.Load()), node)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            owned = self.rank(node.value) and not self.rank(node)
            return self.element(node) if owned and self.computed(node.value) and not self.chosen(node.value) else None
        return None

    def is_array(self, node: ast.expr) -> bool:
        """Whether it is an array or a row."""
        return bool(self.rank(node)) or (isinstance(node, ast.Name) and self.arrays.get(node.id) == ())

    def attribute(self, node: ast.Attribute) -> ast.expr | None:
        """``X.ndim``, ``X[i].size``, ``(X[i] - c).shape``; None for what arrays have in kernels as it stands."""
        text, count = ast.unparse(node.value), self.rank(node.value)
        if node.attr in ("real", "imag") or (node.attr == "shape" and not self.computed(node.value)):
            return None
        if node.attr in ("ndim", "size", "shape"):
            lengths = [] if node.attr == "ndim" else self.row(node.value, lambda x: self.visit(copied(x))).lengths
            self.expander.changed = True
            whole: ast.expr = ast.Constant(count if node.attr == "ndim" else 1)
            if node.attr == "shape":
                whole = ast.Tuple([copied(n) for n in lengths], ast.Load())
            elif lengths:
                whole = functools.reduce(lambda a, b: ast.BinOp(a, ast.Mult(), b), map(copied, lengths))
            return placed(whole, node)
        remedy = {
            "T": f"exchange the indices, {text}[j, i]" if count > 1 else f"leave it out: {text}",
            "flat": f"write an index for each axis, or pass {text}.ravel()",
            "dtype": "leave it out: what is stored is cast; or write it as a constant, such as np.float64",
        }.get(node.attr, "use its elements, .shape, .ndim, .size or len()")  # fmt: skip
        if node.attr in dir(np.ndarray):
            self.fail(node, f"it uses {ast.unparse(node)}, which arrays do not have in kernels", remedy)
        return None

    def items(self, node: ast.expr) -> list[ast.expr] | None:
        """The items of a shape, or of a tuple whose length is known."""
        if isinstance(node, ast.Attribute) and node.attr == "shape" and self.rank(node.value):
            return [item_at(node, k) for k in range(self.rank(node.value))]
        if isinstance(node, ast.Tuple):
            return None if any(isinstance(part, ast.Starred) for part in node.elts) else node.elts
        if isinstance(node, ast.Name) and not self.is_array(node):
            made = self.assignments(self.function).get(node.id, [])
            if len(made) == 1 == self.assigned.get(node.id) and not made[0][1]:
                items = self.items(made[0][0])
                return None if items is None else [item_at(node, k) for k in range(len(items))]
            lengths = {len(one.elts) for one in self.tuples(node, self.function)}
            if len(lengths) == 1 and len(made) == self.assigned.get(node.id):
                return [item_at(node, k) for k in range(*lengths)]
        return None

    def computed(self, node: ast.expr) -> bool:
        return self.rank(node) > 0 and self.view_dims(node) is None

    def chosen(self, node: ast.expr) -> bool:
        """Whether it is one of several arrays, each as it stands: renderers know what to do."""
        if isinstance(node, ast.IfExp) and place_of(node) not in self.choices:
            return not self.rank(node.test) and all(map(self._stands, (node.body, node.orelse)))
        return False

    def _stands(self, node: ast.expr) -> bool:
        """Whether it may be an array as it stands: also what a function returns, or an item of a tuple."""
        if self.view_dims(node) is not None or self.chosen(node):
            return True
        opaque = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.calls
        return not self.rank(node) and (opaque or isinstance(node, ast.Subscript) and not self.rank(node.value))

    def element(self, node: ast.Subscript) -> ast.expr:
        """``d[0]``, ``X[i, 1:][k]``."""
        told = [ast.Constant(ast.unparse(part)) for part in (node, node.value)] if self.expander.checked else []
        index = [self.visit(part) for part in index_of(node)]
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return node
        row = self.row(node.value, lambda value: self.visit(copied(value)))
        wrapped = [
            self.helper("row_element", [part, length, ast.Constant(axis), *told], node) if told
            else part if at_least_0(part) else self.helper("row_place", [part, length], node)
            for axis, (part, length) in enumerate(zip(index, row.lengths, strict=False))
        ]  # fmt: skip
        self.expander.changed = True
        return placed(row.at(wrapped), node)

    def call(self, node: ast.Call) -> ast.expr | None:
        func = node.func
        ranks = [self.rank(argument) for argument in node.args]
        if isinstance(func, ast.Attribute):
            owner = func.value
            if isinstance(owner, ast.Name) and owner.id in ("np", "math", "atomic"):
                if owner.id == "math" and any(ranks):
                    remedy = f"write np.{func.attr}, or a loop over the elements"
                    self.fail(node, f"math.{func.attr} takes numbers, and {ast.unparse(node)} gives it a row", remedy)
                if owner.id == "atomic" and any(ranks[1:]):
                    self.fail(node, f"{ast.unparse(node)} updates with a row", LOOP)
                if (
                    owner.id == "atomic"
                    and isinstance(node.args[0], ast.Name)
                    and self.arrays.get(node.args[0].id) == ()
                ):
                    node.args[1:] = [ast.Constant(0), *(self.visit(argument) for argument in node.args[2:])]
                    self.expander.changed = True
                    return placed(node, node)
                if owner.id == "np" and any(ranks):
                    if func.attr in REDUCTIONS:
                        return self.reduction(node, func.attr, node.args[0], node.args[1:])
                    if func.attr in PRODUCTS and len(node.args) == 2 and ranks == [1, 1]:
                        return self.reduced(node, "sum", list(node.args))
                return None
            if self.rank(owner) and func.attr in REDUCTIONS:
                return self.reduction(node, func.attr, owner, node.args)
            if self.rank(owner) == 1 and func.attr == "dot" and ranks == [1]:
                return self.reduced(node, "sum", [owner, node.args[0]])
            if self.rank(owner) and self.rank(node) == 0:
                remedy = refusal(getattr(np, func.attr, None), "") or LOOP
                self.fail(node, f"rows have no .{func.attr}() in kernels", remedy)
            return None
        if not isinstance(func, ast.Name):
            return None
        if func.id in self.calls and not (any(ranks) and self.is_elementwise(func.id)):
            return self.passed(node, func) if func.id in self.expander.functions else None
        if func.id in ("sum", "any", "all") and not (ranks[:1] and ranks[0]):
            return self.folded(node, func.id)
        if func.id == "len" and len(node.args) == 1 and not any(ranks):
            items = self.items(node.args[0])
            if items is not None:
                self.expander.changed = True
                return placed(ast.Constant(len(items)), node)
        if not any(ranks):
            return None
        if func.id == "len" and ranks[0]:
            if not self.computed(node.args[0]):
                return None
            row = self.row(node.args[0], lambda value: self.visit(copied(value)))
            self.expander.changed = True
            return placed(copied(row.lengths[0]), node)
        if func.id in ("min", "max", "sum", "any", "all") and len(node.args) == 1:
            return self.reduction(node, func.id, node.args[0], [])
        if func.id == "sum":
            rest, start = map(ast.unparse, node.args)
            self.fail(node, f"{ast.unparse(node)} begins at {start}", f"write {start} + sum({rest})")
        if func.id in ("int", "float", "bool", "complex", "min", "max", "pow", "divmod"):
            other = {"min": "np.minimum", "max": "np.maximum"}.get(func.id) if len(node.args) == 2 else None
            remedy = f"write {other}({', '.join(map(ast.unparse, node.args))})" if other else LOOP
            self.fail(node, f"{func.id}() takes numbers, and {ast.unparse(node)} gives it a row", remedy)
        return None

    def folded(self, node: ast.Call, name: str) -> ast.expr:
        """``sum((a, b, c))``, ``any(t)``: of a tuple that is written there or has a name."""
        whole = node.args[0] if len(node.args) == 1 else None
        made = self.tuples(whole, self.function) if isinstance(whole, (ast.Tuple, ast.Name)) else []
        if whole is None or len({len(one.elts) for one in made}) != 1:
            what = f"{ast.unparse(node)} is of no row"
            self.fail(node, what, "write a for loop over range(...), or add the numbers up: a + b")
        parts: list[ast.expr] = [ast.Subscript(whole, ast.Constant(k), ast.Load()) for k in range(len(made[0].elts))]
        self.expander.changed = True
        found: ast.expr = ast.Constant({"sum": 0, "any": False, "all": True}[name])
        for part in whole.elts if isinstance(whole, ast.Tuple) else parts:
            if name == "sum":
                found = ast.BinOp(found, ast.Add(), self.visit(copied(part)))
            else:
                test = ast.Compare(self.visit(copied(part)), [ast.NotEq()], [ast.Constant(0)])
                found = ast.BoolOp(ast.Or() if name == "any" else ast.And(), [found, test])
        return placed(found, node)

    def reduction(self, node: ast.Call, name: str, owner: ast.expr, more: Sequence[ast.expr]) -> ast.expr:
        if more or node.keywords:
            what = f"{ast.unparse(node)} takes more than the row"
            self.fail(node, what, f"write a loop over the rows, and {name} of each")
        return self.reduced(node, REDUCTIONS[name], [owner])

    def passed(self, node: ast.Call, func: ast.Name) -> ast.expr:
        """Arrays that go to another kernel function."""
        params = self.expander.functions[func.id].params
        given: dict[str, tuple[Dim, ...]] = {}
        written = self.expander.effect(func.id, tuple(map(self.rank, node.args))).written
        for k, (param, argument) in enumerate(zip(params, node.args, strict=True)):
            if self.rank(argument) == 0:
                continue
            dims = self.view_dims(argument)
            if self.chosen(argument):
                continue
            filled = isinstance(argument, ast.Call) and self.is_filled(argument)
            shared = self.sharing.roots(argument)
            if k in written and shared and (filled or not isinstance(argument, ast.Name) and dims is None):
                text = ast.unparse(argument)
                what = f"it passes {text}, which is a part of {min(shared)!r}, to a function that changes it"
                store = "" if filled else f", and store that: {text} = d"
                self.fail(argument, what, f"pass a copy, d = {text}.copy(){store}")
            if dims is None and isinstance(argument, ast.Name):
                what = f"it passes the row {argument.id} on, which is no array"
                self.keep(argument, argument.id, self.rows[argument.id].dims, what, PRIVATE)
            lengths = None if dims is not None or self.pending is None else self.lengths(self.dims_of(argument))
            if lengths is not None:
                node.args[node.args.index(argument)] = self.passed_row(argument)
                given[param] = tuple(Dim("", n) for n in lengths)
                continue
            if dims is None:
                what = f"it passes the row {ast.unparse(argument)} on, which is no array"
                self.fail(argument, what, PRIVATE + "; or pass an array or a row of one, X[i]")
            given[param] = dims
        node.args = [self.visit(argument) for argument in node.args]
        func.id = self.expander.function(func.id, given)
        self.calls.add(func.id)
        returned = self.expander.returns.get(func.id)
        if returned is None:
            return node
        self.expander.changed = True
        numbers: list[ast.expr] = [ast.Constant(n) for n in returned]
        shape = numbers[0] if len(numbers) == 1 else ast.Tuple(numbers, ast.Load())
        return placed(ast.Call(ast.Name("private_filled", ast.Load()), [shape, node], []), node)

    def passed_row(self, node: ast.expr) -> ast.expr:
        """An array for a computed row, made in front of the statement."""
        raise NotImplementedError

    # what shares memory ------------------------------------------------------------------------------

    def is_part(self, node: ast.expr) -> bool:
        """Whether it is a part of arrays: what is written to them is seen in it, too."""
        if isinstance(node, ast.IfExp):
            return place_of(node) not in self.choices and self.is_part(node.body) and self.is_part(node.orelse)
        if isinstance(node, ast.Subscript):
            return self.is_part(node.value)
        return isinstance(node, ast.Name) and node.id in self.arrays

    @functools.cached_property
    def filled(self) -> set[str]:
        """The names of arrays that functions return, which may be made again while they are in use."""
        made = ((node.targets[0].id, node.value) for node in walk(self.function) if names_one(node))
        calls = ((name, call) for name, call in made if isinstance(call, ast.Call) and isinstance(call.func, ast.Name))
        return {name for name, call in calls if self.is_filled(call)}

    def is_filled(self, call: ast.Call) -> bool:
        """Whether it is of a function that returns the elements of an array."""
        known = isinstance(call.func, ast.Name) and call.func.id in self.calls
        return known and bool(self.returned_by(call.func.id, call))  # type: ignore[attr-defined]

    def copies(self, node: ast.AST, name: str, value: ast.expr) -> None:
        """Refuse ``y = X[i, 1:]`` where `y` gets an array of its own although X and it are to change together."""
        roots = self.sharing.roots(value) - {name}
        changed = {
            found for at, written in self.sharing.written if at is not value for found in written & {name, *roots}
        }
        if roots and changed:
            mine, one, other = map(self.written_as, (name, min(roots), min(changed)))
            what = f"{mine!r} is a part of {one!r} here, not a copy, and {other!r} is written to"
            text = ast.unparse(value)
            self.fail(node, what, f"write {mine} = {f'({text})' if isinstance(value, ast.IfExp) else text}.copy()")

    def written_as(self, name: str) -> str:
        """A name as the user's text has it."""
        known = set().union(*(f.names() for f in self.expander.functions.values()))
        while name not in known and name.endswith("_"):
            name = name[:-1]
        return name
