"""Odd inputs on parts that are cut by hand: what tests on hybrids and on ranks share.

``CASES[name](how, put)`` runs one; ``put(x)`` places an array whose rows are cut in a way that belongs to their number
(`cuts`), some parts empty; `how` is a policy of that executor.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from every import EVERY, same

import portapar as pp

RECORD = np.dtype([("at", "f8", (3,)), ("key", "i4"), ("mass", "f4")])


def cuts(rows, parts):
    """Where so many rows are cut: each number of rows in another way, with parts that are empty or have one row."""
    if parts == 1:
        return 0, rows
    inner = sorted((rows * (k * k + rows % 3) // (parts * parts) if (k + rows) % 4 else rows) for k in range(1, parts))
    return 0, *inner, rows


def placed(where):
    """`put` for an executor of several parts."""

    def put(x):
        x = np.asarray(x)
        out = where.empty(x.shape, x.dtype, cuts=cuts(len(x), len(where.members)))
        for k, part in out.parts.items():
            rows = np.ascontiguousarray(x[out.cuts[k] : out.cuts[k + 1]])
            if isinstance(part, np.ndarray):
                part[...] = rows
            elif len(rows):
                part.set(rows)
        return out

    return put


def rng(*seed):
    return np.random.default_rng([29, *seed])


def bodies(n):
    x = np.zeros(n, RECORD)
    x["at"], x["key"], x["mass"] = rng(n).normal(size=(n, 3)), rng(n, 1).integers(0, 5, n), rng(n, 2).random(n)
    return x


CASES = {}


def case(func):
    CASES[func.__name__] = func
    return func


# 29, 36: cuts anywhere ------------------------------------------------------------------------------


@case
def sums_of_odd_shapes(how, put):
    for shape in ((1001, 7), (129, 9, 3), (4097,), (3, 4096), (1,), (2, 2, 2, 2)):
        x = rng(*shape).normal(size=shape)
        assert pp.reduce(how, put(x)).tobytes() == pp.reduce(pp.seq, x).tobytes()
        whole = pp.transform_reduce(how, put(x), put(x), transform=lambda a, b: a * b, init=1.0)
        assert whole.tobytes() == pp.transform_reduce(pp.seq, x, x, transform=lambda a, b: a * b, init=1.0).tobytes()


@case
def scans_of_odd_sizes(how, put):
    for n in (1, 4095, 8193):
        x = rng(n).normal(size=n)
        found = pp.inclusive_scan(how, put(x))
        assert pp.asnumpy(found).tobytes() == pp.inclusive_scan(pp.seq, x).tobytes()
        found = pp.exclusive_scan(how, put(x), op=pp.maximum, init=-9.0)
        assert np.array_equal(pp.asnumpy(found), np.maximum.accumulate([-9.0, *x])[:-1])


@case
def products_that_do_not_commute(how, put):
    x = rng(1).integers(1, 9, (5003, 2)).astype(float) / 8
    pairs = np.zeros(5003, [("a", "f8"), ("b", "f8")])
    pairs["a"], pairs["b"] = x[:, 0] / 2, x[:, 1]

    def after(p, q):
        return p[0] * q[0], q[0] * p[1] + q[1]

    assert pp.reduce(how, put(pairs), op=after) == pp.reduce(pp.seq, pairs, op=after)


# 30, 31: rows, records, tables ----------------------------------------------------------------------


def length(i, body, out):
    s = 0.0
    for d in range(3):
        s += body[i].at[d] ** 2
    out[i] = math.sqrt(s) * body[i].mass


@case
def records_of_their_own_row(how, put):
    x = bodies(1003)
    out = put(np.zeros(1003))
    pp.for_each(how, 1003, length, put(x), out)
    assert np.allclose(pp.asnumpy(out), np.sqrt((x["at"] ** 2).sum(1)) * x["mass"], rtol=1e-6)


def planes(i, a, out):
    out[i, 1] = a[i, 0, 1] - a[i, 2, 0]
    out[i, 0] = a[i, 1, 1]


@case
def rows_of_three_dimensions(how, put):
    a = rng(3).normal(size=(77, 3, 2))
    out = put(np.zeros((77, 2)))
    pp.for_each(how, 77, planes, put(a), out)
    assert np.array_equal(pp.asnumpy(out), np.stack([a[:, 1, 1], a[:, 0, 1] - a[:, 2, 0]], 1))


def looked_up(i, key, table, out):
    out[i] = table[key[i], 1] + table[0, key[i] % 2]


@case
def tables_that_are_cut_elsewhere(how, put):
    key, table = rng(4).integers(0, 7, 4099), rng(5).normal(size=(7, 2))
    out = put(np.zeros(4099))
    pp.for_each(how, 4099, looked_up, put(key), put(table), out)
    assert np.array_equal(pp.asnumpy(out), table[key, 1] + table[0, key % 2])


def boxes(i, j, a, out):
    out[i, j] = a[i, j, 1] + a[i - 1, j, 0]


@case
def neighbours_in_boxes(how, put):
    a = rng(6).normal(size=(41, 5, 2))
    out = put(np.zeros((41, 5)))
    pp.for_each(how, (pp.range(1, 41), pp.range(5)), boxes, put(a), out)
    found = pp.asnumpy(out)
    assert np.array_equal(found[1:], a[1:, :, 1] + a[:-1, :, 0]) and not found[0].any()


def far(i, a, out):
    out[i] = a[i - 3] + a[i + 2] if 3 <= i < len(a) - 2 else -1.0


@case
def a_halo_wider_than_parts(how, put):
    for n in (9, 23, 130):
        a, out = rng(n).normal(size=n), put(np.zeros(n))
        pp.for_each(how, n, far, put(a), out)
        expected = np.full(n, -1.0)
        expected[3 : n - 2] = a[: n - 5] + a[5:]
        assert np.array_equal(pp.asnumpy(out), expected)


# 33: scatters at sizes where the way changes ----------------------------------------------------------


def put_at(i, to, x, out):
    out[to[i]] = x[i]


@case
def writes_anywhere_at_every_size(how, put):
    """Done, or refused at every size alike."""
    ends = []
    for n in (1, 2, 4096, 4097, 12_289):
        to = rng(n).permutation(n)
        x, out = rng(n).normal(size=n), put(np.zeros(n))
        scattered = pp.scatter(how, put(x), put(to), put(np.zeros(n)))
        assert np.array_equal(pp.asnumpy(scattered)[to], x)
        try:
            pp.for_each(how, n, put_at, put(to), put(x), out)
        except pp.PlacementError as error:
            ends.append("refused")
            assert "scatter" in str(error) or "atomic" in str(error)
        else:
            ends.append("done")
            assert np.array_equal(pp.asnumpy(out)[to], x)
    assert len(set(ends)) == 1, ends


# 34: all algorithms -----------------------------------------------------------------------------------


@case
def every_algorithm_on_cuts_by_hand(how, put):
    refused = []
    for name, (call, expected) in EVERY.items():
        try:
            assert same(call(how, put), expected), name
        except pp.PlacementError as error:
            refused.append(f"{name}: {error}")
    assert not refused, "\n".join(refused)


@case
def by_keys_with_signed_zeros(how, put):
    keys = np.array([0.0, -0.0, 1.5, -1.5, 0.0, 1.5, np.inf] * 301)
    values = np.arange(len(keys))
    found, sums = pp.reduce_by_key(how, put(keys), put(values))
    expected = np.unique(keys)
    assert np.array_equal(pp.asnumpy(found), expected)
    assert np.array_equal(pp.asnumpy(sums), [values[keys == k].sum() for k in expected])


@case
def odd_kinds_that_move(how, put):
    for n in (1, 37, 4097):
        y = rng(n).normal(size=n)
        for x in (y + 1j * y[::-1], y > 0, (y * 50).astype(np.int8)):
            assert np.array_equal(pp.asnumpy(pp.reverse(how, put(x))), x[::-1])
            for by in (0, 1, n - 1):
                assert np.array_equal(pp.asnumpy(pp.rotate(how, put(x), by)), np.roll(x, -by))
            found = pp.asnumpy(pp.shift_right(how, put(x), 3, 1))
            assert np.array_equal(found, [*[x.dtype.type(1)] * min(3, n), *x][:n])
    with pytest.raises(pp.PlacementError, match="its columns as arrays of their own"):
        pp.reverse(how, put(np.zeros((5, 2))))


@case
def records_that_move(how, put):
    x = bodies(4099)
    for name, found, expected in (
        ("reverse", pp.reverse(how, put(x)), x[::-1]),
        ("copy_if", pp.copy_if(how, put(x), lambda r: r.key > 2), x[x["key"] > 2]),
        ("gather", pp.gather(how, put(x), put(np.arange(0, 4099, 3))), x[::3]),
    ):
        assert np.array_equal(pp.asnumpy(found), expected), name


@case
def sorts_of_few_and_of_equal(how, put):
    for n in (0, 1, 2, 5, 4097):
        for x in (rng(n).integers(0, 3, n), np.full(n, 7, np.int16), rng(n).normal(size=n).astype("f4")):
            assert np.array_equal(pp.asnumpy(pp.sort(how, put(x))), np.sort(x))
            order = pp.asnumpy(pp.argsort(how, put(x), descending=True))
            assert np.array_equal(order, n - 1 - np.argsort(x[::-1], kind="stable")[::-1])


@case
def nothing_at_all(how, put):
    x = put(np.zeros(0))
    assert pp.reduce(how, x, init=2.0) == 2 and pp.count_if(how, x, lambda v: v > 0) == 0
    for found in (pp.sort(how, x), pp.inclusive_scan(how, x), pp.copy_if(how, x, lambda v: v > 0), pp.reverse(how, x)):
        assert pp.asnumpy(found).shape == (0,)
    with pytest.raises(pp.PlacementError, match="nothing to reduce"):
        pp.reduce(how, x, op=lambda a, b: a + b)
    pp.for_each(how, 0, far, x, put(np.zeros(0)))


@case
def segments_that_cuts_divide(how, put):
    sizes = rng(7).integers(0, 900, 40) * (rng(8).random(40) > 0.3)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    x = rng(9).normal(size=offsets[-1])
    found = pp.segmented_reduce(how, put(offsets), put(x))
    assert pp.asnumpy(found).tobytes() == pp.segmented_reduce(pp.seq, offsets, x).tobytes()
    found = pp.segmented_scan(how, put(offsets), put(x))
    assert pp.asnumpy(found).tobytes() == pp.segmented_scan(pp.seq, offsets, x).tobytes()


# 63, 64: stencils with a second field, lazy inputs, views -----------------------------------------------


@case
def stencils_with_a_second_field(how, put):
    x, v = rng(10).normal(size=(23, 7)), rng(11).normal(size=(23, 7))
    speed = put(v)
    found = pp.stencil(how, put(x), lambda x, i, j: x[i - 1, j] + x[i, j + 1] + speed[i, j], boundary="wrap")
    expected = np.roll(x, 1, 0) + np.roll(x, -1, 1) + v
    assert np.allclose(pp.asnumpy(found), expected)


@case
def stencils_of_three_dimensions(how, put):
    x = rng(12).normal(size=(11, 4, 3))
    found = pp.stencil(
        how, put(x), lambda x, i, j, k: x[i - 2, j, k] - x[i + 1, j, k - 1], boundary="nearest", radius=2
    )
    wide = np.pad(x, 2, mode="edge")
    expected = wide[:-4, 2:-2, 2:-2] - wide[3:-1, 2:-2, 1:-3]
    assert np.array_equal(pp.asnumpy(found), expected)


@case
def lazy_weights_and_mirrors(how, put):
    key, x = rng(13).integers(0, 9, 3001), rng(14).integers(0, 99, 3001)
    doubled = pp.lazy.transform(put(x), lambda v: 2.0 * v)
    found = pp.bincount(how, put(key), weights=doubled)
    assert np.array_equal(pp.asnumpy(found), np.bincount(key, weights=2.0 * x))
    assert pp.reduce(how, pp.lazy.reverse(put(x))) == x.sum()
    found = pp.inclusive_scan(how, pp.lazy.reverse(put(x)))
    assert np.array_equal(pp.asnumpy(found), np.cumsum(x[::-1]))
    pairs = pp.lazy.zip(put(key), pp.lazy.reverse(put(x)))
    assert pp.count_if(how, pairs, lambda p: p[0] * 9 > p[1]) == (key * 9 > x[::-1]).sum()


@case
def plans_of_what_is_cut_by_hand(how, put):
    x = put(rng(15).normal(size=5003))
    before = np.sort(pp.asnumpy(x))
    for function, more in ((pp.sort, {}), (pp.inclusive_scan, {}), (pp.reduce, {}), (pp.reverse, {})):
        plan = pp.plan(function, how, x, **more)
        assert [part.lo for part in plan.parts] == list(x.cuts[:-1]), str(plan)
        found = plan.run()
        if function is pp.sort:
            assert np.array_equal(pp.asnumpy(found), before)


@case
def sparse_products_of_partitioned_matrices(how, put):
    """Rows and elements are cut in different ways; a part may have none of either."""
    for rows, columns in ((0, 3), (1, 5), (7, 1), (353, 353), (400, 90)):
        lengths = rng(16, rows).integers(0, 9, rows) * (rng(17, rows).random(rows) > 0.4)
        lengths[rows // 2 : rows // 2 + 1] += 700
        offsets, count = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), int(lengths.sum())
        index, data = rng(18).integers(0, columns, count).astype(np.int32), rng(19).normal(size=count)
        x, both = rng(20).normal(size=columns), rng(21).normal(size=(columns, 3))
        held = {"format": "csr", "shape": (rows, columns)}
        plain = SimpleNamespace(indptr=offsets, indices=index, data=data, **held)
        cut = SimpleNamespace(indptr=put(offsets), indices=put(index), data=put(data), **held)
        for product, vector in ((pp.sparse.spmv, x), (pp.sparse.spmm, both)):
            expected, out = product(pp.seq, plain, vector), put(np.zeros((rows, *vector.shape[1:])))
            assert product(how, cut, put(vector), out=out) is out
            assert pp.asnumpy(out).tobytes() == expected.tobytes()
            assert pp.asnumpy(product(how, cut, vector)).tobytes() == expected.tobytes()
        if count:
            index[-1] = columns
            with pytest.raises(pp.ArgumentError, match=r"a\.indices\[\d+\] is \d+: must be a column"):
                pp.sparse.spmv(how, SimpleNamespace(indptr=cut.indptr, indices=put(index), data=cut.data, **held), x)
            offsets[-1] = count + 9
            with pytest.raises(pp.ArgumentError, match=r"a\.indptr ends with"):
                pp.sparse.spmv(how, SimpleNamespace(indptr=put(offsets), indices=cut.indices, data=cut.data, **held), x)


@case
def sorts_with_the_bits_of_one_device(how, put):
    """Also where elements are equal and differ, and where parts have none, or the same ones only."""
    for n in (1, 7, 4099):
        odd = rng(22, n).choice([0.0, -0.0, np.nan, -np.nan, np.inf, 1.5], n)
        for x in (odd, rng(23, n).integers(0, 256, n).astype("u1"), rng(24, n).normal(size=n).astype("f4"), np.ones(n)):
            for descending in (False, True):
                expected, here = pp.sort(pp.seq, x, descending=descending), put(x)
                assert pp.asnumpy(pp.sort(how, here, descending=descending)).tobytes() == expected.tobytes()
                assert pp.sort(how, here, descending=descending, out=here) is here
                assert pp.asnumpy(here).tobytes() == expected.tobytes()
