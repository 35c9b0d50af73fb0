"""A kernel: the lifted source of a function, what it captures, and what must hold for its text to stay right."""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
import math
import operator
import re
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np

from portapar import forks
from portapar.errors import KernelError
from portapar.kernel.front.access import Access
from portapar.kernel.front.remedies import described
from portapar.kernel.front.sources import function
from portapar.kernel.front.trees import walk

OPERATORS: dict[Any, str] = {
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


@dataclass(frozen=True, slots=True)
class Builtin:
    """A step from a function to what it finds under the name of a builtin function: that, or a global of its module."""

    name: str


@dataclass(frozen=True, slots=True)
class Capture:
    """Where a captured value is found, starting from the kernel's function.

    Attributes
    ----------
    root : int, str or None
        The number of a closure cell, the name of a global, or None for the function itself.
    path : tuple
        What to follow from there: an attribute (str), a position in a tuple (int), the key of an item (in a tuple
        of one), what a function found on the way captures itself (Capture), or calls by a builtin's name (Builtin).
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
                yield "({0} if type({0}) is Function and not {0}.__dict__ else unwrap({0}))"
                yield from step.steps()
            elif isinstance(step, Builtin):
                yield f"{{}}.__globals__.get({step.name!r}, builtins.{step.name})"
            elif isinstance(step, str):
                yield f"{{}}.{step}"
            else:
                (key,) = step if isinstance(step, tuple) else (step,)
                yield "{}[" + repr(key).replace("{", "{{").replace("}", "}}") + "]"

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
            found = "data" if type(value) in _NUMBERS else kind_of(value)
        if found is self.expected or type(found) is not type(self.expected):
            return found is self.expected
        if isinstance(found, (float, complex, np.inexact)):  # -0.0 is not 0.0, and a NaN is one
            return repr(found) == repr(self.expected)
        return found == self.expected


def usable(value: Any) -> bool:
    """Whether what is data by its kind can be an argument by its dtype."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.kind in "biufcV" and value.dtype.char not in "egG"
    return not isinstance(value, int) or -(2**63) <= value < 2**63


#: types of data, but not all
_NUMBERS = frozenset({bool, int, float, complex, np.ndarray, *(np.dtype(code).type for code in "?bhilqBHILQfdFD")})


@dataclass(frozen=True, slots=True)
class _Named:
    """The kind of a named tuple."""

    names: tuple[str, ...]
    kinds: tuple[Any, ...]


def kind_of(value: Any) -> Any:
    """What of a captured value is in the text: of data nothing, of a function its code, of others all."""
    if type(value) in _NUMBERS or is_data(value):
        return "data"
    if isinstance(value, functools.partial):
        return kind_of(value.func), len(value.args), tuple(value.keywords)
    if isinstance(value, tuple):
        kinds, names = tuple(map(kind_of, value)), getattr(value, "_fields", None)
        return kinds if names is None else _Named(names, kinds)
    method = _call_of(value)
    return getattr(getattr(value, "py_func", value), "__code__", value) if method is None else method.__code__


@functools.cache
def _step(text: str) -> Callable[[Any], Any]:
    space = {"unwrap": unwrap, "Function": types.FunctionType, "builtins": builtins}
    return eval(f"lambda value: {text.format('value')}", space)


def _walk(captures: Iterable[Capture], guards: Iterable[Guard]) -> Callable[[types.FunctionType], list[Any] | None]:
    """A function that finds the captured values of a function; None if a guard does not hold.

    It takes each step that several ways share once, and is compiled, because every call of an algorithm walks here.
    """
    space: dict[str, Any] = {"unwrap": unwrap, "Function": types.FunctionType, "numbers": _NUMBERS}
    space["builtins"] = builtins
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


Place = tuple[int, int, int | None, int | None]  #: of an expression in the user's text: where it begins and ends


def place_of(node: ast.AST) -> Place | None:
    """Where an expression stands in the user's text; None if it does not."""
    if not isinstance(node, ast.expr) or not hasattr(node, "lineno"):
        return None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


@dataclass(frozen=True, slots=True)
class Function:
    """A lifted function.

    Attributes
    ----------
    node : ast.FunctionDef
        Its lines and columns are those of the user's text.
    file : str
        Which text that is; empty for functions of nobody's.
    calls : frozenset of str
        The names in it that are functions of the same kernel: no variable of its own has one of these.
    choices : frozenset of Place
        Which of its conditional expressions stand for ``np.where``, and so take rows, element by element.
    fresh : frozenset of str
        Names in it that nobody wrote.
    sums : tuple of (str, str)
        Names for the sums of generators, and what the user wrote.
    """

    node: ast.FunctionDef
    file: str
    calls: frozenset[str] = frozenset()
    choices: frozenset[Place] = frozenset()
    fresh: frozenset[str] = frozenset()
    sums: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def body(self) -> list[ast.stmt]:
        return self.node.body

    @property
    def params(self) -> list[str]:
        return [arg.arg for arg in self.node.args.args]

    def nodes(self) -> Iterator[ast.AST]:
        """It and all that is in it."""
        return walk(self.node)

    def names(self) -> set[str]:
        """All names in it."""
        return {node.id for node in self.nodes() if isinstance(node, ast.Name)} | {*self.params, self.name}

    def is_called(self, func: ast.AST) -> TypeGuard[ast.Name]:
        """Whether what a call calls is a function of the same kernel."""
        return isinstance(func, ast.Name) and func.id in self.calls


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
    functions : list of Function
        Callees first; the last one is the kernel.
    access : dict
        Parameter or capture → `Access`.
    guards : list of Guard
        What the text was made from, besides the function's code.
    simple : bool
        Captures no data, calls no other kernel, has no defaults: its code object says it all, and that no global has a
        name of `builtins`.
    held : {"", "shapes", "memory"}
        What it uses of arrays must be held against their shapes in every call, or their places in memory as well.
    told : dict
        Parameters and captures that the user wrote otherwise, such as ``S[0]``, → that, for messages.
    shape : Shape or None
        What is known of the tuple that it returns.
    """

    name: str
    file: str
    line: int
    params: list[str]
    captures: list[tuple[str, Capture]]
    functions: list[Function]
    access: dict[str, Access]
    guards: list[Guard]
    simple: bool
    held: str = ""
    told: dict[str, str] = field(default_factory=dict)
    shape: Any = None

    def shown(self, text: str) -> str:
        """A text of it with the names that the user wrote."""
        return re.sub(r"\b[^\W\d]\w*", lambda name: self.told.get(name[0], name[0]), text) if self.told else text

    @functools.cached_property
    def builtins(self) -> tuple[str, ...]:
        """The builtin functions that it calls itself."""
        first = (guard.capture.path[0] for guard in self.guards if guard.capture.root is None and guard.capture.path)
        return tuple(step.name for step in first if isinstance(step, Builtin))

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

    def takes(self) -> str:
        """How many arguments, and which."""
        count = len(self.params)
        return f"takes {count} argument{'s' * (count != 1)} ({', '.join(self.params)})"

    def where(self) -> str:
        """Where the user finds it; of a ufunc and its like, which have no line, what was made of it."""
        own = self.file.startswith("<portapar ")
        return self.file.removeprefix("<portapar ").removesuffix(">") if own else f"{self.file}:{self.line}"


forks.shared(Kernel.__dict__["_fits"])
forks.shared(Kernel.__dict__["_values"])


class Holding:
    """A kernel function with what a call passes for some parameters and is no array or number: tuples, None, strings.

    They are what a global name would be. So whatever kernels may do with such values that they capture, they may do
    with those. If they are `constants`, numbers too are held, and written into the text.
    """

    def __init__(self, func: types.FunctionType, values: dict[str, Any], constants: bool = False) -> None:
        self.given = func
        space = {**func.__globals__, **values}
        defaults = func.__defaults__ or ()
        named = func.__code__.co_varnames[: func.__code__.co_argcount][-len(defaults) :]
        left = () if constants else tuple(x for name, x in zip(named, defaults, strict=False) if name not in values)
        made = types.FunctionType(func.__code__, space, func.__name__, left, func.__closure__)
        made.__dict__.update(func.__dict__, held=(*held(func), *values), constants=constants)
        self.py_func = made

    def __repr__(self) -> str:
        return repr(self.py_func)


def holding(given: Any, ndim: int, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A kernel of `ndim` indices and its arguments and defaults, of which it holds those that `is_held`; see `Holding`.

    So is what is left for a last parameter ``*xs``.
    """
    func = unwrap(given)
    code, defaults = func.__code__, func.__defaults__ or ()
    names = code.co_varnames[ndim : code.co_argcount]
    defaults = defaults[-len(names) :] if names else ()  # those of indices are none of the arguments
    star, least = code.co_flags & inspect.CO_VARARGS, len(names) - len(defaults)
    if len(args) > len(names) and not star:  # which is told as it is of all calls
        return given, args
    if len(args) < least:  # and so is this
        values = {name: x for name, x in zip(names[least:], defaults, strict=True) if is_held(x)}
        return (Holding(func, values) if values else given), args
    whole = (*args[: len(names)], *defaults[len(args) - least :])
    values = {name: _tuple(x) for name, x in zip(names, whole, strict=True) if is_held(x)}
    if star:
        values[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]] = _tuple(args[len(names) :])
    return (Holding(func, values), tuple(x for x in whole if not is_held(x))) if values else (given, args)


def folding(func: types.FunctionType) -> Holding | None:
    """An operator of two values, which hold what its defaults are; None if it has none that it needs."""
    defaults = func.__defaults__ or ()
    names = func.__code__.co_varnames[: func.__code__.co_argcount]
    values = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    extra = {name: _tuple(values[name]) for name in names[2:] if name in values}
    return Holding(func, extra, True) if extra and len(extra) == len(names) - 2 else None


def is_held(x: Any) -> bool:
    """Whether an argument or a default is no array or number, but what a kernel is made for: see `Holding`."""
    return x is None or isinstance(x, (tuple, list, str, bytes)) or (isinstance(x, enum.Enum) and not is_data(x))


def _tuple(x: Any) -> Any:
    """Lists as tuples, at any depth; tuples with names keep them."""
    if not isinstance(x, (tuple, list)) or hasattr(x, "_fields"):
        return x
    return tuple(map(_tuple, x))


def held(func: types.FunctionType) -> tuple[str, ...]:
    """The parameters for which it holds values."""
    return func.__dict__.get("held", ())


def variant(func: types.FunctionType) -> tuple[Any, ...]:
    """What of a function its kernel depends on, besides its code and what guards look at."""
    found = func.__dict__.get("held")
    return () if found is None else (found, func.__dict__["constants"])


#: what folds arrays in NumPy, and the function of two elements that does it
_PAIRS = {
    "max": "maximum", "amax": "maximum", "min": "minimum", "amin": "minimum", "sum": "add", "prod": "multiply",
    "any": "logical_or", "all": "logical_and",
}  # fmt: skip


def unwrap(func: Any) -> types.FunctionType:
    """The plain Python function behind what the user passed as a kernel."""
    func = getattr(func, "py_func", func)  # a numba dispatcher
    if isinstance(func, types.FunctionType):
        return func
    text = _standard(func)
    if text is not None:
        return _plain(text)
    made = _bound(func)
    if made is not None:
        return made.py_func
    name = getattr(func, "__name__", None)
    if name is not None and vars(np).get(name) is func:
        pair = _PAIRS.get(name)
        instead = f"that of two elements: np.{pair}" if pair else f"a lambda that calls it: lambda x: np.{name}(x)"
        raise KernelError(f"np.{name} cannot be a kernel. Pass {instead}")
    what = "None" if func is None else described(func)
    raise KernelError(
        f"{func!r} cannot be a kernel: it is {what}. Pass a plain function or a lambda, such as lambda x, y: x + y."
    )


def _bound(func: Any) -> Holding | None:
    """A method, a partial function or an object with ``__call__``: the function, which holds what it is bound to.

    So numbers and arrays of the object are found by name, as ``self.dt``.
    """
    if isinstance(func, functools.partial):
        inner = unwrap(func.func)
        names = [name for name in inner.__code__.co_varnames[: inner.__code__.co_argcount] if name not in held(inner)]
        values = {**dict(zip(names, func.args, strict=False)), **func.keywords}
        if len(func.args) > len(names) or not values.keys() <= {*names}:
            raise KernelError(
                f"{func!r} cannot be a kernel: {inner.__name__!r} takes {', '.join(names) or 'nothing'}. "
                "Give functools.partial arguments that it has."
            )
        return Holding(inner, {name: _tuple(value) for name, value in values.items()}) if values else Holding(inner, {})
    bound = isinstance(func, types.MethodType)
    method, owner = (func.__func__, func.__self__) if bound else (_call_of(func), func)
    if not isinstance(method, types.FunctionType) or not method.__code__.co_argcount:
        return None
    return Holding(method, {method.__code__.co_varnames[0]: owner})


def _call_of(value: Any) -> types.FunctionType | None:
    """The function by which an object of a class of the user's is called."""
    kind = type(value)
    if isinstance(value, type) or kind.__module__.partition(".")[0] in ("builtins", "numpy", "types", "portapar"):
        return None
    found = next((vars(one)["__call__"] for one in kind.__mro__ if "__call__" in vars(one)), None)
    return found if isinstance(found, types.FunctionType) else None


def is_bound(value: Any) -> bool:
    """Whether it is a method, a partial function, or an object that is called."""
    method = isinstance(value, types.MethodType) and isinstance(value.__func__, types.FunctionType)
    return method or isinstance(value, functools.partial) or _call_of(value) is not None


def _standard(func: Any) -> str | None:
    """A lambda for an operator, a ufunc, a cast or a function of math; None if it is none of these."""
    if isinstance(func, np.ufunc):
        public: Any = getattr(np, func.__name__, None)
        if public is func and func.nout == 1:
            names = ", ".join("xyzw"[: func.nin])
            return f"lambda {names}: np.{func.__name__}({names})"
    elif isinstance(func, type) and issubclass(func, np.generic):
        return f"lambda x: np.{scalar_name(np.dtype(func))}(x)"
    elif isinstance(func, (type, types.BuiltinFunctionType)):
        name = func.__name__
        for known, text in OPERATORS.items():  # not by hash: a bound method has its object's
            if known is func:
                return text
        if getattr(math, name, None) is func:
            return f"lambda x, y: math.{name}(x, y)" if name in _TWO else f"lambda x: math.{name}(x)"
    return None


def scalar_name(dtype: np.dtype) -> str:
    """The name in `np` of a dtype's scalar type."""
    return "bool_" if dtype.kind == "b" else dtype.name


_plain = functools.cache(function)  #: always the same object, which remembered kernels are compared with


def is_data(value: Any) -> bool:
    """Whether a captured value is a number or an array, to be passed as an argument."""
    if isinstance(value, (bool, int, float, complex, np.generic, np.ndarray)):
        return not isinstance(value, np.generic) or usable(value)
    kind = type(value)  # not the value: a module or a class may have anything as an attribute
    names = ("__cuda_array_interface__", "__dlpack__", "__array_interface__", "partition", "with_queue", "expression")
    return not isinstance(value, (str, bytes, bytearray)) and any(hasattr(kind, name) for name in names)
