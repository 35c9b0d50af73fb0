"""What the calls in a kernel become: of other kernel functions, of NumPy and math, of makers of private arrays."""

from __future__ import annotations

import ast
import builtins
import enum
import inspect
import itertools
import math
import types
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from portapar.kernel.front import atomic, functions, remedies
from portapar.kernel.front.generators import fold, names_of
from portapar.kernel.front.kernel import (
    OPERATORS,
    Capture,
    Guard,
    Kernel,
    Place,
    held,
    is_bound,
    is_data,
    kind_of,
    place_of,
    scalar_name,
    unwrap,
)
from portapar.kernel.front.shapes import Shape, Shapes, done
from portapar.kernel.front.sources import find_source, parameter_names
from portapar.kernel.front.text import with_names
from portapar.kernel.front.trees import Filled, copied, item_at, names_one, placed, walk
from portapar.kernel.front.walrus import hoist

_SCRATCH = 1 << 20  #: bytes of private arrays that a function may have: threads have stacks of some MiB
_LIKE = ("zeros_like", "ones_like", "empty_like", "full_like")
_ARRAYS = ("array", "asarray", "copy")
_PLACES = 1000  #: from where on the places of `np.array` are numbered
_PRIVATE = {"zeros": np.zeros, "empty": np.empty, "ones": np.ones, "full": np.full}

Fixed = tuple[tuple[str, Any], ...]  #: parameters that are given what is no number, and what that is


@dataclass(frozen=True, slots=True)
class Items:
    """In the place of a parameter that is given a tuple: as many parameters as it has items."""

    count: int
    fields: tuple[str, ...] = ()  #: their names, of a named tuple
    shapes: tuple[Shape | None, ...] = ()  #: what is known of each


@dataclass(frozen=True, slots=True)
class Called:
    """A captured kernel function under the name that the text calls it by."""

    kernel: Kernel
    func: types.FunctionType
    name: str
    fixed: Fixed = ()


class Calls(Shapes):
    """The calls of one function.

    Attributes
    ----------
    choices : set of Place
        Of conditional expressions that stand for ``np.where``.
    active : tuple of callable
        The functions that are being lifted, each called by the one before; this one is the last.
    """

    active: tuple[Any, ...] = ()

    def __init__(self, func: types.FunctionType, fixed: Fixed) -> None:
        super().__init__(func, {name: value for name, value in fixed if not isinstance(value, (Items, Shape))})
        for name, value in fixed:
            if isinstance(value, Shape):
                self.shapes[name] = value
            if isinstance(value, Items):
                self.items[name] = [self.local(f"{name}_{k}") for k in range(value.count)]
                for item, shape in zip(self.items[name], value.shapes, strict=True):
                    self.note(ast.Name(item), shape)
                self.told |= {item: f"{name}[{k}]" for k, item in enumerate(self.items[name])}
                self.fields[name] = value.fields
        self.choices: set[Place] = set()
        self.arrays = 0  #: how many of its private arrays are made of numbers
        self.folds: list[tuple[str, list[ast.stmt]]] = []  #: of generators: the names of the results, and statements
        self.sums: dict[str, str] = {}  #: the names of those that add up, and what the user wrote

    def lifted(self, func: types.FunctionType, fixed: Fixed) -> Kernel:
        """Another function, lifted."""
        raise NotImplementedError

    def callee(self, func: types.FunctionType, source: Capture, fixed: Fixed) -> Called:
        """A captured kernel function, lifted."""
        called = self._lifted(func, fixed)
        self._add(called)
        for guard in called.kernel.guards:
            self.guard(replace(guard, capture=source.then(guard.capture)))
        return called

    def _lifted(self, func: types.FunctionType, fixed: Fixed = ()) -> Called:
        """A function that the kernel calls, under the name that the text will call it by."""
        for known in self.functions:
            same = known.func.__code__ is func.__code__ and known.fixed == fixed
            if same and known.kernel.fits(func) is not None:
                return replace(known, func=func)
        kernel = self.lifted(func, fixed)
        names: dict[str, str] = {}
        inside: set[str] = set().union(*(f.names() - {f.name} for f in kernel.functions))
        for f in kernel.functions:
            names[f.name] = self.free(f.name, builtin=True, besides=inside.union(names.values()))
        kernel = replace(kernel, functions=[with_names(f, names) for f in kernel.functions])
        return Called(kernel, func, names[list(names)[-1]], fixed)

    def _add(self, called: Called) -> None:
        if all(known.name != called.name for known in self.functions):
            self.functions.append(called)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        made = self._over(node)
        if made is not None:
            return made
        if self.builtin(node.func) in ("tuple", "list") and len(node.args) == 1 and not node.keywords:
            whole = self.each(node.args[0]) or node.args[0]
            if self.shape(whole) is not None:
                return self.visit(whole)
        traced = self.trace(node.func)
        if traced is None or traced[2]:
            if (new := self.replaced(node)) is not None:
                return new
            text = "" if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            if isinstance(node.func, ast.Name):
                node.func = self.resolve(node.func, called=True)
            else:
                node.func = self.visit(node.func)
            return self._called(node, text)
        source, value, _ = traced
        if (new := self.named_tuple(node, value, source)) is not None:
            return new
        for name, constructor in _PRIVATE.items():
            if value is constructor:
                return self._private(node, name, source)
        array = self._array(node, value, source)
        if array is not None:
            return array
        remedy = remedies.refusal(value, ast.unparse(node.func))
        if remedy is not None:
            self.fail(node, f"it calls {ast.unparse(node.func)}, which does not exist in kernels", remedy)
        own = functions.substitute(value, len(node.args) + len(node.keywords))
        if own is not None and own is not self.func:
            return self._own(node, own, source, value)
        if value is not None and getattr(atomic, getattr(value, "__name__", ""), None) is value:
            self._atomic(node, value)
        elif _is_kernel(value):
            return self._kernel_call(node, value, source)
        text = ast.unparse(node.func) if isinstance(value, (tuple, int, float, complex, np.ndarray)) else ""
        node.func = self.resolve(node.func, called=True)  # type: ignore[arg-type]
        return self._called(node, text)

    def _called(self, node: ast.Call, text: str) -> ast.Call:
        """A call of no kernel function; `text` is what it calls, where that may be no function."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        mine = self.code.co_varnames[: self.code.co_argcount] if self.active[1:] else ()  # may be given functions
        data = name in self.captures.values() or (name in self.locals and name not in mine)
        if text and (data or not isinstance(node.func, (ast.Name, ast.Attribute))):
            self.fail(node, f"it calls {text}, which is no function", f"write {text}[…] for an element, or * between")
        return self._arguments(node)

    def _arguments(self, node: ast.Call) -> ast.Call:
        node.args = self.spread(node)
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        if [keyword.arg for keyword in node.keywords] in (["ndigits"], ["decimals"]):  # renderers know it by position
            node.args, node.keywords = [*node.args, node.keywords[0].value], []
        return node

    def _atomic(self, node: ast.Call, operation: Any) -> None:
        """``pp.atomic.add(y, i, 1.0)`` with another number of arguments is told how to write it."""
        wanted = list(inspect.signature(operation).parameters)
        if node.keywords:
            self.fail(node, f"it calls {ast.unparse(node.func)} with keywords", "pass the arguments by position")
        if len(node.args) == len(wanted):
            return
        name, first = ast.unparse(node.func), node.args[0] if node.args else None
        values = [ast.unparse(part) for part in node.args[1:]]
        array, index = (ast.unparse(first), "i") if first is not None else (wanted[0], "i")
        if isinstance(first, ast.Subscript):
            array, index = ast.unparse(first.value), ast.unparse(first.slice)
            index = f"({index})" if isinstance(first.slice, ast.Tuple) else index
        whole = len(wanted) == 3 or isinstance(first, ast.Subscript)  # or else the index is there, and a value is not
        values = values if whole and len(values) == len(wanted) - 2 else wanted[2:]
        what = f"{name} takes {', '.join(wanted[:-1])} and {wanted[-1]}, and is given {len(node.args)} of them"
        self.fail(node, what, f"write {name}({', '.join([array, index, *values])})")

    def _own(self, node: ast.Call, own: Any, source: Capture, value: Any) -> ast.expr:
        """A call of a function of math, cmath or NumPy for which one of `functions` stands."""
        self.guard(Guard(source, kind_of(value)))
        text = ast.unparse(node.func)
        if own is functions.clip:  # np.clip(x, None, 1.0)
            bounds = {"a_min": 1, "a_max": 2}
            keywords = {functions.parameter(str(k.arg)): k.value for k in node.keywords}
            given = dict(enumerate(node.args)) | {bounds.get(name, -1): part for name, part in keywords.items()}
            none = [k for k, part in given.items() if isinstance(part, ast.Constant) and part.value is None]
            if none in ([1], [2]):
                name = "maximum" if none == [2] else "minimum"
                extremum = ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load())
                made = ast.Call(extremum, [self.visit(given[0]), self.visit(given[3 - none[0]])], [])
                return placed(made, node)
        if isinstance(own, np.ufunc):
            node.func = placed(ast.Attribute(ast.Name("np", ast.Load()), own.__name__, ast.Load()), node)
            return self._arguments(node)
        called = self._lifted(own)
        names = [functions.parameter(str(k.arg)) for k in node.keywords]
        bound = self._by_position(node, text, names, called.kernel.params, own)
        defaults = dict(zip(called.kernel.params[::-1], (own.__defaults__ or ())[::-1], strict=False))
        node.args = [
            ast.copy_location(ast.Constant(defaults[name]), node) if part is None else self.visit(part)
            for name, part in bound.items()
        ]
        node.keywords = []
        (*_, function) = called.kernel.functions
        (statement, *rest) = function.body
        if not rest and isinstance(statement, ast.Return) and len(called.kernel.functions) == 1:
            names = [n.id for n in walk(statement) if isinstance(n, ast.Name) and n.id in called.kernel.params]
            if sorted(names) == sorted(called.kernel.params):  # each once: it can stand in the place of the call
                arguments = dict(zip(called.kernel.params, node.args, strict=True))
                assert statement.value is not None
                written = copied(statement.value)
                for part in walk(written):
                    if isinstance(part, ast.expr):
                        ast.copy_location(part, node)
                if isinstance(written, ast.IfExp) and (place := place_of(node)) is not None:
                    self.choices.add(place)
                return Filled(arguments).visit(written)
        self._add(called)
        node.func = ast.copy_location(ast.Name(called.name, ast.Load()), node.func)
        return node

    def _by_position(
        self, node: ast.Call, text: str, names: list[str], params: list[str], func: types.FunctionType
    ) -> dict[str, ast.expr | None]:
        """What a call gives each parameter of a function, None where it is to take its default."""
        given = dict(zip(params, node.args, strict=False))
        for name, keyword in zip(names, node.keywords, strict=True):
            if keyword.arg is None or name not in params or name in given:
                what = f"{text} is called with the keywords {', '.join(str(k.arg) for k in node.keywords)}"
                self.fail(node, what, f"pass the arguments by position: {text.removesuffix('()')}({', '.join(params)})")
            given[name] = keyword.value
        needed = params[: len(params) - len(func.__defaults__ or ())]
        if len(node.args) > len(params) or not given.keys() >= {*needed}:
            takes = f"takes {len(params)} argument{'s' * (len(params) != 1)} ({', '.join(params)})"
            self.fail(node, f"{text} {takes} and got {len(node.args) + len(names)}", "pass what it needs")
        return {name: given.get(name) for name in params}

    def _kernel_call(self, node: ast.Call, value: Any, source: Capture) -> ast.expr:
        """A call of a function of the user's; what it is given that is no number is put into its text."""
        func = unwrap(value)
        self.guard(Guard(source, kind_of(value)))
        name = "lambda" if func.__name__ == "<lambda>" else func.__name__
        params = [name for name in parameter_names(func.__code__) if name not in held(func)]
        defaults = func.__defaults__ or ()
        if any(isinstance(part, ast.Starred) for part in node.args):
            node.args = list(map(done, self.spread(node, params[: len(params) - len(defaults) - len(node.keywords)])))
        given = self._by_position(node, f"{name}()", [str(k.arg) for k in node.keywords], params, func)
        places = {param: source.then(Capture(None, ("__defaults__", k - len(params) + len(defaults))))
                  for k, param in enumerate(params)}  # fmt: skip
        fixed: list[tuple[str, Any]] = []
        for k, (param, part) in enumerate(given.items()):
            if part is None:
                default = defaults[k - len(params)]
                if default is None or (isinstance(default, (str, bytes, enum.Enum)) and not is_data(default)):
                    self.guard(Guard(places[param], default, exact=True))
                    fixed.append((param, default))
            elif (known := self.known(part)) is not None:
                fixed.append((param, known[0]))
            elif not self._is_local(part) and (items := self._items(part)) and not _assigns(func, param):
                fixed.append((param, Items(len(items), self._fields(part), tuple(map(self.shape, items)))))
            else:
                given[param] = done(self.visit(part))
                if (shape := self.shape(given[param])) is not None:
                    fixed.append((param, shape))
        called = self.callee(func, source, tuple(fixed))
        node.args = []
        for k, (param, part) in enumerate(given.items()):
            if param in dict(fixed) and not isinstance(dict(fixed)[param], Shape):
                if isinstance(dict(fixed)[param], Items) and part is not None:
                    node.args += map(self.visit, self._items(part) or ())
                continue
            default = defaults[k - len(params)] if part is None else None
            if part is not None:
                node.args.append(self.visit(part))
            elif is_data(default):
                self.guard(Guard(places[param], "data"))
                made = self.captured(places[param], default, f"{called.name}_{param}", param)
                node.args.append(ast.copy_location(ast.Name(made, ast.Load()), node))
            else:
                node.args.append(placed(self.meaning(default, places[param], node), node))
        node.keywords = []
        for captured, capture in called.kernel.captures:
            where = source.then(capture)
            told = called.kernel.told.get(captured, captured)
            made = self.captured(where, where.get(self.func), f"{called.name}_{captured}", told)
            node.args.append(ast.copy_location(ast.Name(made, ast.Load()), node))
        node.func = ast.copy_location(ast.Name(called.name, ast.Load()), node.func)
        node.shape = called.kernel.shape  # type: ignore[attr-defined]
        return node

    def _is_local(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.shapes

    def _items(self, node: ast.expr) -> list[ast.expr] | None:
        """The items of what is a tuple by its text, or one that was captured; None if it is no tuple that is known."""
        if isinstance(node, ast.Tuple):
            return None if any(isinstance(part, ast.Starred) for part in node.elts) else node.elts
        count = self.length(node)
        return None if count is None else [item_at(node, k) for k in range(count)]

    def _fields(self, node: ast.expr) -> tuple[str, ...]:
        """The names of the items of what `_items` knows."""
        if isinstance(node, ast.Name) and node.id in self.fields:
            return self.fields[node.id]
        traced = self.trace(node)
        return () if traced is None else getattr(traced[1], "_fields", ())

    def _array(self, node: ast.Call, value: Any, source: Capture) -> ast.expr | None:
        """``np.array([a, b, c])``, ``np.zeros_like(x)``, ``np.copy(x)``: a private array; None for all other calls."""
        given: ast.expr | None = node.args[0] if node.args and not isinstance(node.args[0], ast.Starred) else None
        keywords = {str(keyword.arg): keyword.value for keyword in node.keywords}
        name = getattr(value, "__name__", "")
        if value is np.linalg.norm and given is not None and len(node.args) == 1 and not keywords:
            self.guard(Guard(source, kind_of(value)))
            size = ast.Call(_numpys("absolute"), [self.visit(given)], [])
            squares = ast.Attribute(ast.BinOp(size, ast.Pow(), ast.Constant(2)), "sum", ast.Load())
            return placed(ast.Call(_numpys("sqrt"), [ast.Call(squares, [], [])], []), node)
        if given is None or not any(getattr(np, one) is value for one in (*_LIKE, *_ARRAYS)):
            return None
        if not keywords.keys() <= {"dtype", "fill_value"} or len(node.args) > 2 + (name == "full_like"):
            self.fail(node, f"np.{name} is given {ast.unparse(node)}", "give it the numbers and the dtype alone")
        self.guard(Guard(source, kind_of(value)))
        number = 1 + (name == "full_like")
        dtype = keywords.get("dtype", node.args[number] if len(node.args) > number else None)
        whole = [] if dtype is None else [ast.Constant(scalar_name(self._dtype(node, dtype, None)))]
        if name in _LIKE:
            fill: ast.expr = ast.Constant({"ones_like": 1}.get(name, 0))
            if name == "full_like":
                fill = self.visit(keywords["fill_value"] if "fill_value" in keywords else node.args[1])
            parts = [ast.Constant(name), self.visit(given), fill, *whole]
        else:
            items = given.elts if isinstance(given, ast.List) else self._items(given)
            if items is None:
                found = self.visit(given)
                if name == "asarray" and not whole:
                    return found
                method = ast.Attribute(found, "astype" if whole else "copy", ast.Load())
                kinds: list[ast.expr] = [_numpys(one.value) for one in whole]
                return placed(ast.Call(method, kinds, []), node)
            rows = [one.elts if isinstance(one, (ast.List, ast.Tuple)) else None for one in items]
            flat = items if rows[:1] == [None] or not rows else [part for row in rows for part in row or ()]
            shape = [len(items)] if flat is items else [len(items), len(rows[0] or ())]
            if len(flat) != math.prod(shape) or not flat or any(isinstance(part, ast.Starred) for part in flat):
                self.fail(node, f"{ast.unparse(given)} is no table of numbers", "give each row as many numbers")
            sizes = ast.Tuple([ast.Constant(n) for n in shape], ast.Load())
            parts = [ast.Constant(name), sizes, ast.Tuple([self.visit(part) for part in flat], ast.Load()), *whole]
        call = ast.Call(ast.Name("private_array", ast.Load()), parts, [])
        return placed(ast.NamedExpr(ast.Name(self.local("array"), ast.Store()), call), node)

    def _over(self, node: ast.Call) -> ast.expr | None:
        """``sum(f(k) for k in range(n))`` and its kin: to be written out as a loop; None for all other calls."""
        made = fold(node, self.builtin, self.length, self.local, self.fail)
        if made is None:
            return None
        name, whole, statements = made
        self.folds.append((whole, self.written_out(hoist(self.block(statements), self.local, self.fail))))
        if name == "sum":
            self.sums[whole] = ast.unparse(node)
        number = ast.Constant(len(self.folds) - 1)
        call = ast.Call(ast.Name("private_array", ast.Load()), [ast.Constant(name), number], [])
        return placed(ast.NamedExpr(ast.Name(self.local(whole), ast.Store()), call), node)

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements, visited."""
        raise NotImplementedError

    def _folded(self, name: str, number: int) -> list[ast.stmt]:
        """The statements of a fold, which leave its result under a name."""
        whole, statements = self.folds[number]
        statements = [copied(one) for one in statements]
        found = list(names_of(statements))
        if all(part.id != name for part in found):
            for part in found:
                if part.id == whole:
                    part.id = name
            if whole in self.sums:
                self.sums[name] = self.sums[whole]
            return statements
        return [*statements, ast.Assign([ast.Name(name, ast.Store())], ast.Name(whole, ast.Load()))]

    def written_out(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A body in which the calls that `_array` left are statements."""
        made: list[ast.stmt] = []
        for node, after in itertools.zip_longest(body, body[1:]):
            if isinstance(node, (ast.If, ast.For, ast.While)):
                node.body, node.orelse = self.written_out(node.body), self.written_out(node.orelse)
            call = node.value if isinstance(node, ast.Assign) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "private_array":
                assert isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
                name = node.targets[0].id
                if names_one(after) and isinstance(after.value, ast.Name) and after.value.id == name:
                    after.value.id = name = after.targets[0].id  # x = np.array(…): it is that
                made += [placed(one, node) for one in self._statements(name, call)]
            elif names_one(node) and isinstance(node.value, ast.Name) and node.value.id == node.targets[0].id:
                continue
            else:
                made.append(node)
        return made or [placed(ast.Pass(), node) for node in body[:1]]

    def _statements(self, name: str, call: ast.Call) -> list[ast.stmt]:
        if len(call.args) == 2 and isinstance(call.args[1], ast.Constant):
            return self._folded(name, int(call.args[1].value))  # type: ignore[arg-type]
        kind, given, values, *dtype = call.args
        if isinstance(kind, ast.Constant) and kind.value == "apart":
            return [ast.Assign([given], values)]
        numpys = [_numpys(one.value) for one in dtype if isinstance(one, ast.Constant)]
        target = lambda: ast.Name(name, ast.Store())
        if isinstance(kind, ast.Constant) and kind.value in _LIKE:
            method = ast.Attribute(given, "astype" if numpys else "copy", ast.Load())
            new: list[ast.stmt] = [ast.Assign([target()], ast.Call(method, list(numpys), []))]
            if kind.value != "empty_like":
                every = ast.Subscript(ast.Name(name, ast.Load()), ast.Slice(), ast.Store())
                new.append(ast.Assign([every], values))
            return new
        assert isinstance(given, ast.Tuple) and isinstance(values, ast.Tuple)
        found: list[ast.stmt] = []
        numbers: list[ast.expr] = []
        for value in values.elts:  # each is computed once
            if not isinstance(value, (ast.Constant, ast.Name)):
                one = self.local(f"{name}_item")
                found.append(ast.Assign([ast.Name(one, ast.Store())], value))
                value = ast.Name(one, ast.Load())
            numbers.append(value)
        shape = given.elts[0] if len(given.elts) == 1 else given
        maker, more = "private_empty", list(numpys)
        if not numpys:
            self.arrays += 1
            maker, more = "private_like", [ast.Tuple(numbers, ast.Load()), ast.Constant(_PLACES + self.arrays)]
        found.append(ast.Assign([target()], ast.Call(ast.Name(maker, ast.Load()), [shape, *more], [])))
        extents = [int(part.value) for part in given.elts if isinstance(part, ast.Constant)]  # type: ignore[arg-type]
        for at, number in zip(np.ndindex(*extents), numbers, strict=True):
            index: list[ast.expr] = [ast.Constant(k) for k in at]
            place = index[0] if len(index) == 1 else ast.Tuple(index, ast.Load())
            element = ast.Subscript(ast.Name(name, ast.Load()), place, ast.Store())
            found.append(ast.Assign([element], copied(number)))
        return found

    def _private(self, node: ast.Call, maker: str, source: Capture) -> ast.expr:
        """np.zeros(4) and its kin become small arrays on the stack."""
        self.guard(Guard(source, kind_of(_PRIVATE[maker])))
        arguments = dict(
            zip(("shape", *(("fill_value",) if maker == "full" else ()), "dtype"), node.args, strict=False)
        )
        for keyword in node.keywords:
            if keyword.arg not in ("shape", "fill_value", "dtype"):
                self.fail(node, f"np.{maker}({keyword.arg}=…)", "give the shape and the dtype alone")
            arguments[keyword.arg] = keyword.value
        shape = arguments.get("shape")
        sizes = [self.constant(s) for s in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]
        if len(sizes) == 1 and isinstance(sizes[0], tuple):
            sizes = list(sizes[0])
        parts = shape.elts if isinstance(shape, ast.Tuple) else [shape]
        later = [n is None and part is not None and _is_length(part) for n, part in zip(sizes, parts, strict=False)]
        if any(later):  # lengths of arrays are numbers when a call binds them
            fill = arguments.get("fill_value")
            kind = self._dtype(node, arguments.get("dtype"), self.constant(fill) if fill is not None else 0.0)
            lengths = [ast.Constant(int(n)) if isinstance(n, (int, np.integer)) else self.visit(part)
                       for n, part in zip(sizes, parts, strict=False) if part is not None]  # fmt: skip
            given = lengths[0] if len(lengths) == 1 else ast.Tuple(lengths, ast.Load())
            return self._constructor(node, maker, given, kind, arguments.get("fill_value"))
        if not sizes or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            self.fail(
                node,
                f"the shape of a private array, {ast.unparse(shape) if shape else ''}, is not a constant",
                "write numbers, np.zeros(4); for larger or variable scratch space pass an array in",
            )
        numbers: list[ast.expr] = [ast.Constant(int(s)) for s in sizes]
        whole = numbers[0] if len(numbers) == 1 else ast.Tuple(numbers, ast.Load())
        fill = arguments.get("fill_value")
        kind = self._dtype(node, arguments.get("dtype"), self.constant(fill) if fill is not None else 0.0)
        self.scratch += math.prod(map(int, sizes)) * kind.itemsize
        if self.scratch > _SCRATCH:
            what = f"its private arrays take {self.scratch} bytes, more than the {_SCRATCH} that there are"
            self.fail(node, what, "pass an array in, of which every index has a row of its own")
        return self._constructor(node, maker, whole, kind, fill)

    def _constructor(
        self, node: ast.Call, maker: str, whole: ast.expr, kind: np.dtype, fill: ast.expr | None
    ) -> ast.expr:
        dtype = ast.Attribute(ast.Name("np", ast.Load()), scalar_name(kind), ast.Load())
        given: list[ast.expr] = [whole, dtype]
        if maker in ("ones", "full"):
            given.insert(1, self.visit(fill) if fill is not None else ast.Constant(1))
        name = {"zeros": "private_zeros", "empty": "private_empty"}.get(maker, "private_full")
        made = ast.Call(ast.Name(name, ast.Load()), given, [])
        for part in walk(made):
            if isinstance(part, ast.expr) and not hasattr(part, "lineno"):
                ast.copy_location(part, node)
        return made

    def _dtype(self, node: ast.Call, asked: ast.expr | None, fill: Any) -> np.dtype:
        """The dtype of a private array."""
        kind: Any = asked
        if asked is not None:
            kind = self.constant(asked)
        elif isinstance(fill, (bool, int, float, complex, np.generic)):
            kind = np.asarray(fill).dtype
        try:
            found = np.dtype(kind) if kind is not None else None
        except TypeError:
            found = None
        if found is not None and (found.char not in "?bhilqBHILQfdFD" or not found.isnative):
            self.fail(node, f"a private array cannot have the dtype {found.str}", "write another, such as np.float64")
        if found is None:
            self.fail(node, "the dtype of a private array is not known", "write it, such as dtype=np.float64")
        assert found is not None
        return found


def _is_length(node: ast.expr) -> bool:
    """Whether it is made of lengths of arrays and whole numbers: ``len(x) - 1``, ``x.shape[1]``."""
    parts = list(walk(node))
    shapes = any(isinstance(part, ast.Attribute) and part.attr == "shape" for part in parts)
    counts = any(isinstance(p, ast.Call) and isinstance(p.func, ast.Name) and p.func.id == "len" for p in parts)
    return shapes or counts or isinstance(node, ast.Name)


def _numpys(name: Any) -> ast.expr:
    return ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load())


def _assigns(func: types.FunctionType, name: str) -> bool:
    """Whether a function assigns to a name."""
    names = (node for node in walk(find_source(func)[0]) if isinstance(node, ast.Name) and node.id == name)
    return any(not isinstance(node.ctx, ast.Load) for node in names)


def _is_kernel(value: Any) -> bool:
    """Whether it is a function of the user's, or one of `operator`."""
    plain = isinstance(value, types.FunctionType) and value.__module__ != "numpy"
    return plain or hasattr(value, "py_func") or _is_operator(value) or is_bound(value)


def _is_operator(value: Any) -> bool:
    return any(value is known for known in OPERATORS) and not hasattr(builtins, value.__name__)
