"""Run by every rank under mpirun (see test_mpi.py): keys that are tuples, or fields, over ranks; predicates."""

import numpy as np
import pytest

import portapar as pp

WORLD = pp.mpi()


def by_rest(v):
    return v % 3, -v


@pytest.mark.parametrize("n", [9000, 0])
def test_tuples(n):
    x = np.random.default_rng(n).integers(-50, 50, n)
    there = WORLD.asarray(x)
    for descending, order in ((False, np.lexsort((-x, x % 3))), (True, np.lexsort((x, -(x % 3))))):
        how = {"key": by_rest, "descending": descending}
        np.testing.assert_array_equal(pp.asnumpy(pp.argsort(pp.par, there, **how)), order)
        np.testing.assert_array_equal(pp.asnumpy(pp.sort(pp.par, there, **how)), x[order])
        np.testing.assert_array_equal(pp.sort(pp.par.on(WORLD), x, **how), x[order])
        assert pp.is_sorted(pp.par, WORLD.asarray(x[order]), **how)
        best = pp.max_element if descending else pp.min_element
        assert best(pp.par, there, key=by_rest) == (order[0] if n else 0)


def test_fields_and_predicates():
    x = np.zeros(9000, [("a", "i4"), ("b", "f8")])
    x["a"], x["b"] = np.random.default_rng(1).integers(0, 4, 9000), np.random.default_rng(2).normal(size=9000)
    there = WORLD.asarray(x)
    assert pp.min_element(pp.par, there, key="b") == x["b"].argmin()
    order = np.lexsort((x["b"], x["a"]))
    found = pp.asnumpy(pp.sort(pp.par, there, key=lambda r: (r.a, r.b)))
    np.testing.assert_array_equal(found, x[order])
    assert pp.count_if(pp.par, there, lambda r: r.b > 0) == (x["b"] > 0).sum()
    with pytest.raises(pp.KernelError, match="must return a truth value"):
        pp.count_if(pp.par, there, lambda r: None)
