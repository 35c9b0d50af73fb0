"""Conditional expressions mean the same where both sides are computed."""

import re

import numpy as np
import pytest

import portapar as pp

POINT = np.dtype([("x", np.float64), ("y", np.float32), ("n", np.int32)])


def nested(i, p, q, out):
    r = p[i]
    if r.x > 0.5:
        octant = (7 if r.y > 0.5 else 6) if r.n > 2 else 5 if r.y > 0.5 else 4
    else:
        octant = (3 if r.y > 0.5 else 2) if r.n > 2 else 1 if r.y > 0.5 else 0
    out[i] = octant


def clamp(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x


def returns(i, p, q, out):
    out[i] = clamp(q[i], -0.5, 0.5) + clamp(p[i].n, 1, 3)


def mixed(i, p, q, out):
    a = 1 if q[i] > 0 else 2.5
    b = q[i] if p[i].n != 2 else i
    out[i] = a + (b if b == b else -1)


def lazily(i, p, q, out):
    """What must not be computed is not."""
    k = len(q)
    out[i] = (q[k] if i == k else q[i]) + (1 // (i - 5) if i != 5 else 3)


def defined_sometimes(i, p, q, out):
    if p[i].n == 1:
        r = p[i]
        scale = 2.0
    out[i] = (r.x if p[i].n == 1 else q[i]) + (scale if p[i].n == 1 else 0.0)


def arrays(i, p, q, out):
    x = q if i % 2 == 0 else out
    out[i] = x[i] + (q if i > 3 else out)[i]


def tuples(i, p, q, out):
    a, b = (q[i], 1.0) if i % 3 == 0 else (2.0, q[i])
    pair = (a, b)
    other = (b, a)
    low, high = pair if a < b else other
    out[i] = low - 3 * high


def elements(i, p, q, out):
    octant = (7 if p[i].y > 0.5 else 6) if p[i].x > 0.5 else 5 if p[i].y > 0.5 else 4
    out[i] = octant + (q[i] if q[i] < 1 else 2 * q[i]) if p[i].n > 2 else q[i]


def elements_until(i, p, q, out):
    """The condition is what keeps the index in range."""
    out[i] = (q[i + 1] if i + 1 < len(q) else 0.0) + (q[i - 200] if i > 199 else q[i])


def statements(i, p, q, out):
    n = p[i].n
    if n == 0:
        scale = 2
    elif n == 1:
        scale = q[i]
    elif n == 2:
        scale = -1.5
    else:
        scale = n
    if scale > 1:
        out[i] = scale
    elif n == 4:
        out[i] = q[i] + i
    else:
        out[i] = q[i + 1] if i + 1 < len(q) else 7


def others(i, p, q, out):
    """What is assigned is not the same, or more than that is done."""
    n = p[i].n
    if n == 0:
        low = high = 2.0
    else:
        low, high = 3.0, n
    if n == 1:
        out[i] = low
    elif n == 2:
        out[i - 0] = high
    else:
        out[i] = low
        high = 5.0
    for k in range(3):
        if k == n:
            break
        if n == 3 and k == 1:
            out[i] += high
        else:
            out[i] -= 1.0


@pytest.mark.parametrize(
    "kernel", [elements, elements_until, nested, returns, mixed, lazily, defined_sometimes, tuples, statements, others]
)
def test_both_sides(renderer, kernel):
    rng = np.random.default_rng(1)
    p = np.zeros(257, POINT)
    p["x"], p["y"], p["n"] = rng.random(257), rng.random(257), rng.integers(0, 5, 257)
    q = rng.normal(size=257)
    q[7] = np.nan
    out, wanted = np.zeros(257), np.zeros(257)
    pp.for_each(renderer, 257, kernel, p, q, out)
    for i in range(257):
        kernel(i, p.view(np.recarray), q, wanted)
    np.testing.assert_array_equal(out, wanted)


def test_choosing_an_array():
    q, out, wanted = np.arange(9.0), np.ones(9), np.ones(9)
    pp.for_each(pp.par, 9, arrays, q, q, out)
    for i in range(9):
        arrays(i, q, q, wanted)
    np.testing.assert_array_equal(out, wanted)


def test_no_branch_is_left():
    """A comparison of floats is a choice in machine code too."""

    def octant(i, p, out):
        r = p[i]
        out[np.uint64((7 if r.y > 0.5 else 6) if r.x > 0.5 else (5 if r.y > 0.5 else 4))] += 1

    text = pp.inspect(octant, pp.simd(), np.zeros(9, POINT), np.zeros(8))["LLVM"]
    compared = re.findall(r"(%\S+) = fcmp", text)
    assert compared and not any(f"br i1 {name}," in text for name in compared)

    def by_element(i, x, y, out):
        out[np.uint64((3 if y[i] > 0.5 else 2) if x[i] > 0.5 else (1 if y[i] > 0.5 else 0))] += 1

    text = pp.inspect(by_element, pp.simd(), np.zeros(9), np.zeros(9), np.zeros(4), space=9)["LLVM"]
    compared = re.findall(r"(%\S+) = fcmp", text)
    assert compared and not any(f"br i1 {name}," in text for name in compared)


def test_elements_that_are_not_there_are_not_read(renderer):
    """A shorter array, whose elements only a condition keeps in range."""

    def body(i, x, y, n):
        y[i] = x[i] if i < n else -1.0

    for n in (5, 300):
        x, y = np.arange(float(n)), np.zeros(300)
        pp.for_each(renderer, 300, body, x, y, n)
        np.testing.assert_array_equal(y, np.where(np.arange(300) < n, np.arange(300.0), -1))


def translated(i, text, out):
    c = text[i]
    if c == 65:
        out[i] = 84
    elif c == 67:
        out[i] = 71
    elif c == 71:
        out[i] = 67
    else:
        out[i] = 65


def valued(i, text, out):
    c = text[i]
    if c == 65:
        v = 3
    elif c == 67:
        v = c
    elif c == 71:
        v = -300
    else:
        v = 7
    out[i] = v


def beyond(i, text, out):
    """Constants and sums that are cut as they are stored."""
    c = text[i]
    if c == 65:
        out[i] = 300
    elif c == 67:
        out[i] = -1
    else:
        out[i] = c + 200


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("kernel", [translated, valued, beyond])
def test_one_of_several_constants(renderer, kernel, dtype):
    text = np.frombuffer(b"ACGTNCAG" * 41, np.uint8).astype(np.int64)
    out = np.zeros(len(text), dtype)
    pp.for_each(renderer, len(text), kernel, text, out)
    right = np.zeros(len(text), np.int64)
    for i in range(len(text)):
        kernel(i, text, right)
    np.testing.assert_array_equal(out, right.astype(dtype))


def test_constants_are_no_table():
    text, out = np.zeros(9, np.uint8), np.zeros(9, np.uint8)
    found = pp.inspect(translated, pp.simd(), text, out, space=9)["LLVM"]
    assert re.search(r"select <(16|32|64) x i1>", found) and "switch" not in found and "x i56" not in found
