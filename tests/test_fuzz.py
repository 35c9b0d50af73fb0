"""Random small kernels, which must do what plain Python does with NumPy's scalars.

Hypothesis writes a typed kernel as text: 64-bit whole numbers and doubles, arithmetic, comparisons,
branches, short loops, reads of its own and of other elements. Two versions run on every renderer: one
stores a whole number, one a double.
"""

import importlib.util
import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import portapar as pp

N = 37
RENDERERS = ("threads:2", "simd", "opencl:0", "cuda:0")
HEAD = """import math
import numpy as np


def kernel(i, a, b, x, y, k, s):
    p = a[i]
    q = k
    u = x[i]
    v = s
"""
# a and b hold whole numbers, x and y doubles; a and x are written at the own index, b and y are only read.


def whole(depth):
    """An expression of type int64, with small values by construction: every product is cut down."""
    leaf = st.one_of(
        st.integers(-9, 9).map(str),
        st.sampled_from(["i", "p", "q", "a[i]", "b[i]", "b[(i + 3) % 37]", "b[i - 37]", "b[-1]", "len(y)"]),
    )
    if depth == 0:
        return leaf
    e, f = whole(depth - 1), real(depth - 1)
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, e, st.sampled_from("+-&|^"), e),
        st.builds("({} * ({} % 11))".format, e, e),
        st.builds("({} {} {})".format, e, st.sampled_from(["//", "%"]), st.integers(1, 7).map(str)),
        st.builds("({} {} -{})".format, e, st.sampled_from(["//", "%"]), st.integers(1, 7).map(str)),
        st.builds("(({} & 1023) << ({} % 5))".format, e, e),
        st.builds("({} >> ({} % 9))".format, e, e),
        st.builds("(({} % 13) ** {})".format, e, st.integers(0, 3).map(str)),
        st.builds("({}{})".format, st.sampled_from("-~"), e),
        st.builds("abs({})".format, e),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), e, e),
        st.builds("int({} % 50.0)".format, f),
        st.builds("({} if {} else {})".format, e, condition(depth - 1), e),
        st.builds("b[{} % 37]".format, e),
    )


def real(depth):
    """An expression of type float64, by exact operations only: the same bits everywhere."""
    leaf = st.one_of(
        st.sampled_from(["0.5", "-2.25", "3.0", "1e3", "u", "v", "x[i]", "y[i]", "y[(i * 5) % 37]", "y[-2]", "math.pi"])
    )
    if depth == 0:
        return leaf
    e, f = whole(depth - 1), real(depth - 1)
    return st.one_of(
        leaf,
        st.builds("({} {} {})".format, f, st.sampled_from("+-*"), f),
        st.builds("({} {} {})".format, f, st.sampled_from("+-*"), e),
        st.builds("({} / {})".format, f, st.sampled_from(["4.0", "-0.75", "(abs(u) + 1.0)"])),
        st.builds("({} / {})".format, e, st.sampled_from(["3", "8", "(abs(p) + 2)"])),
        st.builds("({} {} {})".format, f, st.sampled_from(["//", "%"]), st.sampled_from(["2.5", "-1.5", "3"])),
        st.builds("(-{})".format, f),
        st.builds("abs({})".format, f),
        st.builds("math.sqrt(abs({}))".format, f),
        st.builds("np.floor({} % 100.0)".format, f),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), f, f),
        st.builds("float({})".format, e),
        st.builds("({} if {} else {})".format, f, condition(depth - 1), f),
        st.builds("y[{} % 37]".format, e),
    )


def condition(depth):
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    e, f = whole(depth), real(depth)
    plain = st.one_of(
        st.builds("{} {} {}".format, e, signs, e),
        st.builds("{} {} {}".format, f, signs, f),
        st.builds("{} < {} <= {}".format, e, e, e),
        st.builds("{} % 3".format, e),
    )
    if depth == 0:
        return plain
    return st.one_of(
        plain,
        st.builds("({} {} {})".format, condition(depth - 1), st.sampled_from(["and", "or"]), condition(depth - 1)),
        st.builds("(not {})".format, condition(depth - 1)),
    )


@st.composite
def block(draw, depth, indent=1):
    """A few statements."""
    pad = "    " * indent
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["p", "q", "u", "v", "a[i]", "x[i]", "aug", "if", "for", "while"]
        kind = draw(st.sampled_from(kinds if depth else kinds[:7]))
        if kind in ("p", "q", "a[i]"):
            lines.append(f"{pad}{kind} = ({draw(whole(2))}) % 1009 - 500")
        elif kind in ("u", "v", "x[i]"):
            lines.append(f"{pad}{kind} = ({draw(real(2))}) % 1e4")
        elif kind == "aug":
            name = draw(st.sampled_from(["p", "q", "a[i]"]))
            lines.append(f"{pad}{name} {draw(st.sampled_from(['+=', '-=', '^=']))} ({draw(whole(1))}) % 97")
        elif kind == "if":
            lines += [f"{pad}if {draw(condition(1))}:", draw(block(depth - 1, indent + 1))]
            if draw(st.booleans()):
                lines += [f"{pad}else:", draw(block(depth - 1, indent + 1))]
        elif kind == "for":
            name, count = f"n{indent}", draw(st.integers(0, 4))
            step = draw(st.sampled_from(["", ", -1"]))
            bounds = f"{count}" if not step else f"{count}, -1, -1"
            lines.append(f"{pad}for {name} in range({bounds}):")
            if draw(st.booleans()):
                leave = draw(st.sampled_from(["break", "continue"]))
                lines += [f"{pad}    if {draw(condition(0))}:", f"{pad}        {leave}"]
            lines += [draw(block(depth - 1, indent + 1)), f"{pad}    p += {name}"]
        else:
            name = f"w{indent}"
            lines += [
                f"{pad}{name} = {draw(st.integers(0, 3))}",
                f"{pad}while {name} > 0:",
                f"{pad}    {name} -= 1",
            ]
            lines.append(draw(block(depth - 1, indent + 1)))
    return "\n".join(lines)


@st.composite
def kernel(draw):
    return HEAD + draw(block(2)) + "\n    a[i] = a[i] + p + q\n    x[i] = (x[i] + u - v) % 1e6\n"


def arguments():
    rng = np.random.default_rng(7)
    a, b = rng.integers(-100, 100, (2, N))
    x, y = rng.integers(-1000, 1000, (2, N)) / 8
    return a, b, x, y


def expected(function, k, s):
    """What plain Python makes of it, element by element, on NumPy's scalars."""
    a, b, x, y = arguments()
    with np.errstate(all="ignore"):
        for i in range(N):
            function(np.int64(i), a, b, x, y, np.int64(k), np.float64(s))
    return a, x


_numbers = itertools.count()


def load(text, folder):
    file = folder / f"fuzz_{next(_numbers)}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.kernel


def check(text, folder, policies):
    function = load(text, folder)
    k, s = 5, -1.75
    want_a, want_x = expected(function, k, s)
    for policy in policies:
        a, b, x, y = arguments()
        pp.for_each(policy, N, function, a, b, x, y, k, s)
        np.testing.assert_array_equal(a, want_a, err_msg=f"{policy!r}\n{text}")
        same = (x == want_x) | (np.isnan(x) & np.isnan(want_x))
        assert same.all(), f"{policy!r}: {x[~same]} instead of {want_x[~same]} at {np.flatnonzero(~same)}\n{text}"


@pytest.fixture(scope="module")
def policies():
    """Every renderer of this machine."""
    from conftest import missing

    there = [name for name in RENDERERS if name not in missing()]
    return [pp.par.on(pp.executor(name)) for name in there]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large,
         HealthCheck.filter_too_much, HealthCheck.large_base_example]  # fmt: skip


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.extra)])
def test_kernels_do_what_python_does(count, policies, folder):
    @settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=QUIET, database=None)
    @given(text=kernel())
    def each(text):
        check(text, folder, policies)

    each()


def test_the_oracle_is_not_trivial(folder):
    """The check itself can fail: a kernel that does something else is found."""
    text = HEAD + "    a[i] = p // 3 - k % 7\n    x[i] = math.floor(u) + v\n"
    function = load(text, folder)
    a, _, x, _ = arguments()
    want_a, want_x = expected(function, 5, -1.75)
    np.testing.assert_array_equal(want_a, [int(v) // 3 - 5 % 7 for v in a])
    np.testing.assert_array_equal(want_x, [math.floor(v) - 1.75 for v in x])
