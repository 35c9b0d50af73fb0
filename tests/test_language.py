"""What Python means in kernels: numbers, control flow, tuples, records, what is read and written; what is refused."""

import itertools
import linecache
import math
import re
import sys
import warnings

import numpy as np
import numpy as xp
import pytest

import portapar as pp
from portapar import atomic
from portapar.kernel.front.lift import lift

N = 1000
SIZE = 4


def ramp(dtype=np.float64):
    return np.arange(N).astype(dtype)


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
        if i < 3:
            sign = sign
        else:
            for _ in range(2):
                total = total
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


def test_ranges_are_pythons(renderer):
    def kernel(i, begin, end, step, first, data, out):
        x, y, big = begin[i], end[i], 2**63 - 1
        count, last = 0, -99
        for k in range(x, y):
            count += 1
            last = k
        out[i, 0], out[i, 1] = count, last
        total, s = 0, step[i]
        for k in range(x, y, s):
            if k == 3:
                continue
            if k > 5:
                break
            total = total * 10 + k
        else:
            total += 7
        for k in range(y, x, -1):
            total += k * k
        r = range(y)
        for j in r:
            for k in r:
                total += j * k
        out[i, 2] = total
        odd = even = 0
        for e in range(first[i], first[i + 1]):  # rounds that end in two ways
            if data[e] % 2:
                odd += data[e]
            else:
                even -= data[e]
        out[i, 3], out[i, 4] = odd, even
        lo, hi = first[i], first[i + 1]
        for e in range(lo, hi):
            if data[e] > 60:
                break
            for p in range(lo, e):
                out[i, 5] += data[e] - data[p]
        for k in range(big - (x + 3), big):
            out[i, 6] += 1 + k % 2
        for k in range(len(r), len(r) + 70):  # more than a vector has
            out[i, 7] += k

    ends = [-3, -1, 0, 1, 2, 9]
    begin, end, step = (np.array(x) for x in zip(*itertools.product(ends, ends, [-2, -1, 1, 2, 3]), strict=True))
    n = len(begin)
    first = np.concatenate([[0], np.cumsum(np.arange(n) % 11)])
    data = np.arange(first[-1]) * 37 % 64
    out, expected = np.zeros((n, 8), np.int64), np.zeros((n, 8), np.int64)
    pp.for_each(renderer, n, kernel, begin, end, step, first, data, out)
    for i in range(n):
        kernel(i, *(x.tolist() for x in (begin, end, step, first, data)), expected)
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


# variables without a value ------------------------------------------------------------------------

PERHAPS = """
    if x[i] > 0:
        number, whole, narrow, flag, pair, plane = 2.5, 5, np.uint8(7), True, (x[i], 3, (1, np.int8(4))), 2 + 1j
    for k in range(int(x[i])):
        last = k + 1
    while x[i] > 5:
        never = np.float32(9)
        break
    for k in range(3):
        if k > i:
            kept = k + 1
        out[i, 9] += kept  # that of an earlier round, as in Python
    out[i, 0], out[i, 1], out[i, 2], out[i, 3] = number, whole, narrow, 1 if flag else 2
    out[i, 4], out[i, 5], out[i, 6] = pair[0] + pair[1], pair[2][0] * 10 + pair[2][1], plane.real + 3 * plane.imag
    out[i, 7], out[i, 8] = last, never
    for k in range(i - 2):
        line = np.zeros(2)
        line[1] += k
    for k in range(3):
        row = out[k, :3] + 1
        row = row * 2
        same = out[i]
    out[i, 10] = line[1] + (x[0], x[1])[whole // 5] + same[0] + row[1] - out[2, 1]
"""
ZEROS = """
    number = whole = narrow = flag = plane = last = never = kept = 0
    pair, line = (0, 0, (0, 0)), [0, 0]
"""


def test_variables_without_a_value_are_zero(module, renderer):
    head = "import numpy as np\n\n\ndef kernel(i, x, out):"
    kernel, plain = (module(head + text + PERHAPS).kernel for text in ("", ZEROS))
    x, out, expected = np.array([1.0, -2, 7, 0, 3, -1]), *np.zeros((2, 6, 11))
    for i in range(len(x)):
        plain(i, x, expected)
    for policy in (renderer, renderer.with_(check=True)):
        out[:] = 0
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            pp.for_each(policy, len(x), kernel, x, out)
        assert all("has a value only where" in str(one.message) for one in told)
        np.testing.assert_array_equal(out, expected)


def arrays_of_some_paths(i, points, x, out):
    if points[i].n > 0:
        a = x
    for k in range(i):
        if k == 2:
            r = points[k - 1]
    if i % 2 == 0:
        s = points[(i * 5) % len(points)]
    out[i] = (a[i] if points[i].n > 0 else 0.5) + (r.v if i > 2 else 0.25) + (s.v if i % 2 == 0 else 0.0)
    b, c = (x, out) if i > 3 else (out, x)
    if i > 4:
        d = b
    out[i] += c[i] if i <= 4 else d[i]


def test_arrays_and_records_of_some_paths_are_read_there(renderer):
    points = np.zeros(9, [("n", np.int32), ("v", np.float64)])
    points["n"], points["v"] = np.arange(9) % 3, np.arange(9) * 1.5
    x, out, expected = np.arange(9.0), *np.zeros((2, 9))
    for i in range(9):
        arrays_of_some_paths(i, points.view(np.recarray), x, expected)
    for policy in (renderer, renderer.with_(check=True)):
        out[:] = 0
        pp.for_each(policy, 9, arrays_of_some_paths, points, x, out)
        np.testing.assert_array_equal(out, expected)


def test_an_array_that_is_read_on_another_path_is_one_that_is_there(renderer):
    def other(i, x, points, out):
        if i > 99:
            a, r = x, points[i]
        out[i] = a[i] + r.v

    points = np.full(3, 2.0).view([("v", np.float64)])
    out = np.zeros(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pp.PortaparWarning)
        pp.for_each(renderer, 3, other, np.ones(3), points, out)
    np.testing.assert_array_equal(out, 3)


def late(v):
    if v > 1:
        y = 1.0
    elif v > 2:
        y = 2.0
    return y


def test_variables_that_may_have_no_value_are_told_once():
    with pytest.warns(pp.PortaparWarning, match=r"kernel 'late': 'y' has a value only where .* line \d+ holds") as told:
        for _ in range(2):
            pp.transform(pp.seq, np.ones(3), op=late)
    assert [one.lineno for one in told] == [late.__code__.co_firstlineno + 5]


def test_no_false_alarm_of_variables_without_a_value(renderer, recwarn):
    def chosen(v):
        if v > 5:
            found = v
        else:
            return 0.0
        if v > 6 and (more := v * 2) > 13:
            found += more
        if found > 7:
            large = True
        return (found if v < 9 else 2.0) if not (found > 7 and large) else 1.0

    def in_loops(v):
        for k in range(3):
            if k == 0:
                total = v
            else:
                total += k
        while True:
            step = total
            if step > 0:
                break
        return total + step

    x = np.arange(12.0)
    got = pp.transform(renderer, x, op=lambda v: chosen(v) + in_loops(v))
    np.testing.assert_array_equal(got, [chosen(v) + in_loops(v) for v in x])
    assert [str(one.message) for one in recwarn] == []


WITHOUT_VALUE = {
    "for k in range(i):\n        row = x[k:]\n    x[i] = row[0]": "'row' outside of the block that assigns it",
    "for k in range(i):\n        a = (x, x)\n    x[i] = a[0][0]": "`a` is an array or a record on some paths",
    "x[i] = y\n    y = 1.0": "(?s)'y' before it is assigned.*assign it first",
    "if i > 5:\n        return\n    if y > 2:\n        y = 1": "'y' before it is assigned",
    "x[i] = some(x[i])": "(?s)kernel 'some'.*a value on some of its paths and none on others.*return of a value",
    "x[i] = some_more(x[i])": "kernel 'some_more'.*a value on some of its paths",
}


@pytest.mark.parametrize("statement", WITHOUT_VALUE)
def test_what_surely_has_no_value_is_refused(module, statement, renderer):
    made = module(
        "import numpy as np\ndef some(v):\n    if v > 3:\n        return v\n"
        "def some_more(v):\n    while v > 3:\n        if v > 4:\n            return v\n    return None\n"
        f"def kernel(i, x):\n    {statement}\n"
    )
    with pytest.raises(pp.KernelError, match=WITHOUT_VALUE[statement]):
        pp.for_each(renderer, 3, made.kernel, np.zeros(3))


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
    "b = a[..., 0]": r"an ellipsis.*a colon for each axis",
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
    "a[i] = a[i] is True": "the same object.*by ==",
    "a[i] = i > 1 and a[i] is not i": "the same object.*by !=",
    "a[i] = hash(i)": r"hash\(\).*outside of the kernel",
    "a[i] = i[0]": "a number has no elements.*pass an array",
    "i[1] = 2": "a number has no elements.*pass an array",
    "t = (1, 2)\n    t[i] = 2": "element of a tuple or list.*pass an array",
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
    "a[i] = a[i / 2]": "a float as an index",
}


@pytest.mark.parametrize("statement", TYPE_ERRORS, ids=lambda s: s.split("\n")[0])
def test_type_errors_show_the_users_line(module, statement, renderer):
    made = module(f"def kernel(i, a, p):\n    b = 0\n    c = b + 1\n    {statement}\n")
    points = np.zeros(3, [("x", "f8")])
    messages = []
    for policy in (renderer, renderer.with_(check=True)):
        with pytest.raises(pp.KernelError, match="kernel 'kernel' ") as caught:
            pp.for_each(policy, 3, made.kernel, np.zeros(3), points)
        messages.append(str(caught.value))
    message = messages[0]
    assert all(other.split("): ")[0] == message.split("): ")[0] for other in messages)
    if TYPE_ERRORS[statement] == "a float as an index":
        assert all(re.search(r"\n    a.*\n {11}\^\n", other) for other in messages), message
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
