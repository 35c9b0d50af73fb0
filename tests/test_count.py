"""count, count_if, any_of, all_of and none_of on every executor, against NumPy."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 2**20 + 3)


def data(n):
    return np.random.default_rng(n).integers(0, 50, n).astype(float)


def large(v):
    return v > 20


def test_counts_of_every_size(policy):
    for n in SIZES:
        x = data(n)
        found = pp.count(policy, x, 7), pp.count_if(policy, x, large)
        assert found == ((x == 7).sum(), (x > 20).sum()) and all(type(k) is int for k in found)


def test_any_all_none(policy):
    for n in SIZES:
        x = data(n)
        for here in (x, np.zeros(n), np.full(n, 30.0), *(np.where(np.arange(n) == k, 30.0, 0) for k in (0, n - 1))):
            fits = here > 20
            found = pp.any_of(policy, here, large), pp.all_of(policy, here, large), pp.none_of(policy, here, large)
            assert found == (fits.any(), fits.all(), not fits.any()), n
            assert all(type(k) is bool for k in found)


def test_predicates_return_any_truth_value(renderer):
    k = np.arange(1000)
    assert pp.count_if(renderer, k, lambda v: v % 4) == 750
    assert pp.any_of(renderer, k, lambda v: v & 512) and not pp.all_of(renderer, k, lambda v: v & 512)
    assert pp.all_of(renderer, k, lambda v: v - 2000) and not pp.none_of(renderer, k, lambda v: v - 2000)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "c16"])
def test_values_are_compared_as_by_numpy(dtype):
    dtype, p = np.dtype(dtype), pp.par.on(pp.threads(2))
    with np.errstate(invalid="ignore"):
        x = np.array([0, 1, 2, 3, 255, 127, 0.1, 2.5, np.nan, -0.0, 1e30], "f8").astype(dtype)
    if dtype.kind in "iu":
        x[-1] = np.iinfo(dtype).max
    for value in (0, 255, -1, 300, 2.5, 0.1, -0.0, np.nan, np.float32(0.1), x[-1], x[6]):
        assert pp.count(p, x, value) == (x == value).sum(), value
    assert pp.count(p, x, 2**80) == 0


def test_every_shape(policy):
    a = data(60).reshape(3, 4, 5)
    for view in (a, a.T, a[::2, ::-1], a[:, :, 1], a[0], a[:, :0]):
        assert pp.count_if(policy, view, large) == (view > 20).sum()
        assert pp.any_of(policy, view, large) == (view > 20).any()
        assert pp.all_of(policy, view, large) == (view > 20).all()
    assert pp.count_if(policy, pp.range(1, 101), lambda i: i % 7 == 0) == 14
    assert pp.count_if(policy, pp.range(5, 5), lambda i: i % 7 == 0) == 0


def test_device_arrays(where):
    p = pp.par.on(where)
    for shape in ((0,), (100_003,), (300, 64)):
        x = data(int(np.prod(shape))).reshape(shape)
        here = where.asarray(x)
        assert pp.count_if(p, here, large) == (x > 20).sum() and pp.count(p, here, 7) == (x == 7).sum()
        assert pp.any_of(p, here, large) == (x > 20).any() and pp.all_of(p, here, large) == (x > 20).all()


def test_predicates_capture_numbers_and_arrays(policy):
    k, table = data(5000).astype(int), np.arange(50) % 3 == 0
    for limit in (10, 30):
        assert pp.count_if(policy, k, lambda v: v < limit) == (k < limit).sum()  # noqa: B023
    assert pp.count_if(policy, k, lambda v: table[v]) == table[k].sum()
    assert pp.any_of(policy, k, lambda v: table[v]) and not pp.all_of(policy, k, lambda v: table[v])


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.lists(st.floats(width=32), max_size=500), st.floats(width=32))
def test_any_input(values, value):
    x = np.array(values, np.float32)
    for p in (pp.seq, pp.par.on(pp.threads(3))):
        assert pp.count(p, x, value) == (x == np.float32(value)).sum()
        assert pp.any_of(p, x, lambda v: v < value) == (x < np.float32(value)).any()


def test_task_and_plan(policy):
    x = data(1000)
    assert pp.count_if(policy.task, x, large).result() == (x > 20).sum()
    assert pp.any_of(policy.task, x, large).result() is True
    step = pp.plan(pp.count_if, policy, x, large)
    assert "count_if over 1000 rows" in str(step) and step.run() == (x > 20).sum()
    assert "count_if over 100 rows" in str(pp.plan(pp.count_if, policy, pp.range(100), large))


def test_errors(policy):
    x = data(10)
    with pytest.raises(pp.KernelError, match=r"count_if: predicate 'lambda' .*takes 2 arguments \(a, b\): must take 1"):
        pp.count_if(policy, x, lambda a, b: a > b)
    with pytest.raises(pp.KernelError, match=r"all_of: predicate 'lambda' .*takes 0 arguments"):
        pp.all_of(policy, x, lambda: True)
    with pytest.raises(pp.PlacementError, match="count: value is 'a', a str: must be a number"):
        pp.count(policy, x, "a")
    with pytest.raises(pp.PlacementError, match=r"any_of: argument 'x' is 3\.0"):
        pp.any_of(policy, 3.0, large)
    with pytest.raises(pp.PlacementError, match="list"):
        pp.count_if(policy, [1, 2], large)


def test_counts_of_several_tiles(where):
    x = np.arange(5 * 4096 + 17) % 101
    there = where.asarray(x)
    how = pp.par.on(where)
    assert pp.count_if(how, there, lambda v: v >= 0) == len(x)
    inner = lambda v: not v > 5
    more = pp.transform_reduce(how, there, transform=lambda v: inner(v), op=lambda a, b: a + b, init=10**12)
    assert more == 10**12 + (x <= 5).sum()
