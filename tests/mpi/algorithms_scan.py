"""Run by every rank under mpirun (see test_mpi.py): scans over ranks have the bits of one executor."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()
SIZES = (3 * 4096 + 17, 100_003, 4096, 2, 1, 0)  # up to 4096 elements are on one rank


def data(n, seed=1):
    """The same on every rank."""
    rng = np.random.default_rng([n, seed])
    return rng.standard_normal(n) * 10.0 ** rng.integers(-6, 7, n)


def affine(f, g):
    """First f, then g, of functions a x + b on whole numbers modulo 251: does not commute."""
    return f[0] * g[0] % 251, (f[1] * g[0] + g[1]) % 251


def line(a, b):
    return a, b


AFFINE = pp.Monoid(affine, (1, 0), commutative=False)


@pytest.mark.parametrize("n", SIZES)
def test_sums(n):
    x = data(n)
    here = WORLD.asarray(x)
    for scan in (pp.inclusive_scan, pp.exclusive_scan):
        for init in (None, 0.1):
            got = scan(pp.par, here, init=init)
            assert isinstance(got, pp.PartitionedArray) and got.cuts == here.cuts
            assert pp.asnumpy(got).tobytes() == scan(pp.seq, x, init=init).tobytes()
    np.testing.assert_array_equal(pp.asnumpy(here), x)
    out = WORLD.empty(n)
    assert pp.inclusive_scan(pp.par, here, out=out) is out
    assert pp.inclusive_scan(pp.par, here, out=here) is here
    for found in (out, here):
        assert pp.asnumpy(found).tobytes() == pp.inclusive_scan(pp.seq, x).tobytes()


@pytest.mark.parametrize("n", SIZES)
def test_operators_that_do_not_commute(n):
    rng = np.random.default_rng(n)
    a, b = rng.integers(1, 251, n), rng.integers(0, 251, n)
    here = WORLD.asarray(a), WORLD.asarray(b)
    how = {"transform": line, "op": AFFINE, "inclusive": False}
    got = pp.asnumpy(pp.transform_scan(pp.par, *here, **how))
    assert got.tobytes() == pp.transform_scan(pp.seq, a, b, **how).tobytes()


def test_hybrids_on_ranks():
    world = pp.mpi(local=pp.hybrid(pp.threads(2), pp.simd(), weights=[2, 1]))
    x = data(100_003)
    got = pp.asnumpy(pp.exclusive_scan(pp.par, world.asarray(x)))
    assert got.tobytes() == pp.exclusive_scan(pp.seq, x).tobytes()


def test_what_is_refused():
    x = data(30_000)
    here = WORLD.asarray(x)
    with pytest.raises(pp.PlacementError, match="no identity: pass init="):
        pp.exclusive_scan(pp.par, here, op=lambda a, b: a + b)
    with pytest.raises(pp.PlacementError, match="would lose information"):
        pp.inclusive_scan(pp.par, here, out=WORLD.empty(30_000, np.int64))
    np.testing.assert_array_equal(pp.asnumpy(here), x)


def test_along_the_first_axis_of_what_every_rank_has():
    x = np.random.default_rng(3).integers(-9, 9, (700, 3, 2)).astype(float)
    for put in (np.copy, WORLD.asarray):
        here = put(x)
        np.testing.assert_array_equal(pp.asnumpy(pp.inclusive_scan(pp.par.on(WORLD), here, axis=0)), x.cumsum(axis=0))
        found = pp.exclusive_scan(pp.par.on(WORLD), here, axis=0, out=WORLD.empty(x.shape))
        np.testing.assert_array_equal(pp.asnumpy(found), x.cumsum(axis=0) - x)
