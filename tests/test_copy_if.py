"""copy_if, remove_if, pack_index and partition on every executor, against NumPy."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 2**20 + 3)


def data(n, seed=0):
    return np.random.default_rng([n, seed]).integers(0, 50, n).astype(float)


def large(v):
    return v > 20


def itself(v):
    return v


def flags_of(n):
    """Name → n flags."""
    yield "none", np.zeros(n, bool)
    yield "all", np.ones(n, bool)
    yield "first", np.arange(n) == 0
    yield "last", np.arange(n) == n - 1
    yield "every second", np.arange(n) % 2 == 0
    yield "half", np.arange(n) < n // 2


def same(found, expected):
    found = pp.asnumpy(found)
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def test_of_every_size(policy):
    for n in SIZES:
        x = data(n)
        keep = x > 20
        same(pp.copy_if(policy, x, large), x[keep])
        same(pp.remove_if(policy, x, large), x[~keep])
        same(pp.pack_index(policy, keep), np.flatnonzero(keep))


def test_of_every_pattern(policy):
    x = data(70_000)
    for _, keep in flags_of(len(x)):
        same(pp.copy_if(policy, x, itself, stencil=keep), x[keep])
        same(pp.pack_index(policy, keep), np.flatnonzero(keep))


def test_partition(policy):
    for n in SIZES:
        x = data(n)
        found, count = pp.partition(policy, x, large)
        same(found, np.concatenate([x[x > 20], x[x <= 20]]))
        assert type(count) is int and count == (x > 20).sum()


def test_device_arrays_stay_where_they_are(where):
    p = pp.par.on(where)
    for n in (0, 1000, 100_003):
        x = data(n)
        here, keep = where.asarray(x), x > 20
        for found, expected in (
            (pp.copy_if(p, here, large), x[keep]),
            (pp.remove_if(p, here, large), x[~keep]),
            (pp.copy_if(p, here, itself, stencil=where.asarray(keep)), x[keep]),
            (pp.pack_index(p, where.asarray(keep)), np.flatnonzero(keep)),
        ):
            assert type(found) is type(here)
            same(found, expected)
        found, count = pp.partition(p, here, large)
        assert type(found) is type(here) and count == keep.sum()
        same(found, np.concatenate([x[keep], x[~keep]]))


def test_predicates_capture_numbers_and_arrays(where):
    p, x, table = pp.par.on(where), data(5000), np.arange(50) % 3 == 0
    for limit in (10, 30.5):
        same(pp.copy_if(p, x, lambda v: v < limit), x[x < limit])  # noqa: B023
    k = x.astype(int)
    expected = k[table[k]]
    same(pp.copy_if(p, k, lambda v: table[v]), expected)
    if where.kind != "hybrid":
        here = where.asarray(table)
        same(pp.copy_if(p, where.asarray(k), lambda v: here[v]), expected)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "i4", "u8", "f4", "c16"])
def test_dtypes(renderer, dtype):
    x = (data(5000) - 25).astype(dtype)
    same(pp.copy_if(renderer, x, lambda v: v == 1), x[x == 1])
    if np.dtype(dtype).kind != "c":
        flags = x.astype("i1") if np.dtype(dtype).kind == "f" else x
        same(pp.pack_index(renderer, flags), np.flatnonzero(flags))


def test_bits_are_kept(policy):
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.0] * 100)
    same(pp.copy_if(policy, x, large), x[x > 20])
    same(pp.remove_if(policy, x, large), x[~(x > 20)])
    same(pp.copy_if(policy, x, np.isnan), x[np.isnan(x)])


def test_records():
    x = np.zeros(1000, [("key", "i4"), ("value", "f8")])
    x["key"], x["value"] = np.arange(1000) % 7, np.arange(1000)
    same(pp.copy_if(pp.par, x, lambda r: r.key == 3), x[x["key"] == 3])
    found, count = pp.partition(pp.par, x, lambda r: r.key == 3)
    same(found, np.concatenate([x[x["key"] == 3], x[x["key"] != 3]]))
    assert count == (x["key"] == 3).sum()


def test_layouts(renderer):
    x = data(4000)
    for view in (x[::2], x[::-1], x[100:], x.reshape(40, 100)[:, 3]):
        view.flags.writeable = False
        before = view.copy()
        same(pp.copy_if(renderer, view, large), before[before > 20])
        found, _ = pp.partition(renderer, view, large)
        same(found, np.concatenate([before[before > 20], before[before <= 20]]))
        assert np.array_equal(view, before)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.lists(st.integers(-100, 100), max_size=3000), st.integers(1, 7))
def test_any_input(values, divisor):
    x = np.array(values, np.int64)
    for p in (pp.seq, pp.par.on(pp.threads(3))):
        assert pp.copy_if(p, x, lambda v: v % divisor == 0).tolist() == [v for v in values if v % divisor == 0]
        found, count = pp.partition(p, x, lambda v: v % divisor == 0)
        assert found.tolist() == sorted(values, key=lambda v: v % divisor != 0) and count == sum(
            v % divisor == 0 for v in values
        )


def test_task_and_plan(where):
    x, p = data(1000), pp.par.on(where)
    same(pp.copy_if(p.task, x, large).result(), x[x > 20])
    step = pp.plan(pp.copy_if, p, x, large)
    assert "copy_if over 1000 rows" in str(step)
    same(step.run(), x[x > 20])


def test_errors(policy):
    x = data(10)
    before = x.copy()
    with pytest.raises(pp.PlacementError, match=r"copy_if: argument 'x' has shape \(2, 5\).*x\.reshape\(-1\)"):
        pp.copy_if(policy, x.reshape(2, 5), large)
    with pytest.raises(pp.PlacementError, match=r"pack_index: argument 'flags' has shape \(2, 5\)"):
        pp.pack_index(policy, (x > 1).reshape(2, 5))
    with pytest.raises(pp.PlacementError, match="pack_index: flags has dtype float64: must be booleans or integers"):
        pp.pack_index(policy, x)
    with pytest.raises(pp.PlacementError, match="'stencil' has 9 rows, the others have 10"):
        pp.copy_if(policy, x, itself, stencil=x[1:] > 1)
    with pytest.raises(pp.PlacementError, match=r"remove_if: argument 'x' is 3\.0"):
        pp.remove_if(policy, 3.0, large)
    with pytest.raises(
        pp.KernelError, match=r"remove_if: predicate 'lambda' .*takes 2 arguments \(a, b\): must take 1"
    ):
        pp.remove_if(policy, x, lambda a, b: a > b)
    with pytest.raises(pp.KernelError, match="cannot be a kernel"):
        pp.copy_if(policy, x, 20)
    assert np.array_equal(x, before)
