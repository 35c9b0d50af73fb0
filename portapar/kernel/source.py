"""The kernel front end: from any Python function to the text of a program.

A kernel is found as source (of a file, a notebook cell, or a lambda inside a longer line), checked,
and written anew as a plain top-level function in which everything that it captured has become an
argument. Changing a captured number or array therefore never recompiles. Only a module's number that is marked as
`typing.Final` is written into the text. What kernels cannot use is refused here, with the user's own line and what to
write instead.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
import math
import operator
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from portapar.errors import KernelError
from portapar.kernel import atomic
from portapar.kernel.access import Access, Callee, analyse

__all__ = ["Access", "Capture", "Kernel", "function", "kernel_error", "lift", "renamed", "write"]

Origin = dict[int, tuple[str, int]]

_OPERATORS: dict[Any, str] = {
    **{getattr(operator, name): f"lambda x, y: x {sign} y" for name, sign in {
        "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
        "and_": "&", "or_": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
        "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
    }.items()},
    operator.neg: "lambda x: -x",
    operator.pos: "lambda x: +x",
    operator.invert: "lambda x: ~x",
    operator.not_: "lambda x: not x",
    operator.abs: "lambda x: abs(x)",
    min: "lambda x, y: min(x, y)",
    max: "lambda x, y: max(x, y)",
    abs: "lambda x: abs(x)",
    round: "lambda x: round(x)",
    pow: "lambda x, y: x ** y",
    **{kind: f"lambda x: {kind.__name__}(x)" for kind in (bool, int, float, complex)},
}  # fmt: skip
_TWO = frozenset("atan2 comb copysign dist fmod gcd hypot isclose lcm ldexp nextafter perm pow remainder".split())
_BUILTINS = frozenset("abs bool complex divmod float int len max min pow range round".split())
_Node = TypeVar("_Node", bound=ast.AST)
_ELSEWHERE = "do it outside of the kernel"
_FORBIDDEN: dict[str, tuple[str, str]] = {
    "Try": ("try/except", "check the condition with if before it can fail"),
    "TryStar": ("try/except", "check the condition with if before it can fail"),
    "Raise": ("raise", "write an error code into an array and check it after the call"),
    "Assert": ("assert", "write an error code into an array and check it after the call"),
    "With": ("with", _ELSEWHERE),
    "AsyncWith": ("with", _ELSEWHERE),
    "Global": ("a global statement", "write results into an array argument"),
    "Nonlocal": ("a nonlocal statement", "write results into an array argument"),
    "Import": ("an import", "import at the top of your module"),
    "ImportFrom": ("an import", "import at the top of your module"),
    "ClassDef": ("a class", "use a structured dtype for records"),
    "FunctionDef": ("a nested function", "define it outside of the kernel and call it"),
    "Lambda": ("a nested lambda", "define it outside of the kernel and call it"),
    "AsyncFunctionDef": ("async", "a kernel is plain sequential code for one index"),
    "AsyncFor": ("async", "a kernel is plain sequential code for one index"),
    "Await": ("await", "a kernel is plain sequential code for one index"),
    "Yield": ("a generator", "write the values into an array argument"),
    "YieldFrom": ("a generator", "write the values into an array argument"),
    "ListComp": ("a list", "use a small private array, np.zeros(4), and a for loop"),
    "SetComp": ("a set", "use a small private array, np.zeros(4), and a for loop"),
    "DictComp": ("a dict", "use arrays, or a structured dtype"),
    "GeneratorExp": ("a generator expression", "use a for loop"),
    "List": ("a list", "use a tuple, or a small private array: np.zeros(4)"),
    "Set": ("a set", "use a tuple, or a small private array: np.zeros(4)"),
    "Dict": ("a dict", "pass its numbers as arguments, or use a structured dtype"),
    "JoinedStr": ("a string", "kernels compute with numbers; format outside of the kernel"),
    "Delete": ("del", "leave it out"),
    "Starred": ("*unpacking", "write the elements out"),
    "Match": ("match", "use if/elif"),
    "Slice": ("a slice", "write a loop over the elements"),
    "TypeAlias": ("a type alias", "define it outside of the kernel"),
}
_PRIVATE = {"zeros": np.zeros, "empty": np.empty, "ones": np.ones, "full": np.full}
#: names that the text needs for itself
_RESERVED = frozenset({"np", "math", "atomic", "private_zeros", "private_empty", "private_full"})


@dataclass(frozen=True, slots=True)
class Capture:
    """Where a captured value is found, starting from the kernel's function.

    Attributes
    ----------
    root : int, str or None
        The number of a closure cell, the name of a global, or None for the function itself.
    path : tuple
        What to follow from there: an attribute (str), a position in a tuple (int), or what a function
        found on the way captures itself (Capture).
    """

    root: int | str | None
    path: tuple[Any, ...] = ()

    def get(self, func: types.FunctionType) -> Any:
        value: Any = func
        for text in self.steps():
            value = _step(text)(value)
        return value

    def steps(self) -> Iterator[str]:
        """What to follow, as the text of what follows a value."""
        if self.root is not None:
            cell = isinstance(self.root, int)
            yield f"{{}}.__closure__[{self.root}].cell_contents" if cell else f"{{}}.__globals__[{self.root!r}]"
        for step in self.path:
            if isinstance(step, Capture):
                yield "unwrap({})"
                yield from step.steps()
            else:
                yield f"{{}}.{step}" if isinstance(step, str) else f"{{}}[{step}]"

    def then(self, *steps: Any) -> Capture:
        """The same and more steps."""
        return replace(self, path=(*self.path, *steps))


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still hold for a captured value, for the text to be right."""

    capture: Capture
    expected: Any
    exact: bool = False  #: the value itself is in the text, not only its kind

    def holds(self, value: Any) -> bool:
        if self.exact or value is self.expected:
            found = value
        elif type(value) is types.FunctionType:
            found = value.__code__
        else:
            found = "data" if type(value) in _NUMBERS else _kind(value)
        return found is self.expected or (type(found) is type(self.expected) and found == self.expected)


_NUMBERS = frozenset({bool, int, float, complex, np.ndarray, *np.sctypeDict.values()})  #: types of data, but not all


def _kind(value: Any) -> Any:
    """What of a captured value is in the text: of data nothing, of a function its code, of others all."""
    if type(value) in _NUMBERS or _is_data(value):
        return "data"
    if isinstance(value, tuple):
        return tuple(map(_kind, value))
    return getattr(getattr(value, "py_func", value), "__code__", value)


@functools.cache
def _step(text: str) -> Callable[[Any], Any]:
    return eval(f"lambda value: {text.format('value')}", {"unwrap": _unwrap})


def _walk(captures: Iterable[Capture], guards: Iterable[Guard]) -> Callable[[types.FunctionType], list[Any] | None]:
    """A function that finds the captured values of a function; None if a guard does not hold.

    It takes each step that several ways share once, and is compiled, because every call of an algorithm walks here.
    """
    space: dict[str, Any] = {"unwrap": _unwrap, "Function": types.FunctionType, "numbers": _NUMBERS}
    known: dict[tuple[str, str], str] = {}
    lines = ["def walk(v0):"]

    def find(capture: Capture) -> str:
        at = "v0"
        for step in capture.steps():
            if (at, step) not in known:
                name = known[at, step] = f"v{len(known) + 1}"
                lines.append(f"{name} = {step.format(at)}")
            at = known[at, step]
        return at

    for k, guard in enumerate(guards):
        value, expected = find(guard.capture), guard.expected
        space[f"e{k}"], space[f"holds{k}"] = expected, guard.holds
        if type(expected) is types.CodeType:
            quick = f"type({value}) is Function and {value}.__code__ is e{k}"
        else:
            quick = f"type({value}) in numbers" if type(expected) is str and not guard.exact else f"{value} is e{k}"
        lines.append(f"if not ({quick} or holds{k}({value})): return None")
    lines.append(f"return [{', '.join(map(find, captures))}]")
    exec("\n    ".join(lines), space)
    return space["walk"]


@dataclass(eq=False)
class Kernel:
    """A kernel's source, lifted: what `lift` returns. Shared by all functions of the same code.

    Attributes
    ----------
    name : str
        As the user wrote it; lambdas are called ``lambda``.
    file, line
        Where it is.
    params : list of str
        The user's parameters, in order.
    captures : list
        (parameter name in the text, where the value is found): they follow `params`.
    functions : list of ast.FunctionDef
        The lifted functions, callees first; the last one is the kernel.
    access : dict
        Parameter or capture → `Access`.
    guards : list of Guard
        What the text was made from, besides the function's code.
    simple : bool
        Captures no data, calls no other kernel, has no defaults: its code object says it all.
    """

    name: str
    file: str
    line: int
    params: list[str]
    captures: list[tuple[str, Capture]]
    functions: list[ast.FunctionDef]
    access: dict[str, Access]
    guards: list[Guard]
    simple: bool

    @functools.cached_property
    def _fits(self) -> Callable[[types.FunctionType], list[Any] | None]:
        return _walk([capture for _, capture in self.captures], self.guards)

    @functools.cached_property
    def _values(self) -> Callable[[types.FunctionType], Any]:
        return _walk([capture for _, capture in self.captures], ())

    def fits(self, func: types.FunctionType) -> list[Any] | None:
        """The captured values of `func`, if this is its kernel too: it has the same code."""
        try:
            return self._fits(func)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, KernelError):
            return None

    def values(self, func: types.FunctionType) -> list[Any]:
        """The captured values of this call, in the order of `captures`."""
        return self._values(func)

    def where(self) -> str:
        return f"{self.file}:{self.line}"


def kernel_error(what: str, remedy: str, name: str, file: str, line: int, column: int | None = None) -> KernelError:
    """A KernelError that shows the user's own line."""
    text = linecache.getline(file, line).rstrip()
    shown = f"\n    {text.strip()}" if text else ""
    if text and column is not None:
        column = len(text.encode()[:column].decode(errors="replace"))  # ast counts bytes
        shown += "\n    " + " " * max(0, column - (len(text) - len(text.lstrip()))) + "^"
    return KernelError(f"kernel {name!r} ({file}:{line}): {what}.{shown}\n  Instead: {remedy}.")


# functions and their source -----------------------------------------------------------------------


def _unwrap(func: Any) -> types.FunctionType:
    """The plain Python function behind what the user passed as a kernel."""
    func = getattr(func, "py_func", func)  # a numba dispatcher
    if isinstance(func, types.FunctionType):
        return func
    text = _standard(func)
    if text is not None:
        return _plain(text)
    what = f"{type(func).__name__} object" if not isinstance(func, types.MethodType) else "bound method"
    raise KernelError(
        f"{func!r} cannot be a kernel: it is a {what}. Pass a plain function or a lambda, such as lambda x, y: x + y."
    )


def _standard(func: Any) -> str | None:
    """A lambda for an operator, a ufunc, a cast or a function of math; None if it is none of these."""
    if isinstance(func, np.ufunc):
        public: Any = getattr(np, func.__name__, None)
        if public is func and func.nout == 1:
            names = ", ".join("xyzw"[: func.nin])
            return f"lambda {names}: np.{func.__name__}({names})"
    elif isinstance(func, type) and issubclass(func, np.generic):
        return f"lambda x: np.{_scalar_name(np.dtype(func))}(x)"
    elif isinstance(func, (type, types.BuiltinFunctionType)):
        name = func.__name__
        for known, text in _OPERATORS.items():  # not by hash: a bound method has its object's
            if known is func:
                return text
        if getattr(math, name, None) is func:
            return f"lambda x, y: math.{name}(x, y)" if name in _TWO else f"lambda x: math.{name}(x)"
    return None


def _scalar_name(dtype: np.dtype) -> str:
    """The name in `np` of a dtype's scalar type."""
    return "bool_" if dtype.kind == "b" else dtype.name


_texts: dict[str, types.CodeType] = {}


def function(text: str, **names: Any) -> types.FunctionType:
    """A function of our own, a lambda or a ``def`` of one line, with its source where `inspect` finds it.

    Parameters
    ----------
    text : str
    **names
        What it captures.
    """
    if text not in _texts:
        file = f"<portapar {text}>"
        linecache.cache[file] = (len(text), None, [text + "\n"], file)
        _texts[text] = compile(text, file, "eval" if text.startswith("lambda") else "exec")
    space: dict[str, Any] = {"np": np, "math": math, **names}
    found = eval(_texts[text], space)
    return found if found is not None else space[text[4 : text.index("(")]]


_plain = functools.cache(function)  #: always the same object, which remembered kernels are compared with

_lifted: dict[tuple[types.CodeType, str], list[Kernel]] = {}  # equal codes may come from two files
_by_code: dict[int, tuple[types.CodeType, list[Kernel]]] = {}  # the same by identity; codes are kept alive here
_lock = threading.RLock()


def tree_of(text: str) -> ast.Module:
    """The syntax tree of a text; two threads that make one at the same time may get a SystemError of CPython 3.11."""
    with _lock:
        return ast.parse(text)


def lift(func: Any) -> tuple[Kernel, types.FunctionType]:
    """The kernel of a function, from memory if its code was lifted before.

    Raises
    ------
    KernelError
        If the source is not to be had, or uses what a kernel cannot.
    """
    return bound(func)[:2]


def bound(func: Any) -> tuple[Kernel, types.FunctionType, list[Any]]:
    """`lift`, and the captured values."""
    func = _unwrap(func)
    code = func.__code__
    if id(code) not in _by_code:
        with _lock:
            _by_code[id(code)] = code, _lifted.setdefault((code, code.co_filename), [])
    kernels = _by_code[id(code)][1]
    for kernel in kernels:
        values = kernel.fits(func)
        if values is not None:
            return kernel, func, values
    with _lock:
        found = [kernel for kernel in kernels if kernel.fits(func) is not None]
        if not found:
            found = [_Lifter(func, ()).kernel()]
            kernels += found
        kernel = found[0]
    return kernel, func, kernel.values(func)


def _is_data(value: Any) -> bool:
    """Whether a captured value is a number or an array, to be passed as an argument."""
    if isinstance(value, (bool, int, float, complex, np.generic, np.ndarray)):
        return True
    kind = type(value)  # not the value: a module or a class may have anything as an attribute
    names = ("__cuda_array_interface__", "__dlpack__", "__array_interface__", "partition", "with_queue", "form")
    return not isinstance(value, str) and any(hasattr(kind, name) for name in names)


def _find(func: types.FunctionType) -> tuple[ast.FunctionDef | ast.Lambda, str]:
    """The syntax tree of a function, and its file. Lambdas are told apart by their columns."""
    code, file = func.__code__, func.__code__.co_filename
    name = "lambda" if code.co_name == "<lambda>" else code.co_name
    linecache.checkcache(file)
    lines = linecache.getlines(file, func.__globals__)
    if not lines:
        raise KernelError(
            f"kernel {name!r} ({file}:{code.co_firstlineno}): its source text is not to be had (it was typed "
            "into an interpreter, or made by exec), and kernels are compiled from source. "
            "Instead: put it into a file or a notebook cell."
        )
    try:
        tree = _parse(file, "".join(lines))
    except SyntaxError:
        raise _changed(func, name) from None
    if code.co_flags & inspect.CO_COROUTINE:
        raise kernel_error("it is async", _FORBIDDEN["Await"][1], name, file, code.co_firstlineno)
    spans = [
        ((first, start), (last or first, end or 0))
        for first, last, start, end in code.co_positions()
        if first is not None and start is not None and end != 0 and (first, start) != (last, end)
    ]
    candidates: list[ast.FunctionDef | ast.Lambda] = []
    for statement in tree.body:
        if not _first_line(statement) <= code.co_firstlineno <= (statement.end_lineno or 0):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Lambda) and name == "lambda":
                begin, stop = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
                if node.lineno == code.co_firstlineno and all(begin <= a and b <= stop for a, b in spans):
                    candidates.append(node)
            elif isinstance(node, ast.FunctionDef) and (node.name, _first_line(node)) == (
                name,
                code.co_firstlineno,
            ):
                candidates.append(node)
    candidates = [node for node in candidates if _parameters(node) == _names(code)]
    if not candidates:
        raise _changed(func, name)
    if not spans and len({ast.dump(node) for node in candidates}) > 1:
        raise kernel_error(
            "there are several lambdas on its line, and Python was told not to keep columns",
            "write each on a line of its own", name, file, code.co_firstlineno,
        )  # fmt: skip
    return candidates[-1], file  # the innermost lambda comes last


def _changed(func: types.FunctionType, name: str) -> KernelError:
    code = func.__code__
    return KernelError(
        f"kernel {name!r} ({code.co_filename}:{code.co_firstlineno}): its source is no longer what Python "
        "read; the file was changed after it was imported. Instead: start Python again, or reload the module."
    )


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def _parameters(node: ast.FunctionDef | ast.Lambda) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args)]


def _names(code: types.CodeType) -> list[str]:
    return list(code.co_varnames[: code.co_argcount])


_parsed: dict[tuple[str, str], ast.Module] = {}


def _parse(file: str, text: str) -> ast.Module:
    key = (file, text)
    if key not in _parsed:
        _parsed[key] = tree_of(text)
    return _parsed[key]


def _is_compiled_from(code: types.CodeType, file: str) -> bool:
    """Whether the file, as it is now, still gives this code."""
    text = "".join(linecache.getlines(file))
    key = (file, text)
    if key not in _compiled:
        whole = compile(_parse(file, text), file, "exec", dont_inherit=True)
        _compiled[key] = {_facts(found) for found in _codes(whole)}
    return _facts(code) in _compiled[key]


_compiled: dict[tuple[str, str], set[tuple[Any, ...]]] = {}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


def _facts(code: types.CodeType) -> tuple[Any, ...]:
    consts = tuple(repr(c) for c in code.co_consts if not isinstance(c, types.CodeType))
    return code.co_name, code.co_firstlineno, code.co_code, code.co_names, code.co_varnames, consts


# lifting ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Function:
    """A captured kernel function under the name that the text calls it by."""

    kernel: Kernel
    func: types.FunctionType
    name: str


class _Lifter(ast.NodeTransformer):
    """Checks one function and rewrites it with its captures as parameters."""

    def __init__(self, func: types.FunctionType, active: tuple[types.FunctionType, ...]) -> None:
        self.func, self.code = func, func.__code__
        self.node, self.file = _find(func)
        self.name = "lambda" if isinstance(self.node, ast.Lambda) else self.node.name
        if any(func is other for other in active):
            self.fail(self.node, "it calls itself", "write the recursion as a loop, with a private array as stack")
        self.active = (*active, func)
        self.captures: dict[Capture, str] = {}
        self.guards: dict[tuple[Capture, bool], Guard] = {}
        self.functions: list[_Function] = []
        self.locals = set(self.code.co_varnames) | set(self.code.co_cellvars)
        self.renamed = {name: self._free(name + "_") for name in self.locals & _RESERVED}
        self.stable = True

    def fail(self, node: ast.AST, what: str, remedy: str) -> Any:
        line, column = getattr(node, "lineno", self.code.co_firstlineno), getattr(node, "col_offset", None)
        raise kernel_error(what, remedy, self.name, self.file, line, column)

    def kernel(self) -> Kernel:
        arguments = self.node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            what = "it takes *args, **kwargs or keyword-only arguments"
            if isinstance(self.node, ast.FunctionDef) and hasattr(self.func, "__wrapped__"):
                inside = self.func.__wrapped__.__name__
                what = f"it is the wrapper that a decorator put around {inside!r}, and {what[3:]}"
                self.fail(
                    self.node,
                    what,
                    f"pass {inside}.__wrapped__, without the decorator",
                )
            self.fail(self.node, what, "name every argument")
        node = copied(self.node)
        body: list[ast.stmt]
        if isinstance(node, ast.Lambda):
            body = [ast.copy_location(ast.Return(node.body), node.body)]
        else:
            body = node.body
            if ast.get_docstring(node) is not None:
                body = body[1:] or [ast.copy_location(ast.Pass(), node)]
        body = [self.visit(statement) for statement in body]
        if not _is_compiled_from(self.code, self.file):
            raise _changed(self.func, self.name)
        params = [self.renamed.get(name, name) for name in _names(self.code)]
        names = [*params, *self.captures.values()]
        callees = {
            f.name: Callee([*f.kernel.params, *(name for name, _ in f.kernel.captures)], f.kernel.access)
            for f in self.functions
        }
        access = analyse(body, params, names, callees)
        for statement in body:
            for part in ast.walk(statement):
                if hasattr(part, "lineno"):
                    part.user_line = part.lineno  # type: ignore[attr-defined]
        text_name = self._free("f" if self.name == "lambda" else self.name, builtin=True)
        function = tree_of(f"def {text_name}(): pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        function.args = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
        function.body = body
        function.file = self.file  # type: ignore[attr-defined]
        functions = [f for callee in self.functions for f in callee.kernel.functions]
        return Kernel(
            name=self.name,
            file=self.file,
            line=self.code.co_firstlineno,
            params=params,
            captures=[(name, capture) for capture, name in self.captures.items()],
            functions=[*functions, ast.fix_missing_locations(function)],
            access=access,
            guards=list(self.guards.values()),
            simple=self.stable and not self.captures and not functions and not self.func.__defaults__,
        )

    # names ------------------------------------------------------------------------------------

    def _free(self, name: str, builtin: bool = False, besides: Iterable[str] = ()) -> str:
        """A name like this one that nothing in the text has."""
        taken = set(besides)
        taken |= self.locals | _RESERVED | set(self.captures.values())
        taken |= {f.name for callee in self.functions for f in callee.kernel.functions}
        while name in taken or (builtin and hasattr(builtins, name)):
            name += "_"
        return name

    def trace(self, node: ast.AST) -> tuple[Capture, Any, list[str]] | None:
        """The captured value that a name with attributes stands for: (where, value, attributes left).

        None for what is local to the kernel, a builtin, or no name.
        """
        path: list[str] = []
        root = node
        while isinstance(root, ast.Attribute):
            path.insert(0, root.attr)
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
        while path and not _is_data(value):  # walk module.attribute and object.attribute to a value
            if not hasattr(value, path[0]):
                self.fail(node, f"{ast.unparse(node)} does not exist", "check its spelling")
            found = found.then(path.pop(0))
            value = getattr(value, found.path[-1])
        return found, value, path

    def resolve(self, node: ast.Name | ast.Attribute) -> ast.expr:
        """Rewrite a captured name (with its attributes) by what it stands for."""
        traced = self.trace(node)
        if traced is None:
            if isinstance(node, ast.Attribute):
                node.value = self.visit(node.value)
                return node
            if node.id in self.locals:
                node.id = self.renamed.get(node.id, node.id)
                return node
            if node.id in _BUILTINS:
                return node
            if hasattr(builtins, node.id):
                self.fail(node, f"it uses {node.id}(), which does not exist in kernels", _hint(node.id))
            self.fail(node, f"the name {node.id!r} is not defined", "define it before the call, or pass it in")
            raise AssertionError
        source, value, path = traced
        result = self.meaning(value, source, node)
        for attribute in path:
            result = ast.Attribute(result, attribute, ast.Load())
        return ast.copy_location(result, node)

    def meaning(self, value: Any, source: Capture, node: ast.AST) -> ast.expr:
        """The text for a captured value."""
        self._guard(Guard(source, _kind(value)))
        constant = source.path[-1] if source.path else ""
        if isinstance(value, float) and isinstance(constant, str):  # math.pi
            for module, alias in ((math, "math"), (np, "np")):
                if getattr(module, constant, None) is value and self._owner(source) is module:
                    return ast.Attribute(ast.Name(alias, ast.Load()), constant, ast.Load())
        if type(value) in (bool, int, float) and math.isfinite(value) and self._final(source):
            self._guard(Guard(source, value, exact=True))
            negative = math.copysign(1, value) < 0
            return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if negative else ast.Constant(value)
        if _is_data(value):
            return ast.Name(self._captured(source, value), ast.Load())
        if isinstance(value, tuple) and value:
            return ast.Tuple([self.meaning(v, source.then(k), node) for k, v in enumerate(value)], ast.Load())
        if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
            known: Any = getattr(atomic, value.__name__, None)
            if known is value:
                return ast.Attribute(ast.Name("atomic", ast.Load()), known.__name__, ast.Load())
            self.fail(node, f"it uses the function {ast.unparse(node)!r} without calling it", "call it by its name")
        short = getattr(value, "__name__", "")
        for module, alias in ((math, "math"), (np, "np")):
            if getattr(module, short, None) is value and not isinstance(value, types.ModuleType):
                return ast.Attribute(ast.Name(alias, ast.Load()), short, ast.Load())
        if isinstance(value, np.dtype) and value.names is None:
            return ast.Attribute(ast.Name("np", ast.Load()), _scalar_name(value), ast.Load())
        if isinstance(value, type) and issubclass(value, np.generic):
            return ast.Attribute(ast.Name("np", ast.Load()), _scalar_name(np.dtype(value)), ast.Load())
        if short in _BUILTINS and getattr(builtins, short) is value:
            return ast.Name(short, ast.Load())
        what = "the module" if isinstance(value, types.ModuleType) else f"a {type(value).__name__}"
        return self.fail(node, f"it uses {ast.unparse(node)!r}, {what}, which does not exist in kernels", _hint(short))

    def _guard(self, guard: Guard) -> None:
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

    def _captured(self, source: Capture, value: Any, name: str | None = None) -> str:
        """The parameter that passes a captured value in."""
        if source not in self.captures:
            if name is None:
                first = self.code.co_freevars[source.root] if type(source.root) is int else str(source.root)
                name = "_".join([first, *(str(step) for step in source.path)])
            self.captures[source] = self._free(name)
        return self.captures[source]

    def callee(self, value: Any, source: Capture) -> _Function:
        """A captured kernel function, lifted."""
        func = _unwrap(value)
        self._guard(Guard(source, _kind(func)))
        for known in self.functions:
            if known.func.__code__ is func.__code__ and known.kernel.fits(func) is not None:
                kernel, name = known.kernel, known.name
                break
        else:
            kernel = _Lifter(func, self.active).kernel()
            names: dict[str, str] = {}
            for f in kernel.functions:
                names[f.name] = self._free(f.name, builtin=True, besides=names.values())
            kernel = replace(kernel, functions=[_renamed(f, names) for f in kernel.functions])
            name = names[list(names)[-1]]
            self.functions.append(_Function(kernel, func, name))
        for guard in kernel.guards:
            self._guard(replace(guard, capture=source.then(guard.capture)))
        return _Function(kernel, func, name)

    # statements and expressions -------------------------------------------------------------------

    def visit(self, node: ast.AST) -> Any:
        forbidden = _FORBIDDEN.get(type(node).__name__)
        if forbidden:
            if not hasattr(node, "lineno"):
                node = self.node
            self.fail(node, f"it uses {forbidden[0]}, which does not exist in kernels", forbidden[1])
        return super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, (str, bytes)):
            self.fail(node, f"it uses the string {node.value!r}", "kernels compute with numbers")
        if node.value is Ellipsis:
            self.fail(node, "it uses ...", "write a loop over the elements")
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if isinstance(node.value, ast.Constant):  # a comment written as a string
            return ast.copy_location(ast.Pass(), node)
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            node.id = self.renamed.get(node.id, node.id)
            return node
        return self.resolve(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            node.value = self.visit(node.value)
            return node
        return self.resolve(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            node.value = self.visit(node.value)  # a field of a record
            return node
        if any(isinstance(part, ast.Slice) for part in ast.walk(node.slice)):
            self.fail(node, "it takes a slice", "write a loop over the elements")
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        traced = self.trace(node.func)
        if traced is None or traced[2]:
            self.generic_visit(node)
            return node
        source, value, _ = traced
        for name, constructor in _PRIVATE.items():
            if value is constructor:
                return self._private(node, name, source)
        is_kernel = isinstance(value, types.FunctionType) and getattr(atomic, value.__name__, None) is not value
        if not (is_kernel or hasattr(value, "py_func") or _is_operator(value)):
            self.generic_visit(node)
            return node
        called = self.callee(value, source)
        kernel = called.kernel
        if node.keywords:
            self.fail(node, "it calls a kernel function with keywords", "pass the arguments by position")
        node.args = [self.visit(argument) for argument in node.args]
        given, wanted, defaults = len(node.args), len(kernel.params), called.func.__defaults__ or ()
        if not wanted - len(defaults) <= given <= wanted:
            self.fail(node, f"{kernel.name}() takes {wanted} arguments and got {given}", "pass what it needs")
        for k in range(given, wanted):
            number = k - (wanted - len(defaults))
            where = source.then(Capture(None, ("__defaults__", number)))
            if not _is_data(defaults[number]):
                self.fail(node, f"the default {defaults[number]!r} of {kernel.name}() is no number", "pass it")
            self._guard(Guard(where, "data"))
            name = self._captured(where, defaults[number], f"{called.name}_{kernel.params[k]}")
            node.args.append(ast.copy_location(ast.Name(name, ast.Load()), node))
        for name, capture in kernel.captures:
            where = source.then(capture)
            name = self._captured(where, where.get(self.func), f"{called.name}_{name}")
            node.args.append(ast.copy_location(ast.Name(name, ast.Load()), node))
        node.func = ast.copy_location(ast.Name(called.name, ast.Load()), node.func)
        node.func.called = True  # type: ignore[attr-defined]
        return node

    def _private(self, node: ast.Call, maker: str, source: Capture) -> ast.expr:
        """np.zeros(4) and its kin become small arrays on the stack."""
        self._guard(Guard(source, _kind(_PRIVATE[maker])))
        arguments = dict(
            zip(("shape", *(("fill_value",) if maker == "full" else ()), "dtype"), node.args, strict=False)
        )
        for keyword in node.keywords:
            if keyword.arg not in ("shape", "fill_value", "dtype"):
                self.fail(node, f"np.{maker}({keyword.arg}=…)", "give the shape and the dtype alone")
            arguments[keyword.arg] = keyword.value
        shape = arguments.get("shape")
        sizes = [self._constant(s) for s in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]
        if len(sizes) == 1 and isinstance(sizes[0], tuple):
            sizes = list(sizes[0])
        if not sizes or not all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes):
            self.fail(
                node,
                f"the shape of a private array, {ast.unparse(shape) if shape else ''}, is not a constant",
                "write numbers, np.zeros(4); for larger or variable scratch space pass an array in",
            )
        numbers: list[ast.expr] = [ast.Constant(int(s)) for s in sizes]
        whole = numbers[0] if len(numbers) == 1 else ast.Tuple(numbers, ast.Load())
        fill = arguments.get("fill_value")
        kind = self._dtype(node, arguments.get("dtype"), self._constant(fill) if fill is not None else 0.0)
        dtype = ast.Attribute(ast.Name("np", ast.Load()), _scalar_name(kind), ast.Load())
        given: list[ast.expr] = [whole, dtype]
        if maker in ("ones", "full"):
            given.insert(1, self.visit(fill) if fill is not None else ast.Constant(1))
        name = {"zeros": "private_zeros", "empty": "private_empty"}.get(maker, "private_full")
        made = ast.Call(ast.Name(name, ast.Load()), given, [])
        for part in ast.walk(made):
            if isinstance(part, ast.expr) and not hasattr(part, "lineno"):
                ast.copy_location(part, node)
        return made

    def _dtype(self, node: ast.Call, asked: ast.expr | None, fill: Any) -> np.dtype:
        """The dtype of a private array."""
        kind: Any = asked
        if asked is not None:
            kind = self._constant(asked)
        elif isinstance(fill, (bool, int, float, complex, np.generic)):
            kind = np.asarray(fill).dtype
        try:
            found = np.dtype(kind) if kind is not None else None
        except TypeError:
            found = None
        if found is None or found.kind not in "biufc":
            self.fail(node, "the dtype of a private array is not known", "write it, such as dtype=np.float64")
        assert found is not None
        return found

    def _constant(self, node: ast.AST | None) -> Any:
        """The value of an expression that the text may hold as a constant; None if it has none."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name) and node.id in ("bool", "int", "float", "complex") and not self.trace(node):
            return getattr(builtins, node.id)
        traced = self.trace(node) if node is not None else None
        if traced is None or traced[2]:
            return None
        source, value, _ = traced
        if not isinstance(value, (int, float, str, tuple, type, np.dtype, np.generic)):
            return None
        self._guard(Guard(source, value, exact=True))
        return value


def _is_operator(value: Any) -> bool:
    return any(value is known for known in _OPERATORS) and not hasattr(builtins, value.__name__)


def _hint(name: str) -> str:
    if name in ("print", "open", "input"):
        return "write the values into an array argument and print them after the call"
    if name in ("sum", "sorted", "map", "filter", "zip", "enumerate", "any", "all"):
        return "write a for loop over range(...)"
    if name in ("list", "dict", "set", "tuple", "str"):
        return "use arrays: kernels compute with numbers"
    return "kernels use numbers, arrays, math.*, np.* and other kernel functions; pass what you need as those"


# text ---------------------------------------------------------------------------------------------


def copied(node: _Node) -> _Node:
    """A copy of a tree, with what we noted in its nodes; `copy.deepcopy` takes many times as long."""
    if not (node._fields or node._attributes):  # an operator, a context: nobody changes those
        return node
    new = node.__class__.__new__(node.__class__)
    for name, value in node.__dict__.items():
        if isinstance(value, ast.AST):
            value = copied(value)
        elif isinstance(value, list):
            value = [copied(part) if isinstance(part, ast.AST) else part for part in value]
        new.__dict__[name] = value
    return new


def _renamed(function: ast.FunctionDef, names: dict[str, str]) -> ast.FunctionDef:
    """A copy with other names for itself and for what it calls."""
    function = copied(function)
    function.name = names.get(function.name, function.name)
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and hasattr(node, "called"):
            node.id = names.get(node.id, node.id)
    return function


def renamed(kernel: Kernel, name: str) -> list[tuple[ast.FunctionDef, str]]:
    """The functions of a kernel, it itself called `name` and its callees after it, with their files."""
    used = {n.id for f in kernel.functions for n in ast.walk(f) if isinstance(n, ast.Name)}
    names: dict[str, str] = {}
    for function in kernel.functions[:-1]:
        new = f"{name}_{function.name}"
        while new in used:
            new += "_"
        names[function.name] = new
    names[kernel.functions[-1].name] = name
    return [(f, getattr(f, "file", kernel.file)) for f in _distinct([_renamed(f, names) for f in kernel.functions])]


def _distinct(functions: list[ast.FunctionDef]) -> list[ast.FunctionDef]:
    """The same functions without those that say what an earlier one says: each costs compile time."""
    known: dict[str, str] = {}
    instead: dict[str, str] = {}
    found = []
    for function in functions[:-1]:
        own = _renamed(function, instead) if instead else function
        text = "\n".join(map(ast.dump, [own.args, *own.body]))
        if known.setdefault(text, own.name) == own.name:
            found.append(own)
        else:
            instead[own.name] = known[text]
    return [*found, _renamed(functions[-1], instead) if instead else functions[-1]]


def write(function: ast.FunctionDef, file: str) -> tuple[str, Origin]:
    """The text of a lifted function, and the user's line for each line of it."""
    text = ast.unparse(function) + "\n"
    origin: Origin = {}
    again = tree_of(text).body[0]
    for new, old in zip(ast.walk(again), ast.walk(function), strict=True):
        if hasattr(new, "lineno") and hasattr(old, "user_line"):
            origin.setdefault(new.lineno, (file, old.user_line))
    return text, origin
