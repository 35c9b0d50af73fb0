"""Run by every rank under mpirun (see test_mpi.py): segmented reductions over ranks have the bits of one executor."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()
RNG = np.random.default_rng(1)
LENGTHS = {
    "none": [],
    "all empty": [0] * 5,
    "few": [2, 0, 31, 1, 0],  # on one rank: the others have no elements
    "rows": list(RNG.integers(0, 60, 4000)),
    "giant": [1, 0, 2] * 300 + [200_000] + [0, 3, 1] * 300,
    "one": [100_003],
    "skewed": list(RNG.zipf(1.4, 3000).clip(0, 50_000)),
    "end empty": [70_000] + [0] * 5000,
}


def affine(f, g):
    """First f, then g, of functions a x + b on whole numbers modulo 251: does not commute."""
    return f[0] * g[0] % 251, (f[1] * g[0] + g[1]) % 251


def line(a, b):
    return a, b


AFFINE = pp.Monoid(affine, (1, 0), commutative=False)


def data(lengths, begin=0, behind=0):
    """(offsets, elements), the same on every rank."""
    offsets = begin + np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rng = np.random.default_rng(2)
    n = offsets[-1] + behind
    return offsets, rng.standard_normal(n) * 10.0 ** rng.integers(-6, 7, n)


@pytest.mark.parametrize("name", LENGTHS)
def test_sums(name):
    for begin, behind in ((0, 0), (5000, 3)):
        offsets, x = data(LENGTHS[name], begin, behind)
        expected = pp.segmented_reduce(pp.seq, offsets, x)
        here = WORLD.asarray(x)
        got = pp.segmented_reduce(pp.par, offsets, here)
        assert isinstance(got, pp.PartitionedArray) and got.shape == expected.shape
        assert pp.asnumpy(got).tobytes() == expected.tobytes()
        out = WORLD.empty(len(expected))
        assert pp.segmented_reduce(pp.par, WORLD.asarray(offsets), here, out=out) is out
        assert pp.asnumpy(out).tobytes() == expected.tobytes()
        plain = pp.segmented_reduce(pp.par.on(WORLD), offsets, x)
        assert plain.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["few", "skewed", "giant"])
def test_operators_that_do_not_commute(name):
    offsets, _ = data(LENGTHS[name])
    rng = np.random.default_rng(3)
    a, b = rng.integers(1, 251, offsets[-1]), rng.integers(0, 251, offsets[-1])
    how = {"transform": line, "op": AFFINE, "init": (1, 7)}
    got = pp.asnumpy(pp.segmented_reduce(pp.par, offsets, WORLD.asarray(a), WORLD.asarray(b), **how))
    assert got.tobytes() == pp.segmented_reduce(pp.seq, offsets, a, b, **how).tobytes()


def test_sparse_matrix_times_vector():
    offsets, values = data(LENGTHS["skewed"])
    columns = np.random.default_rng(4).integers(0, 3000, len(values)).astype(np.int32)
    x = np.random.default_rng(5).random(3000)
    product = {"transform": lambda v, j: v * x[np.uint32(j)]}
    got = pp.segmented_reduce(pp.par, offsets, WORLD.asarray(values), WORLD.asarray(columns), **product)
    assert pp.asnumpy(got).tobytes() == pp.segmented_reduce(pp.seq, offsets, values, columns, **product).tobytes()


def test_hybrids_on_ranks():
    world = pp.mpi(local=pp.hybrid(pp.threads(2), pp.simd(), weights=[2, 1]))
    offsets, x = data(LENGTHS["giant"])
    got = pp.segmented_reduce(pp.par, offsets, world.asarray(x))
    assert pp.asnumpy(got).tobytes() == pp.segmented_reduce(pp.seq, offsets, x).tobytes()


def test_what_is_refused():
    offsets, x = data(LENGTHS["rows"])
    here, out = WORLD.asarray(x), WORLD.empty(len(offsets) - 1)
    wrong = offsets.copy()
    wrong[7] = wrong[6] - 1
    with pytest.raises(pp.PlacementError, match="offsets decrease"):
        pp.segmented_reduce(pp.par, wrong, here, out=out)
    with pytest.raises(pp.PlacementError, match="the inputs are partitioned and out is not"):
        pp.segmented_reduce(pp.par, offsets, here, out=np.zeros(len(offsets) - 1))
    with pytest.raises(pp.PlacementError, match="out is, the inputs are not"):
        pp.segmented_reduce(pp.par.on(WORLD), offsets, x, out=out)
    if WORLD.group.size > 1:
        with pytest.raises(pp.PlacementError, match="the copies would differ"):
            pp.segmented_reduce(pp.par.on(WORLD), offsets, x, out=np.zeros(len(offsets) - 1))
    np.testing.assert_array_equal(pp.asnumpy(here), x)
