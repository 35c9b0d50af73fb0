"""Run by every rank under mpirun (see test_mpi.py): histograms over ranks."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()


@pytest.mark.parametrize("n", [50_000, 3, 0])
def test_histograms(n):
    rng = np.random.default_rng(n)
    x, k = rng.normal(size=n), rng.integers(0, 1000, n)
    here, keys = WORLD.asarray(x), WORLD.asarray(k)
    for limits in (None, (-1, 1)):
        for ours, theirs in zip(pp.histogram(pp.par, here, 11, limits), np.histogram(x, 11, limits), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(pp.bincount(pp.par, keys), np.bincount(k))
    np.testing.assert_allclose(pp.bincount(pp.par, keys, weights=here), np.bincount(k, weights=x), atol=1e-12)


def test_weights_add_up_to_the_same_bits_as_on_one_process():
    rng = np.random.default_rng(4)
    for n, bins in ((100, 3), (100_003, 20), (100_003, 50_000)):
        k, x = rng.integers(0, bins, n), rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)
        got = pp.bincount(pp.par, WORLD.asarray(k), weights=WORLD.asarray(x), minlength=bins)
        assert got.tobytes() == pp.bincount(pp.seq, k, weights=x, minlength=bins).tobytes()
        assert got.tobytes() == pp.bincount(pp.par.on(WORLD), k, weights=x, minlength=bins).tobytes()


def test_one_rank_has_a_negative_number():
    with pytest.raises(pp.PlacementError, match="x holds -1"):
        pp.bincount(pp.par, WORLD.asarray(np.array([5] * 20_000 + [-1])))
