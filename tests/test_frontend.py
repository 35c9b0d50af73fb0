"""Kernels as users write them: how functions are found, and what they may capture."""

import ast
import functools
import linecache
import math
import operator
import sys
import types
import warnings
from dataclasses import dataclass
from math import sin
from math import sqrt as root
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy as xp
import pytest

import portapar as pp
from portapar.kernel.front.checked import checked
from portapar.kernel.front.lift import lift
from portapar.kernel.front.rows import without_rows

N = 1000
SCALE = 3.0
TABLE = np.arange(10.0)
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


CALLED = {"T(i)": "T", "c(i)": "c", "xs(i)": "xs", "T[0](i)": r"T\[0\]", "(1, 2)(i)": r"\(1, 2\)", "len(xs)(i)": "len"}


def test_calls_of_what_is_no_function_are_told_without_warnings_of_python(module):
    text = "T, c = (1.0, 2.0), 3.0\n" + "".join(
        f"def f{k}(i, xs, o):\n    o[i] = {call}\n" for k, call in enumerate((*CALLED, "(1, 2)[0.5]"))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which Python itself gives
        made = module(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k, words in enumerate(CALLED.values()):
            with pytest.raises(pp.KernelError, match=rf"(?s):{2 * k + 3}.*it calls {words}.*, which is no function"):
                pp.for_each(pp.seq, 3, getattr(made, f"f{k}"), (np.zeros(3),), np.zeros(3))
        with pytest.raises(pp.KernelError, match="no whole number"):
            pp.for_each(pp.seq, 3, getattr(made, f"f{len(CALLED)}"), (np.zeros(3),), np.zeros(3))


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
        (len, "a builtin_function"),
        ("plain", "a str"),
        (None, "None"),
        ([].append, "a method of a list"),
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


def test_tracebacks_end_where_the_user_called(monkeypatch):
    def unknown(i, x):
        x[i] = undefined(i)  # noqa: F821

    for call in (
        lambda: pp.for_each(pp.seq, 3, unknown, ramp()),
        lambda: pp.sort(pp.par, ramp(), key=lambda v: undefined(v)),  # noqa: F821
        lambda: pp.histogram(pp.par, ramp(), bins="many"),
    ):
        with pytest.raises(pp.PortaparError) as caught:
            call()
        assert len(caught.traceback) <= 5 and caught.value.__suppress_context__
