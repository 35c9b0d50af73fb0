"""Reductions of tuples over ranks: the bits of one process."""

import numpy as np
import pytest

import portapar as pp

WORLD, ALONE = pp.mpi(), pp.seq
POINT = np.dtype([("weight", "f4"), ("key", "i4"), ("flag", "?")])  # packed: 9 bytes
SIZES = (3 * 4096 + 17, 100_003, 4096, 1000, 1, 0)


def data(n, seed=1):
    rng = np.random.default_rng([n, seed])
    return rng.standard_normal(n) * 10.0 ** rng.integers(-6, 7, n)


def one(x):
    return 1, x, 0.0


def merge(a, b):
    n, d = a[0] + b[0], b[1] - a[1]
    return n, a[1] + d * b[0] / n, a[2] + b[2] + d * d * a[0] * b[0] / n


def span(x):
    return x, x, x, x


def best(a, b):
    return a[0] + b[0], max(a[1], a[0] + b[1]), max(b[2], b[0] + a[2]), max(a[3], b[3], a[2] + b[1])


def sums(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] or b[2]


NEIGHBOURS = pp.Monoid(best, commutative=False)
MOMENTS = pp.Monoid(merge, (0, 0.0, 0.0))


def same(got, expected):
    return [(type(x), x.tobytes()) for x in got] == [(type(x), x.tobytes()) for x in expected]


@pytest.mark.parametrize("n", SIZES)
def test_tuples_have_the_bits_of_one_process(n):
    x = data(n)
    parts = WORLD.asarray(x)
    for how in ({"transform": one, "op": MOMENTS}, {"transform": span, "op": NEIGHBOURS}):
        if n:
            assert same(pp.transform_reduce(pp.par, parts, **how), pp.transform_reduce(ALONE, x, **how))
        init = (1, 2.0, 3.0) if how["op"] is MOMENTS else (0.0, 1.0, 2.0, 3.0)
        got = pp.transform_reduce(pp.par, parts, init=init, **how)
        assert same(got, pp.transform_reduce(ALONE, x, init=init, **how))
    if n == 0:
        assert pp.transform_reduce(pp.par, parts, transform=one, op=MOMENTS) == (0, 0.0, 0.0)
        with pytest.raises(pp.PlacementError, match="init"):
            pp.transform_reduce(pp.par, parts, transform=span, op=NEIGHBOURS)


@pytest.mark.parametrize("n", SIZES[:-1])
def test_records_and_indices(n):
    p = np.zeros(n, POINT)
    p["weight"], p["key"] = data(n), np.arange(n)
    p["flag"][n // 2] = True
    got = pp.reduce(pp.par, WORLD.asarray(p), op=sums)
    assert same(got, pp.reduce(ALONE, p, op=sums)) and got[1] == n * (n - 1) // 2 and got[2]
    x = data(n)
    least = pp.Monoid(lambda a, b: b if b[0] < a[0] or (b[0] == a[0] and b[1] < a[1]) else a)
    got = pp.transform_reduce(pp.par, WORLD.asarray(x), pp.range(n), transform=lambda x, i: (x, i), op=least)
    assert got == (x.min(), x.argmin())


def test_ranks_agree_on_errors():
    parts = WORLD.asarray(data(100))
    with pytest.raises(pp.KernelError, match="a tuple of 6"):
        pp.transform_reduce(pp.par, parts, transform=one)
    assert pp.reduce(pp.par, parts) == pp.reduce(ALONE, data(100))
