"""What is known of tuples as a kernel is lifted: how many items they have, and what these are called.

So tuples with names are made and read, ``*t`` is written out, and tuples are cut and joined: in the text that is
compiled there are plain tuples, and items by their places.
"""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from portapar.kernel.front.kernel import Capture, Guard, kind_of
from portapar.kernel.front.names import Names
from portapar.kernel.front.trees import Filled, copied, item_at, item_of, loads, placed, walk, whole_number
from portapar.kernel.front.unroll import written_out

_MOST = 64  #: items of a tuple that are written out


class Shape(NamedTuple):
    """What is known of a tuple: the names of its items, if they have some, and what is known of each.

    One that has `dims` is the elements of a private array of such lengths, which a function returns.
    """

    fields: tuple[str, ...]
    items: tuple[Any, ...]
    dims: tuple[int, ...] = ()


class Shapes(Names):
    """The tuples of one function.

    Attributes
    ----------
    shapes : dict
        Variables that are tuples → `Shape`.
    privates : dict
        Variables that are private arrays → their lengths, where the text says them.
    returned : list
        The same of what its return statements give; None for what is no tuple that is known.
    """

    def __init__(self, func: Any, fixed: Any = None) -> None:
        super().__init__(func, fixed)
        self.shapes: dict[str, Shape] = {}
        self.privates: dict[str, tuple[int, ...]] = {}
        self.returned: list[Shape | None] = []

    def shape(self, node: ast.AST | None) -> Shape | None:
        """What is known of the tuple that an expression is; None of all others."""
        if isinstance(node, ast.Tuple):
            starred = any(isinstance(part, ast.Starred) for part in node.elts)
            names, dims = getattr(node, "fields", ()), getattr(node, "array", ())
            return None if starred else Shape(names, tuple(map(self.shape, node.elts)), dims)
        if isinstance(node, ast.Name):
            if node.id in self.items:
                found = tuple(self.shapes.get(name) for name in self.items[node.id])
                return Shape(self.fields.get(node.id, ()), found)
            if node.id in self.shapes:
                return self.shapes[node.id]
        if isinstance(node, ast.IfExp):
            ways = self.shape(node.body), self.shape(node.orelse)
            return ways[0] if ways[0] == ways[1] else None
        if isinstance(node, ast.Call):
            return getattr(node, "shape", None)  # of a visited call of a function of the user's
        if isinstance(node, ast.Subscript):
            whole, place = self.shape(node.value), whole_number(node.slice)
            if whole is not None and place is not None and -len(whole.items) <= place < len(whole.items):
                return whole.items[place]
        traced = self.trace(node) if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) else None
        return None if traced is None or traced[2] else _shape_of(traced[1])

    def length(self, node: ast.expr) -> int | None:
        """The length of the tuple that a name, or an item of one, stands for."""
        whole = node
        while isinstance(whole, ast.Subscript):
            whole = whole.value
        if isinstance(whole, ast.Name) and whole.id in self.shapes:
            shape = self.shape(node)
            return None if shape is None else len(shape.items)
        return super().length(node)

    def parts(self, node: ast.expr) -> list[ast.expr] | None:
        """The items of a visited tuple, each as an expression; None if they are not known."""
        shape = self.shape(node)
        if isinstance(node, ast.Tuple) or shape is None or len(shape.items) > _MOST:
            return list(node.elts) if isinstance(node, ast.Tuple) else None
        return self._places(node, range(len(shape.items)))

    def _places(self, node: ast.expr, places: Any) -> list[ast.expr]:
        """The items at some places; what is no name is evaluated once, with the first of them."""
        if isinstance(node, ast.Name):
            return [item_at(node, k) for k in places]
        name = self.local("whole")
        once = placed(ast.NamedExpr(ast.Name(name, ast.Store()), node), node)
        after = ast.copy_location(ast.Name(name, ast.Load()), node)
        return [item_at(after if k else once, place) for k, place in enumerate(places)]

    # what is made -------------------------------------------------------------------------------------

    def named_tuple(self, node: ast.Call, cls: Any, source: Capture) -> ast.expr | None:
        """``Point(x, y)`` of a named tuple or a data class: a tuple; None for all other calls."""
        fields = _fields_of(cls)
        if fields is None:
            return None
        self.guard(Guard(source, kind_of(cls)))
        name, defaults = cls.__name__, getattr(cls, "_field_defaults", None)
        given: dict[str, ast.expr] = dict(zip(fields, self.spread(node, fields), strict=False))
        wrong = len(node.args) > len(fields)
        for keyword in node.keywords:
            wrong = wrong or keyword.arg not in fields or keyword.arg in given
            given[str(keyword.arg)] = self.visit(keyword.value)
        for field in fields:
            if field in given or wrong:
                continue
            if defaults is None and hasattr(cls, field):  # of a data class
                given[field] = placed(self.meaning(getattr(cls, field), source.then(field), node), node)
            elif defaults and field in defaults:
                where = source.then("_field_defaults", (field,))
                given[field] = placed(self.meaning(defaults[field], where, node), node)
        if wrong or given.keys() != set(fields):
            what = f"{ast.unparse(node)} does not give {name} its fields {', '.join(fields)}"
            self.fail(node, what, f"write {name}({', '.join(fields)})")
        return self._made(node, [given[field] for field in fields], tuple(fields))

    def replaced(self, node: ast.Call) -> ast.expr | None:
        """``p._replace(x=1.0)``; None for all other calls."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr != "_replace" or node.args:
            return None
        whole = self.visit(node.func.value)
        shape = self.shape(whole)
        given = {str(keyword.arg): keyword.value for keyword in node.keywords}
        if shape is None or not given.keys() <= {*shape.fields}:
            return self.fail(node, f"{ast.unparse(node)} is of no tuple with these names", "write the new tuple out")
        items = self.parts(whole) or []
        new = [self.visit(given[f]) if f in given else x for f, x in zip(shape.fields, items, strict=True)]
        return self._made(node, new, shape.fields)

    def each(self, node: ast.expr) -> ast.Tuple | None:
        """``f(x) for x in t`` of a tuple: what it gives, item by item; None of all others."""
        if not isinstance(node, (ast.GeneratorExp, ast.ListComp)) or len(node.generators) != 1:
            return None
        (over,) = node.generators
        items = written_out(over.target, over.iter, self.length, self.builtin)
        if items is None or over.ifs or len(items) > _MOST:
            return None
        elements = [Filled(item).visit(copied(node.elt)) for item in items]
        return ast.copy_location(ast.Tuple(elements, ast.Load()), node)

    @staticmethod
    def _made(node: ast.AST, items: list[ast.expr], fields: tuple[str, ...] = ()) -> ast.expr:
        made = ast.Tuple(items, ast.Load())
        made.fields = fields  # type: ignore[attr-defined]  # copies keep it
        return placed(made, node)

    def spread(self, node: ast.Call | ast.Tuple, names: Sequence[str] = ()) -> list[ast.expr]:
        """The arguments of a call or the items of a tuple, visited, with those of ``*t`` in its place.

        If they are for parameters of these names, one ``*t`` may be of what is known only as the call is bound.
        """
        given = node.args if isinstance(node, ast.Call) else node.elts
        found: list[ast.expr] = []
        for place, part in enumerate(given):
            if not isinstance(part, ast.Starred):
                found.append(self.visit(part))
                continue
            whole = self.visit(part.value)
            items = self.parts(whole)
            stars = sum(isinstance(one, ast.Starred) for one in given)
            if items is None and stars == 1 and len(names) >= len(given):
                items = self._unpacked(whole, names[place : len(names) - len(given) + place + 1])
            if items is None:
                text = ast.unparse(part.value)
                what = f"it uses *unpacking of {text}, and how many items that has is not known"
                self.fail(part, what, f"write the elements out: {text}[0], {text}[1]")
            found += items or []
        return found

    def _unpacked(self, whole: ast.expr, given: Sequence[str]) -> list[ast.expr]:
        """The items of what must have so many, each under a name like these, which a statement before gives them."""
        names = [self.local(name) for name in given]
        stored = ast.Tuple([ast.Name(name, ast.Store()) for name in names], ast.Store())
        call = ast.Call(ast.Name("private_array", ast.Load()), [ast.Constant("apart"), stored, whole], [])
        first = ast.NamedExpr(ast.Name(names[0], ast.Store()), call)
        return [placed(first, whole), *(placed(ast.Name(name, ast.Load()), whole) for name in names[1:])]

    # expressions --------------------------------------------------------------------------------------

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        if isinstance(node.ctx, ast.Load):
            node.elts = self.spread(node)
            return node
        self.generic_visit(node)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Tuples that are joined or repeated; all else is what it is."""
        self.generic_visit(node)
        left, right = self.shape(node.left), self.shape(node.right)
        if isinstance(node.op, ast.Add) and left is not None and right is not None:
            return self._made(node, [*(self.parts(node.left) or []), *(self.parts(node.right) or [])])
        if isinstance(node.op, ast.Mult) and (left is None) != (right is None):
            whole, number = (node.left, node.right) if right is None else (node.right, node.left)
            count = self.constant(number)
            if type(count) is int and 0 < count * len((left or right).items) <= _MOST:  # type: ignore[union-attr]
                plain = not isinstance(whole, ast.Tuple) or all(
                    isinstance(part, (ast.Constant, ast.Name)) or whole_number(part) is not None for part in whole.elts
                )
                if not plain:
                    places = range(len(whole.elts))  # type: ignore[attr-defined]
                    first = self._places(whole, places)
                    again = [item_at(item.value if k else item.value.target, k)  # type: ignore[attr-defined]
                             for k, item in enumerate(first)]  # fmt: skip
                    for part in again:
                        part.value.ctx = ast.Load()  # type: ignore[attr-defined]
                    return self._made(node, [*first, *(copied(part) for _ in range(count - 1) for part in again)])
                return self._made(node, [copied(part) for _ in range(count) for part in self.parts(whole) or []])
        return node

    def cut(self, node: ast.Subscript) -> ast.expr | None:
        """A slice of a visited tuple; None if it is none, or not known."""
        if not isinstance(node.slice, ast.Slice):
            return None
        bounds = node.slice.lower, node.slice.upper, node.slice.step
        numbers = [None if part is None else whole_number(part) for part in bounds]
        shape, known = self.shape(node.value), [part is None for part in bounds] == [n is None for n in numbers]
        if shape is None or not known or numbers[2] == 0:
            return None
        places = range(len(shape.items))[slice(*numbers)]
        if isinstance(node.value, ast.Tuple) and all(isinstance(x, (ast.Constant, ast.Name)) for x in node.value.elts):
            return self._made(node, [node.value.elts[k] for k in places])
        return self._made(node, self._places(node.value, places)) if places else None

    def field(self, node: ast.Attribute) -> ast.expr | None:
        """``p.x`` of a visited tuple with names; None for all others."""
        shape = self.shape(node.value)
        if shape is None or not shape.fields:
            return None
        if node.attr not in shape.fields:
            what = f"{ast.unparse(node.value)} has no {node.attr}: its fields are {', '.join(shape.fields)}"
            self.fail(node, what, f"name one of them, or write a function: {node.attr}({ast.unparse(node.value)})")
        if isinstance(node.ctx, ast.Store):
            text = ast.unparse(node.value)
            what = f"it assigns to {ast.unparse(node)}, and such tuples keep their items in kernels"
            self.fail(node, what, f"make a new one: {text} = {text}._replace({node.attr}=…)")
        return ast.copy_location(item_at(node.value, shape.fields.index(node.attr)), node)

    # statements ---------------------------------------------------------------------------------------

    def lengths(self, node: ast.expr) -> tuple[int, ...]:
        """The lengths of the private array that a visited expression is, where they are known; () of all others."""
        match node:
            case ast.Name(id=name):
                return self.privates.get(name, ())
            case ast.Call(func=ast.Name(id="private_zeros" | "private_empty" | "private_full"), args=[shape, *_]):
                sizes = [whole_number(n) for n in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]
                return () if None in sizes else tuple(sizes)  # type: ignore[arg-type]
            case ast.NamedExpr(value=ast.Call(func=ast.Name(id="private_array"), args=[kind, ast.Tuple() as n, *_])):
                made = getattr(kind, "value", "") in ("array", "asarray")
                return tuple(x.value for x in n.elts if isinstance(x, ast.Constant)) if made else ()  # type: ignore[misc]
            case ast.Call(func=ast.Attribute(value=whole, attr="copy")) | ast.UnaryOp(operand=whole):
                return self.lengths(whole)
            case ast.BinOp(left=left, right=right) if not isinstance(node.op, ast.MatMult):
                return self.lengths(left) or self.lengths(right)
        return ()

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        known = dict(self.privates)
        self.generic_visit(node)
        self.privates = known  # they are changed in their place
        return node

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        self.generic_visit(node)
        for k, part in enumerate(node.value.elts if isinstance(node.value, ast.Tuple) else ()):
            dims = self.lengths(part)
            if dims and 0 < math.prod(dims) <= _MOST:  # its elements are returned
                if not isinstance(part, (ast.Name, ast.NamedExpr)):
                    part = placed(ast.NamedExpr(ast.Name(self.local("array"), ast.Store()), part), part)
                name = ast.Name(part.target.id, ast.Load()) if isinstance(part, ast.NamedExpr) else part
                at = [[_number(n) for n in index] for index in np.ndindex(*dims)]
                items = [item_of(name if place else part, index) for place, index in enumerate(at)]
                made = self._made(part, [ast.UnaryOp(ast.UAdd(), item) for item in items])  # numbers, no parts of it
                made.array = dims  # type: ignore[attr-defined]
                node.value.elts[k] = made  # type: ignore[union-attr]
        self.returned.append(self.shape(node.value))
        return node

    def returned_shape(self) -> Shape | None:
        """What all its return statements give."""
        (first, *others) = self.returned or [None]
        return first if all(one == first for one in others) else None

    def filled(self, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt] | None:
        """``w, v = f(x)``, where `f` returns elements of private arrays: arrays of them; None of all others."""
        shape = self.shape(value)
        if shape is None or len(targets) != 1 or not (shape.dims or any(x and x.dims for x in shape.items)):
            return None
        (target,) = targets
        if shape.dims:
            pairs: list[tuple[ast.expr, ast.expr, Shape | None]] = [(target, value, shape)]
        elif isinstance(target, (ast.Tuple, ast.List)) and len(target.elts) == len(shape.items):
            pairs = list(zip(target.elts, self.parts(value) or (), shape.items, strict=True))
        else:
            return None
        made: list[ast.stmt] = []
        for one, item, known in pairs:
            if known is not None and known.dims and isinstance(one, ast.Name):
                plain = isinstance(item, ast.Tuple)
                items = list(item.elts) if plain else self._places(item, range(len(known.items)))  # type: ignore[attr-defined]
                sizes = ast.Tuple([_number(n) for n in known.dims], ast.Load())
                given = [ast.Constant("array"), sizes, ast.Tuple(items, ast.Load())]
                call = ast.Call(ast.Name("private_array", ast.Load()), given, [])
                item, known = ast.NamedExpr(ast.Name(self.local("array"), ast.Store()), call), None
            dims, one = self.lengths(item), self.visit(one)
            made.append(placed(ast.Assign([one], item), target))
            self.note(one, known, dims)
        return made

    def note(self, target: ast.expr, shape: Shape | None, dims: tuple[int, ...] = ()) -> None:
        """What is assigned to a visited target: a tuple, or a private array of such lengths."""
        if isinstance(target, ast.Name):
            self.shapes.pop(target.id, None)
            self.privates.pop(target.id, None)
            if dims:
                self.privates[target.id] = dims
            if shape is not None:
                self.shapes[target.id] = shape
        elif isinstance(target, (ast.Tuple, ast.List)):
            fits = shape is not None and len(shape.items) == len(target.elts)
            for k, part in enumerate(target.elts):
                self.note(part, shape.items[k] if fits and shape is not None else None)

    def apart(self, target: ast.Tuple | ast.List, value: ast.expr) -> list[ast.stmt]:
        """``a, *rest, b = t``: assignments of items to names of their own, and of these to the targets."""
        stars = [k for k, part in enumerate(target.elts) if isinstance(part, ast.Starred)]
        place, after = stars[0], len(target.elts) - stars[0] - 1
        starred = target.elts[place].value  # type: ignore[attr-defined]
        made: list[ast.stmt] = []
        items = self.parts(value)
        if items is not None and len(items) < len(target.elts) - 1:
            self.fail(target, f"it takes {len(items)} items apart into {ast.unparse(target)}", "write fewer names")
        used = not isinstance(starred, ast.Name) or loads(self.node, starred.id)
        if items is None:  # a row
            whole = self.local("whole")
            made.append(ast.Assign([ast.Name(whole, ast.Store())], value))
            row = ast.copy_location(ast.Name(whole, ast.Load()), value)
            items = [item_at(row, k) for k in (*range(place), *range(-after, 0))]
            end = ast.UnaryOp(ast.USub(), ast.Constant(after)) if after else None
            middle: ast.expr = ast.Subscript(row, ast.Slice(ast.Constant(place), end), ast.Load())
        else:
            taken = items[place : len(items) - after]
            names: list[ast.expr] = [ast.Name(self.local("item"), ast.Load()) for _ in taken]
            for name, item in zip(names, taken, strict=True):
                if used or any(isinstance(part, (ast.Call, ast.NamedExpr)) for part in walk(item)):
                    made.append(ast.Assign([ast.Name(name.id, ast.Store())], item))  # type: ignore[attr-defined]
            middle = ast.Tuple(names, ast.Load())
            if used and not names:
                self.fail(target, f"*{ast.unparse(starred)} takes nothing", "leave it out")
            items = [*items[:place], *items[len(items) - after :]]
        others: list[ast.expr] = [self.visit(part) for k, part in enumerate(target.elts) if k != place]
        kept: list[ast.expr] = [ast.Name(self.local("item"), ast.Load()) for _ in others]
        made += [ast.Assign([ast.Name(name.id, ast.Store())], item)  # type: ignore[attr-defined]
                 for name, item in zip(kept, items, strict=True)]  # fmt: skip
        made += [ast.Assign([one], name) for one, name in zip(others, kept, strict=True)]
        if used:
            shape = self.shape(middle)
            made.append(ast.Assign([self.visit(starred)], middle))
            self.note(starred, shape)
        return [placed(one, target) for one in made]


def _number(n: int) -> ast.expr:
    return ast.Constant(n)


def done(node: ast.expr) -> ast.expr:
    """A visited expression, which is not visited again."""
    node.visited = True  # type: ignore[attr-defined]
    return node


def forget(node: ast.AST) -> None:
    """Leave plain nodes behind."""
    for part in walk(node):
        for name in ("visited", "shape", "fields", "array"):
            part.__dict__.pop(name, None)


def _shape_of(value: Any) -> Shape | None:
    """The same of a value that was captured."""
    if not isinstance(value, tuple):
        return None
    return Shape(tuple(getattr(value, "_fields", ())), tuple(map(_shape_of, value)))


def _fields_of(cls: Any) -> list[str] | None:
    """The fields of a named tuple or a data class that only holds them; None of all others."""
    if not isinstance(cls, type):
        return None
    if issubclass(cls, tuple) and cls.__bases__ == (tuple,) and hasattr(cls, "_fields"):
        return list(cls._fields)
    if dataclasses.is_dataclass(cls) and not hasattr(cls, "__post_init__"):
        fields = dataclasses.fields(cls)
        if cls.__dataclass_params__.init and all(one.init and not one.kw_only for one in fields):  # type: ignore[attr-defined]
            return [one.name for one in fields]
    return None
