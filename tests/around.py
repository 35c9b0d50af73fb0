"""Kernels that read more than their own element, on parts: what tests on hybrids and on ranks share.

``CASES[name](how, put, n)`` runs one on arrays of about n rows that went through `put`, and asserts that it is right.
"""

import numpy as np

import portapar as pp

POINT = np.dtype([("x", "f8"), ("y", "f8"), ("k", "i4")])


def data(*shape, seed=3):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def result(how, space, body, args, out, put):
    out = put(out)
    pp.for_each(how, space, body, *args, out)
    return pp.asnumpy(out)


# its own row --------------------------------------------------------------------------------------


def both(i, a, out):
    out[i] = a[i, 0] + a[i, 1]


def first(a, i):
    return a[i, 0]


def helped(i, a, out):
    out[i] = first(a, i) + a[i, 1]


def looped(i, a, out):
    s = 0.0
    for k in range(a.shape[1]):
        s += a[i, k]
    out[i] = s


def as_row(i, a, out):
    row = a[i]
    out[i] = row[0] + row[1]


def record(i, p, out):
    q = p[i]
    out[i].x = q.x + q.y
    out[i].y = p[i].x
    out[i].k = q.k + 1


def row_of_row(i, a, c, out):
    out[i] = a[i] * 2 - c[1]


def own_rows(how, put, n):
    a = data(n, 2)
    for body in (both, helped, looped, as_row):
        assert np.array_equal(result(how, n, body, [put(a)], np.zeros(n), put), a[:, 0] + a[:, 1])
    b, c = data(n, 3), data(2, 3, seed=4)
    assert np.array_equal(result(how, n, row_of_row, [put(b), c], np.zeros((n, 3)), put), b * 2 - c[1])
    p = np.zeros(n, POINT)
    p["x"], p["y"], p["k"] = data(n), data(n, seed=5), np.arange(n)
    found = result(how, n, record, [put(p)], np.zeros(n, POINT), put)
    assert np.array_equal(found["x"], p["x"] + p["y"]) and np.array_equal(found["y"], p["x"])
    assert np.array_equal(found["k"], p["k"] + 1)


# rows around --------------------------------------------------------------------------------------


def sides(i, a, out):
    out[i] = a[i - 1] + a[i + 1]


def smooth(i, a, out):
    out[i] = a[i] if i == 0 or i == len(a) - 1 else (a[i - 1] + a[i] + a[i + 1]) / 3


def previous(i, a, out):
    out[i] = a[i] - a[i - 1]  # at 0 that is the last one


def counted(i, a, out):
    out[i] = a[i - 1] + len(a)


def window(i, w, a, out):
    s = 0.0
    for d in range(-w, w + 1):
        s += a[min(max(i + d, 0), len(a) - 1)]
    out[i] = s


def at(a, i):
    return a[i] if 0 <= i < len(a) else 0.0


def guarded(i, a, out):
    left = 0.0
    if i >= 2:
        left = at(a, i - 2)
    out[i] = left + at(a, i + 1)


def plane(i, j, a, out):
    out[i, j] = a[i - 1, j] + a[i + 1, j] + a[i, j]


def odd(i, a):
    if i % 2 == 1:
        a[i] = a[i - 1] + (a[i + 1] if i + 1 < len(a) else 0.0)


def sliced(i, a, out):
    out[i] = a[i - 1 : i + 2].sum()


def sliced_at_ends(i, a, out):
    near = a[max(i - 2, 0) : i + 2]
    out[i] = near[-1] - near[0]


def sliced_rows(i, m, out):
    out[i] = m[i - 1 : i + 1, 0].sum() + m[i, 1:].max()


def rows_around(how, put, n):
    a = data(n)
    here, zeros = put(a), np.zeros(n)
    inner = zeros.copy()
    inner[1:-1] = a[:-2] + a[2:]
    spaces = [pp.range(1, n - 1), pp.range(n - 2, 0, -1)] if n > 2 else []
    for space in spaces:
        assert np.array_equal(result(how, space, sides, [here], zeros, put), inner)
    every = np.where(np.arange(n) % 2 == 1, inner, 0)
    if n > 2:
        assert np.array_equal(result(how, pp.range(1, n - 1, 2), sides, [here], zeros, put), every)
    mean = a.copy()
    mean[1:-1] = (a[:-2] + a[1:-1] + a[2:]) / 3
    assert np.array_equal(result(how, n, smooth, [here], zeros, put), mean)
    assert np.array_equal(result(how, n, previous, [here], zeros, put), a - np.roll(a, 1))
    assert np.array_equal(result(how, n, counted, [here], zeros, put), np.roll(a, 1) + n)
    for w in (1, 5):
        expected = zeros.copy()
        for d in range(-w, w + 1):
            expected += a[np.clip(np.arange(n) + d, 0, n - 1)]
        assert np.array_equal(result(how, n, window, [w, here], zeros, put), expected)
    expected = np.append(a[1:], 0)
    expected[2:] += a[:-2]
    assert np.array_equal(result(how, n, guarded, [here], zeros, put), expected)
    near = [slice(i - 1 if i else n - 1, i + 2) for i in range(n)]  # as indices below 0 count
    expected = np.array([a[s].sum() for s in near])
    assert np.allclose(result(how, n, sliced, [here], zeros, put), expected, atol=1e-12)
    expected = np.array([a[min(i + 1, n - 1)] - a[max(i - 2, 0)] for i in range(n)])
    assert np.array_equal(result(how, n, sliced_at_ends, [here], zeros, put), expected)
    m = data(n, 5)
    expected = np.array([m[i - 1 if i else n - 1 : i + 1, 0].sum() + m[i, 1:].max() for i in range(n)])
    assert np.allclose(result(how, n, sliced_rows, [put(m)], zeros, put), expected, atol=1e-12)
    expected = np.zeros((n, 5))
    expected[1:-1] = m[:-2] + m[2:] + m[1:-1]
    if n > 2:
        assert np.array_equal(result(how, (pp.range(1, n - 1), 5), plane, [put(m)], np.zeros((n, 5)), put), expected)
    expected = a.copy()
    for i in range(1, n, 2):
        expected[i] = a[i - 1] + (a[i + 1] if i + 1 < n else 0.0)
    assert np.array_equal(result(how, n, odd, [], a, put), expected)


# rows anywhere ------------------------------------------------------------------------------------


def looked_up(i, table, a, out):
    out[i] = a[i] * table[i % len(table)]


def permuted(i, p, a, out):
    out[i] = a[p[i]]


def product(i, starts, columns, values, x, y):
    t = 0.0
    for e in range(starts[i], starts[i + 1]):
        t += values[e] * x[columns[e]]
    y[i] = t


def halves(i, a):
    if 2 * i >= len(a):
        a[i] = a[len(a) - 1 - i]


def rows_anywhere(how, put, n):
    a, table, p = data(n), data(4), np.random.default_rng(n).permutation(n)
    here, there = put(a), put(table)
    zeros = np.zeros(n)
    for t in (there, table):
        assert np.array_equal(result(how, n, looked_up, [t, here], zeros, put), a * table[np.arange(n) % 4])
    for q in (put(p), p):
        assert np.array_equal(result(how, n, permuted, [q, here], zeros, put), a[p])
    lengths = np.random.default_rng(n).integers(0, 4, n)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.random.default_rng(n).integers(0, n, starts[-1])
    values = data(starts[-1])
    expected = np.zeros(n)
    np.add.at(expected, np.repeat(np.arange(n), lengths), values * a[columns])
    given = [put(starts), put(columns), put(values), here]
    assert np.allclose(result(how, n, product, given, zeros, put), expected, rtol=1e-14)
    expected = np.where(2 * np.arange(n) >= n, a[::-1], a)
    assert np.array_equal(result(how, n, halves, [], a, put), expected)
    found = pp.transform(how, here, op=lambda v: v + there[1])
    assert np.array_equal(pp.asnumpy(found), a + table[1])
    keys = (p % 4).astype(np.int64)
    total = pp.transform_reduce(how, put(keys), transform=lambda k: there[k])
    assert total == pp.transform_reduce(pp.seq, keys, transform=lambda k: table[k])
    for made in (pp.lazy.reverse(here), pp.lazy.transform(pp.lazy.reverse(here), lambda v: v * 2)):
        twice = 1 + (made.expression is not pp.lazy.reverse(here).expression)
        assert np.array_equal(pp.asnumpy(pp.copy(how, made)), twice * a[::-1])
        assert pp.reduce(how, made) == pp.reduce(pp.seq, twice * a[::-1])
        assert np.array_equal(pp.asnumpy(pp.inclusive_scan(how, made)), pp.inclusive_scan(pp.seq, twice * a[::-1]))
    found = pp.transform(how, here, pp.lazy.reverse(here), op=lambda u, v: u - v)
    assert np.array_equal(pp.asnumpy(found), a - a[::-1])


# atomics ------------------------------------------------------------------------------------------


def tally(i, x, bins):
    pp.atomic.add(bins, x[i], 1)


def taken(i, x, bins):
    pp.atomic.sub(bins, x[i], i)


def least(i, x, bins):
    pp.atomic.min(bins, x[i], i * 7 % 11)


def most(i, x, bins):
    pp.atomic.max(bins, x[i], i * 7 % 11)


def either(i, x, bins):
    pp.atomic.or_(bins, x[i], 1 << (i % 13))


def all_of(i, x, bins):
    pp.atomic.and_(bins, x[i], ~(1 << (i % 13)))


def flipped(i, x, bins):
    pp.atomic.xor(bins, x[i], i)


def weighed(i, x, w, bins):
    pp.atomic.add(bins, x[i], w[i])


def into(bins, k, value):
    pp.atomic.add(bins, k, value)


def in_helper(i, x, bins):
    into(bins, x[i], 2)


def atomics(how, put, n):
    x = np.random.default_rng(n).integers(0, 7, n)
    steps = np.arange(n)
    for kernel, ufunc, values in (
        (tally, np.add, 1), (taken, np.subtract, steps), (least, np.minimum, steps * 7 % 11),
        (most, np.maximum, steps * 7 % 11), (either, np.bitwise_or, 1 << (steps % 13)),
        (all_of, np.bitwise_and, ~(1 << (steps % 13))), (flipped, np.bitwise_xor, steps), (in_helper, np.add, 2),
    ):  # fmt: skip
        for place in (put, np.array):  # of ranks each has its own
            start = np.full(9, 5)
            expected = start.copy()
            ufunc.at(expected, x, values)
            assert np.array_equal(result(how, n, kernel, [put(x)], start, place), expected), kernel
    w = data(n)
    for place in (put, np.array):
        found = result(how, n, weighed, [x, put(w)], np.full(9, -0.0), place)
        assert np.allclose(found, np.bincount(x, w, 9)) and np.signbit(found[8])  # what nobody adds to


# what functions of algorithms of several steps capture ----------------------------------------------


def fields(how, put, n):
    """Stencils with a second field."""
    x, v = data(n, 4), data(n, 4, seed=8)
    here, there = put(x), put(v)
    rim = np.pad(x, 1)[:, 1:-1]
    for same in (how, how.with_(transfers="forbid")):
        found = pp.stencil(same, here, lambda x, i, j: x[i - 1, j] + x[i + 1, j] * there[i, j])
        assert np.array_equal(pp.asnumpy(found), rim[:-2] + rim[2:] * v)
    found = pp.stencil(how, here, lambda x, i, j: x[i, j] + there[i - 1, j])
    assert np.array_equal(pp.asnumpy(found), x + np.roll(v, 1, axis=0))
    y, u = data(n), data(n, seed=8)
    there = put(u)
    found = pp.stencil(how, put(y), lambda x, i: x[i - 1] - there[i], boundary="wrap")
    assert np.array_equal(pp.asnumpy(found), np.roll(y, 1) - u)


def captures(how, put, n):
    keys, table, w = np.random.default_rng(n).integers(0, 5, n), np.arange(5.0), data(n)
    k, t, u = put(keys), put(table), put(w)
    assert np.array_equal(pp.asnumpy(pp.copy_if(how, k, lambda q: t[q] > 2)), keys[keys > 2])
    assert pp.count_if(how, k, lambda q: t[q] > 2) == (keys > 2).sum()
    offsets = np.array([0, n // 3, n // 3, n])
    found = pp.segmented_reduce(how, put(offsets), k, transform=lambda q: 2 * t[q])
    assert np.array_equal(pp.asnumpy(found), pp.segmented_reduce(pp.seq, offsets, 2.0 * keys))
    for weights, same in (
        (pp.lazy.transform(u, lambda q: q * 2), w * 2), (pp.lazy.reverse(u), w[::-1]), (pp.lazy.iota(n), np.arange(n)),
    ):  # fmt: skip
        assert np.array_equal(pp.bincount(how, k, weights=weights), pp.bincount(pp.seq, keys, weights=same))
    assert np.array_equal(pp.bincount(how, pp.lazy.reverse(k), minlength=5), np.bincount(keys, minlength=5))


CASES = {f.__name__: f for f in (own_rows, rows_around, rows_anywhere, atomics, fields, captures)}
