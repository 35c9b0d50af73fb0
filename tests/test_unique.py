"""unique and unique_count on every executor, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_select import numbers

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 70_003)
THREADS = pp.par  # on the default executor, which no test closes


def check(policy, x):
    expected = np.unique(x)
    got = pp.asnumpy(pp.unique(policy, x))
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    count = pp.unique_count(policy, x)
    assert count == len(expected) and type(count) is int


@pytest.mark.extra
def test_every_length(policy):
    for n in SIZES:
        check(policy, numbers(n))
    n = 70_003
    for x in (np.arange(n), np.arange(n)[::-1], np.arange(n) // 2, np.full(n, 3)):
        check(policy, x.astype("f8"))
    check(policy, np.full(n, np.nan))


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i4", "u8", "f4"])
def test_dtypes(renderer, dtype):
    check(renderer, numbers(1000, dtype))


def test_integers_close_together(renderer):
    n = 40_000
    for values in (numbers(n, "i4"), np.arange(-7, n - 7)[::-1], np.append(numbers(n - 1, "i4"), n)):
        check(renderer, values.astype("i4"))


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "u8"])
def test_all_kinds_of_integers_close_together(dtype):
    x = numbers(40_000, dtype)
    if x.dtype.itemsize == 8:
        x = np.concatenate([x, x + np.iinfo(dtype).max - 1000])
        check(THREADS, x)
        x = x[40_000:]
    check(THREADS, x)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["i1", "u2", "i8"])
def test_other_dtypes_on_threads(dtype):
    check(THREADS, numbers(20_000, dtype)[::-1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats() | st.integers(-2, 2).map(float) | st.just(np.nan)))
def test_any_floats(values):
    check(THREADS, np.array(values, "f8"))


def test_arrays_of_devices(where):
    x = numbers(50_000)
    there = where.asarray(x)
    got = pp.unique(pp.par.on(where), there)
    assert type(got) is type(there)
    np.testing.assert_array_equal(pp.asnumpy(got), np.unique(x))
    np.testing.assert_array_equal(pp.asnumpy(there), x)


def test_tasks_and_plans(policy):
    x = numbers(1000)
    x.flags.writeable = False
    np.testing.assert_array_equal(pp.unique(policy.task, x).result(), np.unique(x))
    assert pp.plan(pp.unique_count, policy, x).run() == len(np.unique(x))


def test_what_has_no_order_is_refused():
    for x, message in ((np.zeros(3, "c16"), "complex128"), (np.zeros((2, 2)), "must have one dimension")):
        with pytest.raises(pp.PlacementError, match=message):
            pp.unique(THREADS, x)
