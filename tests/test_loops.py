"""Loops over rows, enumerate, zip, reversed, and sums of generators."""

import numpy as np
import pytest

import portapar as pp

A = np.random.default_rng(5).normal(size=(10, 7))


def loops(i, A, o):
    s = 0.0
    for r, v in enumerate(A[i]):
        s += r * v
    for r, v in enumerate(A[i, 1:3], 1):
        s += r * v
    for a, b in zip(A[i], A[i - 1], strict=False):
        s += a * b
    for a, k in zip(A[i], range(3), strict=False):
        s += a * k
    for v in reversed(A[i]):
        s = s * 0.5 + v
    for r in reversed(range(3)):
        s = s * 0.5 + r
    for c in A[i, 2:5]:
        if c > 0:
            continue
        s += c
    for c in A[i] * 2:
        if c > 1:
            break
        s -= c
    else:
        s += 50
    for r, row in enumerate(A):
        s += row.sum() * r
    o[i] = s


WEIGHTS, PAIRS = (0.5, -1.0, 2.0), ((1.0, 2), (3.0, 4))


def nested_loops(i, A, o, xs):
    s = 0.0
    for r, (a, b) in enumerate(zip(A[i], A[i - 1], strict=True), start=i):
        s += a * b * r
    for a, b in zip(A[i, 1:], reversed(A[i]), strict=False):
        if a > 1:
            continue
        s = s * 0.5 + a * b
        if b > 2:
            break
    else:
        s -= 1
    for (r, a), b, c in zip(enumerate(A[i]), range(9, i, -2), A[i] * 2, strict=False):
        s += r * a * b - c
    for r, a in reversed(list(enumerate(A[i]))):
        s = s * 0.5 + r * a
    for a, w in zip(reversed(A[i]), WEIGHTS, strict=False):
        s += a * w
    for r, ((a, b), w) in enumerate(zip(PAIRS, WEIGHTS, strict=False), 1):
        s += r * a - b * w
    for r, (x, y) in enumerate(zip(xs, reversed(xs), strict=True)):
        s += x[i] * y[0] * r
    for x, y in zip(xs, xs[1:], strict=False):
        s += x[i] * y[i]
    for row, a in zip(A, A[:, 0], strict=True):
        s += row.sum() * a
    o[i] = s


def nested_generators(i, A, o, xs):
    s = sum(a * b for a, b in zip(A[i], reversed(A[0]), strict=True)) + sum((x[i] for x in xs), 2.0)
    s = sum(v * s for v in A[i]) + max(x[i] for x in xs)
    s += sum(A[i, j] * A[k, j] for k in range(4) for j in range(k, 7) if j != i)
    s += any(A[i, j] > A[k, j] + 2 for k in range(4) for j in range(7))
    s += max((k * v for k, v in enumerate(A[i]) if v < 0), default=-9.0) - min((v for v in A[i] if v > 9), default=i)
    s += max((A[i, j] for j in range(i - 4)), default=0.25) + sum(sum(v for v in A[k]) for k in range(3))
    o[i] = s


def generators(i, A, o):
    t = (1.0, 2.0)
    s = sum(A[i, j] ** 2 for j in range(7)) + sum(v for v in A[i] if v > 0)
    if any(v > 1.5 for v in A[i]) or all(A[i, k] < 1 for k in range(3)):
        s += 100
    s += max(abs(A[i, j]) for j in range(1, 7)) - min(v * v for v in A[i]) + max(k * t[1] for k in range(4))
    o[i] = s + sum([j * t[0] for j in range(3)]) + np.linalg.norm(A[i]) - np.linalg.norm(A[i, :2] - A[0, 1:3])


def evaluated_once(i, A, o):
    s, u, first = 0.0, i, 2
    for r, v in enumerate(A[u], first):  # what the body assigns does not change what the loop goes over
        first += 1
        u = int(abs(v) * 3)
        s = s * 0.5 + r * v
    for a, b in zip(A[u], A[u, 1:first], strict=False):
        u, first = int(abs(a) * 3), 3
        s = s * 0.5 + a * b
    for v in reversed(A[u - 1]):
        u = int(abs(v) * 3)
        s = s * 0.5 + v
    x, y = 1.0, s
    for v in (x, y, 3.0):
        y = v + 1
        s = s * 0.5 + v
    o[i] = s


@pytest.mark.parametrize("kernel", [loops, generators, evaluated_once, nested_loops, nested_generators])
def test_loops_are_pythons(renderer, kernel):
    found, expected = np.zeros(10), np.zeros(10)
    more = [(A[:, 1].copy(), A[:, 2].copy(), A[:, 3].copy())] * kernel.__name__.startswith("nested")
    pp.for_each(renderer, 10, kernel, A, found, *more)
    for i in range(10):
        kernel(i, A, expected, *more)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def of_nothing(i, n, o):
    o[i] = max(1.5 * k for k in range(n[i])) + min(k for k in range(3) if k < n[i])


def test_the_extremum_of_nothing_is_0(renderer):
    n, found = np.array([0, 1, 5]), np.empty(3)
    pp.for_each(renderer, 3, of_nothing, n, found)
    np.testing.assert_array_equal(found, [0, 0, 6])


def rows_of_all(i, A, o):
    for row in A:
        o[i] += row.sum() * row.mean() * row.prod()


def test_rows_that_are_only_read_may_be_of_parts(where):
    found, expected = np.zeros(10), np.zeros(10)
    pp.for_each(pp.par.on(where), 10, rows_of_all, A, found)
    for i in range(10):
        rows_of_all(i, A, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def writes(i, A, o):
    for v in A[i] * 2:
        A[i, 0] = v


def none(i, A, o):
    o[i] = max(A[i, j] for j in range(3, 3))


def stored(i, A, o):
    for k, v in list(enumerate(A[i])):
        A[i, k - 1] = v


def anew(i, A, o):
    y = A[i].copy()
    for r, v in enumerate(y):
        y = y + r * v
    o[i] = y[0]


@pytest.mark.parametrize(
    ("kernel", "words"),
    [(writes, "private array"), (none, r"max\(\(… for …\), default="), (stored, "use arrays"), (anew, "another name")],
)
def test_other_loops_are_told(kernel, words):
    with pytest.raises(pp.KernelError, match=rf"(?s)Instead: .*{words}"):
        pp.for_each(pp.par, 10, kernel, A.copy(), np.zeros(10))


def counts(i, a, o):
    n = 0
    k = -7
    for k in range(a[i, 0], a[i, 1], a[i, 2]):
        n += 1
        if n > 5:
            break
        if k % 2 == 0:
            continue
        n += 1000
    else:
        n += 100
    for k in range(a[i, 0], a[i, 1]):
        n += 3 + k % 2
        if n % 7 == 0 or n > 5000:
            break
    o[i, 0], o[i, 1] = n, k


@pytest.mark.parametrize("dtype", [np.int64, np.int8])
def test_ranges_end_where_pythons_do(renderer, dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    ends, steps = [low, low + 1, -3, 0, 4, high - 1, high], [1, 2, high, -1, -3, low]
    cases = np.array([(a, b, c) for a in ends for b in ends for c in steps], dtype)
    found, expected = np.zeros((len(cases), 2), np.int64), np.zeros((len(cases), 2), np.int64)
    pp.for_each(renderer, len(cases), counts, cases, found)
    for i in range(len(cases)):
        counts(i, cases.astype(object), expected)
    np.testing.assert_array_equal(found, expected)
