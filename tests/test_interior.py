"""Conditions, wraps and clamps of indices, which hold or do not hold for all but a few of them: as in Python."""

import warnings

import numpy as np
import pytest

import portapar as pp


def compared(i, h, y):
    y[i, 0] = 1 if i < h else 2
    y[i, 1] = 1 if h <= i else 2
    y[i, 2] = 1 if i > h else 2
    y[i, 3] = 1 if i >= h + 1 else 2
    y[i, 4] = 1 if i == h else 2
    y[i, 5] = 1 if h != i else 2
    y[i, 6] = 1 if i - 1 < 3 else 2
    y[i, 7] = 1 if i > 0 and i + 1 < h else 2
    y[i, 8] = 1 if i == 0 or i == h - 1 else 2
    y[i, 9] = 1 if not 2 < i <= h else 2
    y[i, 10] = (1 if i < 5 else 2) if i < h else (3 if i + 2 < 2 * h else 4)
    y[i, 11] = min(i, h) + max(i, 3) + max(h, i) + min(7, i)


def moved(i, h, x, y):
    n = len(x)
    left = i - 1
    if left < 0:
        left += n
    right = i + 1
    if right >= n:
        right = 0
    y[i, 0] = x[left] + 2 * x[right]
    y[i, 1] = x[(i + 1) % n] - x[(i - 1) % n] + x[(i + h) % n]
    y[i, 2] = x[min(i + 2, n - 1)] + x[max(i - 2, 0)]
    y[i, 3] = x[i + 1 if i + 1 < n else 0]
    if i == 0 or i == n - 1:
        y[i, 4] = x[i]
    else:
        y[i, 4] = (x[i - 1] + x[i] + x[i + 1]) / 3
    for k in range(3):
        if 0 <= i + k - 1 < n:
            y[i, 5] += x[i + k - 1]
    if i >= h:
        return
    y[i, 6] = x[i]


def before(x, i):
    return i == 0 or x[i - 1] > 0.5


def rising(x):
    return lambda i: x[i] > 0.25 and before(x, i)


def lagging(i, h, x, y):
    n = len(x)
    y[i, 0] = max(x[i], x[i - h] + 0.25) if i >= h else x[i]
    y[i, 1] = 0.0 if i < h else x[i - h]
    if h <= i + 1:
        y[i, 2] = x[i + 1 - h]
    y[i, 3] = 1 if not x[i] > 0.25 and before(x, i) else 2
    y[i, 4] = 1 if i + 1 < n and x[i + 1] > x[i] else 2
    y[i, 5] = 1 if x[i] > 0.5 and i > h else 2
    y[i, 6] = (i == 0 or x[i]) + (i < n and 3) * 2


def numbers(i, h, p, q, y):
    """``and`` and ``or`` of numbers give one of both, unless only their truth counts."""
    y[i, 0] = (p[i] or q[i]) and i > 0
    y[i, 1] = (p[i] and q[i]) or i < 1
    y[i, 2] = i > 0 and (p[i] or q[i])
    y[i, 3] = i < 1 or (p[i] and q[i])
    y[i, 4] = (p[i] and q[i]) and i + 1 < h
    y[i, 5] = p[i] > 2 and (q[i] or i > 0)
    y[i, 6] = (p[i] > 2 and q[i] > 1) and i > 0
    y[i, 7] = 1 if (p[i] or q[i]) and i > 0 else 2
    y[i, 8] = not ((p[i] and q[i]) or i + 1 >= h)
    y[i, 9] = 7
    if (p[i] or q[i]) and i > 0 and p[i] < 5:
        y[i, 9] = (q[i] and i > 0) + (1 if (p[i] and i > 0) or q[i] > 1 else 5)
    y[i, 10] = (p[i] if q[i] > 1 else q[i]) and i > 0
    y[i, 11] = abs(p[i]) and (q[i] and i > 0)


def same(kernel, how, indices, space, columns, *args):
    got, wanted = np.zeros((max([*indices, 0]) + 1, columns)), np.zeros((max([*indices, 0]) + 1, columns))
    pp.for_each(how, space, kernel, *args, got)
    for i in indices:
        kernel(i, *args, wanted)
    np.testing.assert_array_equal(got, wanted, f"{space}, {[a for a in args if isinstance(a, int)]}")


@pytest.mark.parametrize("kernel", [compared, moved], ids=lambda kernel: kernel.__name__)
def test_conditions_on_an_index(renderer, kernel):
    for n in (1, 2, 3, 7, 100, 900):
        x = np.random.default_rng(n).random(n)
        for h in {-3, 0, 1, 2, n // 2, n - 1, n, n + 2, 2**62, -(2**63) + 1}:
            same(kernel, renderer, range(n), n, 12, h, *([x] if kernel is moved else []))


def test_conditions_of_lags_and_of_two_parts(renderer):
    for n in (1, 5, 300):
        x = np.random.default_rng(n).random(n)
        for h in sorted({1, 2, n // 2 + 1, n, n + 5}):
            same(lagging, pp.par.on(renderer.executor), range(n), n, 7, h, x)
    for n in (1, 700, 9000):
        x = np.random.default_rng(n).random(n)
        assert pp.count_if(renderer, pp.lazy.iota(n), rising(x)) == sum(map(rising(x), range(n)))


def test_numbers_with_conditions_on_an_index(renderer):
    for n in (1, 2, 8, 300):
        p, q = (np.random.default_rng(seed).integers(0, 6, n) for seed in (n, n + 1))
        for h in (1, n // 2, n):
            same(numbers, renderer, range(n), n, 12, h, p, q)


def test_conditions_on_an_index_with_other_starts_and_steps(renderer):
    x = np.random.default_rng(1).random(200)
    for start, stop, step in ((1, 199, 1), (199, -1, -1), (2, 190, 40)):
        space = pp.range(start, stop, step)
        for h in (0, 3, 77, 199):
            same(compared, renderer, range(start, stop, step), space, 12, h)
            same(moved, renderer, range(start, stop, step), space, 12, h, x)


def plane(i, j, h, x, y):
    n, m = x.shape
    s = 0.0
    for a in range(-1, 2):
        s += x[(i + a) % n, j] + x[min(max(i + a, 0), n - 1), max(0, min(j + a, m - 1))]
    s += x[i, j + 1 if j + 1 < m else 0] if i != j else -1.0
    if i == 0 or j == 0 or i == n - 1 or j == m - 1:
        s -= x[i, j]
    if i < h:
        s *= 2
    y[i, j] = s if j != h else 0.0


def around(i, j, k, x, y):
    a, b, c = x.shape
    side = x[i - 1, j, k] + 2 * x[(i + 1) % a, j, k] + 3 * x[i, j - 2, k] + 4 * x[i, (j + 1) % b, k]
    y[i, j, k] = side + 5 * x[i, j, k - 1] + 6 * x[i, j, (k + 2) % c]


def carried(i, j, x, y):
    y[i, j] = 0.5 * y[i, j - 1] + y[i - 1, j] + x[i, j - 1]


def test_rows_whose_ends_are_others(renderer):
    """What is left of rows at their ends is done with them, in order."""
    for shape in ((2, 2, 2), (3, 4, 40), (2, 3, 9), (4, 2, 70)):
        x = np.random.default_rng(5).integers(0, 99, shape).astype(float)
        y, roll = np.zeros(shape), lambda by, axis, x=x: np.roll(x, by, axis)
        pp.for_each(renderer, shape, around, x, y)
        wanted = roll(1, 0) + 2 * roll(-1, 0) + 3 * roll(2, 1) + 4 * roll(-1, 1) + 5 * roll(1, 2) + 6 * roll(-2, 2)
        np.testing.assert_array_equal(y, wanted)


def test_rows_whose_ends_are_others_in_order():
    for shape in ((1, 1), (3, 40), (5, 9)):
        x = np.random.default_rng(6).random(shape)
        got, wanted = np.ones(shape), np.ones(shape)
        pp.for_each(pp.seq, shape, carried, x, got)
        for i, j in np.ndindex(shape):
            carried(i, j, x, wanted)
        np.testing.assert_array_equal(got, wanted)


def test_conditions_on_two_indices(renderer):
    for shape in ((1, 1), (2, 3), (3, 2), (1, 40), (40, 1), (30, 41), (60, 7)):
        x = np.random.default_rng(1).random(shape)
        for h in (-1, 0, shape[0] // 2, shape[1] - 1, 100):
            got, wanted = np.zeros(shape), np.zeros(shape)
            pp.for_each(renderer, shape, plane, h, x, got)
            for i, j in np.ndindex(*shape):
                plane(i, j, h, x, wanted)
            np.testing.assert_array_equal(got, wanted, f"{shape}, {h}")


def wave(i, x):
    return x[i] if i == 0 or i + 1 == len(x) else x[(i + 1) % len(x)] - x[i - 1]


def test_conditions_on_an_index_in_reductions(renderer):
    def summed(x):
        return pp.transform_reduce(renderer, pp.lazy.iota(len(x)), transform=lambda i: wave(int(i), x), op=pp.plus)

    def multiplied(how, x):
        return pp.transform_reduce(how, pp.lazy.iota(len(x)), transform=lambda i: 0.9 + x[i - 1], op=pp.multiplies)

    for n in (1, 2, 65, 4095, 4096, 4097, 10_000):
        x = np.random.default_rng(n).integers(0, 1000, n)
        assert summed(x) == sum(int(wave(i, x)) for i in range(n))
        assert multiplied(renderer, x / 5000) == multiplied(pp.seq, x / 5000)


def best(i, weight, value, x, y):
    y[i] = max(x[i], x[i - weight] + value) if i >= weight else min(x[i] + value, 100)


def test_numbers_that_are_no_indices_are_not_looked_at(renderer):
    x = np.random.default_rng(3).integers(-(2**31), 2**31, 5000).astype(np.int32)  # sums wrap
    for weight in (0, 3, 4999):
        y, wanted = np.zeros_like(x), np.minimum(x + np.int32(7), 100)
        pp.for_each(renderer, len(x), best, weight, 7, x, y)
        wanted[weight:] = np.maximum(x[weight:], x[: len(x) - weight] + np.int32(7))
        np.testing.assert_array_equal(y, wanted)
    assert "extremes(" not in pp.inspect(best, pp.simd(), 3, 7, x, x.copy(), space=5000)["Numba"]


def test_boundaries_do_not_keep_loops_scalar():
    def periodic(i, x, y):
        y[i] = x[i - 1] + x[(i + 1) % len(x)]

    def clamped(i, x, y):
        y[i] = x[max(i - 1, 0)] + x[min(i + 1, len(x) - 1)]

    def fixed(i, x, y):
        y[i] = x[i] if i == 0 or i == len(x) - 1 else x[i - 1] + x[i + 1]

    x, y = np.zeros(100), np.zeros(100)
    for kernel in (periodic, clamped, fixed):
        first = pp.inspect(kernel, pp.simd(), x, y, space=100)["vectorized"].splitlines()[0]
        assert first.startswith("yes") and "gather" not in first, (kernel, first)


q = 7.0  # no kernel means it whose own `q` has a value on some paths alone


def test_what_a_condition_on_indices_alone_assigns_stays(renderer):
    def kernel(i, x, out):
        if i < 20:
            p = x[i] + 1
            row = np.zeros(2)
            row[i % 2] = 3.0
        else:
            q = i
        if i % 3 == 1:
            out[i] = p + 2 * row[1] - q

    x, out = np.arange(100.0), np.zeros(100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pp.PortaparWarning)
        pp.for_each(renderer, 100, kernel, x, out)
    i = np.arange(100)
    first = np.where(i % 2 == 1, x + 1 + 6, x + 1)
    np.testing.assert_array_equal(out, np.where(i % 3 == 1, np.where(i < 20, first, -i), 0))
