"""Runs of equal neighbours: run_length_encode, and what else takes ``consecutive=True``, against Python's groupby."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

SIZES = (0, 1, 2, 3, 31, 1000, 70_001)


def repeated(n, most, dtype="f8", seed=0):
    """Runs of up to `most` elements; floats with all that is equal and yet differs."""
    rng = np.random.default_rng([n, most, seed])
    lengths = rng.integers(1, most + 1, n)
    many = np.searchsorted(np.cumsum(lengths), n) + 1
    x = np.repeat(rng.integers(-3, 4, n)[:many], lengths[:many])[:n].astype(dtype)
    if x.dtype.kind == "f":
        x[x == 3] = np.nan
        x[(x == 0) & (rng.random(n) < 0.5)] = -0.0
        x[x == -3] = -np.inf
    return x


def runs(x):
    """(place of the first, how many) of every run, in Python."""
    groups = [list(g) for _, g in groupby(range(len(x)), key=lambda i: None if x[i] != x[i] else x[i])]
    return np.array([g[0] for g in groups], np.int64), np.array([len(g) for g in groups], np.int64)


def bits(x):
    return pp.asnumpy(x).tobytes()


def check(p, x, put=np.copy):
    first, lengths = runs(x)
    here, values = put(x), put(np.arange(len(x)) % 7)
    found, counts = pp.run_length_encode(p, here)
    assert found.dtype == x.dtype and counts.dtype == np.int64 and bits(found) == bits(x[first])
    np.testing.assert_array_equal(pp.asnumpy(counts), lengths)
    assert bits(pp.unique(p, here, consecutive=True)) == bits(x[first])
    assert pp.unique_count(p, here, consecutive=True) == len(first)
    keys, sums = pp.reduce_by_key(p, here, values, consecutive=True)
    expected = np.add.reduceat(np.arange(len(x)) % 7, first) if len(x) else []
    assert bits(keys) == bits(x[first])
    np.testing.assert_array_equal(pp.asnumpy(sums), expected)
    keys, chosen = pp.unique_by_key(p, here, values, consecutive=True)
    assert bits(keys) == bits(x[first])
    np.testing.assert_array_equal(pp.asnumpy(chosen), first % 7)


def test_runs(policy):
    for n in SIZES:
        for most in (1, 4, 2 * n + 2):
            check(policy, repeated(n, most))
    check(policy, repeated(1000, 5), policy.executor.asarray)


def test_views_that_nobody_may_write_to(renderer):
    x = repeated(3000, 4)
    for view in (x[::2], x[::-1], x.reshape(300, 10)[:, 3]):
        view.flags.writeable = False
        check(renderer, view)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "u8", "f4"])
def test_dtypes(renderer, dtype):
    check(renderer, repeated(3000, 4, dtype))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, -0.0, 1.5, np.nan, -np.nan, np.inf]), max_size=60))
def test_anything(values):
    check(pp.par, np.array(values, "f8"))


def test_running_sums(policy):
    for n in (0, 1, 1000, 9000):
        x, values = repeated(n, 300), np.random.default_rng(n).integers(0, 9, n)
        first, lengths = runs(x)
        sums = np.cumsum(values)
        before = np.repeat(sums[first] - values[first], lengths) if n else 0
        found = pp.scan_by_key(policy, x, values, consecutive=True)
        np.testing.assert_array_equal(found, sums - before)


def test_lazy_keys_tasks_and_records(renderer):
    numbers = np.arange(1000)
    tens = pp.lazy.transform(numbers, lambda k: k // 10)
    records = np.zeros(1000, [("a", "i4"), ("b", "f8")])
    records["a"], records["b"] = numbers, -numbers
    found, counts = pp.run_length_encode(renderer.task, tens).result()
    np.testing.assert_array_equal(found, np.arange(100))
    assert (counts == 10).all()
    _, first = pp.unique_by_key(renderer, tens, records, consecutive=True)
    np.testing.assert_array_equal(first, records[::10])
    _, sums = pp.reduce_by_key(renderer, tens, records, lambda p, q: (p[0] + q[0], p[1] + q[1]), consecutive=True)
    assert sums[3].item() == (sum(range(30, 40)), -float(sum(range(30, 40))))
    assert "run_length_encode over 1000 rows" in str(pp.plan(pp.run_length_encode, renderer, numbers))


def test_what_is_refused(policy):
    x = np.zeros(8)
    for call in (pp.run_length_encode, lambda p, x: pp.unique(p, x, consecutive=True)):
        with pytest.raises(pp.ArgumentError, match="x has dtype complex128: must be booleans, integers or floats"):
            call(policy, x + 1j)
        with pytest.raises(pp.ArgumentError, match=r"'x' has shape \(2, 4\)"):
            call(policy, x.reshape(2, 4))
    with pytest.raises(pp.ArgumentError, match="must be an array"):
        pp.run_length_encode(policy, 3.0)
    with pytest.raises(pp.ArgumentError, match="'values' has 7 rows, the others have 8"):
        pp.reduce_by_key(policy, x, x[1:], consecutive=True)
