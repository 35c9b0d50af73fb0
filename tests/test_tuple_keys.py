"""Keys that are tuples, or the name of a field, wherever elements are ordered: as in Python and `np.lexsort`."""

import numpy as np
import pytest

import portapar as pp

RECORD = np.dtype([("a", "i2"), ("b", "f8"), ("c", "?"), ("d", "u8")], align=True)


def by_rest(v):
    return v % 3, -v


def by_one(v):
    return (v // 4,)


def of_record(r):
    return r.a, np.float32(r.b), r.c, r.d


def of_complex(z):
    return z.real, z.imag


def integers(n):
    return np.random.default_rng(n).integers(-50, 50, n)


def records(n):
    rng, r = np.random.default_rng(n), np.zeros(n, RECORD)
    r["a"], r["b"], r["c"] = rng.integers(0, 3, n), rng.integers(-3, 4, n) / 2, rng.integers(0, 2, n)
    r["d"] = rng.integers(0, 3, n).astype("u8") << np.uint64(62)
    r["b"][rng.random(n) < 0.1] = np.nan
    return r


def lexicographic(*columns):
    """Indices by the first column, then the second, and so on."""
    return np.lexsort(columns[::-1])


def same(found, wanted):
    """NaN equals itself, in fields too."""
    found = pp.asnumpy(found)
    for name in wanted.dtype.names or (...,):
        np.testing.assert_array_equal(found[name], wanted[name])


CASES = {
    "integers": (integers, by_rest, lambda x: lexicographic(x % 3, -x), lambda x: lexicographic(-(x % 3), x)),
    "one number": (integers, by_one, lambda x: lexicographic(x // 4), lambda x: lexicographic(-(x // 4))),
    "records": (
        records,
        of_record,
        lambda r: lexicographic(r["a"], r["b"], r["c"], r["d"]),
        lambda r: lexicographic(-r["a"], -r["b"], ~r["c"], ~r["d"]),
    ),
    "complex": (
        lambda n: integers(n) % 7 + 1j * (integers(n) % 5),
        of_complex,
        lambda z: lexicographic(z.real, z.imag),
        lambda z: lexicographic(-z.real, -z.imag),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_sorting(policy, case):
    make, key, up, down = CASES[case]
    for n in (0, 1, 1000):
        x = make(n)
        for order, descending in ((up(x), False), (down(x), True)):
            how = {"key": key, "descending": descending}
            np.testing.assert_array_equal(pp.argsort(policy, x, **how), order)
            same(pp.sort(policy, x, **how), x[order])
            out = x.copy()
            assert pp.stable_sort(policy, out, out=out, **how) is out
            same(out, x[order])
            keys, values = pp.sort_by_key(policy, x, np.arange(n), **how)
            same(keys, x[order])
            np.testing.assert_array_equal(values, order)
            assert pp.is_sorted(policy, x[order], **how)
            assert n < 2 or not pp.is_sorted(policy, x, **how)


def test_many_elements_and_partitioned_ones(policy):
    x = integers(30_000)
    order = lexicographic(x % 3, -x)
    there = policy.executor.asarray(x)
    np.testing.assert_array_equal(pp.asnumpy(pp.sort(policy, there, key=by_rest)), x[order])
    np.testing.assert_array_equal(pp.asnumpy(pp.argsort(policy, there, key=by_rest)), order)


@pytest.mark.parametrize("case", ["integers", "records"])
def test_merge(renderer, case):
    make, key, up, _ = CASES[case]
    a, b = make(300), make(200)
    both = np.concatenate([a[up(a)], b[up(b)]])
    same(pp.merge(renderer, a[up(a)], b[up(b)], key=key), both[up(both)])


@pytest.mark.parametrize("case", CASES)
def test_extrema(policy, case):
    make, key, up, down = CASES[case]
    for n in (1, 2, 5000):
        x = make(n)
        least, most = up(x)[0], down(x)[0]
        assert pp.min_element(policy, x, key=key) == least
        assert pp.max_element(policy, x, key=key) == most
        assert pp.minmax_element(policy, x, key=key) == (least, most)
    assert pp.min_element(policy, make(0), key=key) == 0


def test_extrema_by_a_field(policy):
    r = records(5000)
    r["b"] = np.random.default_rng(1).normal(size=5000)
    for name in ("a", "b", "d"):
        assert pp.min_element(policy, r, key=name) == r[name].argmin()
        assert pp.max_element(policy, r, key=name) == r[name].argmax()
    with pytest.raises(pp.PlacementError, match="key='e' is no field of x"):
        pp.min_element(policy, r, key="e")


@pytest.mark.parametrize(
    "call",
    [
        lambda key: pp.sort(pp.par, np.arange(3), key=key),
        lambda key: pp.min_element(pp.par, np.arange(3), key=key),
        lambda key: pp.is_sorted(pp.par, np.arange(3), key=key),
    ],
)
def test_keys_without_an_order(call):
    for key in (lambda v: v * 1j, lambda v: (v, v * 1j)):
        with pytest.raises(pp.PlacementError, match="complex128, which has no order"):
            call(key)
