"""Loops of a kernel's own, several rounds at a time: the bits of one round after the other."""

import numpy as np
import pytest

import portapar as pp


def product(i, a, b, c, f):
    for j in range(b.shape[1]):
        s = 0.0
        for k in range(len(b)):
            s += a[i, k] * b[k, j]
        c[i, j] = s


def triangle(i, a, b, c, f):
    scale, m = f * a[i, 0], b.shape[1]
    for j in range(i + 1, m):
        c[i, j] *= 0.5
        for k in range(len(b)):
            c[i, j] += scale * a[i, k] * b[k, j]
    for j in range(min(i, m)):
        s = b[0, j]
        for k in range(1, len(b)):
            s = s * f + b[k, j] if b[k, j] > 0.3 else s - i
        c[i, j] = s


def along(i, a, b, c, f):
    for j in range(len(a)):
        s = 1
        for k in range(a.shape[1]):
            s -= a[i, k] * a[j, k]
        c[j, 0] = a[j, 0]
        if j < c.shape[1]:
            c[i, j] = s


def both(i, a, b, c, f):
    """What several rounds found is stored by one after the other: two of them in one place."""
    n, m = b.shape
    bias = 2.0
    for j in range(1, m):
        s = bias
        for k in range(n):
            s += b[k, i % m] * b[k, j]
        c[i, j] = s * bias
        c[i, j - 1] += s
        c[i, j // 2] -= c[i, j]
        if s > 3:
            c[i, m - j] = s + f


def deeper(i, a, b, c, f):
    for g in range(2):
        n = b.shape[1] - g
        for j in range(g, n):
            s, t = 0.0, 0.0
            for k in range(len(b)):
                s += b[k, j]
            for k in range(len(b)):
                t += (b[k, j] - s) * (g + 1)
            c[i, j] += t + a[i, g]


def carried(i, a, b, c, f):
    """A round begins with what the one before left."""
    s = 0.0
    for j in range(b.shape[1]):
        for k in range(len(b)):
            s += a[i, k] * b[k, j]
        c[i, j] = s


def kept(i, a, b, c, f):
    """Some rounds use what an earlier one left."""
    t = f
    for j in range(b.shape[1]):
        s = 0.0
        for k in range(len(b)):
            s += b[k, j]
        if s > 0.5 * len(b):
            t = s
        c[i, j] = s + t


def left(i, a, b, c, f):
    """What is behind the loop uses what its last round left."""
    s, j = 0.0, 0
    for j in range(b.shape[1]):
        s = f
        for k in range(len(b)):
            s += a[i, k] * b[k, j]
        c[i, j] = s
    c[i, 0] = s + j


def again(i, a, b, c, f):
    """The loop around it uses what the last round left."""
    last = 1.0
    for g in range(3):
        f += last
        for j in range(b.shape[1]):
            last = f
            for k in range(len(b)):
                last += b[k, j]
            c[i, j] = last + g


def told(i, a, b, c, f):
    """A round begins with what the last steps of the one before left."""
    t = f
    for j in range(b.shape[1]):
        s = 0.0
        for k in range(len(b)):
            s += 0.25 * b[k, j] * t
        c[i, j] = s
        t = s


def looked_at(i, a, b, c, f):
    """A round reads what the last steps of the one before wrote."""
    for j in range(1, b.shape[1]):
        s = 0.0
        for k in range(len(b)):
            s += b[k, j] * c[i, j // 2]
        c[i, j] = s


def passed_on(i, a, b, c, f):
    """A round reads what the one before wrote."""
    for j in range(1, b.shape[1]):
        s = c[i, j - 1]
        for k in range(len(b)):
            s += 0.25 * b[k, j]
        c[i, j] = s


def from_the_end(i, a, b, c, f):
    """Two rounds write in one place, counted from the end, and the second one counts."""
    for j in range(b.shape[1]):
        s = 0.0
        for k in range(len(b)):
            s += b[k, j]
        c[i, j // 2 - 3] = s


def leaves(i, a, b, c, f):
    """What gives a variable another value behind the loop is left out, by continue or break."""
    s = f
    for g in range(3):
        for j in range(b.shape[1]):
            s = a[i, g]
            for k in range(len(b)):
                s += b[k, j]
            c[i, j] = s + g
        if a[i, g] < 0.3:
            continue
        if a[i, g] > 0.8:
            break
        s = 1.0
    c[i, 0] = s


DONE = product, triangle, both, deeper, from_the_end
NOT = carried, kept, left, again, told, looked_at, passed_on, leaves


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [*((kernel, "float64") for kernel in (*DONE, along, *NOT)), *((kernel, "float32") for kernel in (triangle, both))],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_rounds_at_a_time(renderer, kernel, dtype):
    rng = np.random.default_rng(1)
    how = pp.seq if kernel is along else renderer  # its iterations write the same
    for m in (3, 17, 64, 150):
        a, b, c = (rng.random(shape).astype(dtype) for shape in ((20, 9), (9, m), (20, m)))
        wanted = c.copy()
        for i in range(20):
            kernel(i, a, b, wanted, 0.75)
        pp.for_each(how, 20, kernel, a, b, c, 0.75)
        np.testing.assert_array_equal(c, wanted, f"{m} columns")


@pytest.mark.parametrize("kernel", [*DONE, *NOT], ids=lambda x: x.__name__)
def test_which_rounds_become_vectors(kernel):
    a, b, c = np.zeros((20, 9)), np.zeros((9, 150)), np.zeros((20, 150))
    told = pp.inspect(kernel, pp.simd(), a, b, c, 0.75, space=20)["Numba"]
    assert ("inner_0" in told) == (kernel in DONE)


def squared(i, a, c):
    for j in range(len(a)):
        s = a[i, j]
        for k in range(len(a)):
            s += a[i, k] * a[k, j]
        c[i, j] = s


def test_rounds_that_read_what_is_written_stay_in_order():
    """Where both arrays are one, a round sees what those before wrote."""
    for n in (5, 70):
        a = np.random.default_rng(2).random((n, n)) / n
        wanted = a.copy()
        for i in range(n):
            squared(i, wanted, wanted)
        pp.for_each(pp.seq, n, squared, a, a)
        np.testing.assert_array_equal(a, wanted)


def kinds(i, a, b, c, f):
    weight = a[i, 1] * 2
    shift = i // 2 - 3
    for j in range(2, b.shape[1]):
        s = np.float32(0.5)
        count = 0
        for k in range(len(b)):
            s += b[k, j] * weight
            if b[k, j] > f:
                count += shift
        c[i, j] = s + count


@pytest.mark.parametrize(("one", "other"), [("float32", "int16"), ("int32", "float64"), ("float64", "uint8")])
def test_kinds_of_numbers_in_rounds(renderer, one, other):
    rng = np.random.default_rng(3)
    a, b, c = (10 * rng.random((20, 9))).astype(one), (10 * rng.random((9, 100))).astype(other), np.zeros((20, 100))
    wanted = c.copy()
    for i in range(20):
        kinds(i, a, b, wanted, 4)
    pp.for_each(renderer, 20, kinds, a, b, c, 4)
    np.testing.assert_allclose(c, wanted, rtol=1e-5)
