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


@pytest.mark.parametrize("kernel", [loops, generators, evaluated_once])
def test_loops_are_pythons(renderer, kernel):
    found, expected = np.zeros(10), np.zeros(10)
    pp.for_each(renderer, 10, kernel, A, found)
    for i in range(10):
        kernel(i, A, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def writes(i, A, o):
    for v in A[i] * 2:
        A[i, 0] = v


def nested(i, A, o):
    o[i] = sum(A[i, j] * A[i, k] for j in range(3) for k in range(3))


def largest(i, A, o):
    o[i] = max(A[i, j] for j in range(3) if A[i, j] < 0)


def anew(i, A, o):
    y = A[i].copy()
    for r, v in enumerate(y):
        y = y + r * v
    o[i] = y[0]


@pytest.mark.parametrize(
    ("kernel", "words"),
    [(writes, "private array"), (nested, "use a for loop"), (largest, "use a for loop"), (anew, "another name")],
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
