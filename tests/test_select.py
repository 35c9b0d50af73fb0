"""kth_smallest and nth_element on every renderer, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

THREADS = pp.par  # on the default executor, which no test closes


def numbers(n, dtype="f8"):
    rng, dtype = np.random.default_rng(n), np.dtype(dtype)
    if dtype.kind != "f":
        return rng.integers(0, 2 if dtype.kind == "b" else 100, n).astype(dtype)
    x = rng.standard_normal(n).round(2).astype(dtype)
    for special in (np.nan, -np.nan, np.inf, 0.0, -0.0):
        x[rng.random(n) < 0.03] = special
    return x


def check(policy, x, places=None):
    given = x
    x = pp.asnumpy(x)
    expected = np.sort(x)
    for k in sorted({0, 1 % len(x), len(x) // 3, len(x) - 1}) if places is None else places:
        got = pp.kth_smallest(policy, given, k)
        assert type(got) is type(expected[k])
        np.testing.assert_array_equal(got, expected[k])
        parted = pp.asnumpy(pp.nth_element(policy, given, k))
        np.testing.assert_array_equal(parted[k], expected[k])
        np.testing.assert_array_equal(np.sort(parted[:k]), expected[:k])
        np.testing.assert_array_equal(np.sort(parted[k:]), expected[k:])
        assert np.signbit(parted[parted == 0]).sum() == np.signbit(x[x == 0]).sum() if x.dtype.kind == "f" else True


def test_every_length(renderer):
    for n in (1, 2, 31, 1000, 300_007):
        check(renderer, numbers(n))


def test_several_parts(where):
    if len(where.members) > 1:
        for n in (1, 3, 1000, 300_007):
            check(pp.par.on(where), numbers(n))
            check(pp.par.on(where), where.asarray(numbers(n)))


def shapes(n):
    rng = np.random.default_rng(n)
    yield np.arange(n)
    yield np.arange(n)[::-1]
    yield np.full(n, 3)
    yield np.arange(n) % 2
    yield np.where(rng.random(n) < 0.9, 5, rng.integers(-(2**62), 2**62, n))
    yield np.append(np.zeros(n - 1), 1 << 60).astype("i8")
    yield (np.arange(n) % 64 == 0) * np.arange(n)


def test_skew():
    for x in shapes(300_000):
        check(THREADS, x, (0, 1, 150_000, 299_998, 299_999))


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "f4"])
def test_dtypes_on_threads(dtype):
    check(THREADS, numbers(1000, dtype)[::-1])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats() | st.integers(-2, 2).map(float), min_size=1), st.integers(0, 10**6))
def test_any_floats(values, k):
    check(THREADS, np.array(values, "f8"), (k % len(values),))


def test_in_place_and_arrays_of_devices(renderer):
    x = numbers(50_000)
    there = renderer.executor.asarray(x)
    got = pp.nth_element(renderer, there, 777)
    assert type(got) is type(there)
    np.testing.assert_array_equal(np.sort(pp.asnumpy(got)[:777]), np.sort(x)[:777])
    assert pp.nth_element(renderer, x, 777, out=x) is x
    np.testing.assert_array_equal(x, pp.asnumpy(got))


def test_tasks_and_plans(renderer):
    x = numbers(1000)
    x.flags.writeable = False
    assert pp.kth_smallest(renderer.task, x, 5).result() == np.sort(x)[5]
    assert pp.plan(pp.nth_element, renderer, x, 5).run()[5] == np.sort(x)[5]


def test_what_is_refused():
    x = numbers(10)
    before = x.copy()
    for call, message in (
        (lambda: pp.kth_smallest(THREADS, x, 10), "k is 10: must be a whole number from 0 to 9"),
        (lambda: pp.kth_smallest(THREADS, x, -1), "k is -1"),
        (lambda: pp.kth_smallest(THREADS, x, 1.5), "k is 1.5"),
        (lambda: pp.nth_element(THREADS, x, 10), "n is 10"),
        (lambda: pp.kth_smallest(THREADS, x[:0], 0), "x has no elements"),
        (lambda: pp.kth_smallest(THREADS, x + 1j, 1), "complex128"),
        (lambda: pp.nth_element(THREADS, x, 1, out=np.zeros(10, "f4")), "float32: must have"),
        (lambda: pp.nth_element(THREADS, x[1:], 1, out=x[:-1]), "partly overlaps"),
    ):
        with pytest.raises(pp.PlacementError, match=message):
            call()
    np.testing.assert_array_equal(x, before)
