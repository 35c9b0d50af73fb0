"""What the names in a kernel stand for: its own variables, what it captures, and what of that is known at once."""

from __future__ import annotations

import ast
import builtins
import enum
import math
import re
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from portapar.errors import KernelError, PlacementError
from portapar.kernel.front import atomic, constants
from portapar.kernel.front.constants import Known
from portapar.kernel.front.kernel import Builtin, Capture, Guard, held, is_data, kind_of, scalar_name, usable
from portapar.kernel.front.remedies import closest, described, unusable
from portapar.kernel.front.sources import find_source, kernel_error
from portapar.kernel.front.trees import placed, walk

_BUILTINS = frozenset("abs all any bool complex divmod float int len max min pow range round sum".split())
_CASTS = frozenset("bool complex float int".split())
#: names that the text needs for itself
RESERVED = frozenset({
    "np", "math", "atomic", "row_number", *(f"private_{name}" for name in ("zeros", "empty", "full", "like", "filled")),
})  # fmt: skip

_USABLE = "kernels compute with booleans, integers, floats of 32 and 64 bits, complex numbers and records"


class Names(ast.NodeTransformer):
    """The names of one function.

    Attributes
    ----------
    func, code
        The function.
    node, file
        Its source.
    locals : set of str
        Its own variables.
    renamed : dict
        Those whose names the text needs for itself → what they are called instead.
    captures : dict
        Where a captured value is found → the parameter that passes it in.
    guards : dict
        What the text is made from, besides the code.
    functions : list
        The kernel functions that it calls.
    stable : bool
        Nothing of that may change.
    fixed : dict
        Parameters that this call gives what is no number, such as None, as long as nothing else is assigned to them.
    unsure : set of str
        Those of them to which something else was assigned on some ways.
    items, fields : dict
        Parameters that this call gives tuples → the parameters that stand for their items, and the names of these.
    held : tuple of str
        Parameters that are tuples, which are found as global names are.
    constants : bool
        Numbers that these hold are written into the text.
    """

    def __init__(self, func: types.FunctionType, fixed: Mapping[str, Any] | None = None) -> None:
        self.func, self.code = func, func.__code__
        self.node, self.file = find_source(func)
        self.name = "lambda" if isinstance(self.node, ast.Lambda) else self.node.name
        self.captures: dict[Capture, str] = {}
        self.told: dict[str, str] = {}  #: parameters that nobody wrote → what the user wrote
        self.guards: dict[tuple[Capture, bool], Guard] = {}
        self.held, self.constants = held(func), func.__dict__.get("constants", False)
        self.locals = (set(self.code.co_varnames) | set(self.code.co_cellvars)) - {*self.held}
        self.renamed: dict[str, str] = {}
        self.functions: list[Any] = []
        self.stable = True
        self.fixed: dict[str, Any] = dict(fixed or {})
        self.unsure: set[str] = set()
        self.items: dict[str, list[str]] = {}
        self.fields: dict[str, tuple[str, ...]] = {}
        self.scratch = 0  #: bytes of private arrays

    def error(self, node: ast.AST, what: str, remedy: str) -> KernelError:
        line, column = getattr(node, "lineno", self.code.co_firstlineno), getattr(node, "col_offset", None)
        return kernel_error(what, remedy, self.name, self.file, line, column)

    def fail(self, node: ast.AST, what: str, remedy: str) -> Any:
        raise self.error(node, what, remedy)

    # names ------------------------------------------------------------------------------------

    def free(self, name: str, builtin: bool = False, besides: Iterable[str] = ()) -> str:
        """A name like this one that nothing in the text has."""
        taken = set(besides)
        taken |= self.locals | RESERVED | set(self.captures.values())
        taken |= {f.name for callee in self.functions for f in callee.kernel.functions}
        while name in taken or (builtin and hasattr(builtins, name)):
            name += "_"
        return name

    def local(self, name: str) -> str:
        """A fresh name for a local variable."""
        fresh = self.free(name)
        self.locals.add(fresh)
        return fresh

    def trace(self, node: ast.AST) -> tuple[Capture, Any, list[Any]] | None:
        """The captured value that a name with attributes and constant items stands for: (where, value, what is left).

        None for what is local to the kernel, a builtin, or no name.
        """
        path: list[Any] = []
        root = node
        while True:
            if isinstance(root, ast.Attribute):
                path.insert(0, root.attr)
            elif isinstance(root, ast.Subscript) and (key := _key(root.slice)) is not None:
                path.insert(0, (key,))
            else:
                break
            root = root.value
        if not isinstance(root, ast.Name):
            return None
        if root.id in self.code.co_freevars:
            found = Capture(self.code.co_freevars.index(root.id))
        elif root.id in self.locals or root.id not in self.func.__globals__:
            return None
        else:
            found = Capture(root.id)
        try:
            value = found.get(self.func)
        except ValueError:
            self.fail(root, f"the variable {root.id!r} has no value yet", "assign it before the call")
        text = root.id
        while path and _leads_on(value, path[0]):
            step, owner = path.pop(0), value
            text += f".{step}" if isinstance(step, str) else f"[{step[0]!r}]"
            try:
                value = getattr(value, step) if isinstance(step, str) else value[step[0]]
            except (AttributeError, LookupError):
                remedy = closest(step if isinstance(step, str) else str(step[0]), owner)
                self.fail(node, f"{text} does not exist", remedy)
            except Exception as error:  # noqa: BLE001 - a property may raise anything
                self.fail(node, f"reading {text} gives {type(error).__name__}: {error}", "read it before the call")
            found = found.then(step)
        return found, value, path

    def length(self, node: ast.expr) -> int | None:
        """The length of the tuple that a captured name stands for, which the text then depends on."""
        if isinstance(node, ast.Name) and node.id in self.items:
            return len(self.items[node.id])
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return None
        traced = self.trace(node)
        if traced is None or traced[2] or not isinstance(traced[1], tuple):
            return None
        self.guard(Guard(traced[0], kind_of(traced[1])))
        return len(traced[1])

    def builtin(self, node: ast.expr) -> str:
        """The name of the builtin function that it is; else ""."""
        if not isinstance(node, ast.Name) or node.id in self.locals or node.id in self.code.co_freevars:
            return ""
        if node.id in self.func.__globals__:
            return ""
        if hasattr(builtins, node.id):  # as long as no global has its name
            capture = Capture(None, (Builtin(node.id),))
            self.guards[capture, True] = Guard(capture, getattr(builtins, node.id), exact=True)
        return node.id

    def resolve(self, node: ast.Name | ast.Attribute | ast.Subscript, called: bool = False) -> ast.expr:
        """Rewrite a captured name (with its attributes) by what it stands for."""
        traced = self.trace(node)
        if traced is None:
            if isinstance(node, ast.Attribute):
                node.value = self.visit(node.value)
                return node
            assert isinstance(node, ast.Name)
            if node.id in self.fixed:
                what = f"it computes with {node.id!r}, which is {self.fixed[node.id]!r} in this call"
                self.fail(node, what, f"test it first, if {node.id} is None, or pass a number")
            if node.id in self.locals:
                self.sure(node)
                node.id = self.renamed.get(node.id, node.id)
                return node
            if self.builtin(node) in _BUILTINS:
                if not called and node.id not in _CASTS:
                    self.fail(node, f"it uses the function {node.id!r} without calling it", "call it by its name")
                return node
            if hasattr(builtins, node.id):
                what = f"it uses {node.id}(), which does not exist in kernels"
                self.fail(node, what, unusable(getattr(builtins, node.id), node.id))
            self.fail(node, f"the name {node.id!r} is not defined", "define it before the call, or pass it in")
            raise AssertionError
        source, value, path = traced
        result = self.meaning(value, source, node, called and not path)
        for step in path:
            if isinstance(step, str):
                result = ast.Attribute(result, step, ast.Load())
            else:
                result = ast.Subscript(result, ast.Constant(step[0]), ast.Load())
        return ast.copy_location(result, node)

    def meaning(self, value: Any, source: Capture, node: ast.AST, called: bool = False) -> ast.expr:
        """The text for a captured value."""
        self.guard(Guard(source, kind_of(value)))
        text = ast.unparse(node)
        constant = source.path[-1] if source.path else ""
        if isinstance(value, float) and isinstance(constant, str):  # math.pi
            for module, alias in ((math, "math"), (np, "np")):
                if getattr(module, constant, None) is value and self._owner(source) is module:
                    return ast.Attribute(ast.Name(alias, ast.Load()), constant, ast.Load())
        member = isinstance(value, enum.Enum) and isinstance(value, (int, float))
        plain = type(value) in (bool, int, float) and (self._final(source) or constant in ("value", "_value_"))
        if (member or plain) and usable(value) and math.isfinite(value):  # never assigned anew
            self.guard(Guard(source, value, exact=True))
            found = _literal(value.value if member else value)
            assert found is not None
            return found
        if self.constants and source.root in self.held and (written := _literal(value)) is not None:
            self.guard(Guard(source, value, exact=True))
            return written
        if is_data(value):
            if not usable(value):
                what, remedy = f"{text!r} is {value}: it does not fit into 64 bits", "use a float"
                if isinstance(value, np.ndarray):
                    remedy = unusable(value, text)
                    what = f"{text!r} is an array of dtype {value.dtype}: {_USABLE}; {remedy}"
                raise PlacementError(str(self.error(node, what, remedy)))
            return ast.Name(self.captured(source, value), ast.Load())
        if isinstance(value, tuple) and value:
            return ast.Tuple([self.meaning(v, source.then(k), node) for k, v in enumerate(value)], ast.Load())
        if isinstance(value, range):
            parts = [(end, source.then(end)) for end in ("start", "stop", "step")]
            numbers: list[ast.expr] = [self.meaning(getattr(value, end), where, node) for end, where in parts]
            return ast.Call(ast.Name("range", ast.Load()), numbers, [])
        short = getattr(value, "__name__", "")
        cast = isinstance(value, type) and (issubclass(value, np.generic) or short in _CASTS)
        if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
            known: Any = getattr(atomic, value.__name__, None)
            if known is value and called:
                return ast.Attribute(ast.Name("atomic", ast.Load()), known.__name__, ast.Load())
        for module, alias in ((math, "math"), (np, "np")):
            usual = bool(short) and vars(module).get(short) is value and not isinstance(value, types.ModuleType)
            if usual and (called or cast):
                return ast.Attribute(ast.Name(alias, ast.Load()), short, ast.Load())
        if isinstance(value, np.dtype) and value.names is None:
            return ast.Attribute(ast.Name("np", ast.Load()), scalar_name(value), ast.Load())
        if isinstance(value, type) and issubclass(value, np.generic):
            return ast.Attribute(ast.Name("np", ast.Load()), scalar_name(np.dtype(value)), ast.Load())
        if short in _BUILTINS and getattr(builtins, short) is value and (called or cast):
            return ast.Name(short, ast.Load())
        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, np.ufunc)) and not called:
            remedy = "call it by its name; one that is to call others gets them by a closure: "
            remedy += f"def made(f): def g(x): return f(x); return g, and g = made({text}) outside of the kernel"
            self.fail(node, f"it uses the function {text!r} without calling it", remedy)
        what = f"it uses {text!r}, {described(value)}, which does not exist in kernels"
        return self.fail(node, what, unusable(value, text))

    def sure(self, node: ast.Name) -> None:
        if node.id in self.unsure:
            self.fail(node, f"{node.id!r} is None on some ways", "give it a number on all of them, or use another name")

    # what is known before the call ----------------------------------------------------------------

    def repeated(self, node: ast.For | ast.While) -> None:
        """What a loop assigns is unsure from its beginning on."""
        stored = {n.id for n in walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for name in stored & self.fixed.keys():
            del self.fixed[name]
            self.unsure.add(name)

    def folded(self, node: ast.AST | None, numbers: bool = False) -> Known | None:
        """The value of an expression of constants, see `constants`; None if it is none.

        Captured numbers are constants only if `numbers` is true: then they are a part of the text.
        """
        try:
            return constants.evaluate(node, lambda part: self._leaf(part, numbers))
        except constants.Failed as failed:
            raise self.error(failed.node, failed.what, "write the number itself") from None

    def _leaf(self, node: ast.expr, numbers: bool) -> tuple[Any] | None:
        """The value of a name that is known as the kernel is lifted."""
        if isinstance(node, ast.Name) and node.id in self.locals:
            self.sure(node)
            return (self.fixed[node.id],) if node.id in self.fixed else None
        traced = self.trace(node)
        if traced is None or traced[2]:
            name = self.builtin(node) if traced is None else ""
            own = getattr(builtins, name, None) if name else None
            return (own,) if own is not None and constants.is_pure(own) else None
        source, value, _ = traced
        number = isinstance(value, (int, float, complex, np.generic))
        if number and not numbers:
            return None
        held_whole = number or _is_text(value) or constants.is_pure(value) or (numbers and isinstance(value, tuple))
        if not held_whole:
            return None
        self.guard(Guard(source, value, exact=True))
        return (value,)

    def known(self, node: ast.AST) -> tuple[Any] | None:
        """The value of what is no number and is known as the kernel is lifted: None, a string, a member of an enum."""
        found = self.folded(node)
        return None if found is None or not _is_text(found.value) else (found.value,)

    def truth(self, node: ast.AST) -> bool | None:
        """Whether a test holds, if that is known as the kernel is lifted, so that only one branch is compiled."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.truth(node.operand)
            return None if inner is None else not inner
        if isinstance(node, ast.BoolOp):
            stop = isinstance(node.op, ast.Or)
            found = [self.truth(part) for part in node.values]
            if found[0] is stop:
                return stop
            return not stop if all(part is (not stop) for part in found) else None
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            op, left, right = node.ops[0], node.left, node.comparators[0]
            if isinstance(op, (ast.Is, ast.IsNot)):
                same = self._identical(left, right)
                return None if same is None else same is isinstance(op, ast.Is)
            compared = self.folded(node)
            return None if compared is None or compared.number else bool(compared.value)
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
            value = self.known(node)
            return None if value is None else bool(value[0])
        return None

    def _identical(self, left: ast.AST, right: ast.AST) -> bool | None:
        """``x is None``, where `x` is captured, and ``mode is Mode.FAST``."""
        a, b = self.known(left), self.known(right)
        if a is not None and b is not None:
            return a[0] is b[0]
        (other, one) = (left, b) if b is not None else (right, a)
        if one is not None and isinstance(other, ast.Name) and other.id in self.locals:
            return False  # numbers and arrays are none of what is known
        traced = self.trace(other)
        if one is None or traced is None or traced[2]:
            return None
        self.guard(Guard(traced[0], kind_of(traced[1])))  # of another kind than what is known
        return False

    def guard(self, guard: Guard) -> None:
        """What is imported under its own name is taken to stay; what else is named may change."""
        self.guards[guard.capture, guard.exact] = guard
        root, path = guard.capture.root, guard.capture.path
        module = isinstance(root, str) and isinstance(self.func.__globals__[root], types.ModuleType)
        own = not path and getattr(guard.expected, "__name__", None) == root
        self.stable &= not guard.exact and isinstance(root, str) and (module or own)

    def _final(self, source: Capture) -> bool:
        """Whether it is a name of a module, and that says that the name is never assigned anew (PEP 591)."""
        space = self.func.__globals__
        owner = self._owner(source) if source.path else sys.modules.get(space.get("__name__", ""))
        if not isinstance(owner, types.ModuleType) or not (source.path or vars(owner) is space):
            return False
        try:
            annotation = getattr(owner, "__annotations__", {}).get(source.path[-1] if source.path else source.root)
        except NameError:  # Python 3.14 makes them when they are asked for: one of them does not exist
            return False
        return str(annotation).partition("[")[0].rpartition(".")[2] == "Final"

    def _owner(self, source: Capture) -> Any:
        """The object that has the last name of the path."""
        return replace(source, path=source.path[:-1]).get(self.func)

    def captured(self, source: Capture, value: Any, name: str | None = None, told: str = "") -> str:
        """The parameter that passes a captured value in; `told` is what the user wrote for it, if it has a `name`."""
        if source not in self.captures:
            if name is None:
                first = self.code.co_freevars[source.root] if type(source.root) is int else str(source.root)
                parts = (step for step in source.path if not isinstance(step, Capture))
                steps = (str(step[0] if isinstance(step, tuple) else step) for step in parts)
                name = re.sub(r"\W", "_", "_".join([first, *steps]))
                keys = ((type(step) is str, step[0] if isinstance(step, tuple) else step) for step in source.path)
                told = "".join([first, *(f".{key}" if attribute else f"[{key!r}]" for attribute, key in keys)])
            self.captures[source] = made = self.free(name)
            if made != told:
                self.told[made] = told
        return self.captures[source]

    def constant(self, node: ast.AST | None) -> Any:
        """The value of an expression that the text may hold as a constant; None if it has none."""
        found = self.folded(node, True)
        return None if found is None else found.value

    def number(self, node: ast.expr) -> ast.expr | None:
        """The number that stands for an expression of texts and types, such as ``ord(",")``; None if it has none."""
        found = self.folded(node)
        written = None if found is None or found.number else _literal(found.value)
        return written and placed(written, node)


def _is_text(value: Any) -> bool:
    """Whether it is what kernels know before the call, and no number."""
    if isinstance(value, tuple):
        return bool(value) and all(map(_is_text, value))
    known = value is None or isinstance(value, (str, bytes, enum.Enum, np.dtype))
    return known and not isinstance(value, (int, float))


def _literal(value: Any) -> ast.expr | None:
    """The text of a number; None if it is none that fits."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufc" and usable(value):
        number = _literal(value.item())
        cast = ast.Attribute(ast.Name("np", ast.Load()), scalar_name(value.dtype), ast.Load())
        return number and ast.Call(cast, [number], [])
    if type(value) is complex:
        parts = [_literal(value.real), _literal(value.imag)]
        return ast.Call(ast.Name("complex", ast.Load()), parts, [])  # type: ignore[arg-type]
    if type(value) not in (bool, int, float) or not usable(value):
        return None
    if type(value) is float and not math.isfinite(value):
        size: ast.expr = ast.Attribute(ast.Name("np", ast.Load()), "nan" if value != value else "inf", ast.Load())
    else:
        size = ast.Constant(value if type(value) is bool else abs(value))
    return ast.UnaryOp(ast.USub(), size) if math.copysign(1, value) < 0 else size


def _key(node: ast.AST) -> int | str | None:
    """The constant in ``x[3]``, ``x[-1]``, ``x["name"]``."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, str):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if type(node.operand.value) is int else None
    return None


def _leads_on(value: Any, step: Any) -> bool:
    """Whether an attribute or an item of a captured value is looked up as the kernel is lifted."""
    if isinstance(step, tuple):
        return isinstance(value, (dict, types.MappingProxyType)) or (
            isinstance(value, (tuple, list)) and isinstance(step[0], int)
        )
    if isinstance(value, (bool, int, float, complex, np.generic)):  # of an IntEnum its value, of a number nothing
        return not hasattr(np.float64, step) and not isinstance(value, np.void)
    return not is_data(value)


def leaves(body: list[ast.stmt]) -> bool:
    """Whether what follows a block is not reached from its end."""
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Continue, ast.Break))
