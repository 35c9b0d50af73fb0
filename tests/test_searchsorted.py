"""searchsorted on every executor, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

THREADS = pp.par  # on the default executor, which no test closes


def numbers(n, seed=0):
    rng = np.random.default_rng([n, seed])
    x = rng.standard_normal(n).round(2)
    for special in (np.nan, np.inf, -np.inf, -0.0):
        x[rng.random(n) < 0.03] = special
    return x


def check(policy, table, values):
    for side in ("left", "right"):
        got = pp.asnumpy(pp.searchsorted(policy, table, values, side=side))
        expected = np.searchsorted(table, values, side)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, expected)


def test_every_length(policy):
    for n in (0, 1, 2, 3, 31, 1000):
        for m in (0, 1, 1000, 50_000):
            check(policy, np.sort(numbers(n)), numbers(m, seed=1))
    check(policy, np.full(77, 2.0), np.array([1.0, 2.0, 3.0, np.nan]))
    check(policy, np.full(77, np.nan), np.array([1.0, np.nan]))


@pytest.mark.parametrize("dtypes", [("i4", "i4"), ("u1", "i4"), ("i8", "f4"), ("?", "?")])
def test_dtypes_are_compared_as_numpy_does(renderer, dtypes):
    table, values = (np.random.default_rng(3).integers(0, 100, 500).astype(dtype) for dtype in dtypes)
    check(renderer, np.sort(table), values)


def test_numbers(policy):
    table = np.array([1.0, 2.0, 2.0, np.nan])
    for value in (0, 2, 2.5, np.nan, np.float32(2), True, np.array(2)):
        for side in ("left", "right"):
            got = pp.searchsorted(policy, table, value, side=side)
            assert got == np.searchsorted(table, value, side) and type(got) is np.int64


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats() | st.integers(-2, 2).map(float)), st.lists(st.floats() | st.integers(-2, 2).map(float)))
def test_any_floats(table, values):
    check(THREADS, np.sort(np.array(table, "f8")), np.array(values, "f8"))


def test_arrays_of_devices(where):
    table, values = np.sort(numbers(1000)), numbers(5000, seed=1)
    there = where.asarray(values)
    got = pp.searchsorted(pp.par.on(where), table if where.kind == "hybrid" else where.asarray(table), there)
    assert type(got) is type(there)
    np.testing.assert_array_equal(pp.asnumpy(got), np.searchsorted(table, values))


def test_views_tasks_and_plans(policy):
    table, values = np.arange(100.0)[::2], numbers(1000)[::-1]
    table.flags.writeable = values.flags.writeable = False
    check(policy, table, values)
    expected = np.searchsorted(table, values)
    np.testing.assert_array_equal(pp.searchsorted(policy.task, table, values).result(), expected)
    np.testing.assert_array_equal(pp.plan(pp.searchsorted, policy, table, values).run(), expected)


def test_what_is_refused():
    x = np.arange(4.0)
    for call, message in (
        (lambda: pp.searchsorted(THREADS, x, x, side="middle"), "side is 'middle'"),
        (lambda: pp.searchsorted(THREADS, x.reshape(2, 2), x), "must have one dimension"),
        (lambda: pp.searchsorted(THREADS, x, x.reshape(2, 2)), "must have one dimension"),
        (lambda: pp.searchsorted(THREADS, x + 0j, x), "complex128"),
        (lambda: pp.searchsorted(THREADS, [1, 2], x), "is a list"),
    ):
        with pytest.raises(pp.PlacementError, match=message):
            call()
