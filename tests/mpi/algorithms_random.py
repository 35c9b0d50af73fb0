"""Run by every rank under mpirun (see test_mpi.py): random numbers are those of one executor."""

import numpy as np
import pytest

import portapar as pp
from portapar import random

WORLD = pp.mpi()


def integers(policy, out, seed):
    return random.fill_integers(policy, out, seed, -5, 1000)


@pytest.mark.parametrize("fill", [random.fill_uniform, random.fill_normal, integers])
def test_fills(fill):
    dtype = np.int64 if fill is integers else np.float64
    for shape in ((0,), (1,), (30_001,), (7, 3), (501, 5)):
        out, wanted = WORLD.empty(shape, dtype), np.empty(shape, dtype)
        assert fill(pp.par, out, 7) is out
        fill(pp.seq, wanted, 7)
        if fill is random.fill_normal:  # loops that vectorize may have other sines
            np.testing.assert_allclose(pp.asnumpy(out), wanted, rtol=1e-13, atol=1e-14)
        else:
            np.testing.assert_array_equal(pp.asnumpy(out), wanted)


def test_ranks_agree_on_errors():
    with pytest.raises(pp.PlacementError, match="must be an array of floats"):
        random.fill_uniform(pp.par, WORLD.empty(10, np.int64), 1)
