"""What kernels capture: every kind of Python object, used in every way, works as in Python or is refused."""

import array
import collections
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import re
import types
from dataclasses import dataclass

import numpy as np
import pytest

import portapar as pp
from tests.conftest import executor


class Cell(enum.Enum):
    SOLID = 3
    GAS = 2.5
    WORD = "fluid"
    PAIR = (1, 2)


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


class Flag(enum.IntFlag):
    A = 1
    B = 2


class Constants:
    g = 9.81

    class Inner:
        k = 3


@dataclass
class Setting:
    dt: float = 1.5
    inner: object = None

    @property
    def half(self):
        return self.dt / 2

    def method(self, x):
        return x


class Callable:
    def __call__(self, x):
        return x


THINGS = {
    "None": None, "str": "word", "list": [1.0, 2.0], "empty list": [], "dict": {"a": 1.0}, "set": {1, 2},
    "frozenset": frozenset({1}), "range": range(3), "slice": slice(1, 2), "Decimal": decimal.Decimal("1.5"),
    "Fraction": fractions.Fraction(1, 2), "datetime": datetime.datetime(2020, 1, 1),
    "timedelta": datetime.timedelta(1), "class": Constants, "instance": Setting(), "module": types,
    "Enum": Cell.SOLID, "float Enum": Cell.GAS, "str Enum": Cell.WORD, "tuple Enum": Cell.PAIR, "EnumType": Cell,
    "IntEnum": Colour.RED, "IntFlag": Flag.A | Flag.B, "partial": functools.partial(max, 1), "builtin": print,
    "len": len, "generator": (k for k in range(3)), "bytes": b"abc", "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abc"), "np.str_": np.str_("a"), "np.bytes_": np.bytes_(b"a"),
    "object array": np.array([1, None], object), "datetime array": np.array(["2020-01-01"], "M8[D]"),
    "datetime64": np.datetime64("2020-01-01"), "string array": np.array(["a"]), "Ellipsis": ...,
    "big int": 2**70, "float16": np.float16(1.5), "longdouble": np.longdouble(1), "dtype": np.dtype("f4"),
    "nested tuple": (1, (2, 3.0)), "empty tuple": (), "namespace": types.SimpleNamespace(a=1.0),
    "method": Setting().method, "callable": Callable(), "exception": ValueError, "np function": np.sum,
    "ufunc": np.add, "complex": 1 + 2j, "tuple with str": (1, "a"), "tuple with None": (1, None), "policy": pp.par,
    "executor": pp.threads(1), "monoid": pp.plus, "deque": collections.deque([1.0]),
    "array.array": array.array("d", [1.0]), "property": Setting.half, "ctypes": ctypes.c_double(1.0),
    "np.bool_": np.bool_(True), "bool": True, "int": 3, "float": 1.5,
}  # fmt: skip


def add(t):
    return lambda x: x + t


def item(t):
    return lambda x: x + t[0]


def named(t):
    return lambda x: x + t["a"]


def attribute(t):
    return lambda x: x + t.a


def value(t):
    return lambda x: x + t.value


def called(t):
    return lambda x: t(x)


def is_none(t):
    return lambda x: x if t is None else x + 1


def truth(t):
    return lambda x: x + 1 if t else -x


def extremum(t):
    return lambda x: max(x, t)


def equal(t):
    return lambda x: x if x == t else -x


def equal_word(t):
    return lambda x: x if t == "word" else -x


def loop(t):
    def kernel(x):
        for k in t:
            x += k
        return x

    return kernel


USES = (add, item, named, attribute, value, called, is_none, truth, extremum, equal, equal_word, loop)


@pytest.mark.parametrize("name", THINGS)
def test_every_kind_in_every_way(name):
    thing = THINGS[name]
    x = np.arange(3.0)
    for use in USES:
        kernel = use(thing)
        try:
            expected = np.array([kernel(v) for v in x.tolist()])
        except Exception:  # noqa: BLE001 - Python itself refuses it: so must we, or give a number
            expected = None
        try:
            got = pp.transform(pp.seq, x, op=kernel)
        except pp.PortaparError as error:
            message = str(error)
            assert re.search(rf"{re.escape(__file__)}:\d+", message), (use.__name__, message)
            assert "Instead: " in message, (use.__name__, message)
            assert not re.search(r"[Nn]umba|nopython|Literal\[|UniTuple|\$\d|_state_", message), message
        else:
            if expected is not None:
                np.testing.assert_allclose(got, expected.astype(got.dtype), err_msg=f"{use.__name__} of {name}")


LIMIT = None
MODE = "periodic"
KIND = Cell.SOLID
TABLE = {"dt": 0.5, "deep": {"k": [1.0, 2.0]}, 3: 7.0, "array": np.arange(4.0)}
SPACE = types.SimpleNamespace(a=1.0, b=types.SimpleNamespace(c=2, d=(3, (4, 5.0))))
ROWS = range(2, 11, 3)
PAIR = (1.0, None)


def bounded(x):
    return x if LIMIT is None else min(x, LIMIT)


def by_mode(x):
    if MODE == "periodic":
        return x + 1
    elif MODE in ("open", "closed"):
        return x + 2
    return x + "never compiled"


def by_kind(x):
    y = 1.0 if KIND is Cell.SOLID else 2.0
    return x + y + (KIND == Cell.GAS) + (LIMIT is not None and x > LIMIT)


def items(x):
    return x * TABLE["dt"] + TABLE["deep"]["k"][-1] + TABLE[3] + TABLE["array"][2] + len(TABLE["array"])


def spaces(x):
    return x + SPACE.a + SPACE.b.c + SPACE.b.d[0] + SPACE.b.d[1][1] + Constants.g + Constants.Inner.k


def members(x):
    return x + Cell.SOLID.value + Cell.GAS.value * Colour.BLUE + Colour.RED.value + (Flag.A | Flag.B) - KIND.value


def ranges(x):
    for k in ROWS:
        x += k
    return x + len(ROWS)


def parts(x):
    return x + PAIR[0] + (0 if PAIR[1] is None else 1)


@pytest.mark.parametrize(
    "kernel", [bounded, by_mode, by_kind, items, spaces, members, ranges, parts], ids=lambda f: f.__name__
)
def test_constants_work(kernel, renderer):
    x = np.arange(5.0)
    np.testing.assert_allclose(pp.transform(renderer, x, op=kernel), [kernel(v) for v in x], rtol=1e-15)


def test_what_was_known_may_change(monkeypatch):
    import sys

    this = sys.modules[__name__]
    x = np.arange(5.0)
    for name, kernel, values in (
        ("LIMIT", bounded, (2.0, 3, None, 1.5)),
        ("MODE", by_mode, ("open", "periodic", "closed")),
        ("KIND", by_kind, (Cell.GAS, Cell.SOLID)),
        ("KIND", members, (Cell.GAS, Cell.SOLID)),
        ("ROWS", ranges, (range(3), range(0), range(9, 2, -2))),
        ("PAIR", parts, ((2.0, 1), (2.0, None))),
        ("TABLE", items, ({"dt": 2, "deep": {"k": (1.0, 5.0)}, 3: 1, "array": np.ones(7)},)),
    ):
        for value in values:
            monkeypatch.setattr(this, name, value)
            np.testing.assert_allclose(pp.transform(pp.seq, x, op=kernel), [kernel(v) for v in x], rtol=1e-15)


def test_globals_may_come_under_the_names_of_builtins(renderer, module):
    made = module("""
        def helper(v):
            return abs(v) + 1

        def kernel(v):
            return max(helper(v), 0.5 - v)

        def plain(v):
            return abs(v)
    """)
    x = np.linspace(-2, 2, 7)

    def agrees():
        for kernel in (made.kernel, made.plain, made.plain):
            np.testing.assert_array_equal(pp.transform(renderer, x, op=kernel), [kernel(v) for v in x])
        np.testing.assert_array_equal(pp.sort(renderer, x, key=made.helper), sorted(x, key=made.helper))

    agrees()
    for name, value in (("abs", lambda v: v * v), ("abs", lambda v: -v), ("max", lambda a, b: a - b)):
        setattr(made, name, value)
        agrees()
    del made.abs, made.max
    agrees()


SHADOWS = {
    "in both branches": ("if i > 3:\n        j = i - 3\n    else:\n        j = 0", "j"),
    "in an expression": ("j = i if i % 2 else n - 1 - i", "j"),
    "in one branch": ("j = 0\n    if i % 3:\n        j = i", "j"),
    "by a walrus": ("k = 1 if (j := i // 2) > 2 else 0", "j + k"),
    "in a loop": ("for j in range(i % 4):\n        pass\n    j = i - i % 4", "j"),
    "in a tuple": ("j, k = (i, 1) if i < 5 else (0, 2)", "j + k"),
    "as a parameter": ("h = put(i)", "h"),
}


@pytest.mark.parametrize("form", SHADOWS)
def test_locals_may_have_the_names_of_globals(renderer, module, form):
    """Of numbers, arrays and functions, also where the local depends on the index and is one itself."""
    before, index = SHADOWS[form]
    for value in ("5", "np.arange(4.0)", "put", "math", "(1, 2)", "'text'"):
        made = module(f"""
            import math
            import numpy as np

            n = 9

            def put(j):
                return j if j > 4 else 8 - j

            j = k = h = {value}

            def kernel(i, x, y):
                {before.replace(chr(10), chr(10) + 12 * " ")}
                y[i] = x[{index}]
        """)
        x, y = np.arange(9.0) * 2, np.zeros(9)
        wanted = y.copy()
        for i in range(9):
            made.kernel(i, x, wanted)
        pp.for_each(renderer, 9, made.kernel, x, y)
        np.testing.assert_array_equal(y, wanted)


def test_unknown_names_are_told(module):
    for expression, remedy in (
        ("cfg.dtt", "did you mean 'dt'"), ("cfg.nothing", "check its spelling"), ("table['dtt']", "check its spelling"),
        ("cfg.broken", "read it before the call"), ("cfg.inner.x", "check its spelling"),
    ):  # fmt: skip
        made = module(f"""
            class Config:
                dt = 1.0
                inner = None
                @property
                def broken(self):
                    return 1 / 0
            cfg, table = Config(), {{"dt": 1.0}}
            def kernel(x):
                return x + {expression}
        """)
        with pytest.raises(pp.KernelError, match=rf"(?s){re.escape(made.__file__)}:10.*Instead: {remedy}"):
            pp.transform(pp.seq, np.arange(3.0), op=made.kernel)


def test_calls_of_operators_are_lifted_once():
    import operator

    from portapar.kernel.front import lift

    kernel = lambda x, y: operator.add(x, y) + math_hypot(x, y)
    first = lift.bound(kernel)[0]
    assert lift.bound(kernel)[0] is first


def math_hypot(x, y):
    return np.hypot(x, y)


# assignments inside of expressions ----------------------------------------------------------------


def walrus_return(x):
    return (t := x * 2) + t


def walrus_if(x):
    if (y := x * 2) > 3 and (z := y - 1) < 8 + 0 * z or (y := x - 5) > 0:
        return y
    return -y


def walrus_while(x):
    total = 0.0
    while (x := x - 1) > 0:
        if x > 7:
            continue
        total += x
    else:
        total += 100
    return total


def walrus_order(x):
    k = 1.0
    return k + (k := x) * 10 + k * 100 + max((p := k + 1), (q := p * 2), p + q)


def walrus_branch(x):
    return (x if (y := x) > 2 else (y := y + 5)) + y


def walrus_update(x):
    y = 5.0
    y += (y := 2.0) * x
    return y


walrus_lambda = lambda x: (a := x + 1) * (b := a + 1) + a + b


@pytest.mark.parametrize(
    "kernel",
    [walrus_return, walrus_if, walrus_while, walrus_order, walrus_branch, walrus_update, walrus_lambda],
    ids=lambda f: f.__name__,
)
def test_named_expressions(kernel):
    x = np.arange(12.0)
    for policy in (pp.seq, pp.par.on(executor("opencl:0"))):
        np.testing.assert_array_equal(pp.transform(policy, x, op=kernel), [kernel(v) for v in x])


def test_named_expressions_in_stores(renderer):
    def body(i, a, out):
        k = i
        out[(k := k + 1) - 1, 0] = a[i] + (j := (i + 1) % len(a))
        k -= 1
        out[k, 1] += a[j] + (m := j * 2)
        out[k, 2] = m

    a = np.arange(6.0) ** 2
    out, expected = np.ones((6, 3)), np.ones((6, 3))
    pp.for_each(renderer, 6, body, a, out)
    for i in range(6):
        body(i, a, expected)
    np.testing.assert_array_equal(out, expected)


# parameters ---------------------------------------------------------------------------------------


def weighted(i, x, out, weights=None, mode="sum", cell=Cell.SOLID, factor=2.0, pair=(1.0, None)):
    v = x[i] if weights is None else x[i] * weights[i]
    if weights is not None:
        v += 0 * weights[i]
    if mode in ("sum", "mean"):
        v = v + 1
    out[i] = v * factor if cell is Cell.SOLID else v - pair[0]


def shifted(v, by=None):
    return v if by is None else v + by


def test_parameters_that_are_no_numbers(renderer):
    """Their defaults, and what a call gives: compiled for each."""
    x, out = np.arange(9.0), np.empty(9)
    for _ in range(2):  # remembered
        other = x, "sum", Cell.GAS, 3.0, (5.0, 1)
        for args in ((), (None,), (x, "max"), (None, "mean", Cell.GAS), other, (3 * x,), (None, "x")):
            expected = np.empty(9)
            for i in range(9):
                weighted(i, x, expected, *args)
            out[:] = -1
            pp.for_each(renderer, 9, weighted, x, out, *args)
            np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(pp.transform(renderer, x, op=shifted), x)
    np.testing.assert_array_equal(pp.transform(renderer, x, x, op=shifted), 2 * x)
    assert pp.count_if(renderer, x, shifted) == 8 and pp.reduce(renderer, x) == x.sum()
    np.testing.assert_array_equal(pp.sort(renderer, x[::-1].copy(), key=shifted), x)
    np.testing.assert_array_equal(pp.transform_reduce(renderer, x, transform=shifted), 36.0)
    pp.for_each(renderer.with_(check=True), 9, weighted, x, out)
    np.testing.assert_array_equal(out, 2 * (x + 1))
    assert "vectorized" in str(pp.inspect(weighted, pp.unseq, x, out, None, "max", space=9))


def test_parameters_that_are_used_as_numbers_and_are_none():
    out = np.zeros(9)
    for args, says in (((None, out), "'x', which is None"), (("a", out), "'x', a str"), ((out, None), "'out', which")):
        with pytest.raises(pp.KernelError, match=f"it uses {says}"):
            pp.for_each(pp.par, 9, weighted, *args)
    with pytest.raises(pp.KernelError, match=r"takes 4 arguments \(i, x, out, factor\), and the call gives"):
        pp.for_each(pp.par, 9, weighted, out)


def test_an_index_with_a_default_is_no_argument():
    def body(i=0, m=None):
        m[i] = i

    with pytest.raises(pp.KernelError, match="takes 2 arguments"):
        pp.for_each(pp.par, 3, body, np.zeros(3), np.zeros(3))
    m = np.zeros(3)
    pp.for_each(pp.par, 3, body, m)
    np.testing.assert_array_equal(m, [0, 1, 2])
