"""Algorithms on segments and frontiers, on parts: what tests on hybrids and on ranks share."""

import numpy as np

import portapar as pp


def offsets_of(n, kind):
    if kind == "one":
        return np.array([0, n])
    rng = np.random.default_rng(n)
    inner = rng.integers(0, n + 1, 3 if kind == "few" else n // 3)
    return np.concatenate([[0], np.sort(inner), inner[:0], [n]])


def scans(how, put, n):
    """Prefixes of every segment have the same bits as on one thread."""
    x = np.random.default_rng(n).normal(size=n) * 1e3
    here = put(x)
    for kind in ("one", "few", "many"):
        offsets = offsets_of(n, kind)
        for given in (offsets, put(offsets)):
            found = pp.segmented_scan(how, given, here)
            assert np.array_equal(pp.asnumpy(found), pp.segmented_scan(pp.seq, offsets, x))
        for keywords in ({"inclusive": False}, {"init": 0.5}, {"inclusive": False, "init": 0.5}):
            found = pp.segmented_scan(how, offsets, here, **keywords)
            assert np.array_equal(pp.asnumpy(found), pp.segmented_scan(pp.seq, offsets, x, **keywords))
    line = pp.Monoid(lambda f, g: (f[0] * g[0], g[0] * f[1] + g[1]), commutative=False)
    pairs = np.zeros(n, [("a", "f8"), ("b", "f8")])
    pairs["a"], pairs["b"] = 0.5, x
    found = pp.asnumpy(pp.segmented_scan(how, offsets_of(n, "few"), put(pairs), op=line))
    assert np.array_equal(found, pp.segmented_scan(pp.seq, offsets_of(n, "few"), pairs, op=line))
    again = put(x)
    assert pp.segmented_scan(how, offsets, again, out=again) is again
    assert np.array_equal(pp.asnumpy(again), pp.segmented_scan(pp.seq, offsets, x))


def largest(s, i, x, found):
    pp.atomic.max(found, s, x[i])


def own_element(s, i, x, out):
    out[i] = x[i] * 10 + s


def elements(how, put, n):
    x = np.random.default_rng(n).integers(-99, 99, n)
    for kind in ("one", "few", "many"):
        offsets = offsets_of(n, kind)
        lengths = np.diff(offsets)
        s = np.repeat(np.arange(len(lengths)), lengths)
        expected = np.full(len(lengths), -100)
        np.maximum.at(expected, s, x)
        for given in (offsets, put(offsets)):
            for place in (put, np.array):
                found = place(np.full(len(lengths), -100))
                pp.for_each_segment(how, given, largest, put(x), found)
                assert np.array_equal(pp.asnumpy(found), expected)
            out = put(np.zeros(n, int))
            pp.for_each_segment(how, given, own_element, put(x), out)
            assert np.array_equal(pp.asnumpy(out), x * 10 + s)


def keys(how, put, n):
    k, v = np.random.default_rng(n).integers(0, 9, n), np.random.default_rng(n).normal(size=n)
    found = [pp.asnumpy(part) for part in pp.reduce_by_key(how, put(k), put(v))]
    assert all(map(np.array_equal, found, pp.reduce_by_key(pp.seq, k, v)))
    found = [pp.asnumpy(part) for part in pp.group_by_key(how, put(k), put(v))]
    assert all(map(np.array_equal, found, pp.group_by_key(pp.seq, k, v)))


CASES = {f.__name__: f for f in (scans, elements, keys)}
