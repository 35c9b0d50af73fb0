"""Sorting and its kin across ranks: the whole is as one process has it."""

import numpy as np
import pytest

import portapar as pp

SIZES = (3 * 4096 + 17, 100_003, 1000, 2, 1, 0)
WORLD = pp.mpi()


def numbers(n, dtype="f8"):
    """The same on every rank; many duplicates, some NaN and -0.0."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n).round(2)
    if np.dtype(dtype).kind != "f":
        return (100 * x).astype(dtype)
    x[rng.random(n) < 0.02] = np.nan
    x[rng.random(n) < 0.02] = -0.0
    return x.astype(dtype)


@pytest.mark.parametrize("n", SIZES)
def test_sorts(n):
    for x in (numbers(n), numbers(n, "i4"), np.full(n, 5, "i4"), np.arange(n)[::-1].astype("i4")):
        parts = WORLD.asarray(x)
        got = pp.sort(pp.par, parts)
        assert isinstance(got, pp.PartitionedArray) and got.cuts == parts.cuts and got.dtype == x.dtype
        np.testing.assert_array_equal(pp.asnumpy(got), np.sort(x))
        assert pp.is_sorted(pp.par, got) and pp.is_sorted(pp.par, parts) == (n < 2 or bool((x[:-1] <= x[1:]).all()))
        order = np.argsort(x, kind="stable")
        np.testing.assert_array_equal(pp.asnumpy(pp.argsort(pp.par, parts)), order)
        keys, values = pp.sort_by_key(pp.par, parts, WORLD.asarray(np.arange(n)))
        np.testing.assert_array_equal(pp.asnumpy(keys), x[order])
        np.testing.assert_array_equal(pp.asnumpy(values), order)
        assert pp.sort(pp.par, parts, out=parts) is parts
        np.testing.assert_array_equal(pp.asnumpy(parts), np.sort(x))


@pytest.mark.parametrize("n", SIZES)
def test_distinct_values(n):
    for x in (numbers(n), numbers(n, "i4"), np.full(n, 5, "i4")):
        got = pp.unique(pp.par, WORLD.asarray(x))
        assert isinstance(got, pp.PartitionedArray) and got.dtype == x.dtype
        np.testing.assert_array_equal(pp.asnumpy(got), np.unique(x))
        assert pp.unique_count(pp.par, WORLD.asarray(x)) == len(np.unique(x))


def test_searches():
    table, x = np.sort(numbers(1000)), numbers(100_003)
    found = pp.searchsorted(pp.par, table, WORLD.asarray(x), side="right")
    np.testing.assert_array_equal(pp.asnumpy(found), np.searchsorted(table, x, "right"))


def test_hybrids_on_ranks():
    world = pp.mpi(local=pp.hybrid(pp.threads(2), pp.simd(), weights=[2, 1]))
    x = numbers(100_003, "i4")
    np.testing.assert_array_equal(pp.asnumpy(pp.sort(pp.par, world.asarray(x), descending=True)), np.sort(x)[::-1])
