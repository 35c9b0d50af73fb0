"""Run by every rank under mpirun (see test_mpi.py): selections and searches over ranks equal NumPy's."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()
RANK, SIZE = WORLD.group.rank, WORLD.group.size
SIZES = (3 * 4096 + 17, 1000, 1, 0)


def data(n):
    """The same on every rank."""
    return np.random.default_rng(n).integers(0, 50, n).astype(float)


def large(v):
    return v > 20


def negative(v):
    return v < 0


def spots(n):
    """Places on every rank."""
    return sorted({k for k in (0, 1, n // 3, n // 2, 2 * n // 3, n - 1) if 0 <= k < n})


@pytest.fixture(params=["default", "hybrid"])
def world(request):
    return WORLD if request.param == "default" else pp.mpi(local=pp.hybrid(pp.threads(2), pp.simd()))


def test_selections(world):
    for n in SIZES:
        x = data(n)
        here, keep = world.asarray(x), x > 20
        for found, expected in (
            (pp.copy_if(pp.par, here, large), x[keep]),
            (pp.remove_if(pp.par, here, large), x[~keep]),
            (pp.pack_index(pp.par, world.asarray(keep)), np.flatnonzero(keep)),
        ):
            assert isinstance(found, pp.PartitionedArray) and found.cuts == world.empty(len(expected)).cuts
            assert found.dtype == expected.dtype and np.array_equal(pp.asnumpy(found), expected)
        assert np.array_equal(pp.copy_if(pp.par.on(world), x, large), x[keep])


def test_counts(world):
    for n in SIZES:
        x = data(n)
        here = world.asarray(x)
        assert pp.count_if(pp.par, here, large) == (x > 20).sum() and pp.count(pp.par, here, 7) == (x == 7).sum()
        assert pp.any_of(pp.par, here, large) == (x > 20).any() and pp.all_of(pp.par, here, large) == (x > 20).all()
        assert pp.none_of(pp.par, here, negative)
        rows = world.asarray(x[: n // 4 * 4].reshape(-1, 4))
        assert pp.count_if(pp.par, rows, large) == (x[: n // 4 * 4] > 20).sum() and not pp.any_of(
            pp.par, rows, negative
        )


def test_searches(world, monkeypatch):
    monkeypatch.setattr("portapar.algorithms.find._ROUND", 1000)
    for n in SIZES:
        x = data(n)
        here = world.asarray(x)
        assert pp.find_if(pp.par, here, negative) == pp.find_last_if(pp.par, here, negative) == n
        assert pp.equal(pp.par, here, here)
        for k in spots(n):
            y = x.copy()
            y[k] = -1
            there = world.asarray(y)
            assert pp.find_if(pp.par, there, negative) == pp.find_last_if(pp.par, there, negative) == k
            assert pp.find(pp.par, there, -1) == pp.mismatch(pp.par, here, there) == k
            assert not pp.equal(pp.par, here, there) and pp.equal(pp.par, there, y)
            y[:] = -1
            there = world.asarray(y)
            assert pp.find_if(pp.par, there, negative) == 0 and pp.find_last_if(pp.par, there, negative) == n - 1


def test_extrema(world):
    for n in SIZES:
        x = data(n)
        for k in [None, *spots(n)]:
            if k is not None:
                x[k] = np.nan if k % 2 else -1
            expected = (int(np.argmin(x)), int(np.argmax(x))) if n else (0, 0)
            here = world.asarray(x)
            assert pp.minmax_element(pp.par, here) == expected
            assert pp.min_element(pp.par, here) == expected[0] and pp.max_element(pp.par, here) == expected[1]


def test_across_ranks():
    host = data(10_007)
    x = WORLD.asarray(host)
    found, count = pp.partition(pp.par, x, large)
    keep = large(host)
    assert count == keep.sum()
    np.testing.assert_array_equal(pp.asnumpy(found), np.concatenate([host[keep], host[~keep]]))
    pairs = np.flatnonzero(host[1:] == host[:-1])
    assert pp.adjacent_find(pp.par, x) == (pairs[0] if len(pairs) else len(host))
    rising = np.arange(10_007.0)
    for k in (0, 5000, 5003, 10_005):
        rising[k + 1] = rising[k]
        assert pp.adjacent_find(pp.par, WORLD.asarray(rising)) == k
        rising[k + 1] = k + 1
    for k in (0, 77, 10_006):
        assert pp.kth_smallest(pp.par, x, k) == np.sort(host)[k]
        np.testing.assert_array_equal(pp.asnumpy(pp.nth_element(pp.par, x, k))[k], np.sort(host)[k])
    merged = pp.merge(pp.par, WORLD.asarray(np.sort(host)), WORLD.asarray(np.arange(5.0)))
    np.testing.assert_array_equal(pp.asnumpy(merged), np.sort(np.concatenate([host, np.arange(5.0)])))
    if SIZE > 1:
        with pytest.raises(pp.PlacementError, match="x has 10007 elements and y has 10"):
            pp.mismatch(pp.par, x, WORLD.asarray(data(10)))
    assert pp.equal(pp.par, x, WORLD.asarray(data(10))) is False
