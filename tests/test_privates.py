"""Updates of few elements by many iterations, which threads do on copies of their own."""

import threading

import numpy as np
import pytest

import portapar as pp
from portapar.kernel import copies
from portapar.kernel.cpu import privates

N = 5000


@pytest.fixture
def spread(monkeypatch):
    """Copies are made for all but the first iterations; how many calls made some."""
    done = []

    def counted(*args):
        done.append(1)
        return real(*args)

    real = privates.put_together
    monkeypatch.setattr(privates, "put_together", counted)
    monkeypatch.setattr(privates, "cost", lambda *_: -1.0)
    return done


def hit(counts, k):
    pp.atomic.add(counts, k, 1)


def whole(i, x, total, counts, less, low, high, both, either, odd):
    k = x[i] % 7
    pp.atomic.add(total, 0, x[i])
    hit(counts, k)
    pp.atomic.sub(less, (k, i % 2), x[i])
    if x[i] > 20:
        pp.atomic.min(low, k, x[i])
        for step in range(x[i] % 3):
            pp.atomic.max(high, (i % 2, step, -1), x[i])
    pp.atomic.and_(both, k, x[i] | 1 << k)
    pp.atomic.or_(either, k, x[i])
    pp.atomic.xor(odd, k, x[i])


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8"])
def test_whole_numbers(policy, dtype, spread):
    x = np.random.default_rng(1).integers(0, 1000, N).astype(dtype)
    shapes = [(1,), (7,), (7, 2), (7,), (2, 3, 2), (7,), (7,), (7,)]
    found = [np.full(shape, 2**31 - 9, dtype) for shape in shapes]
    wanted = [one.copy() for one in found]
    pp.for_each(policy, N, whole, x, *found)
    with np.errstate(over="ignore"):
        for i in range(N):
            whole(i, x, *wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(spread) >= any(m.device.host_memory and m.threads > 1 for m in policy.executor.members)


def real(i, x, total, low, high):
    k = i % 3
    pp.atomic.add(total, k, x[i])
    pp.atomic.min(low, k, x[i])
    pp.atomic.max(high, k, x[i])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_numbers_with_a_fraction(policy, dtype, spread):
    x = np.random.default_rng(2).integers(-50, 50, N).astype(dtype)  # sums are exact
    x[30::31] = np.nan
    x[1::3] = -0.0
    start = np.array([3.0, -0.0, np.nan, -0.0], dtype)  # nobody updates the last one
    total, low, high = (start.copy() for _ in range(3))
    pp.for_each(policy, N, real, x, total, low, high)
    some = x[0::3][~np.isnan(x[0::3])]
    assert np.isnan(total[0]) and low[0] == some.min() and high[0] == some.max()
    assert np.signbit([total[1], total[3], low[3], high[3]]).all() and total[1] == total[3] == 0
    assert np.isnan([total[2], low[2], high[2]]).all()  # which no number replaces


def records(i, x, r, counts):
    pp.atomic.add(r["n"], x[i] % 4, 1)
    pp.atomic.add(r["sum"], x[i] % 4, 0.5)
    pp.atomic.add(counts, x[i] % 2, x[i])


def test_fields_and_strided_arrays(policy, spread):
    x = np.random.default_rng(3).integers(0, 100, N)
    r = np.zeros(4, [("n", "i4"), ("left", "i2"), ("sum", "f8")])
    r["left"], r["sum"] = 9, -0.0
    wide = np.zeros((3, 4), np.int64)
    if not all(m.device.host_memory for m in policy.executor.members):
        pytest.skip("in C the element comes before its field")
    pp.for_each(policy, N, records, x, r, wide[1, ::-2])
    counts = np.bincount(x % 4)
    assert (r["n"] == counts).all() and (r["sum"] == counts / 2).all() and (r["left"] == 9).all()
    assert wide.tolist() == [[0] * 4, [0, x[1 == x % 2].sum(), 0, x[0 == x % 2].sum()], [0] * 4]


def claims(i, x, count, out, total):
    place = pp.atomic.add(count, 0, 1)
    out[place] = x[i]
    pp.atomic.add(total, 0, x[i])


def reads(i, x, count, total):
    pp.atomic.add(count, 0, 1)
    if count[0] > 0:
        pp.atomic.add(total, 0, x[i])


def changes(i, x, last, total):
    pp.atomic.exchange(last, 0, x[i])
    pp.atomic.add(total, 0, x[i])


def one(i, count, other):
    pp.atomic.add(count, 0, 1)
    pp.atomic.add(other, 0, 2)


def test_arrays_of_which_no_copies_are_made(spread):
    x = np.random.default_rng(4).integers(1, 100, N)
    count, out, total, last = np.zeros(1, int), np.zeros(N, int), np.zeros(1, int), np.zeros(1, int)
    pp.for_each(pp.par, N, claims, x, count, out, total)
    assert count[0] == N and (np.sort(out) == np.sort(x)).all() and total[0] == x.sum() and len(spread) == 1
    pp.for_each(pp.par, N, reads, x, count, total)
    assert count[0] == 2 * N and total[0] == 2 * x.sum() and len(spread) == 2
    pp.for_each(pp.par, N, changes, x, last, total)
    assert last[0] in x and total[0] == 3 * x.sum() and len(spread) == 3
    both = np.zeros(3, int)
    pp.for_each(pp.par, N, one, both, both)
    pp.for_each(pp.par, N, one, both[:2], both[1:])
    assert both.tolist() == [4 * N, 2 * N, 0] and len(spread) == 3
    same = np.lib.stride_tricks.as_strided(np.zeros(1, int), (3,), (0,))
    pp.for_each(pp.par, N, lambda i, c: pp.atomic.add(c, i % 3, 1), same)
    assert same[0] == N and len(spread) == 3


def test_large_arrays_are_not_copied(monkeypatch, spread):
    monkeypatch.setattr(privates, "_room", lambda: 130)
    count, other = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for k in range(3):
        pp.for_each(pp.par.on(pp.threads(2 + k)), N, one, count, other)
    assert count[0] == 3 * N and other[0] == 6 * N and len(spread) == 1  # of two threads


@pytest.mark.parametrize("name", ["threads(3)", "hybrid(threads(2), simd(), weights=[1, 1])"])
def test_calls_at_the_same_time(name, spread):
    where = eval(name, {**vars(pp)})
    policies = [pp.par.on(where), pp.seq, pp.par, pp.par.with_(schedule="dynamic", chunk_size=50)]
    grid, other = np.zeros((2, 3), np.int64).T, np.zeros(2, np.int64)
    plan = pp.plan(pp.for_each, pp.par, (50, 100), cells, grid, other)

    def several(k):
        for _ in range(20):
            pp.for_each(policies[k], (50, 100), cells, grid, other)
            plan.run()

    workers = [threading.Thread(target=several, args=(k,)) for k in range(len(policies))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    calls = 20 * 2 * len(policies)
    assert grid.sum() == other[0] == calls * N and (grid[:, 0] == grid[:, 1]).all() and spread
    where.close()


def cells(i, j, grid, other):
    pp.atomic.add(grid, (i % 3, j % 2), 1)
    pp.atomic.add(other, 0, 1)


def test_checked_calls_and_plans(spread):
    count, other = np.zeros(2, np.int64), np.zeros(2, np.int64)
    pp.for_each(pp.par.with_(check=True), N, one, count, other)
    assert count[0] == N and other[0] == 2 * N and len(spread) == 1
    with pytest.raises(pp.BoundsError, match="index 1 is out of bounds"):
        pp.for_each(pp.par.with_(check=True), N, lambda i, c: pp.atomic.add(c, i % 2, 1), np.zeros(1, int))
    plan = pp.plan(pp.for_each, pp.par, N, one, count, other)
    plan.run()
    other.flags.writeable = False
    with pytest.raises(pp.PortaparError, match="read-only"):
        plan.run()
    assert count[0] == 2 * N and other[0] == 4 * N


def test_what_a_copy_holds_changes_nothing():
    for operation in ("add", "min", "max", "and_", "or_", "xor"):
        for dtype in map(np.dtype, ("i4", "u4", "i8", "u8", "f4", "f8")):
            if dtype.kind == "f" and operation not in ("add", "min", "max"):
                continue
            ends = np.iinfo(dtype) if dtype.kind != "f" else np.finfo(dtype)
            x = np.array([0, 1, ends.min, ends.max, -0.0, *[np.nan, np.inf, -np.inf] * (dtype.kind == "f")], dtype)
            found = x.copy()
            copies.combine(operation, found, np.full_like(x, copies.neutral(operation, dtype)))
            assert found.tobytes() == x.tobytes()


def counters(i, x, k, updated_0_, count, grid, total, none, short, odd, some):
    if x[i] > 0.25:
        pp.atomic.add(count, 0, 1)
        pp.atomic.sub(count, 3, 2)
    else:
        pp.atomic.add(grid, (1, 2), k[i])
    if x[i] > 0.5 and not (k[i] == 3 or x[i] < 0.6):
        pp.atomic.add(total, 0, x[i])
        pp.atomic.sub(total, 1, 0.5)
    for step in range(updated_0_):
        if k[i] > step:
            pp.atomic.xor(odd, 1, step)
            pp.atomic.or_(some, 0, k[i])
    if x[i] > 2.0:
        pp.atomic.add(none, 0, 1)
    if len(short) > 3:
        pp.atomic.add(short, 3, 7)
    if k[i] < updated_0_:
        pp.atomic.add(count, -1, 1)
    if x[i] > 3.0:
        pp.atomic.add(total, 2, 1.0)


@pytest.mark.parametrize("dtype", ["i8", "u4"])
def test_counters_under_conditions(policy, dtype, spread):
    rng = np.random.default_rng(5)
    x, k = rng.integers(0, 8, N) / 8, rng.integers(0, 6, N).astype(dtype)  # sums are exact
    memory = np.full(8, 5, dtype)
    found = np.zeros(5, dtype), np.zeros((2, 3), dtype), np.array([0.0, 0.0, -0.0]), memory[3:3], memory[4:6]
    found = *found, np.zeros(2, dtype), np.zeros(1, dtype)
    wanted = [one.copy() for one in found]
    pp.for_each(policy, N, counters, x, k, 4, *found)
    with np.errstate(over="ignore"):
        for i in range(N):
            counters(i, x, k, 4, *wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.signbit(found[2][2]) and (memory == 5).all()


def large(i, x, total):
    if x[i] > 0:
        pp.atomic.add(total, 0, x[i])


def test_whole_numbers_are_rounded_once_for_float32(policy):
    x = np.full(N, -1)
    x[N // 2] = (1 << 54) + (1 << 30) + 1  # just above the middle of two of float32, and by float64 just there
    total = np.zeros(1, np.float32)
    pp.for_each(policy, N, large, x, total)
    assert total[0] == x.max(keepdims=True).astype(np.float32)[0]
