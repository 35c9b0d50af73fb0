"""Run by every rank under mpirun (see test_mpi.py): stencils over ranks have the bits of one executor."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()
BOUNDARIES = ("constant", "nearest", "wrap", "reflect", "mirror")


def line(x, i):
    return 0.3 * x[i - 2] - x[i - 1] + 0.1 * x[i + 1] + x[i + 2] / 3


def plane(x, i, j):
    return 0.7 * x[i - 1, j - 1] + x[i, j - 2] / 3 - 3 * x[i, j + 2] + 0.1 * x[i + 1, j + 1]


def data(*shape):
    """The same on every rank."""
    return np.random.default_rng(shape).normal(size=shape)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_one_dimension(boundary):
    for n in (20_003, 5, 1, 0):  # of few elements some ranks have none, or fewer than the radius
        x = data(n)
        here = WORLD.asarray(x)
        got = pp.stencil(pp.par, here, line, radius=2, boundary=boundary, value=4)
        assert isinstance(got, pp.PartitionedArray) and got.cuts == here.cuts
        wanted = pp.stencil(pp.seq, x, line, radius=2, boundary=boundary, value=4)
        assert pp.asnumpy(got).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_two_dimensions(boundary):
    for shape in ((1, 9), (7, 3), (300, 40)):
        x = data(*shape)
        here = WORLD.asarray(x)
        out = WORLD.empty(shape)
        assert pp.stencil(pp.par, here, plane, radius=(1, 2), boundary=boundary, value=4, out=out) is out
        wanted = pp.stencil(pp.seq, x, plane, radius=(1, 2), boundary=boundary, value=4)
        assert pp.asnumpy(out).tobytes() == wanted.tobytes()
        np.testing.assert_array_equal(pp.asnumpy(here), x)


def test_many_steps():
    x = data(200, 30)
    here, there = WORLD.asarray(x), WORLD.empty((200, 30))
    y = np.empty_like(x)
    for _ in range(4):
        pp.stencil(pp.par, here, plane, radius=(1, 2), boundary="wrap", out=there)
        pp.stencil(pp.seq, x, plane, radius=(1, 2), boundary="wrap", out=y)
        here, there, x, y = there, here, y, x
    assert pp.asnumpy(here).tobytes() == x.tobytes()


def test_hybrids_on_ranks():
    world = pp.mpi(local=pp.hybrid(pp.threads(2), pp.simd(), weights=[2, 1]))
    for n in (5000, 3):
        x = data(n)
        got = pp.stencil(pp.par, world.asarray(x), line, radius=2, boundary="mirror")
        assert pp.asnumpy(got).tobytes() == pp.stencil(pp.seq, x, line, radius=2, boundary="mirror").tobytes()


def test_what_is_refused():
    here = WORLD.asarray(data(1000))
    with pytest.raises(pp.PlacementError, match="out overlaps x"):
        pp.stencil(pp.par, here, line, radius=2, out=here)
    with pytest.raises(pp.KernelError, match="pass radius=2"):
        pp.stencil(pp.par, here, line)
    np.testing.assert_array_equal(pp.asnumpy(here), data(1000))
