"""Run by every rank under mpirun (see test_mpi.py): what messages tell users to do on ranks works."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()
N = 10_000
X, K = np.arange(float(N)), np.arange(N) % 7

if WORLD.group.size == 1:
    pytest.skip("one rank has everything", allow_module_level=True)


def count(i, k, bins):
    pp.atomic.add(bins, k[i], 1)


def test_atomics_are_counted_by_bincount():
    on = pp.par.on(WORLD)
    for keys, bins in (
        (K, np.zeros(7, int)),
        (WORLD.asarray(K), np.zeros(7, int)),
        (K, WORLD.asarray(np.zeros(N, int))),
    ):
        pp.for_each(on, N, count, keys, bins)  # each rank counts its own, and they are added up
        np.testing.assert_array_equal(pp.asnumpy(bins)[:7], np.bincount(K))

    def place(i, k, bins, out):
        out[pp.atomic.add(bins, k[i], 1)] = i

    with pytest.raises(pp.PlacementError, match=r"pp\.bincount\(policy, index, weights=\.\.\.\)"):
        pp.for_each(on, N, place, WORLD.asarray(K), WORLD.asarray(np.zeros(7, int)), WORLD.empty(N))
    np.testing.assert_array_equal(pp.bincount(on, WORLD.asarray(K)), np.bincount(K))
    np.testing.assert_array_equal(pp.bincount(on, WORLD.asarray(K), weights=WORLD.asarray(X)), np.bincount(K, X))
    bins = np.zeros(7, int)
    pp.for_each(pp.par.on(pp.threads()), N, count, pp.asnumpy(WORLD.asarray(K)), bins)
    np.testing.assert_array_equal(bins, np.bincount(K))


def test_results_of_plain_arrays():
    on = pp.par.on(WORLD)
    for call in (
        lambda x, **out: pp.transform(on, x, op=lambda v: v + 1, **out),
        lambda x, **out: pp.copy(on, x, **out),
    ):
        with pytest.raises(pp.PlacementError, match=r"the inputs are plain arrays.*asarray.*out=pp\.mpi\(\)\.empty"):
            call(X)
        wanted = pp.asnumpy(call(WORLD.asarray(X)))
        np.testing.assert_array_equal(pp.asnumpy(call(X, out=WORLD.empty(N))), wanted)


def test_rows_elsewhere():
    def shift(i, x, y):
        y[i] = x[i + 1] if i + 1 < len(x) else 0.0

    there, out = WORLD.asarray(X), WORLD.empty(N)
    for x in (there, pp.asnumpy(there)):
        pp.for_each(pp.par, N, shift, x, out)
        np.testing.assert_array_equal(pp.asnumpy(out), np.append(X[1:], 0))
