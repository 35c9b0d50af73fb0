"""for_each, transform, reduce and their kin on every executor, against NumPy."""

import itertools
import math

import numpy as np
import pytest

import portapar as pp
from portapar.kernel.tiles import LANES, TILE

SIZES = (0, 1, 2, 31, 32, 33, 4095, 4096, 4097, 10**6 + 3)
INTEGERS = [np.dtype(d) for d in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
FLOATS = [np.dtype(d) for d in ("f4", "f8")]
COMPLEX = [np.dtype(d) for d in ("c8", "c16")]


def data(n, dtype="f8", seed=0):
    """Small whole numbers of either sign, exact in every dtype and every order of sums."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng([n, seed])
    x = rng.integers(0 if dtype.kind in "bu" else -7, 2 if dtype.kind == "b" else 8, n).astype(dtype)
    return x + np.asarray(1j * rng.integers(-7, 8, n), dtype) if dtype.kind == "c" else x


def rough(n, dtype, seed=0):
    """Numbers whose sum depends on the order of summation."""
    rng = np.random.default_rng([n, seed])
    x = rng.standard_normal(n) * 10.0 ** rng.integers(-6, 7, n)
    return (x + 1j * rng.standard_normal(n)).astype(dtype) if np.dtype(dtype).kind == "c" else x.astype(dtype)


# for_each -----------------------------------------------------------------------------------------


def mark1(i, a):
    a[i] += i + 1


def mark2(i, j, a):
    a[i, j] += i * 1000 + j + 1


def mark3(i, j, k, a):
    a[i, j, k] += i * 10000 + j * 100 + k + 1


@pytest.mark.parametrize("how", [{}, {"schedule": "dynamic"}, {"schedule": "guided", "chunk_size": 7}])
def test_for_each_visits_every_index_once(policy, how):
    p = policy.with_(**how)
    for n in (0, 1, 63, 64, 65, 100_003):
        a = np.zeros(n, np.int64)
        assert pp.for_each(p, n, mark1, a) is None
        np.testing.assert_array_equal(a, np.arange(n) + 1)
    for shape in ((0, 3), (3, 0), (1, 1), (7, 13), (1, 5000), (5000, 1), (129, 65)):
        a = np.zeros(shape, np.int64)
        pp.for_each(p, shape, mark2, a)
        i, j = np.indices(shape)
        np.testing.assert_array_equal(a, i * 1000 + j + 1)
    for shape in ((1, 1, 1), (5, 0, 2), (3, 4, 5), (40, 30, 20)):
        a = np.zeros(shape, np.int64)
        pp.for_each(p, shape, mark3, a)
        i, j, k = np.indices(shape)
        np.testing.assert_array_equal(a, i * 10000 + j * 100 + k + 1)


def test_for_each_over_ranges(where):
    if where.kind == "hybrid" and any(not m.device.host_memory for m in where.members):
        pytest.skip("a device in its own memory cannot do a part of a kernel that writes elsewhere than at its index")
    p = pp.par.on(where)
    for r in (
        pp.range(5, 90),
        pp.range(90, 5, -1),
        pp.range(3, 100, 7),
        pp.range(99, -1, -9),
        pp.range(4, 4),
        range(2, 9),
    ):
        a = np.zeros(100, np.int64)
        pp.for_each(p, r, mark1, a)
        expected = np.zeros(100, np.int64)
        indices = list(range(r.start, r.stop, r.step))
        expected[indices] = np.array(indices, np.int64) + 1
        np.testing.assert_array_equal(a, expected)
    a, expected = np.zeros((20, 30), np.int64), np.zeros((20, 30), np.int64)
    rows, columns = pp.range(18, 0, -3), pp.range(1, 30, 4)
    pp.for_each(p, (rows, columns), mark2, a)
    for i, j in itertools.product(range(18, 0, -3), range(1, 30, 4)):
        mark2(i, j, expected)
    np.testing.assert_array_equal(a, expected)
    a, expected = np.zeros((6, 7, 8), np.int64), np.zeros((6, 7, 8), np.int64)
    pp.for_each(p, (pp.range(5, -1, -2), 7, pp.range(2, 8, 3)), mark3, a)
    for i, j, k in itertools.product(range(5, -1, -2), range(7), range(2, 8, 3)):
        mark3(i, j, k, expected)
    np.testing.assert_array_equal(a, expected)


# transform ----------------------------------------------------------------------------------------


def test_transform_of_one_to_four_inputs(policy):
    for n in SIZES[:-1]:
        w, x, y, z = (data(n, seed=k) for k in range(4))
        np.testing.assert_array_equal(pp.transform(policy, w, op=lambda a: 2 * a - 1), 2 * w - 1)
        out = np.full(n, np.nan)
        got = pp.transform(policy, w, x, y, z, out=out, op=lambda a, b, c, d: a * b + c * d)
        assert got is out
        np.testing.assert_array_equal(out, w * x + y * z)
        np.testing.assert_array_equal(pp.transform(policy, w, 3, y, op=lambda a, b, c: a + b * c), w + 3 * y)
    n = SIZES[-1]
    x, y = data(n), data(n, seed=1)
    np.testing.assert_array_equal(pp.transform(policy, x, y, op=lambda a, b: a + 3.0 * b), x + 3.0 * y)


def test_transform_of_ranges_and_in_place(policy):
    x = data(5000)
    got = pp.transform(policy, x, pp.range(10, 10 + 5000 * 3, 3), op=lambda a, i: a * i)
    np.testing.assert_array_equal(got, x * np.arange(10, 10 + 15000, 3))
    np.testing.assert_array_equal(pp.transform(policy, pp.range(5, 0, -1), op=lambda i: i * i), [25, 16, 9, 4, 1])
    y = x.copy()
    assert pp.transform(policy, y, out=y, op=lambda a: a + 1) is y
    np.testing.assert_array_equal(y, x + 1)
    pp.transform(policy, y, y, x, out=y, op=lambda a, b, c: a * b - c)
    np.testing.assert_array_equal(y, (x + 1) ** 2 - x)


@pytest.mark.extra
def test_transform_converts_dtypes(policy):
    n = 100
    for dtype in (*INTEGERS, *FLOATS, *COMPLEX, np.dtype(bool)):
        x = data(n, dtype)
        same = pp.transform(policy, x, op=lambda a: a)
        assert same.dtype == dtype
        np.testing.assert_array_equal(same, x)
    x = np.arange(n, dtype="i4")
    for dtype in (*FLOATS, *COMPLEX, np.dtype("i8")):
        out = np.zeros(n, dtype)
        pp.copy(policy, x, out=out)
        np.testing.assert_array_equal(out, x.astype(dtype))
    got = pp.transform(policy, x, x.astype("f4"), op=lambda a, b: a > b)
    assert got.dtype == bool and not got.any()


def views(base):
    """The same elements in other orders: name → view of `base` (3-D)."""
    yield "contiguous", base
    yield "transposed", base.T
    yield "fortran", np.asfortranarray(base)
    yield "every second", base[::2, 1:, ::3]
    yield "reversed", base[::-1, ::-1, ::-1]
    yield "flat", base.reshape(-1)
    yield "flat reversed", base.reshape(-1)[::-1]
    yield "column", base[:, 2, 3]
    yield "matrix", base[1]
    yield "matrix transposed", base[1].T
    yield "broadcast", np.broadcast_to(base[0, 0], (4, base.shape[2]))
    yield "zero-dimensional", base[0, 0, 0:1].reshape(())


def test_transform_of_every_layout(policy):
    op = lambda a, b: a * 2 + b
    for (_, x), (_, y) in zip(
        views(data(9 * 8 * 7).reshape(9, 8, 7)), views(data(504, seed=1).reshape(9, 8, 7)), strict=True
    ):
        x.flags.writeable = False
        np.testing.assert_array_equal(pp.transform(policy, x, y, op=op), x * 2 + y)
    for name, target in views(np.zeros((9, 8, 7))):
        if name not in ("broadcast", "zero-dimensional"):
            whole = target.base if target.base is not None else target
            before, x = whole.copy(), data(target.size).reshape(target.shape)
            pp.transform(policy, x, 1.0, out=target, op=op)
            np.testing.assert_array_equal(target, x * 2 + 1)
            target[...] = 0
            np.testing.assert_array_equal(whole, np.where(before != whole, whole, before))
    x = data(12).reshape(3, 4)
    np.testing.assert_array_equal(pp.transform(policy, x, x[0], op=op), x * 2 + x[0])
    np.testing.assert_array_equal(pp.transform(policy, x[:, :1], x[0], op=op), x[:, :1] * 2 + x[0])


def test_unaligned_views_work():
    raw = np.zeros(8 * 100 + 1, np.uint8)
    x = raw[1:].view(np.float64)
    np.testing.assert_array_equal(pp.transform(pp.seq, x, op=lambda a: a + 1), x + 1)
    with pytest.raises(pp.PlacementError, match=r"'x' is not aligned.*copy it, x\.copy\(\)"):
        pp.transform(pp.seq, raw[:100], op=lambda a: x[a])
    shifted = np.zeros(101)[1:]  # aligned to its element, not to a cache line
    np.testing.assert_array_equal(pp.transform(pp.par, shifted, op=lambda a: a + 1), shifted + 1)


# reductions ---------------------------------------------------------------------------------------


def tiles(x, op, init=None):
    """A reduction in plain Python, in the order that the design promises."""
    partials = []
    for first in range(0, len(x), TILE):
        tile = x[first : first + TILE]
        lanes = list(tile[:LANES])
        for k, value in enumerate(tile[LANES:]):
            lanes[k % LANES] = op(lanes[k % LANES], value)
        half = LANES // 2
        while half:
            for lane in range(min(half, len(lanes) - half)):
                lanes[lane] = op(lanes[lane], lanes[lane + half])
            half //= 2
        partials.append(lanes[0])
    while len(partials) > 1:
        pairs = [op(a, b) for a, b in zip(partials[::2], partials[1::2], strict=False)]
        partials = pairs + ([partials[-1]] if len(partials) % 2 else [])
    if init is None:
        return partials[0]
    return op(init, partials[0]) if partials else init


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
def test_sums_have_the_same_bits_everywhere(policy, dtype):
    for n in SIZES[1:]:
        x = rough(n, dtype)
        got = pp.reduce(policy, x)
        assert got.dtype == np.dtype(dtype)
        if n < 5000:
            assert got.tobytes() == tiles(list(x), lambda a, b: a + b).tobytes(), n
        assert got.tobytes() == pp.reduce(pp.seq, x).tobytes(), n
        np.testing.assert_allclose(got, x.astype("c16" if x.dtype.kind == "c" else "f8").sum(), rtol=1e-3)
    x = rough(3 * TILE + 77, dtype)
    assert pp.reduce(policy, x, init=0.1).tobytes() == tiles(list(x), lambda a, b: a + b, x.dtype.type(0.1)).tobytes()


@pytest.mark.extra
def test_sums_of_integers(policy):
    for dtype in (*INTEGERS, np.dtype(bool)):
        for n in (1, 33, 4097):
            x = data(n, dtype)
            got = pp.reduce(policy, x)
            assert got.dtype == x.sum().dtype and got == x.sum(), (dtype, n)
    x = np.full(100_000, 127, np.int8)
    assert pp.reduce(policy, x) == 12_700_000


@pytest.mark.extra
def test_other_operators(policy):
    x = data(5000)
    assert pp.reduce(policy, x, op=pp.minimum) == x.min() and pp.reduce(policy, x, op=pp.maximum) == x.max()
    for place in (0, 31, 32, 2500, 4096, 4999):
        y = x.copy()
        y[place] = np.nan
        assert np.isnan(pp.reduce(policy, y, op=pp.minimum)) and np.isnan(pp.reduce(policy, y, op=pp.maximum))
    k = np.arange(1, 5001)
    assert pp.reduce(policy, k, op=pp.bit_xor) == np.bitwise_xor.reduce(k)
    assert pp.reduce(policy, k, op=pp.bit_or) == np.bitwise_or.reduce(k)
    assert pp.reduce(policy, k > 0, op=pp.logical_and) and not pp.reduce(policy, k > 5000, op=pp.logical_or)
    assert pp.reduce(policy, np.full(62, 2), op=pp.multiplies) == 2**62
    assert pp.reduce(policy, np.arange(40.0) - 50, op=lambda a, b: a if abs(a) > abs(b) else b) == -50


def test_transform_reduce(policy):
    for n in (1, 33, 4097, 100_003):
        x, y = data(n), data(n, seed=1)
        assert pp.transform_reduce(policy, x, y, transform=lambda a, b: a * b) == x @ y
    scale, table = 3.0, np.arange(10.0)
    got = pp.transform_reduce(policy, pp.range(1, 100_001), transform=lambda i: table[i % 10] * scale)
    assert got == 3.0 * 45 * 10_000
    a = data(60).reshape(3, 4, 5)
    for view in (a, a.T, a[::2, ::-1], a[:, :, 1], np.asfortranarray(a), a[0]):
        assert pp.reduce(policy, view) == view.sum()
    assert pp.transform_reduce(policy, a, a[0], transform=lambda p, q: p * q) == (a * a[0]).sum()


def test_empty_and_init(policy):
    for n in (0, 1, 5000):
        x = data(n)
        assert pp.reduce(policy, x, init=10) == x.sum() + 10
        got = pp.reduce(policy, x.astype("f4"), init=0.5)
        assert got.dtype == np.float32 and got == x.sum() + 0.5
        got = pp.reduce(policy, x.astype("i4"), init=0.5)
        assert got.dtype == np.float64 and got == x.sum() + 0.5
        assert pp.reduce(policy, x, op=pp.minimum, init=-100.0) == -100
    empty = data(0)
    for got, expected in (
        (pp.reduce(policy, empty), 0.0),
        (pp.reduce(policy, empty.astype("i4")), 0),
        (pp.reduce(policy, empty, op=np.multiply), 1.0),
        (pp.reduce(policy, pp.range(5, 5), op=pp.maximum), np.iinfo(np.int64).min),
    ):
        assert got == expected and got.dtype == np.asarray(expected).dtype
    with pytest.raises(pp.PlacementError, match="nothing to reduce.*pass init="):
        pp.reduce(policy, empty, op=lambda a, b: a if abs(a) > abs(b) else b)


# fill, copy, iota ---------------------------------------------------------------------------------


def test_fill_copy_iota(policy):
    for dtype in (*INTEGERS, *FLOATS, *COMPLEX, np.dtype(bool)):
        a = np.zeros(1000, dtype)
        assert pp.fill(policy, a, 1) is a
        np.testing.assert_array_equal(a, 1)
        b = pp.copy(policy, data(1000, dtype))
        assert b.dtype == dtype
        np.testing.assert_array_equal(b, data(1000, dtype))
    for n in SIZES[:-1]:
        a = np.zeros(n)
        assert pp.iota(policy, a, 5, -0.5) is a
        np.testing.assert_array_equal(a, 5 - 0.5 * np.arange(n))
        np.testing.assert_array_equal(pp.iota(policy, np.zeros(n, "i4")), np.arange(n))
    b = np.zeros((30, 40))
    pp.fill(policy, b[::2, ::3], 7.0)
    assert (b[::2, ::3] == 7).all() and b.sum() == 7 * b[::2, ::3].size
    pp.copy(policy, b.T[::-1], out=b.T[::-1])


def test_records_and_small_types():
    kind = np.dtype([("position", "f8"), ("count", "i2"), ("flag", "?")], align=True)
    points = np.zeros(5000, kind)
    points["position"], points["count"] = data(5000), np.arange(5000)
    for p in (pp.seq, pp.par):
        got = pp.transform(p, points, op=lambda r: r.position * 2 + r["count"])
        np.testing.assert_array_equal(got, points["position"] * 2 + points["count"])
        assert pp.transform_reduce(p, points, transform=lambda r: r.count) == points["count"].sum(dtype=int)
        np.testing.assert_array_equal(pp.transform(p, points["position"], op=lambda v: -v), -points["position"])


def test_asnumpy_of_every_layout(device):
    x = np.arange(60.0).reshape(6, 10)
    for dtype in ("f8", "u1", [("a", "i2"), ("b", "f4")]):
        here = device.asarray(x.astype(dtype))
        for at in (np.s_[::2], np.s_[1::3, ::2], np.s_[:, 3], np.s_[4:5, 1:], np.s_[:0], np.s_[2, ::5]):
            np.testing.assert_array_equal(pp.asnumpy(here[at]), x.astype(dtype)[at])


def test_device_arrays_stay_where_they_are(where):
    p = pp.par.on(where)
    x, y = where.asarray(data(10_000)), where.asarray(data(10_000, seed=1))
    z = pp.transform(p, x, y, op=lambda a, b: a - b)
    assert type(z) is type(x)
    np.testing.assert_array_equal(pp.asnumpy(z), data(10_000) - data(10_000, seed=1))
    assert pp.reduce(p, z) == (data(10_000) - data(10_000, seed=1)).sum()
    out = where.empty(10_000)
    pp.for_each(p, 10_000, lambda i, a, b: shift(i, a, b, 0.5), out, x)
    np.testing.assert_array_equal(pp.asnumpy(out), data(10_000) + 0.5)


def shift(i, a, b, by):
    a[i] = b[i] + by


@pytest.mark.extra
def test_more_than_two_to_the_31_elements():
    n = 2**31 + 4099
    try:
        a = pp.threads().empty(n, np.int8)
    except pp.DeviceMemoryError as error:
        pytest.skip(f"no room for {n} bytes: {error}")
    pp.fill(pp.par, a, 1)
    assert a[0] == a[2**31 - 1] == a[2**31] == a[-1] == 1
    pp.for_each(pp.par, pp.range(n - 1, 2**31 - 2, -2), mark_two, a)
    assert a[-1] == a[2**31] == 2 and a[-2] == a[2**31 - 3] == 1
    expected = n + math.ceil((n - 1 - (2**31 - 2)) / 2)
    assert pp.reduce(pp.par, a) == expected
    assert pp.transform_reduce(pp.par, pp.range(0, n), transform=lambda i: 1 if i >= 2**31 else 0) == 4099


def mark_two(i, a):
    a[i] = 2


def test_remembered_calls_of_ranges(policy):
    """Ranges of one length are one kind of argument; where they start and how they step is not remembered."""
    for start, step in ((0, 1), (1, 1), (3, 2), (3, 3), (7, -2), (0, 1), (2**40, 5)):
        x = np.arange(start, start + 100 * step, step)
        for indices in (pp.range(start, start + 100 * step, step), range(start, start + 100 * step, step)):
            assert (pp.transform(policy, indices, op=lambda i: 2 * i) == 2 * x).all()
            assert (pp.transform(policy, indices, step, op=lambda i, s: s * i) == step * x).all()
            assert (pp.transform(policy, indices, indices, op=lambda i, j: i - 2 * j) == -x).all()
            assert pp.reduce(policy, indices) == x.sum()
    assert pp.reduce(policy, pp.range(5)) == 10 and pp.reduce(policy, pp.range(6)) == 15


def test_calls_that_are_made_often_of_ranges_in_other_steps(policy):
    """Steps of 1 have code of their own, which no other call may get."""
    x, n = np.arange(300.0), 60
    ranges = [pp.range(n), pp.range(0, 2 * n, 2), pp.range(n, 2 * n), pp.range(n, 0, -1), range(0, 3 * n, 3), range(n)]
    ranges += [pp.range(40), pp.range(0, 80, 2), pp.range(50, 10, -1)]  # of another length

    def after(i):
        j = (i + 1) % n
        return x[i] - 2 * x[j]

    for often in (6, 1, 1, 4):
        for indices in ranges:
            k = np.arange(300)[indices.start : indices.stop : indices.step]
            wanted = x[k] - 2 * x[(k + 1) % n]
            for _ in range(often):
                np.testing.assert_array_equal(pp.transform(policy, indices, op=after), wanted)
                assert pp.transform_reduce(policy, indices, transform=after) == wanted.sum()
                assert pp.reduce(policy, indices) == k.sum()


def test_remembered_steps_follow_what_they_capture(policy):
    """Closures of one code that capture other numbers, arrays and functions, at any depth."""

    def scaled(factor):
        return lambda v: factor * v

    def shifted(inner, y):
        def op(i):
            return inner(y[i]) + 1

        return op

    def squared(v):
        return v * v

    out, y = np.zeros(5), np.arange(5.0)
    wide = np.arange(10.0)[::2]
    for _ in range(2):
        for inner, expected in ((scaled(2), 2 * y), (scaled(3), 3 * y), (scaled(2.5), 2.5 * y), (squared, y * y)):
            for given, scale in ((y, 1), (y.copy(), 1), (y.astype(np.float32), 1), (wide, 0)):
                pp.transform(policy, pp.range(5), out=out, op=shifted(inner, given))
                assert (out == (expected if scale else [inner(v) for v in wide]) + np.ones(5)).all()


def test_remembered_calls_of_an_executors_own_arrays(where):
    how, n = pp.par.on(where), 1000

    def multiply(factor):
        return lambda v: factor * v

    for factor in (2.0, 3.0):
        for first in (0.0, 5.0, 7.0):
            host = np.arange(first, first + n)
            x, out, scaled = where.asarray(host), where.empty(n), multiply(factor)
            for _ in range(2):
                assert pp.transform(how, x, out=out, op=scaled) is out
                np.testing.assert_array_equal(pp.asnumpy(out), factor * host)
                fresh = pp.transform(how, x, op=scaled)
                assert fresh is not out and type(fresh) is type(x)
                np.testing.assert_array_equal(pp.asnumpy(fresh), factor * host)
                assert pp.reduce(how, x) == host.sum() and pp.reduce(how, x, init=first) == host.sum() + first
                np.testing.assert_array_equal(pp.transform(how, host, op=scaled), factor * host)
                assert pp.transform_reduce(how, x, x, transform=lambda a, b: a - b) == 0
                assert pp.transform_reduce(how, x, out, transform=lambda a, b: a - b) == (host - factor * host).sum()
            pp.transform(how, x, out=x, op=scaled)
            np.testing.assert_array_equal(pp.asnumpy(x), factor * host)


def test_remembered_calls_of_arrays_that_share_memory(policy):
    """The second call of one kind takes a shorter way, and must know the inputs apart."""
    difference, both = (lambda a, b: a - b), (lambda a, b: a + 2 * b)
    x = np.arange(1000.0) ** 2
    for _ in range(3):
        np.testing.assert_array_equal(pp.transform(policy, x[1:], x[:-1], op=difference), np.diff(x))
    grid, other = np.arange(600.0).reshape(20, 30), np.ones((20, 30))
    for second in (grid[:], other, grid[:], other):
        np.testing.assert_array_equal(pp.transform(policy, grid, second, op=both), grid + 2 * second)
    twice = lambda a: 2 * a
    for same in (False, True, True, False):  # two views of one place look like two arrays
        data = np.arange(5.0)
        out = data if same else np.zeros(5)
        pp.transform(policy, data[:], out=out[:], op=twice)
        np.testing.assert_array_equal(out, 2 * np.arange(5.0))
        assert same or data[1] == 1
