"""sort, stable_sort, argsort, sort_by_key, is_sorted and merge on every executor, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 70_003)
RECORD = np.dtype([("id", "i4"), ("weight", "f8")], align=True)
THREADS = pp.par  # on the default executor, which no test closes


def last_digit(v):
    return v % 10


def size_of(z):
    return z.real * z.real + z.imag * z.imag


def weight(r):
    return r.weight


def numbers(n, dtype="f8", seed=0):
    """Many duplicates; of floats some are NaN of either sign, infinite, 0.0 or -0.0."""
    rng, dtype = np.random.default_rng([n, seed]), np.dtype(dtype)
    if dtype.kind != "f":
        low, high = (0, 2) if dtype.kind == "b" else (0 if dtype.kind == "u" else -100, 100)
        return rng.integers(low, high, n).astype(dtype)
    x = rng.standard_normal(n).round(2).astype(dtype)
    for special in (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0):
        x[rng.random(n) < 0.03] = special
    return x


def ranks(x, descending=False):
    """Numbers in the order of the elements, equal ones for equal ones: NaN last."""
    values, inverse = np.unique(x, return_inverse=True)
    if descending:
        inverse = -inverse
        if x.dtype.kind == "f" and len(values) and np.isnan(values[-1]):
            inverse[np.isnan(x)] = 1
    return inverse


def order(x, descending=False):
    return np.argsort(ranks(x, descending), kind="stable")


def same(got, expected):
    """The same bits."""
    got = pp.asnumpy(got)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    if got.dtype.names:
        assert (got == expected).all()
    else:
        assert got.tobytes() == expected.tobytes()


def equal(got, expected):
    """Equal values, and of equal ones (0.0 and -0.0, all NaN) the same bits as often."""
    got = pp.asnumpy(got)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype and sorted(map(repr, got[got == 0])) == sorted(
        map(repr, expected[expected == 0])
    )


@pytest.mark.parametrize("descending", [False, True])
def test_sorts_of_every_length(policy, descending):
    for n in SIZES:
        x = numbers(n)
        before, expected = x.copy(), x[order(x, descending)]
        equal(pp.sort(policy, x, descending=descending), expected)
        same(pp.argsort(policy, x, descending=descending), order(x, descending))
        same(x, before)
        if n <= 1000:  # it is another kernel: not all of them again
            out = np.zeros_like(x)
            assert pp.stable_sort(policy, x, descending=descending, out=out) is out
            same(out, expected)
        assert pp.sort(policy, x, descending=descending, out=x) is x
        equal(x, expected)


def test_values_go_along_with_keys(policy):
    for n in SIZES:
        keys, values = numbers(n, "i4"), np.arange(n, dtype="f8")
        got = pp.sort_by_key(policy, keys, values)
        same(got[0], keys[order(keys)])
        same(got[1], values[order(keys)])
    keys = numbers(1000)
    got = pp.sort_by_key(policy, keys, np.arange(1000, dtype="f8"), descending=True)
    same(got[0], keys[order(keys, True)])
    same(got[1], order(keys, True).astype("f8"))


@pytest.mark.extra
def test_keys_of_elements(policy):
    for n in (0, 1, 1000):
        x = numbers(n, "i4") + 100
        same(pp.stable_sort(policy, x, key=last_digit), x[order(x % 10)])
        same(pp.argsort(policy, x, key=last_digit, descending=True), order(x % 10, True))
        records = np.zeros(n, RECORD)
        records["id"], records["weight"] = np.arange(n), numbers(n)
        expected = records[order(records["weight"])]
        same(pp.sort(policy, records, key="weight")["id"], expected["id"])
        assert pp.is_sorted(policy, expected, key=weight)
        assert pp.sort(policy, records, key=weight, out=records) is records
        same(records["id"], expected["id"])


def test_complex_numbers(renderer):
    z = (numbers(1000, "i4") + 1j * numbers(1000, "i4", seed=1)).astype("c16")
    expected = z[order(size_of(z))]
    same(pp.sort(renderer, z, key=size_of), expected)
    same(pp.sort(renderer, z.astype("c8"), key=size_of), expected.astype("c8"))
    got = pp.sort_by_key(renderer, z, numbers(1000, "i4"), key=size_of)
    same(got[0], expected)
    same(got[1], numbers(1000, "i4")[order(size_of(z))])


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i2", "u8", "f4"])
def test_every_kind_of_number(renderer, dtype):
    x = numbers(1000, dtype)
    if x.dtype.kind in "iu":
        x[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    for descending in (False, True):
        equal(pp.sort(renderer, x, descending=descending), x[order(x, descending)])


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u4", "i8", "u8", "f4", "f8"])  # u2, i4: below
def test_every_dtype_on_threads(dtype):
    for n in (33, 20_000):
        x = numbers(n, dtype)
        equal(pp.sort(THREADS, x), x[order(x)])
        if n == 33:
            same(pp.argsort(THREADS, x, descending=True), order(x, True))


def shapes(n, dtype):
    """name → data on which sorting may stumble."""
    rng = np.random.default_rng(n)
    yield "random", rng.standard_normal(n) * 1e4
    yield "equal", np.full(n, 7.0)
    yield "two values", rng.integers(0, 2, n)
    yield "sorted", np.arange(n)
    yield "reversed", np.arange(n)[::-1]
    yield "an outlier", np.append(rng.integers(0, 100, n - 1), 10**9)
    yield "mostly equal", np.where(rng.random(n) < 0.9, 5, rng.integers(0, 10**6, n))
    yield "runs", np.arange(n) % 1000
    yield "exponents", np.exp(rng.uniform(0, 20, n))
    close = np.repeat(np.arange(0, 1 << 30, 1 << 26), n // 16 + 1)[:n] + rng.integers(0, 40, n)  # few leading digits
    yield "clusters", close
    yield "low digits", rng.permutation(np.append(np.arange(n - 2), [1 << 30, -(1 << 30)]))


@pytest.mark.parametrize("dtype", ["f8", pytest.param("i4", marks=pytest.mark.extra)])
def test_skew(dtype):
    for name, x in shapes(100_000, dtype):
        x = x.astype(dtype)
        expected = np.argsort(x, kind="stable")
        np.testing.assert_array_equal(pp.argsort(THREADS, x), expected, name)
        same(pp.sort(THREADS, x), x[expected])


def test_skew_on_every_renderer(renderer):
    for _, x in shapes(100_000, "i4"):
        x = x.astype("i4")
        same(pp.sort(renderer, x), np.sort(x))


@pytest.mark.extra
def test_one_thread_and_many():
    for dtype in ("f8", "i4", "u2"):
        x = numbers((1 << 20) + 3, dtype)
        rising, falling = x[order(x)], x[order(x, True)]
        for threads in (1, 3, 4):
            where = pp.par.on(pp.threads(threads))
            equal(pp.sort(where, x), rising)
            equal(pp.sort(where, x, descending=True), falling)
        equal(pp.sort(pp.seq, x), rising)


def test_insertion_gives_up_on_long_runs_of_equal_digits():
    x = np.concatenate([np.arange(4000)[::-1], np.arange(1000) << 30])  # leading digits tell half of them nothing
    same(pp.argsort(THREADS, x), np.argsort(x, kind="stable"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(width=64) | st.sampled_from([0.0, -0.0, np.nan, 1.0, 2.0]), max_size=60), st.booleans())
def test_any_floats(values, descending):
    x = np.array(values, "f8")
    same(pp.argsort(THREADS, x, descending=descending), order(x, descending))
    same(pp.stable_sort(THREADS, x, descending=descending), x[order(x, descending)])
    assert pp.is_sorted(THREADS, pp.sort(THREADS, x, descending=descending), descending=descending)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=60))
def test_any_integers(values):
    x = np.array(values, "i8")
    same(pp.argsort(THREADS, x), np.argsort(x, kind="stable"))
    same(pp.sort(THREADS, x), np.sort(x))


def test_views(renderer):
    x = numbers(2000, "i4")
    for view in (x[::2], x[::-1], x[1:]):
        view.flags.writeable = False
        same(pp.sort(renderer, view), np.sort(view))
        same(pp.argsort(renderer, view), np.argsort(view, kind="stable"))
    x = numbers(2000, "i4")
    out = np.zeros((2000, 2), "i4")
    pp.sort(renderer, x, out=out[:, 1])
    same(out[:, 1].copy(), np.sort(x))
    assert not out[:, 0].any()
    pp.sort(renderer, x[::2], out=x[::2])
    same(x[::2].copy(), np.sort(numbers(2000, "i4")[::2]))


@pytest.mark.extra
def test_arrays_of_devices(where):
    policy, x, v = pp.par.on(where), numbers(50_000, "i4"), np.arange(50_000.0)
    there, values = where.asarray(x), where.asarray(v)
    got = pp.sort(policy, there)
    assert type(got) is type(there)
    same(got, np.sort(x))
    keys, moved = pp.sort_by_key(policy, there, values)
    same(keys, np.sort(x))
    same(moved, v[order(x)])
    same(pp.argsort(policy, there), order(x))
    assert pp.is_sorted(policy, keys) and not pp.is_sorted(policy, there)
    assert pp.sort(policy, there, out=there) is there
    same(there, np.sort(x))


def test_a_device_that_finds_the_order_itself(renderer, monkeypatch):
    device = renderer.executor.device
    if not hasattr(device, "argsort"):
        stable = lambda x: device.asarray(np.argsort(device.asnumpy(x), kind="stable"))
        monkeypatch.setattr(device, "argsort", stable, raising=False)
    x, v = numbers(70_003), np.arange(70_003, dtype="i4")
    for descending in (False, True):
        by = order(x, descending)
        same(pp.argsort(renderer, x, descending=descending), by)
        keys, moved = pp.sort_by_key(renderer, x, v, descending=descending)
        same(keys, x[by])
        same(moved, v[by])
    there = renderer.executor.asarray(v % 1000)
    assert pp.stable_sort(renderer, there, key=last_digit, out=there) is there
    same(there, (v % 1000)[order(v % 10)])


def test_is_sorted(policy):
    for n in SIZES:
        x = np.sort(numbers(n))
        assert pp.is_sorted(policy, x) is True
        assert pp.is_sorted(policy, pp.sort(policy, x, descending=True), descending=True)
        for k in {0, n // 2, n - 2} if n > 2 else ():
            y = np.arange(n, dtype="f8")
            y[k + 1] = k - 1
            assert pp.is_sorted(policy, y) is False
    assert pp.is_sorted(policy, np.array([-0.0, 0.0, -0.0])) and not pp.is_sorted(policy, np.array([np.nan, 1.0]))


def test_merge(policy):
    for n, m in ((0, 0), (0, 5), (5, 0), (1, 1), (1000, 31), (20_000, 30_001)):
        # NumPy's sorts in SIMD lanes may turn 0.0 and -0.0 into each other; its stable one does not
        a, b = np.sort(numbers(n), kind="stable"), np.sort(numbers(m, seed=1), kind="stable")
        equal(pp.merge(policy, a, b), np.sort(np.concatenate([a, b]), kind="stable"))
    a, b = np.array([11, 21, 12]), np.array([31, 32, 42])
    out = np.zeros(6, a.dtype)
    assert pp.merge(policy, a, b, key=last_digit, out=out) is out
    same(out, np.array([11, 21, 31, 12, 32, 42]))
    same(pp.merge(policy, a[::-1], b[::-1], key=last_digit, descending=True), np.array([12, 42, 32, 21, 11, 31]))
    records = np.zeros(4, RECORD)
    records["id"] = [1, 2, 1, 3]
    same(pp.merge(policy, records[:2], records[2:], key="id")["id"], np.array([1, 1, 2, 3], "i4"))


def test_tasks_and_plans(policy):
    x = numbers(1000, "i4")
    same(pp.sort(policy.task, x).result(), np.sort(x))
    plan = pp.plan(pp.argsort, policy, x)
    assert "argsort over 1000 rows" in str(plan)
    same(plan.run(), order(x))


def test_what_has_no_order_is_refused():
    x = numbers(10)
    before = x.copy()
    records = np.zeros(3, RECORD)
    for call, message in (
        (lambda: pp.sort(THREADS, x + 1j), r"complex128.*key=lambda z: abs\(z\)"),
        (lambda: pp.sort(THREADS, records), "no order"),
        (lambda: pp.sort(THREADS, records, key="mass"), "'mass' is no field of x"),
        (lambda: pp.sort(THREADS, x, key="weight"), "no field"),
        (lambda: pp.argsort(THREADS, x, key=lambda v: v + 1j), "key returns complex128"),
        (lambda: pp.sort(THREADS, x.reshape(2, 5)), "must have one dimension"),
        (lambda: pp.sort(THREADS, x, out=np.zeros(10, "f4")), "float32: must have"),
        (lambda: pp.sort(THREADS, x, out=np.zeros(9)), "9"),
        (lambda: pp.sort(THREADS, x[1:], out=x[:-1]), "partly overlaps"),
        (lambda: pp.sort_by_key(THREADS, x, np.zeros(9)), "9 rows"),
        (lambda: pp.merge(THREADS, x, x.astype("f4")), "must be the same"),
        (lambda: pp.merge(THREADS, x[:5], x[5:], out=x), "overlaps"),
    ):
        with pytest.raises(pp.PlacementError, match=message):
            call()
    with pytest.raises(pp.KernelError, match="takes 2 arguments"):
        pp.sort(THREADS, x, key=lambda a, b: a)
    x.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="read-only"):
        pp.sort(THREADS, x, out=x)
    same(x, before)


@pytest.mark.parametrize(
    ("how", "what"),
    [("simd", "order"), *(pytest.param(*case, marks=pytest.mark.extra) for case in (
        ("simd", "keys"), ("threads", "order"), ("threads", "keys"),
    ))],
)  # fmt: skip
@pytest.mark.extra
def test_as_many_as_are_sorted_in_one_piece_and_more(how, what):
    policy = pp.unseq if how == "simd" else pp.par.on(pp.threads(2))
    rng = np.random.default_rng(1)
    for n in (16_385, 65_536, 65_537, 262_145):
        keys, values = rng.integers(-50, 2**40, n) % 1000 - 300, np.arange(n)
        order = np.argsort(keys, kind="stable")
        if what == "order":
            assert np.array_equal(pp.argsort(policy, keys), order)
            for found, right in zip(pp.sort_by_key(policy, keys, values), (keys[order], order), strict=True):
                assert np.array_equal(found, right)
            assert pp.kth_smallest(policy, keys, n // 3) == keys[order][n // 3]
            found = pp.nth_element(policy, keys, n // 2)
            assert found[n // 2] == keys[order][n // 2] and np.array_equal(np.sort(found), keys[order])
            continue
        assert np.array_equal(pp.top_k(policy, keys, 5)[0], keys[order][::-1][:5])
        firsts = np.flatnonzero(np.diff(keys[order], prepend=-1000))
        found = pp.unique_by_key(policy, keys, values)
        assert np.array_equal(found[0], keys[order][firsts]) and np.array_equal(found[1], order[firsts])
        ranks = np.empty(n, np.int64)
        ranks[order] = np.arange(n) - np.repeat(firsts, np.diff(firsts, append=n)) + 1
        assert np.array_equal(pp.scan_by_key(policy, keys, np.ones(n, np.int64)), ranks)


def test_merges_whose_ends_differ(policy):
    rng = np.random.default_rng(1)
    for n, m in ((0, 5), (5, 0), (1, 3000), (3000, 1), (777, 777), (2000, 300)):
        for low in (0, 40, -40):  # as they are, one before the other
            a, b = np.sort(rng.integers(0, 30, n)), np.sort(rng.integers(0, 30, m) + low)
            both = np.concatenate([a, b])
            order = np.argsort(both, kind="stable")
            assert np.array_equal(pp.merge(policy, a, b), both[order])
            keys, places = pp.merge_by_key(policy, a, np.arange(n), b, np.arange(n, n + m))
            assert np.array_equal(keys, both[order]) and np.array_equal(places, order)
