"""Kernels as users write them: how functions are found, what they may capture, what Python means in them."""

import ast
import functools
import linecache
import math
import operator
import sys
import types
from dataclasses import dataclass
from math import sin
from math import sqrt as root
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy as xp
import pytest

import portapar as pp
from portapar import atomic
from portapar.kernel.front.checked import checked
from portapar.kernel.front.lift import lift
from portapar.kernel.front.rows import without_rows

N = 1000
SCALE = 3.0
TABLE = np.arange(10.0)
SIZE = 4
BASE: Final = -2
HALF: "Final[float]" = 0.5


def compiled(monkeypatch):
    """A list that grows by one for every function that is compiled or typed."""
    from portapar.kernel.jit import native

    seen = []
    real = native.native
    monkeypatch.setattr("portapar.kernel.cpu.chunk.native", lambda key, *rest: (seen.append(key), real(key, *rest))[1])
    return seen


def ramp(dtype=np.float64):
    return np.arange(N).astype(dtype)


def plain(i, a, b):
    """A docstring is no problem."""
    a[i] = 2 * b[i] + 1


# finding the source -------------------------------------------------------------------------------


def test_plain_function_and_lambda(renderer):
    a = np.zeros(N)
    pp.for_each(renderer, N, plain, a, ramp())
    np.testing.assert_array_equal(a, 2 * ramp() + 1)
    np.testing.assert_array_equal(pp.transform(renderer, ramp(), op=lambda x: x - 1), ramp() - 1)


def test_lambdas_are_told_apart():
    x, p = ramp(), pp.seq
    many = [lambda v: v + 1, lambda v: v + 2, lambda v: (v + 3) * 2]
    for f, expected in zip(many, (x + 1, x + 2, (x + 3) * 2), strict=True):
        np.testing.assert_array_equal(pp.transform(p, x, op=f), expected)
    y = pp.transform(p, pp.transform(p, x, op=lambda v: v * 2), op=lambda v: v - 5)
    np.testing.assert_array_equal(y, x * 2 - 5)
    table = {"double": lambda v: v + v, "half": lambda v: v / 2}
    np.testing.assert_array_equal(pp.transform(p, x, op=table["half"]), x / 2)
    f, g = (lambda é: é + 1.5), (lambda é: é + 2.5)  # columns count bytes
    np.testing.assert_array_equal(pp.transform(p, x, op=g), x + 2.5)
    np.testing.assert_array_equal(pp.transform(p, x, op=f), x + 1.5)
    same = [lambda v: v * 4, lambda v: v * 4]
    np.testing.assert_array_equal(pp.transform(p, x, op=same[1]), x * 4)


def test_multi_line_lambda_and_continued_call():
    y = pp.transform(
        pp.seq,
        ramp(),
        ramp(),
        op=lambda a, b: (
            a
            + 2 * b
        ),
    )  # fmt: skip
    np.testing.assert_array_equal(y, 3 * ramp())
    f = lambda v: v \
        + 7  # fmt: skip
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=f), ramp() + 7)


def test_lambda_that_returns_lambdas():
    def adder(k):
        return lambda x: x + k

    make = lambda k: lambda x: x * k
    for f, expected in ((adder(1), ramp() + 1), (adder(2), ramp() + 2), (make(3), ramp() * 3)):
        np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=f), expected)


def test_default_arguments_are_of_each_function():
    for k in range(3):
        f = lambda v, k=k: v + k
        np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=f), ramp() + k)

        def body(i, a, value=k + 0.5):
            a[i] = value

        a = np.zeros(N)
        pp.for_each(pp.seq, N, body, a)
        np.testing.assert_array_equal(a, k + 0.5)
        pp.for_each(pp.seq, N, body, a, 9.0)
        np.testing.assert_array_equal(a, 9.0)


def test_kernels_in_a_module(module):
    made = module("""
        import math
        from math import pi

        def helper(x, y=-1.5):
            return x * y + pi

        @(lambda f: f)
        def kernel(i, a):
            a[i] = helper(float(i)) + math.e
    """)
    a = np.zeros(N)
    pp.for_each(pp.par, N, made.kernel, a)
    np.testing.assert_array_equal(a, ramp() * -1.5 + math.pi + math.e)


def test_notebook_cell():
    text = "def cell(i, a):\n    a[i] = i + 0.25\n\nsquare = lambda x: x * x\n"
    name = "/tmp/ipykernel_1/123.py"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    space = {}
    exec(compile(text, name, "exec"), space)
    a = np.zeros(N)
    pp.for_each(pp.par, N, space["cell"], a)
    np.testing.assert_array_equal(a, ramp() + 0.25)
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=space["square"]), ramp() ** 2)


def test_no_source():
    space = {}
    exec("def typed(i, a):\n    a[i] = 1\n", space)
    with pytest.raises(pp.KernelError, match=r"'typed'.*source text is not to be had.*file or a notebook cell"):
        pp.for_each(pp.seq, 3, space["typed"], np.zeros(3))


@pytest.mark.parametrize(
    "after",
    [
        "def kernel(x):\n    return x + 2\n",
        "# new first line\ndef kernel(x):\n    return x + 1\n",
        "def kernel(x:\n",
    ],
)
def test_source_changed_after_import(module, after):
    made = module("def kernel(x):\n    return x + 1\n")
    with open(made.__file__, "w") as file:
        file.write(after)
    with pytest.raises(pp.KernelError, match="changed after it was imported.*start Python again"):
        pp.transform(pp.seq, ramp(), op=made.kernel)


def test_reloaded_module_gives_new_kernel(module):
    first = module("def kernel(x):\n    return x + 1\n", "again")
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=first.kernel), ramp() + 1)
    second = module("def kernel(x):\n    return x + 22\n", "again")
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=second.kernel), ramp() + 22)


def test_numba_functions_and_decorated_ones():
    @numba.njit
    def jitted(x):
        return x + 10

    def double(f):
        @functools.wraps(f)
        def wrapper(*args):
            return 2 * f(*args)

        return wrapper

    @double
    def wrapped(x):
        return x + 1

    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=jitted), ramp() + 10)
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=lambda x: jitted(x) * 2), 2 * ramp() + 20)
    with pytest.raises(pp.KernelError, match="(?s)decorator put around 'wrapped'.*__wrapped__"):
        pp.transform(pp.seq, ramp(), op=wrapped)
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=wrapped.__wrapped__), ramp() + 1)


def test_operators_and_ufuncs_as_kernels():
    x, y = ramp() + 1, ramp()[::-1] + 2
    p = pp.seq
    for op, expected in (
        (operator.add, x + y), (operator.mod, x % y), (operator.lt, x < y), (np.hypot, np.hypot(x, y)),
        (math.atan2, np.arctan2(x, y)), (max, np.maximum(x, y)), (np.subtract, x - y), (pow, None),
    ):  # fmt: skip
        if expected is not None:
            np.testing.assert_allclose(pp.transform(p, x, y, op=op), expected, rtol=1e-15)
    for op, expected in (
        (operator.neg, -x), (np.sqrt, np.sqrt(x)), (math.sqrt, np.sqrt(x)), (abs, x), (int, x.astype(int)),
        (np.float32, x.astype("f4")), (bool, x.astype(bool)),
    ):  # fmt: skip
        got = pp.transform(p, x, op=op)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert pp.reduce(p, x, op=min) == 1 and pp.reduce(p, x, op=np.maximum) == N
    assert pp.reduce(p, np.arange(1, 8), op=operator.mul) == 5040


class Solver:
    def __init__(self):
        self.x = ramp()
        self.dt = 0.5

    def method(self, x):
        return x

    def step(self, policy):
        return pp.transform(policy, self.x, op=lambda v: v * self.dt + self.x[0])


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (Solver().method, "a bound method"),
        (functools.partial(plain, 1), "a partial"),
        (Solver(), "a Solver"),
        (len, "a builtin_function"),
        ("plain", "a str"),
        (None, "None"),
        ([].append, "a builtin_function"),
        (3, "an int"),
    ],
)
def test_what_cannot_be_a_kernel(kernel, says):
    with pytest.raises(pp.KernelError, match=rf"cannot be a kernel: it is {says}.*Pass a plain function"):
        pp.transform(pp.seq, ramp(), op=kernel)
    with pytest.raises(pp.KernelError, match=r"np\.round cannot be a kernel.*lambda x: np\.round\(x\)"):
        pp.transform(pp.seq, ramp(), op=np.round)


# captures -----------------------------------------------------------------------------------------


def test_captured_scalar_changes_without_compiling(monkeypatch):
    k = 1.0
    f = lambda x: x * k + SCALE
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() + 3.0)
    seen = compiled(monkeypatch)
    for k in (2.0, -5.5):
        np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() * k + 3.0)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 8.0)
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() * k + 8.0)
    assert not seen
    k = 2  # a whole number now: other code
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() * 2 + 8.0)


def based(x):
    return x + BASE


def test_final_numbers_are_constants(monkeypatch):
    this = sys.modules[__name__]
    power, half, called = lambda x: BASE**2 + x, lambda x: x * this.HALF, lambda x: based(x) * SCALE
    for f in (power, half, called):
        assert [name for name, _ in lift(f)[0].captures] == (["SCALE"] if f is called else [])
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=power), ramp() + 4)
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=half), ramp() / 2)
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=called), (ramp() - 2) * 3)
    monkeypatch.setattr(this, "BASE", 7)  # which type checkers refuse: it compiles anew
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=power), ramp() + 49)
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=called), (ramp() + 7) * 3)


def test_captured_arrays(renderer):
    x = ramp()
    a = np.zeros(N)

    def stencil(i):
        a[i + 1] = x[i] + x[i + 1] + TABLE[i % len(TABLE)] + x.shape[0]

    pp.for_each(renderer, N - 1, stencil)
    expected = np.zeros(N)
    expected[1:] = x[:-1] + x[1:] + np.resize(TABLE, N - 1) + N
    np.testing.assert_array_equal(a, expected)
    x = -x  # another array, the same kernel
    pp.for_each(renderer, N - 1, stencil)
    expected[1:] = x[:-1] + x[1:] + np.resize(TABLE, N - 1) + N
    np.testing.assert_array_equal(a, expected)


@dataclass
class Config:
    dt: float
    weights: tuple
    inner: object = None


class Point(NamedTuple):
    x: float
    y: float


def test_attributes_and_tuples():
    cfg = Config(0.5, (1.0, 2.0, 4.0), Config(0.25, (8,)))
    point = Point(10.0, 20.0)

    def f(x):
        total = 0.0
        for k in range(3):
            total += cfg.weights[k]
        return x * cfg.dt + total + cfg.inner.dt + cfg.inner.weights[0] + point.x * point[1]

    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() * 0.5 + 7 + 0.25 + 8 + 200)
    cfg.dt, cfg.inner.weights, cfg.weights = 2.0, (16,), (0.0, 0.0, 1.0)
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() * 2 + 1 + 0.25 + 16 + 200)
    cfg.weights = (1.0, 1.0, 1.0, 1.0)  # longer: other code
    np.testing.assert_array_equal(pp.transform(pp.par, ramp(), op=f), ramp() * 2 + 3 + 0.25 + 16 + 200)
    solver = Solver()
    np.testing.assert_array_equal(solver.step(pp.par), ramp() * 0.5)
    solver.dt = 1.5
    np.testing.assert_array_equal(solver.step(pp.par), ramp() * 1.5)


class Turned(NamedTuple):
    y: float
    x: float


def first_of(p):
    return p.x


def test_named_tuples_of_other_types():
    """Which item a field is may change between calls, and so may that there are fields."""
    one, out = Point(1.0, 2.0), np.zeros(4)

    def captured(i, out):
        out[i] = first_of(one)

    def given(i, p, out):
        out[i] = first_of(p) + 10 * p.x

    def inner(i, p, out):
        out[i] = first_of(p[0]) + 10 * p[0].x

    for one in (Point(1.0, 2.0), Turned(1.0, 2.0), Point(3.0, 4.0), Turned(5.0, 6.0)):
        for kernel, args in ((captured, ()), (given, (one,)), (inner, ((one, 3),))):
            wanted = np.zeros(4)
            kernel(0, *args, wanted)
            pp.for_each(pp.par, 4, kernel, *args, out)
            np.testing.assert_array_equal(out, wanted[0])


def row_number(x, k):
    return 2 * x[k]


def test_helpers_with_names_that_are_ours():
    def f(i, x, out):
        out[i] = x[i : i + 2].sum() + row_number(x, i)

    x, out, wanted = ramp(), np.zeros(9), np.zeros(9)
    pp.for_each(pp.par, 9, f, x, out)
    for i in range(9):
        f(i, x, wanted)
    np.testing.assert_allclose(out, wanted)


cfg_dt = 100.0


def test_captures_of_like_names_stay_apart():
    cfg = types.SimpleNamespace(dt=1.0)
    f_k = 7.0

    def f(x):
        return x + k

    k = 1000.0
    got = pp.transform(pp.seq, ramp(), op=lambda x, np=2.0: f(x) + cfg.dt * np + cfg_dt + f_k + xp.sqrt(4.0))
    np.testing.assert_array_equal(got, ramp() + 1000 + 2 + 100 + 7 + 2)


def test_captured_functions(renderer):
    gain, offset = 2.0, 5.0

    def inner(x, power=2):
        return x * gain + power

    def outer(x):
        return inner(x) + inner(x, 10) + offset

    def kernel(i, a):
        a[i] = outer(float(i)) + inner(1.0)

    def expected():
        return (ramp() * gain + 2) + (ramp() * gain + 10) + offset + (gain + 2)

    a = np.zeros(N)
    pp.for_each(renderer, N, kernel, a)
    np.testing.assert_array_equal(a, expected())
    gain, offset = 3.0, -1.0
    pp.for_each(renderer, N, kernel, a)
    np.testing.assert_array_equal(a, expected())
    inner = lambda x, power=1: x - power  # noqa: F811 - replaced between calls
    pp.for_each(renderer, N, kernel, a)
    np.testing.assert_array_equal(a, (ramp() - 1) + (ramp() - 10) - 1)


def test_functions_of_one_code_and_other_captures():
    def twice(f):
        return lambda x: f(f(x))

    up, half = (lambda x: x + 1), (lambda x: x / 2)
    plus2, quarter = twice(up), twice(half)
    both = lambda x: plus2(x) * 1000 + quarter(x)
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=both), (ramp() + 2) * 1000 + ramp() / 4)
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=twice(plus2)), ramp() + 4)
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=twice(quarter)), ramp() / 16)


def test_captured_types_and_module_functions():
    def cast(kind, function):
        return lambda x: kind(function(x))

    for kind, function in (
        (np.float32, np.sqrt),
        (np.float64, np.sqrt),
        (np.int16, math.floor),
        (int, np.ceil),
    ):
        got = pp.transform(pp.seq, ramp() / 3, op=cast(kind, function))
        assert got.dtype == np.dtype(kind)
        expected = np.array([kind(function(v)) for v in ramp() / 3], kind)
        np.testing.assert_array_equal(got, expected)


def test_functions_named_alike(module):
    one = module("def step(x):\n    return x + 1\n").step
    step = module("def step(x):\n    return x * 2\n").step
    body = lambda x: step(x) + one(x)
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=body), ramp() * 3 + 1)
    outer = module("def step(x):\n    return other(x) - 1\n")
    outer.other = step
    np.testing.assert_array_equal(pp.transform(pp.seq, ramp(), op=outer.step), ramp() * 2 - 1)


def inner(x):
    return x + 1.0


def middle(x):
    inner_ = 2.0 * x
    return inner(inner_)


def outer(i, x, y):
    inner = 3.0 + x[i, 0]
    y[i] = middle(np.where(x[i] > 0, x[i], 0.0).sum()) + inner
    y[i] += np.clip(x[i], -1.0, 1.0).max()


def test_lifted_functions_are_plain_syntax_trees():
    """What is known of nodes is beside the trees; names of functions are no variables' in what calls them."""
    kernel, _ = lift(outer)
    found = {"x": np.ones((3, 2)), "y": np.ones(3)}
    flat = without_rows(kernel, found)
    tested = checked(flat, 1, frozenset("xy"), frozenset(), frozenset(), 0).kernel
    for function in [*kernel.functions, *flat.functions, *tested.functions]:
        for node in function.nodes():
            assert set(vars(node)) <= {*node._fields, *node._attributes}, ast.dump(node)
            assert not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in function.calls)
    assert {len(function.choices) for function in kernel.functions} == {0, 1}
    x, y, wanted = np.array([[1.0, -2.0], [0.5, 3.0]]), np.zeros(2), np.zeros(2)
    pp.for_each(pp.par, 2, outer, x, y)
    for i in range(2):
        outer(i, x, wanted)
    np.testing.assert_array_equal(y, wanted)


def test_names_that_the_text_uses_itself():
    def kernel(i, np, math, atomic, a):
        private_zeros, body, elem = np[i], xp.sqrt(4.0), math
        a[i] = private_zeros + body + elem + atomic

    a = np.zeros(N)
    pp.for_each(pp.par, N, kernel, ramp(), 1.0, 0.5, a)
    np.testing.assert_array_equal(a, ramp() + 3.5)


def test_aliases_of_numpy_and_math(renderer):
    f = lambda x: xp.float32(sin(x)) + root(x) + xp.abs(-x) + math.pi + xp.e + min(x, 1.0)
    x = ramp() / 7
    expected = np.sin(x).astype("f4") + np.sqrt(x) + x + math.pi + np.e + np.minimum(x, 1)
    np.testing.assert_allclose(pp.transform(renderer, x, op=f), expected, rtol=1e-6)


# what Python means --------------------------------------------------------------------------------


def test_integers_are_pythons(renderer):
    values = [-7, -3, -1, 0, 1, 2, 5, 64]
    pairs = [(a, b) for a in values for b in values]
    a, b = (np.array(column) for column in zip(*pairs, strict=True))

    def kernel(i, a, b, out):
        x, y = a[i], b[i]
        d = y if y != 0 else 3
        s = abs(y) % 8
        out[i, 0] = x // d
        out[i, 1] = x % d
        out[i, 2] = x ** (abs(y) % 5)
        out[i, 3] = x << s
        out[i, 4] = x >> s
        out[i, 5] = x & y | 1 ^ ~x
        out[i, 6] = int(x / d)
        out[i, 7] = -x + abs(y) - min(x, y, 2) * max(x, y)
        out[i, 8] = (x > y) + (x == y) * 2 + (not x) * 4
        out[i, 9] = divmod(x, d)[0] * 3 + divmod(x, d)[1]

    out = np.zeros((len(pairs), 10), np.int64)
    pp.for_each(renderer, len(pairs), kernel, a, b, out)
    expected = np.zeros_like(out)
    for i in range(len(pairs)):
        kernel(i, [int(v) for v in a], [int(v) for v in b], expected)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8"])
def test_division_by_powers_of_two_rounds_down(renderer, dtype):
    info = np.iinfo(dtype)
    x = np.array(
        [info.min, info.min + 1, info.max - 1, info.max, *range(10), *(-np.arange(1, 10)).astype(dtype)], dtype
    )

    def kernel(v):
        return v // 1 + 3 * (v // 8), v % 2 + 10 * (v % 8) + v % 1

    got = pp.transform(renderer, x, op=kernel)
    with np.errstate(over="ignore"):
        assert [tuple(pair) for pair in got] == [kernel(v) for v in x]


def test_floats_are_pythons(renderer):
    values = [-7.5, -1.0, 0.5, 2.0, 3.25]
    pairs = [(a, b) for a in values for b in values]
    a, b = (np.array(column) for column in zip(*pairs, strict=True))

    def kernel(i, a, b, out):
        x, y = a[i], b[i]
        out[i, 0] = x // y
        out[i, 1] = x % y
        out[i, 2] = x**2 + y**3
        out[i, 3] = x / y
        out[i, 4] = int(x) + round(y)
        out[i, 5] = x if x > y else -y
        out[i, 6] = math.floor(x) + math.ceil(y)
        out[i, 7] = abs(x) ** y

    out = np.zeros((len(pairs), 8))
    pp.for_each(renderer, len(pairs), kernel, a, b, out)
    expected = np.zeros_like(out)
    for i in range(len(pairs)):
        kernel(i, a.tolist(), b.tolist(), expected)
    np.testing.assert_allclose(out, expected, rtol=1e-14)


def test_control_flow(renderer):
    def kernel(i, out, data):
        total = 0
        for k in range(i):
            if k % 3 == 0:
                continue
            if k > 20:
                break
            total += k
        else:
            total += 1000
        n, steps = i + 1, 0
        while n != 1 and steps < 200:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        for k in range(10, 0, -3):
            total = total * 2 + k
        sign = -1 if i < 5 else (0 if i == 5 else 1)
        inside = 3 <= i < 10 and not (i == 4 or i == 7)
        p, q = i, i + 1
        p, q = q, p
        triple = (p, q, steps)
        out[i, 0], out[i, 1], out[i, 2] = total, triple[2], sign
        out[i, 3] = int(inside) + 10 * (triple[0] - triple[1])
        out[i, 5] = (steps in (2, 7.0, data[0] + 16)) + 10 * (abs(total - 3) not in (4, 9.5, p))
        while abs(out[i, 5]) in (1, 10.0) and out[i, 5] not in ():
            out[i, 5] += 5
        out[i, -1] = data[-1] + data[-i - 1]
        if i == 3:
            return
        out[i, 4] = 1

    out, expected = np.zeros((50, 7), np.int64), np.zeros((50, 7), np.int64)
    data = np.arange(50) ** 2
    pp.for_each(renderer, 50, kernel, out, data)
    for i in range(50):
        kernel(i, expected, data)
    np.testing.assert_array_equal(out, expected)


def test_tuples_are_ordered_and_joined(renderer):
    def kernel(i, a, b, c, out):
        pair, other = (a[i], b[i]), (b[i], c[i])
        out[i, 0] = (pair < other) + 2 * (pair <= other) + 4 * (pair > (a[i], b[i], 1)) + 8 * ((a[i],) >= other)
        out[i, 1] = ((pair, 1) < (other, 0)) + 2 * ((c[i], a[i]) == (b[i], c[i])) + 4 * ((b[i], 1) in (other, (1.0, 1)))
        best = (np.inf, -1)
        for j in range(5):
            one = (b[(i + j) % len(b)] + 0.0, j)
            if one < best:
                best = one
        out[i, 2] = best[1] + (pair + best + (7,))[4]

    a, b = np.array([0.0, 1, np.nan, 1, 0, 2, 1]), np.array([0, 1, 1, 2, 0, 2, 1], np.uint8)
    c, out, expected = np.array([1, -1, 1, 2, 0, 3, 1]), np.zeros((7, 3)), np.zeros((7, 3))
    pp.for_each(renderer, 7, kernel, a, b, c, out)
    for i in range(7):
        kernel(i, a, b, c, expected)
    np.testing.assert_array_equal(out, expected)


def test_private_arrays(renderer):
    def kernel(i, out):
        small = np.zeros(SIZE)
        matrix = xp.empty((2, 3), dtype=np.int32)
        ones = np.ones(3, "f4")
        filled = np.full(2, 7)
        for k in range(SIZE):
            small[k] = i + k
        for r in range(2):
            for c in range(3):
                matrix[r, c] = r * 10 + c
        out[i] = small[0] + small[-1] * 100 + matrix[1, 2] + ones[0] + filled[1]

    out = np.zeros(N)
    pp.for_each(renderer, N, kernel, out)
    np.testing.assert_array_equal(out, ramp() + (ramp() + 3) * 100 + 12 + 1 + 7)


def test_constant_shape_of_a_private_array_may_change(monkeypatch):
    def kernel(i, out):
        small = np.zeros(SIZE)
        out[i] = len(small)

    out = np.zeros(3)
    for size in (4, 6, 4):
        monkeypatch.setattr(sys.modules[__name__], "SIZE", size)
        pp.for_each(pp.seq, 3, kernel, out)
        assert out.tolist() == [size] * 3


def test_atomics(renderer):
    keys = np.arange(20_000) * 7919 % 10
    count, total, low, high = np.zeros(10, np.int64), np.zeros(10), np.full(10, 10**6), np.full(10, -1)
    bits, last = np.zeros(10, np.uint32), np.full(10, -1)

    def body(i, keys):
        k = keys[i]
        pp.atomic.add(count, k, 1)
        atomic.add(total, k, 0.5)
        pp.atomic.min(low, k, i)
        pp.atomic.max(high, k, i)
        pp.atomic.or_(bits, k, np.uint32(1 << (i % 8)))
        pp.atomic.cas(last, k, -1, k)

    pp.for_each(renderer, len(keys), body, keys)
    index = [np.flatnonzero(keys == k) for k in range(10)]
    assert count.tolist() == [len(x) for x in index]
    assert total.tolist() == [len(x) / 2 for x in index]
    assert low.tolist() == [x.min() for x in index] and high.tolist() == [x.max() for x in index]
    assert bits.tolist() == [int(np.bitwise_or.reduce(1 << (x % 8))) for x in index]
    assert last.tolist() == list(range(10))


def test_records(renderer):
    kind = np.dtype([("x", "f8"), ("id", "i4"), ("w", "f4")], align=True)
    points = np.zeros(N, kind)

    def body(i, p):
        p[i].x = i * 0.5
        p[i]["id"] = i
        p[i].w += p[i].x + 1

    pp.for_each(renderer, N, body, points)
    np.testing.assert_array_equal(points["x"], ramp() * 0.5)
    np.testing.assert_array_equal(points["id"], ramp())
    np.testing.assert_array_equal(points["w"], ramp() * 0.5 + 1)
    assert pp.reduce(renderer, pp.transform(renderer, points, op=lambda p: p.x + p.id)) == (ramp() * 1.5).sum()


def test_complex_numbers(renderer):
    z = ramp() * (0.5 + 2j)
    got = pp.transform(renderer, z, op=lambda v: v * v.conjugate() + v.real - 3j * v.imag)
    np.testing.assert_allclose(got, z * z.conj() + z.real - 3j * z.imag, rtol=1e-14)


# how arrays are used: what is read, written, and where --------------------------------------------


def uses(body):
    return lift(body)[0].access


def test_access_is_found_at_the_own_index():
    def body(i, a, b, c, d):
        a[i] = b[i]
        c[i] += d[i + 1]

    found = uses(body)
    assert (found["a"].reads, found["a"].writes, found["a"].pointwise, found["a"].covers) == (
        False,
        True,
        True,
        True,
    )
    assert (found["b"].reads, found["b"].writes, found["b"].pointwise) == (True, False, True)
    assert (found["c"].reads, found["c"].writes, found["c"].pointwise) == (True, True, True)
    assert (found["d"].reads, found["d"].pointwise) == (True, False)


def shifted(i, a, value):
    a[i] = value


def test_access_is_found_through_names_and_calls():
    def body(i, a, b, c, d, e, h):
        alias = a
        alias[i] = 1.0
        record = b[i]
        record.x = 2.0
        shifted(i + 1, c, 3.0)
        shifted(i, d, 4.0)
        if i > 3:
            e[i] = 5.0
        atomic.add(h, i, 1)

    found = uses(body)
    assert all(found[name].writes for name in "abcdeh")
    assert found["a"].pointwise and not found["a"].reads and not found["a"].covers
    assert found["b"].reads and found["b"].pointwise
    assert not found["c"].pointwise and found["d"].pointwise
    assert found["e"].pointwise and not found["e"].covers
    assert not found["h"].pointwise


def test_what_a_kernel_leaves_alone_stays(renderer):
    def even(i, a, b, k):
        a[i] = 1.0
        b[i, k] = 2.0

    a, b = np.full(N, -1.0), np.full((N, 3), -1.0)
    pp.for_each(renderer, pp.range(0, N, 2), even, a, b, 1)
    assert (a[::2] == 1).all() and (a[1::2] == -1).all()
    assert (b[::2, 1] == 2).all() and (b[1::2] == -1).all() and (b[:, [0, 2]] == -1).all()
    pp.for_each(renderer, 10, even, a, b, 0)
    assert (a[1:10:2] == 1).all() and (a[11::2] == -1).all() and (b[:10, 0] == 2).all() and (b[10:, 0] == -1).all()


# what kernels cannot use --------------------------------------------------------------------------

UNSUPPORTED = {
    "yield i": "generator",
    "d = {1: 2}": "a dict.*structured dtype",
    "try:\n        a[i] = 1\n    except ValueError:\n        pass": "try/except.*check the condition",
    "with a:\n        pass": "with.*outside of the kernel",
    "global G\n    G = 1": "global statement.*array argument",
    "a[i] = open('f').read()": r"open\(\).*array argument",
    "print(i)": r"print\(\).*print them after the call",
    "a[i] = 1 if 'x' else 2": "string 'x'",
    "s = f'{i}'": "string",
    "b = [1, 2]": "a list.*tuple",
    "b = [k for k in range(3)]": "a list.*private array",
    "b = {1, 2}": "a set",
    "b = a[1:3]": "slice.*loop",
    "b = a[..., 0]": r"\.\.\..*loop",
    "def g():\n        pass": "nested function.*outside",
    "g = lambda x: x": "nested lambda.*outside",
    "import os": "import.*top of your module",
    "raise ValueError": "raise.*error code",
    "assert i > 0": "assert.*error code",
    "del a": "del.*leave it out",
    "b = max(*a)": "unpacking.*write the elements out",
    "a[i] = sum(i)": r"sum\(i\) is of no row.*for loop",
    "a[i] = math.nonsense": "math.nonsense does not exist",
    "a[i] = undefined": "'undefined' is not defined",
    "a[i] = math": "'math', the module",
    "a[i] = helper(1, 2, 3)": r"helper\(\) takes 1 argument \(x\) and got 3",
    "a[i] = helper(y=1)": r"(?s)keywords.*by position: helper\(x\)",
    "b = np.zeros(i)": "not a constant.*pass an array in",
    "b = helper": "without calling it",
    "match i:\n        case 1:\n            pass": "match.*if/elif",
    "a[i] = text": "'text', a str",
    "a[i] = kernel(i, a)": "calls itself.*loop",
    "a[i] = ping(i)": "calls itself.*loop",
    "a[i] = method(i)": "cannot be a kernel|does not exist in kernels",
    "a[i] = partial(i)": "'partial', a partial",
    "a[i] = a[i] is True": "the same object.*by ==",
    "a[i] = i > 1 and a[i] is not i": "the same object.*by !=",
    "a[i] = hash(i)": r"hash\(\).*outside of the kernel",
    "for k in reversed(range(i)):\n        a[i] = k": r"reversed\(\).*range\(n - 1, -1, -1\)",
    "a[i] = i[0]": "a number has no elements.*pass an array",
    "i[1] = 2": "a number has no elements.*pass an array",
}
HEAD = """
import functools, math
import numpy as np
text = "word"
def helper(x):
    return x
def ping(x):
    return pong(x)
def pong(x):
    return ping(x)
partial = functools.partial(helper, 1)
method = "abc".count
def kernel(i, a):
    """


@pytest.mark.parametrize("statement", UNSUPPORTED, ids=lambda s: s.split("\n")[0])
def test_unsupported_python(module, statement):
    made = module(HEAD + statement + "\n")
    with pytest.raises(pp.KernelError) as caught:
        pp.for_each(pp.seq, 3, made.kernel, np.zeros(3))
    import re

    message = str(caught.value)
    assert re.search(UNSUPPORTED[statement], message, re.DOTALL), message
    assert "Instead: " in message
    place = re.search(rf"{re.escape(made.__file__)}:(\d+)", message)
    assert place, message
    line = linecache.getline(made.__file__, int(place[1])).strip()
    assert line and line in message, message
    if "ping" not in statement and "match" not in statement:
        assert int(place[1]) > 12 or "kernel" in statement


@pytest.mark.parametrize("text", ["def kernel(i, *, a):\n    pass\n", "def kernel(i, a, **k):\n    pass\n"])
def test_signatures(module, text):
    with pytest.raises(pp.KernelError, match="name every argument"):
        pp.for_each(pp.seq, 3, module(text).kernel, np.zeros(3))


def test_stars_are_for_for_each(module):
    kernel = module("def kernel(*a):\n    return a[0]\n").kernel
    with pytest.raises(pp.KernelError, match="name every argument"):
        pp.transform(pp.seq, np.zeros(3), op=kernel)


def test_async(module):
    with pytest.raises(pp.KernelError, match="(?s)async.*sequential"):
        pp.for_each(pp.seq, 3, module("async def kernel(i, a):\n    pass\n").kernel, np.zeros(3))


TYPE_ERRORS = {
    "a[i] = p[i] + 1": "a record and a number",
    "a[i] = p[i].nothing": "no such field",
    "a[i] = i.nothing": "no such attribute",
    "a[i] = a[i] & 3": "bits of a float",
    "b = (1.0, 2.0)\n    if i:\n        b = 3\n    a[i] = b": "a tuple and a number",
    "a[i, i] = 1": "too many indices",
}


@pytest.mark.parametrize("statement", TYPE_ERRORS, ids=lambda s: s.split("\n")[0])
def test_type_errors_show_the_users_line(module, statement, renderer):
    made = module(f"def kernel(i, a, p):\n    b = 0\n    c = b + 1\n    {statement}\n")
    points = np.zeros(3, [("x", "f8")])
    with pytest.raises(pp.KernelError) as caught:
        pp.for_each(renderer, 3, made.kernel, np.zeros(3), points)
    message = str(caught.value)
    first = 4
    lines = range(first, first + statement.count("\n") + 1)
    assert any(f"{made.__file__}:{k}" in message for k in lines), message
    assert any(line.strip() in message for line in statement.split("\n")), message


def test_kernel_that_writes_to_a_read_only_array():
    a = np.zeros(3)
    a.flags.writeable = False
    for body in (lambda i, x: shifted(i, x, 1.0), plain_write, through_alias):
        with pytest.raises(pp.PlacementError, match="writes to argument '[ax]'.*read-only.*writable copy"):
            pp.for_each(pp.seq, 3, body, a)
    with pytest.raises(pp.PlacementError, match="writes to argument 'a'.*read-only"):
        pp.for_each(pp.seq, 3, lambda i: shifted(i, a, 1.0))
    assert pp.for_each(pp.seq, 3, lambda i, x, y: shifted(i, y, x[i]), a, np.zeros(3)) is None


def plain_write(i, a):
    a[i] += 1


def through_alias(i, a):
    b = a
    b[i] = 1
