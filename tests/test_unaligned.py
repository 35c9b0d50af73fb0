"""Fields of packed records, which are not aligned to their dtypes, as inputs of algorithms and kernels."""

import numpy as np
import pytest

import portapar as pp

N = 2000
TABLE = np.zeros(N, [("item", "i1"), ("store", "i4"), ("price", "f4"), ("flag", "?"), ("z", "c16"), ("d", "f8")])
_random = np.random.default_rng(3)
TABLE["store"], TABLE["price"] = _random.integers(0, 20, N), _random.integers(0, 100, N)
TABLE["d"], TABLE["z"] = _random.normal(size=N), _random.normal(size=N) + 1j


def neighbours(i, x, y):
    y[i] = x[i - 1] + x[i] * len(x)


def _around(policy, x):
    y = np.zeros(N)
    pp.for_each(policy, (pp.range(1, N),), neighbours, x, y)
    return y


CASES = {
    "transform": lambda p, store, price, z, d: pp.transform(p, store, price, op=lambda a, b: a * b),
    "reduce": lambda p, store, price, z, d: pp.reduce(p, price),
    "for_each": lambda p, store, price, z, d: _around(p, d),
}
KEYED = {
    "reduce_by_key": lambda p, store, price, z, d: pp.reduce_by_key(p, store, price),
    "sort_by_key": lambda p, store, price, z, d: pp.sort_by_key(p, store, d),
}
MORE = {
    "sum of complex": lambda p, store, price, z, d: pp.reduce(p, z),
    "copy_if": lambda p, store, price, z, d: pp.copy_if(p, d, lambda v: v > 0),
    "scan": lambda p, store, price, z, d: pp.inclusive_scan(p, store),
    "sort": lambda p, store, price, z, d: pp.sort(p, d),
    "bincount": lambda p, store, price, z, d: pp.bincount(p, store, weights=d),
    "gather": lambda p, store, price, z, d: pp.gather(p, d, store),
    "zip": lambda p, store, price, z, d: pp.reduce(p, pp.lazy.zip(store, d), lambda a, b: (a[0] + b[0], a[1] + b[1])),
    "find": lambda p, store, price, z, d: pp.find(p, store, 13),
    "segments": lambda p, store, price, z, d: pp.segmented_reduce(p, np.array([0, 7, 900, N]), d),
    "searchsorted": lambda p, store, price, z, d: pp.searchsorted(p, np.arange(20.0), d),
}


def _same(a, b):
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


def _check(policy, case):
    fields = [TABLE[name] for name in ("store", "price", "z", "d")]
    assert not any(x.flags.aligned for x in fields)
    expected = case(policy, *(x.copy() for x in fields))
    for _ in range(2):
        assert _same(case(policy, *fields), expected)


@pytest.mark.parametrize("name", CASES)
def test_unaligned_inputs_are_read_where_they_lie(renderer, name):
    _check(renderer, CASES[name])


@pytest.mark.rare
@pytest.mark.parametrize("name", KEYED)
def test_keys_and_values_too(name):
    _check(pp.par, KEYED[name])


@pytest.mark.rare
@pytest.mark.parametrize("name", MORE)
def test_every_algorithm_reads_them(name):
    _check(pp.par, MORE[name])


@pytest.mark.extra
@pytest.mark.parametrize("name", ["for_each"])
def test_on_several_parts(name):
    _check(pp.par.on(pp.hybrid(pp.threads(1), pp.simd())), CASES[name])


def test_unaligned_outputs_are_told():
    out = np.zeros(5, [("a", "i1"), ("x", "f8")])["x"]
    for call in (
        lambda: pp.transform(pp.par, np.ones(5), out=out, op=abs),
        lambda: pp.sort(pp.par, np.ones(5), out=out),
        lambda: pp.for_each(pp.par, 4, lambda i, o, x: neighbours(i, x, o), out, np.ones(5)),
    ):
        with pytest.raises(pp.ArgumentError, match="not aligned"):
            call()


def test_keys_of_several_columns_are_told_how():
    a, b, x = np.array([2, 1, 1, 2]), np.array([0, 1, 0, 0]), np.arange(4.0)
    with pytest.raises(pp.ArgumentError, match=r"lazy\.transform\(f0, f1, lambda f0, f1: f0 \* n_f1 \+ f1\)"):
        pp.reduce_by_key(pp.par, pp.lazy.zip(a, b), x)
    with pytest.raises(pp.ArgumentError, match=r"pp\.lazy\.zip\(\*keys\)"):
        pp.reduce_by_key(pp.par, (a, b), x)
    keys, sums = pp.reduce_by_key(pp.par, pp.lazy.transform(a, b, lambda a, b: a * 2 + b), x)
    assert keys.tolist() == [2, 3, 4] and sums.tolist() == [2, 1, 3]
