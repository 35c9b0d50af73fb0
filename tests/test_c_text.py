"""What C text must not trip over: names of any kind, many arguments, long expressions and chains, empty axes."""

import numpy as np
import pytest
from conftest import executor

import portapar as pp

HEAD = "import numpy as np\n\n\n"


def check(policy, kernel, n, *args):
    """The kernel does what plain Python does."""
    expected = [a.copy() for a in args]
    with np.errstate(all="ignore"):
        for i in range(n):
            kernel(np.int64(i), *expected)
    args = [a.copy() for a in args]
    pp.for_each(policy, n, kernel, *args)
    np.testing.assert_array_equal(args[-1], expected[-1])


# -- names ------------------------------------------------------------------------------------------------------

# Tuples of one shape after another whose types have like names, unless these are made with care.
TUPLES = [
    ("(i, (x, y))", "(i, (x,), y)"),
    ("((i, x), y)", "(i, (x, y))"),
    ("((x, y), (i,))", "((x, y, i), ())"),
    ("(x, (y, (i, x)))", "(x, (y, i), x)"),
    ("((x, x), x)", "(x, (x, x))"),
    ("((i,), (i,))", "((i, i),)"),
]


@pytest.mark.parametrize("first, second", TUPLES)
def test_tuples_in_tuples(renderer, module, first, second):
    kernel = module(f"""
        def flat(t):
            return t[0]

        def kernel(i, a, out):
            x, y = a[i], a[i] + 0.5
            s = {first}
            t = {second}
            out[i] = (s == s) + 2 * (t == t) + 4 * (flat(s) == s[0]) + 8 * (flat(t) == t[0])
        """).kernel
    check(renderer, kernel, 4, np.arange(4.0), np.zeros(4))


FIELDS = [("a b", "a_b"), ("α", "β"), ("a-b", "a+b", "a b"), ("double", "f_double", "data"), ("ä", "_")]


@pytest.mark.parametrize("names", FIELDS, ids=" ".join)
def test_fields_of_any_name(renderer, module, names):
    dtype = np.dtype([(name, kind) for name, kind in zip(names, ("i4", "f8", "i2"), strict=False)], align=True)
    records = np.zeros(10, dtype)
    for k, name in enumerate(names):
        records[name] = np.arange(10) * (k + 2)
    first, last = names[0], names[-1]
    kernel = module(f"def kernel(r):\n    return r[{first!r}] * 100.0 + r[{last!r}]\n").kernel
    out = pp.transform(renderer, records, op=kernel)
    np.testing.assert_array_equal(out, records[first] * 100.0 + records[last])


def test_variables_of_any_name(renderer, module):
    """Words, macros and functions of C and of CUDA, and names of our own."""
    names = ["double", "half", "uint", "barrier", "__noinline__", "M_PI", "NULL", "wrap", "i64", "k", "t12", "_", "__",
             "α", "ä", "ö", "a_1", "tuple0", "f64_make", "own", "kernel_f", "helper_f", "threadIdx"]  # fmt: skip
    lines = [f"    {name} = a[i] + {k}\n    {name} = {name} * 2\n" for k, name in enumerate(names)]
    text = f"""
def helper(i64, barrier):
    for k in range(2):
        i64 = i64 + barrier * k
        M_PI = i64 * 2
        M_PI = M_PI + 1
    return M_PI


def minus_one(wrap):
    return wrap - 1


def kernel(i, a, out):
{"".join(lines)}    out[i] = {" + ".join(names)} + helper(double, half) + minus_one(a[i])
"""
    check(renderer, module(text).kernel, 3, np.arange(3), np.zeros(3, np.int64))


# -- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [31, 40, 70])
def test_many_arguments(renderer, module, count):
    """Also of functions that a kernel calls: more than 30 are given in another way."""
    names = ", ".join(f"x{k}" for k in range(count))
    kernel = module(f"""
        def weighted({names}):
            return {" + ".join(f"x{k} * {k}" for k in range(count))}

        def kernel(i, {names}, out):
            out[i] = weighted({", ".join(f"x{k}[i]" for k in range(count))})
        """).kernel
    arrays = np.random.default_rng(1).integers(0, 99, (count, 5))
    check(renderer, kernel, 5, *arrays, np.zeros(5, np.int64))


LONG = {
    "sum": "    out[i] = " + " + ".join(f"a[{k % 7}] * {k}" for k in range(300)),
    "sum from the right": "    out[i] = " + " + (".join(f"a[{k % 7}] * {k}" for k in range(90)) + ")" * 89,
    "difference": "    out[i] = a[i]" + "".join(f" - (a[{k % 7}] ^ {k})" for k in range(300)),
    "elif": "    if a[i] < 0:\n        out[i] = -1\n"
    + "".join(f"    elif a[i] == {k}:\n        out[i] = {k * k}\n" for k in range(150)),
    "elif of two": "    if a[i] < 0:\n        out[i] = -1\n"
    + "".join(f"    elif a[i] == {k} and i < {k + 3}:\n        out[i] = {k * k}\n" for k in range(60)),
    "chosen": "    out[i] = " + " ".join(f"{k} if a[i] == {k} else" for k in range(80)) + " 99",
    "or": "    out[i] = " + " or ".join(f"a[i] == {k}" for k in range(0, 160, 2)),
    "statements": "    s = a[i]\n" + "".join(f"    s = s * 3 + {k}\n" for k in range(500)) + "    out[i] = s",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_kernels(renderer, module, text):
    check(renderer, module(f"def kernel(i, a, out):\n{text}\n").kernel, 9, np.arange(9), np.zeros(9, np.int64))


# -- functions --------------------------------------------------------------------------------------------------


def angles(i, z, x, out):
    out[i, 0] = np.angle(z[i])
    out[i, 1] = np.angle(z[i] * 2) + 1
    out[i, 2] = np.sinc(x[i])
    out[i, 3] = np.sinc(x[i] + 0.5) * 2
    out[i, 4] = np.angle(z[i], True)


def test_functions_that_are_python_underneath(renderer):
    """Their arguments may be expressions, which are written where they are used."""
    z, x = np.array([1 + 2j, -3j, 0, -1]), np.array([0.0, 0.3, -2.5, 1e-9])
    expected = np.zeros((4, 5))
    for i in range(4):
        angles(i, z, x, expected)
    out = np.zeros((4, 5))
    pp.for_each(renderer, 4, angles, z, x, out)
    np.testing.assert_allclose(out, expected, rtol=1e-15, atol=1e-16)


def steps(i, out):
    r = range(2, i + 5, 2)
    s = range(10 - i, -7, -3)
    out[i, 0] = len(r)
    out[i, 1] = len(s)
    out[i, 2] = r.start + 10 * r.stop + 100 * s.step
    out[i, 3] = (4 in r) + 2 * (i in s)
    for k in r:
        for m in s:
            out[i, 4] += k * m + len(s)


def test_ranges_in_variables(renderer):
    check(renderer, steps, 9, np.zeros((9, 5), np.int64))


# -- empty axes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (3, 0, 2), (2, 3, 0), (0,)])
def test_empty_axes(renderer, shape):
    x = renderer.executor.asarray(np.zeros(shape))
    assert pp.reduce(renderer, x) == 0 and pp.reduce(renderer, x, op=pp.minimum, init=5.0) == 5
    assert pp.transform_reduce(renderer, x, transform=lambda v: v + 1, op=pp.plus, init=2.0) == 2
    assert pp.count_if(renderer, x, lambda v: v == 0) == 0
    assert pp.inner_product(renderer, x, x) == 0
    assert pp.transform(renderer, x, op=lambda v: v + 1).shape == shape


# elements that are read and stored ------------------------------------------------------------------------------


def computed(i, a, b):
    for k in range(2):
        b[i // 2 * 2 + i % 2, k - 2] += a[i] * (k + 1)
        b[i, 1 - k] *= 2


def packed(i, a, b):
    place = i, 2
    b[place] += 1
    i = a.shape[0] - 1 - i
    b[place] *= b[i, 0]


@pytest.mark.parametrize("kernel", [computed, packed], ids=lambda x: x.__name__)
def test_an_index_of_several_numbers_that_is_used_twice(renderer, kernel):
    """It is what it was when it was made, whatever becomes of its numbers."""
    check(renderer, kernel, 9, np.arange(11.0), np.arange(33.0).reshape(11, 3))


def test_an_index_that_is_used_twice_is_no_tuple():
    """What is known of its numbers is known where they are used."""
    where = executor("opencl:0")
    text = pp.inspect(computed, where, np.zeros(9), np.zeros((9, 3)), space=9)["OpenCL C"]
    assert "tuple" not in text


# branches that end by a branch ----------------------------------------------------------------------------------


def ruled(i, a, b):
    s = a[i] % 4
    b[i] = s == 3 or (s == 2 and a[i - 1] > 4) or (s == 1 and a[i - 2] > a[i])


def guarded(i, a, b):
    s = 0.0
    for k in range(-2, 3):
        p = i + k
        if p >= 0 and p < len(a) and a[p] > 1 and p != 4 and a[p] != a[i]:
            s += a[p]
    b[i] = s


def left(i, a, b):
    v, w = a[i], 1.0
    if v > 2:
        w = v * 2
        u = w + 1
        if u > 9:
            w = a[0] + u
            v = u
    b[i] = v + w


def inner(i, a, b):
    v, w = a[i], 0.5
    if v > 1:
        v = v + 1
        if w + v > 5:
            w = a[i - 1]
            if w < 4:
                w = w * v
        else:
            w = v
    b[i] = w - v


@pytest.mark.parametrize("kernel", [ruled, guarded, left, inner], ids=lambda x: x.__name__)
def test_branches_that_end_by_a_branch(renderer, kernel):
    check(renderer, kernel, 40, np.random.default_rng(2).integers(0, 9, 40).astype(float), np.zeros(40))


def rule(i, a, b):
    s = a[i]
    b[i] = s == 3 or (s == 2 and a[i - 1] > 4)


def test_branches_are_one_after_the_other_on_cpus():
    """But for those that hold one with two sides."""
    for kernel in (rule, inner):
        text = pp.inspect(kernel, executor("opencl:0"), np.zeros(40), np.zeros(40), space=40)["OpenCL C"]
        nested = "        if (" in text.partition("__kernel")[0]
        assert nested == (kernel is inner or "always_inline" not in text)
