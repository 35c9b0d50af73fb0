"""Run by every rank under mpirun (see test_mpi.py): elements that go to other ranks."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()


def test_gather_and_inner_product():
    x = np.random.default_rng(5).normal(size=1000)
    for m in (0, 1, 1000, 30_000):
        k = np.random.default_rng(m).integers(-1000, 1000, m)
        there = WORLD.asarray(k)
        for table in (x, WORLD.asarray(x)):
            got = pp.gather(pp.par, table, there)
            assert isinstance(got, pp.PartitionedArray) and got.cuts == there.cuts
            np.testing.assert_array_equal(pp.asnumpy(got), x[k])
    k[20_000] = 1000
    with pytest.raises(pp.PlacementError, match=r"indices\[20000\] is 1000, and x has 1000"):
        pp.gather(pp.par, x, WORLD.asarray(k))
    y = np.random.default_rng(6).normal(size=30_000)
    got = pp.inner_product(pp.par, WORLD.asarray(y), WORLD.asarray(y))
    assert got.tobytes() == pp.inner_product(pp.seq, y, y).tobytes()


def test_what_goes_to_other_parts():
    here, places, out = WORLD.asarray(np.arange(5.0)), WORLD.asarray(np.arange(5)), WORLD.asarray(np.zeros(9))
    calls = (
        (lambda: pp.reverse(pp.par, here), [4, 3, 2, 1, 0]),
        (lambda: pp.rotate(pp.par, here, 2), [2, 3, 4, 0, 1]),
        (lambda: pp.adjacent_difference(pp.par, here), [0, 1, 1, 1, 1]),
        (lambda: pp.scatter(pp.par, here, places, out), [0, 1, 2, 3, 4, 0, 0, 0, 0]),
    )
    for call, wanted in calls:
        np.testing.assert_array_equal(pp.asnumpy(call()), wanted)
