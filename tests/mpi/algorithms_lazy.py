"""Run by every rank under mpirun (see test_mpi.py): lazy inputs over partitioned arrays and over copies."""

import numpy as np
import pytest

import portapar as pp
from portapar import lazy

SIZES = (3 * 4096 + 17, 100_003, 1000, 1, 0)
WORLD = pp.mpi()
HOW = pp.par.on(WORLD)
ALONE = pp.par.on(pp.simd())
MIX = lambda a, b: 3 * a - b
SQUARE = lambda v: v * v


def data(n, seed=1):
    """The same on every rank."""
    return np.random.default_rng([n, seed]).normal(size=n)


def read(i, out, x):
    out[i] = x[i]


@pytest.mark.parametrize("n", SIZES)
def test_elementwise(n):
    x, y = data(n), data(n, 2)
    made = lazy.transform(WORLD.asarray(x), lazy.transform(WORLD.asarray(y), lazy.iota(n, 0.5), MIX), MIX)
    expected = 3 * x - (3 * y - (0.5 + np.arange(n)))
    found = pp.copy(pp.par, made)
    assert isinstance(found, pp.PartitionedArray) and np.array_equal(pp.asnumpy(found), expected)
    assert pp.reduce(pp.par, made, init=0.0).tobytes() == pp.reduce(ALONE, expected, init=0.0).tobytes()
    out = WORLD.empty(n)
    pp.for_each(pp.par, n, read, out, made)
    assert np.array_equal(pp.asnumpy(out), expected)
    total = pp.reduce(HOW, lazy.reverse(lazy.transform(x, SQUARE)), init=0.0)  # every rank has all of x
    assert total.tobytes() == pp.reduce(ALONE, (x * x)[::-1].copy(), init=0.0).tobytes()


@pytest.mark.parametrize("n", SIZES)
def test_algorithms_of_several_steps(n):
    x = np.round(10 * data(n))
    for made, expected in (
        (lazy.transform(WORLD.asarray(x), lazy.iota(n), MIX), 3 * x - np.arange(n)),
        (lazy.reverse(lazy.transform(x, lazy.iota(n), MIX)), (3 * x - np.arange(n))[::-1].copy()),
    ):
        assert np.array_equal(pp.asnumpy(pp.inclusive_scan(HOW, made)), np.cumsum(expected))
        assert pp.count_if(HOW, made, lambda v: v < 0) == (expected < 0).sum()
        assert pp.find_if(HOW, made, lambda v: v < -500) == next(iter(np.flatnonzero(expected < -500)), n)
        assert pp.min_element(HOW, made) == (expected.argmin() if n else 0)
        assert np.array_equal(pp.asnumpy(pp.sort(HOW, made)), np.sort(expected))


def test_what_needs_rows_of_other_ranks():
    x = data(1000)
    parts = WORLD.asarray(x)
    assert pp.reduce(pp.par, lazy.reverse(parts)) == pp.reduce(pp.seq, x[::-1])
    found = pp.inclusive_scan(pp.par, lazy.reverse(parts))
    assert np.array_equal(pp.asnumpy(found), pp.inclusive_scan(pp.seq, x[::-1]))
    with pytest.raises(pp.PlacementError, match="lives on"):
        pp.inclusive_scan(pp.par.on(pp.mpi(local=pp.threads(2))), lazy.transform(parts, SQUARE))
