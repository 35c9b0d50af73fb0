"""What to write instead of what kernels cannot use: captured values, functions, names."""

from __future__ import annotations

import builtins
import cmath
import collections
import collections.abc
import datetime
import enum
import functools
import math
import types
from typing import Any

import numpy as np

from portapar.errors import of_kind
from portapar.kernel.front import functions

__all__ = ["FORBIDDEN", "closest", "described", "refusal", "unusable"]

_GENERAL = "kernels use numbers, arrays, math.*, np.* and other kernel functions; pass what you need as those"
_BUILTIN = {
    "print": "write the values into an array argument and print them after the call",
    "open": "write the values into an array argument and print them after the call",
    "input": "write the values into an array argument and print them after the call",
    **dict.fromkeys("sum sorted map filter zip enumerate any all".split(), "write a for loop over range(...)"),
    **dict.fromkeys(("list", "dict", "set", "str"), "use arrays: kernels compute with numbers"),
    "tuple": "write the items out, (f(t[0]), f(t[1])), or, of a row, an expression of all of it: 2 * x[i]",
    "isinstance": "leave it out: a kernel is compiled for the types that it is called with",
    **dict.fromkeys(("type", "hasattr", "callable", "issubclass"), "leave it out: there are numbers and arrays"),
    "getattr": "write the attribute, x.name",
    "reversed": "write a loop over range(n - 1, -1, -1)",
}  # fmt: skip

_ELSEWHERE = "do it outside of the kernel"
#: statements and expressions that kernels lack: what they are, and what to write instead
FORBIDDEN: dict[str, tuple[str, str]] = {
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
    "ListComp": ("a list", "use a small private array, np.zeros(4), and a for loop; of a row, 2 * x[i]"),
    "SetComp": ("a set", "use a small private array, np.zeros(4), and a for loop"),
    "DictComp": ("a dict", "use arrays, or a structured dtype"),
    "GeneratorExp": ("a generator expression", "use a for loop"),
    "List": ("a list", "use a tuple, or a small private array: np.array([a, b]), np.zeros(4)"),
    "Set": ("a set", "use a tuple, or a small private array: np.zeros(4)"),
    "Dict": ("a dict", "pass its numbers as arguments, or use a structured dtype"),
    "JoinedStr": ("a string", "kernels compute with numbers; format outside of the kernel"),
    "Delete": ("del", "leave it out"),
    "Starred": ("*unpacking", "write the elements out"),
    "Match": ("match", "use if/elif"),
    "TypeAlias": ("a type alias", "define it outside of the kernel"),
}


def described(value: Any) -> str:
    """What a value is, with its article."""
    if isinstance(value, types.ModuleType):
        return "the module"
    if value is None:
        return "which is None"
    if isinstance(value, type):
        return "a class"
    if isinstance(value, enum.Enum):
        return f"a member of the enumeration {type(value).__name__}"
    owner = getattr(value, "__self__", None)
    if isinstance(value, types.BuiltinFunctionType) and not isinstance(owner, types.ModuleType | None):
        return f"a method of {of_kind(owner)}"
    return of_kind(value)


def unusable(value: Any, text: str) -> str:
    """What to write instead of `value`, which the user's kernel calls `text`."""
    if value is None:
        return f"give it a value before the call, or ask for it first: if {text} is None"
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        if isinstance(value, str):
            return "kernels compute with numbers: capture a number or a bool that stands for it"
        return f"pass its numbers as an array: np.frombuffer({text}, np.uint8)"
    if isinstance(value, enum.Enum):
        numeric = isinstance(value.value, (int, float))
        return (
            f"write {text}.value, or make it an IntEnum" if numeric else "give its members numbers, or use an IntEnum"
        )
    if isinstance(getattr(value, "__self__", None), (list, set, dict, collections.deque)):
        return (
            "write into an array, each at a place of its own: out[pp.atomic.add(count, 0, 1)] = …; what a condition "
            "selects pp.copy_if and pp.pack_index give in order"
        )
    from decimal import Decimal  # here, where something is refused anyway: they take time to import
    from fractions import Fraction

    if isinstance(value, (Decimal, Fraction)):
        return f"convert it before the call: float({text})"
    if isinstance(value, datetime.timedelta):
        return f"convert it before the call: {text}.total_seconds()"
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return "convert it to a number before the call, such as t.timestamp()"
    if isinstance(value, (dict, types.MappingProxyType)):
        return f"name an item, such as {text}[{next(iter(value), 'name')!r}], or pass its numbers as arrays"
    if isinstance(value, (set, frozenset)):
        return f"pass its numbers as an array: np.array(sorted({text}))"
    if isinstance(value, functools.partial):
        inner = getattr(value.func, "__name__", "f")
        given = ", ".join([*map(repr, value.args), "x"])
        return f"write it as a function of its own: lambda x: {inner}({given})"
    if isinstance(value, types.MethodType):
        return f"write it as a plain function, and pass what it uses of {type(value.__self__).__name__} as arguments"
    if isinstance(value, slice):
        return "write its bounds, x[start:stop], or a loop over range(...)"
    if isinstance(value, tuple):
        return "leave it out, or give it numbers"
    if isinstance(value, collections.abc.Iterator):
        return f"make an array of it before the call: np.fromiter({text}, float)"
    if isinstance(value, np.ndarray | np.generic):
        return _dtype(value.dtype, text)
    if isinstance(value, (list, collections.abc.Sequence)) or hasattr(value, "__array__") or hasattr(value, "typecode"):
        return f"make an array or a tuple of it before the call: np.array({text})"
    if isinstance(value, types.ModuleType):
        return "name what you use of it: kernels use math.*, np.*, numbers, arrays and other kernel functions"
    if isinstance(value, property):
        return "read it of an instance"
    if isinstance(value, (types.BuiltinFunctionType, type)) and getattr(value, "__name__", "") in _BUILTIN:
        return _BUILTIN[value.__name__]
    if getattr(builtins, getattr(value, "__name__", ""), None) is value:
        return f"{_ELSEWHERE}: kernels compute with numbers"
    numbers = _numbers(value)
    if numbers:
        return f"use what it has, such as {text}.{numbers[0]}"
    if callable(value) and not isinstance(value, type):
        return "write it as a plain function or a lambda"
    return _GENERAL


def _numbers(value: Any) -> list[str]:
    """The names under which an object or a class has numbers and arrays."""
    if isinstance(value, enum.EnumMeta):
        return list(value.__members__)
    held = {**(vars(type(value)) if not isinstance(value, type) else {}), **getattr(value, "__dict__", {})}
    usable = (bool, int, float, complex, np.number, np.bool_, np.ndarray)
    return [name for name, x in held.items() if isinstance(x, usable) and not name.startswith("_")]


def _dtype(dtype: np.dtype, text: str) -> str:
    if dtype.kind in "mM":
        return f"pass its numbers: {text}.astype(np.int64)"
    if dtype.kind in "USO" and dtype.kind != "O":
        return f"pass numbers that stand for the strings: np.unique({text}, return_inverse=True)[1]"
    return f"convert it before the call: {text}.astype(np.float64)"


# functions ----------------------------------------------------------------------------------------

_LOOP = "write a loop over the elements, for k in range(len(x)), or call it outside of the kernel"
_OUTSIDE = "call it outside of the kernel, and pass or capture what it gives"
_REDUCES = frozenset("sum prod min max amin amax argmin argmax mean any all dot vdot inner".split())
_KNOWN = frozenset({"round", "around", "real", "imag", *_REDUCES, *functions.NUMPY})
_REMEDIES = {
    "math.fsum": "add the numbers up in a loop, or with pp.reduce",
    "math.fma": "write x * y + z, which rounds twice",
    "np.isnat": "kernels compute with numbers: pass times as x.view(np.int64)",
    "np.i0": _OUTSIDE,
    "np.real_if_close": "write z.real",
    "np.isscalar": "leave it out: what a[i] gives is a number, what a[i] of a table gives is a row",
    "np.ndim": "write a.ndim",
    "np.size": "write len(a) or a.size",
    "np.shape": "write a.shape",
    "np.array": "use a small private array, a = np.zeros(4), and set its elements",
    "np.asarray": "pass the array in as an argument",
    "np.arange": "use for k in range(n); k is the element",
    "np.linspace": "compute the element: start + k * step",
    "np.zeros_like": "use a small private array, np.zeros(4); for larger scratch space pass an array in",
    "np.empty_like": "use a small private array, np.empty(4); for larger scratch space pass an array in",
    "np.copy": "copy element by element, y[:] = x, into an array argument or a private array",
    "np.sort": "use pp.sort before, or write an insertion sort over a small private array",
    "np.argsort": "use pp.argsort before the call",
    "np.cumsum": "use pp.inclusive_scan, or add up in a loop",
    "np.bincount": "use pp.bincount, or pp.atomic.add(bins, key, 1)",
    "np.histogram": "use pp.histogram",
    "np.searchsorted": "use pp.searchsorted before the call, or write the bisection as a while loop",
    "np.digitize": "use pp.searchsorted before the call, or write the bisection as a while loop",
    "np.array_equal": "compare in a loop, or write (x == y).all() for rows",
    "np.array_equiv": "compare in a loop, or write (x == y).all() for rows",
    **{f"np.{name}": f"write the index that the element has, or call .{name}() before the call"
       for name in ("reshape", "ravel", "transpose", "squeeze", "swapaxes")},
    "np.cross": "write the three products out",
    "np.linalg.norm": "write math.sqrt((x * x).sum()), or a loop",
    "np.vecdot": "write x @ y for rows",
    "np.matvec": "write a loop over the rows: row @ x",
    "np.vecmat": "write a loop over the columns",
    "np.matmul": "write x @ y",
    "np.median": _LOOP,
    "np.var": "write ((x - x.mean()) ** 2).mean()",
    "np.std": "write math.sqrt(((x - x.mean()) ** 2).mean())",
}
_SPECIAL = {
    "erf": "math.erf(x)", "erfc": "math.erfc(x)", "gamma": "math.gamma(x)", "gammaln": "math.lgamma(x)",
    "expit": "1 / (1 + math.exp(-x))", "logit": "math.log(x / (1 - x))", "cbrt": "np.cbrt(x)", "exp2": "np.exp2(x)",
    "expm1": "math.expm1(x)", "log1p": "math.log1p(x)", "xlogy": "x * math.log(y) if x != 0 else 0.0",
    "comb": "math.comb(n, k)", "factorial": "math.factorial(n)", "ndtr": "0.5 * math.erfc(-x / math.sqrt(2))",
    "log_ndtr": "math.log(0.5 * math.erfc(-x / math.sqrt(2)))", "softplus": "np.logaddexp(0.0, x)",
    "sinc": "np.sinc(x)", "xlog1py": "x * math.log1p(y) if x != 0 else 0.0", "binom": "math.comb(n, k)",
    "perm": "math.perm(n, k)", "radian": "math.radians(x)", "exp10": "10.0 ** x", "cosm1": "-2 * math.sin(x / 2) ** 2",
}  # fmt: skip
_RANDOM = {
    **dict.fromkeys(("normal", "randn", "standard_normal", "gauss", "normalvariate"), "pp.random.normal(seed, i)"),
    **dict.fromkeys(("randint", "integers", "randrange"), "pp.random.integers(seed, i, low, high)"),
    **dict.fromkeys(("exponential", "standard_exponential"), "-math.log1p(-pp.random.uniform(seed, i))"),
    "expovariate": "-math.log1p(-pp.random.uniform(seed, i)) / rate",
}


def refusal(value: Any, text: str) -> str | None:
    """What to write instead of a function that kernels do not have; None if they have it.

    Parameters
    ----------
    value : object
        What is called.
    text : str
        As the user wrote it.
    """
    owner = str(getattr(value, "__module__", None) or getattr(type(getattr(value, "__self__", None)), "__module__", ""))
    name = str(getattr(value, "__name__", "")).rpartition(".")[2]
    if owner.startswith(("numpy.random", "random")):
        ours = _RANDOM.get(name, "pp.random.uniform(seed, i)")
        return f"write {ours}, which gives every index i numbers of its own, the same on every executor"
    if owner.startswith("scipy.special") or (isinstance(value, np.ufunc) and vars(np).get(name) is not value):
        known = _SPECIAL.get(name)
        return f"write {known}" if known else _OUTSIDE
    if owner.startswith("scipy"):
        return _OUTSIDE
    if owner.startswith("portapar.") and _takes_policy(value):
        return "call it outside of the kernel, which is called for every index: it runs in parallel itself"
    if owner == "portapar.lazy" and name in value.__globals__["__all__"]:
        return "make it outside of the kernel, as an input of the call"
    if owner in ("time", "datetime"):
        return "measure outside of the kernel"
    if getattr(math, name, None) is value:
        return _REMEDIES.get(f"math.{name}")
    if owner.startswith("numpy.linalg"):
        return _REMEDIES.get(f"np.linalg.{name}", _OUTSIDE)
    public = vars(np).get(name) is value
    if public and f"np.{name}" in _REMEDIES:
        return _REMEDIES[f"np.{name}"]
    if public and not isinstance(value, (type, np.ufunc)) and name not in _KNOWN and callable(value):
        return _LOOP
    return None


def _takes_policy(value: Any) -> bool:
    """Whether it is an algorithm, all of which take a policy first."""
    code = getattr(value, "__code__", None)
    return code is not None and code.co_varnames[:1] == ("policy",)


def closest(name: str, owner: Any) -> str:
    """A remedy for a name that an object does not have."""
    if isinstance(owner, types.ModuleType) and owner in (math, np, cmath):
        for module, alias in ((math, "math"), (np, "np"), (cmath, "cmath")):
            if module is not owner and hasattr(module, name):
                return f"write {alias}.{name}"
    import difflib  # here, where something is refused anyway: it takes time to import

    found = difflib.get_close_matches(name, [known for known in dir(owner) if not known.startswith("_")], 1)
    return f"did you mean {found[0]!r}?" if found else "check its spelling"
