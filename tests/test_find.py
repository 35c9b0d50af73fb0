"""find, find_if, find_last_if, adjacent_find, mismatch and equal on every executor, against NumPy."""

import itertools
import types

import hypothesis
import numpy as np
import pytest
from conftest import executor
from hypothesis import strategies as st

import portapar as pp
from portapar import part
from portapar.algorithms import find as module

SIZES = (0, 1, 2, 31, 1000, 2**20 + 3)


def data(n):
    return np.random.default_rng(n).integers(0, 1000, n).astype(float)


def negative(v):
    return v < 0


def falls(a, b):
    return b < a


def places_of(n):
    """Where to hide something among n elements: the ends, the ends of strips, of blocks and of parts."""
    return sorted({k for k in (0, 1, 255, 256, 16383, 16384, n // 3, n // 2 - 1, n // 2, n - 2, n - 1) if 0 <= k < n})


@pytest.mark.parametrize("round_", [1 << 20, 100])
def test_places(policy, monkeypatch, round_):
    monkeypatch.setattr(module, "_ROUND", round_)
    for n in SIZES if round_ > 100 else (1000, 70_000):
        x = data(n)
        assert pp.find_if(policy, x, negative) == pp.find_last_if(policy, x, negative) == pp.find(policy, x, -1) == n
        for k in places_of(n):
            y = x.copy()
            y[k] = -1
            found = pp.find_if(policy, y, negative), pp.find_last_if(policy, y, negative), pp.find(policy, y, -1)
            assert found == (k, k, k) and all(type(i) is int for i in found)
            assert pp.mismatch(policy, x, y) == k and pp.equal(policy, x, y) is False
            y[k:] = -1
            assert pp.find_if(policy, y, negative) == k and pp.mismatch(policy, y, x) == k
            y[:k] = -1
            y[k + 1 :] = 1
            assert pp.find_last_if(policy, y, negative) == k
        assert pp.mismatch(policy, x, x) == pp.mismatch(policy, x, x.copy()) == n and pp.equal(policy, x, x) is True


def test_adjacent_find(policy):
    for n in SIZES:
        x = np.arange(n) * 0.5
        assert pp.adjacent_find(policy, x) == pp.adjacent_find(policy, x, falls) == n
        for k in places_of(n - 1):
            y = x.copy()
            y[k] = y[k + 1]
            assert pp.adjacent_find(policy, y) == k
            y[k] += 1
            assert pp.adjacent_find(policy, y, falls) == k
    assert pp.adjacent_find(policy, np.full(100, np.nan)) == 100


def test_nan_equals_nothing(policy):
    x = data(1000)
    x[500] = np.nan
    assert pp.find(policy, x, np.nan) == 1000 and pp.find_if(policy, x, np.isnan) == 500
    assert pp.mismatch(policy, x, x) == 500 and not pp.equal(policy, x, x)
    x[500] = -0.0
    y = x.copy()
    y[500] = 0.0
    assert pp.equal(policy, x, y)


def test_equal_of_different_lengths(policy):
    x = data(1000)
    assert pp.equal(policy, x, x[:-1]) is False and pp.equal(policy, x[:0], x) is False
    assert pp.equal(policy, x[:0], x[:0]) is True
    with pytest.raises(pp.PlacementError, match=r"mismatch: x has 1000 elements and y has 999.*x\[:n\]"):
        pp.mismatch(policy, x, x[:-1])


@pytest.mark.parametrize("kinds", [("i4", "f8"), ("f4", "f8"), ("u1", "i8"), ("?", "i4"), ("c16", "f8"), ("i8", "u8")])
def test_different_dtypes(renderer, kinds):
    x, y = (np.arange(3000) % 2).astype(kinds[0]), (np.arange(3000) % 2).astype(kinds[1])
    assert pp.equal(renderer, x, y)
    y[2000] = 2
    assert pp.mismatch(renderer, x, y) == 2000
    assert pp.find(renderer, y, 2) == 2000 and pp.find_last_if(renderer, y, lambda v: v == 1) == 2999


def test_whole_numbers_of_64_bits(renderer):
    x, y = np.array([2**62, 2**62 + 1]), np.array([2**62 + 1, 2**62 + 1], np.uint64)
    assert pp.mismatch(renderer, x, y) == pp.mismatch(renderer, y, x) == 0
    for value in (2**62 + 1, np.uint64(2**62 + 1)):
        assert pp.find(renderer, x, value) == 1
    assert pp.find(renderer, np.array([2**63 - 1]), np.uint64(2**63)) == pp.find(renderer, x, 2**80) - 1 == 1
    assert pp.equal(renderer, np.array([-1]), np.array([2**64 - 1], np.uint64)) is False


def test_device_arrays(where):
    p = pp.par.on(where)
    for n in (0, 1000, 100_003):
        x = data(n)
        y = x.copy()
        y[n // 2 :] = -1
        here, there = where.asarray(x), where.asarray(y)
        assert pp.find_if(p, there, negative) == n // 2 and pp.find(p, here, -1) == n
        assert pp.find_last_if(p, there, negative) == max(n - 1, 0)
        assert pp.mismatch(p, here, there) == n // 2 and pp.equal(p, here, there) is (n == 0)
        if n:
            assert pp.equal(p, here, where.asarray(x[1:])) is False


def test_layouts_and_captures(policy):
    base, limit, table = data(3000), 2000, np.arange(3000) == 1500
    base[2400] = 2500
    for view in (base, base[::2], base[::-1], base.reshape(300, 10)[:, 0]):
        view.flags.writeable = False
        assert pp.find_if(policy, view, lambda v: v > limit) == np.flatnonzero(view > limit)[0]
        assert pp.equal(policy, view, view.copy())
    k = np.arange(3000)
    assert pp.find_if(policy, k, lambda v: table[v]) == pp.find_last_if(policy, k, lambda v: table[v]) == 1500


@pytest.mark.parametrize("name", ["simd", "threads:1"])
def test_what_lies_behind_the_place_is_not_searched(name):
    p, n, calls = pp.par.on(name), 2**20, np.zeros(1, np.int64)

    def fits(v):
        pp.atomic.add(calls, 0, 1)
        return v == 0

    for at in (0, n // 100, n // 2):
        x = np.ones(n)
        x[at] = x[-1] = 0
        for search in (pp.find_if, pp.any_of):
            calls[0] = 0
            assert search(p, x, fits) == (at if search is pp.find_if else True)
            assert at < calls[0] <= at + 1000
        calls[0] = 0
        assert pp.find_last_if(p, x, fits) == n - 1 and calls[0] <= 1000


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.lists(st.integers(0, 3), max_size=2000), st.integers(0, 3))
def test_any_input(values, value):
    x, n = np.array(values, np.int32), len(values)
    for p in (pp.seq, pp.par.on(pp.threads(3))):
        assert pp.find(p, x, value) == (values.index(value) if value in values else n)
        assert pp.find_last_if(p, x, lambda v: v == value) == max(
            (i for i, v in enumerate(values) if v == value), default=n
        )
        pairs = [a == b for a, b in zip(values[:-1], values[1:], strict=True)]
        assert pp.adjacent_find(p, x) == (pairs.index(True) if True in pairs else n)


def slow(v):
    s = 0.0
    for _ in range(3):
        s = s * 0.5 + v
    return s


@pytest.mark.parametrize("name", ["threads:2", pytest.param("hybrid:threads:1+opencl:0", marks=pytest.mark.extra)])
def test_functions_with_loops(name, monkeypatch):
    """However long an element takes: where it is long, Ctrl-C is heard after each."""
    p, sizes, rounds = pp.par.on(executor(name)), [], part.LocalPart.rounds

    def seen(self, *given):
        for found in rounds(self, *given):
            if given[2]:  # what is tried as a step that ran before, which no function with a loop is, says none
                sizes.append(found[2])
            yield found

    def add(s, i, x, sums):
        pp.atomic.add(sums, s, slow(x[i]))

    monkeypatch.setattr(part.LocalPart, "rounds", seen)
    for seconds, size in ((1.0, 1), (0.0, 64)):
        monkeypatch.setattr(part, "time", types.SimpleNamespace(perf_counter=itertools.count(0, seconds).__next__))
        for n in (1, 3, 5000):
            x = np.arange(n) + 1.0
            sizes.clear()
            assert pp.find_if(p, x, lambda v: slow(v) == 1.75 * 4000) == min(n, 3999)
            assert pp.find_last_if(p, x, lambda v: slow(v) < 1.75 * 3) == min(n, 2) - 1
            assert pp.adjacent_find(p, x, lambda a, b: slow(a) > b + 1000) == (1334 if n > 1334 else n)
            assert pp.search(p, x, x[n // 2 :], lambda a, b: slow(a) == slow(b)) == n // 2
            assert pp.equal(p, pp.lazy.transform(x, slow), 1.75 * x)
            sums = np.zeros(3)
            pp.for_each_segment(p, np.array([0, n // 3, n // 3, n]), add, x, sums)
            np.testing.assert_allclose(sums, 1.75 * np.array([x[: n // 3].sum(), 0, x[n // 3 :].sum()]))
        assert max(sizes) == size


def test_task_and_plan(where):
    x, p = data(1000), pp.par.on(where)
    assert pp.find_if(p.task, x, negative).result() == 1000 and pp.equal(p.task, x, x).result() is True
    step = pp.plan(pp.find, p, x, x[40])
    assert "find over 1000 rows" in str(step) and step.run() == np.flatnonzero(x == x[40])[0]


def test_records_are_equal_where_their_fields_are(renderer):
    a = np.zeros(9, [("n", "i4"), ("x y", "f8"), ("z", "c8")])
    a["n"], a["x y"] = np.arange(9) // 2, [0, 1, 2, 2, 4, 5, np.nan, 7, 8]
    b = a[::-1][::-1].copy()
    assert pp.adjacent_find(renderer, a) == 2 and pp.adjacent_find(renderer, a[3:]) == 6
    assert pp.mismatch(renderer, a, b) == 6 and pp.mismatch(renderer, a[:6], b[:6]) == 6
    assert pp.equal(renderer, a[:6], b[:6]) and not pp.equal(renderer, a, b)
    b["z"][4] = 1j
    assert pp.mismatch(renderer, a, b) == 4 and not pp.equal(renderer, a[:6], b[:6])
    for other in (a["n"], np.zeros(9, [("n", "i4")]), np.zeros(9, [("n", "i4"), ("x y", "S3"), ("z", "c8")])):
        for algorithm in (pp.equal, pp.mismatch):
            told = rf"{algorithm.__name__}: the elements are records of .*such as x\['n'\]"
            with pytest.raises(pp.PlacementError, match=told):
                algorithm(renderer, a, other)


def test_errors(policy):
    x = data(10)
    with pytest.raises(pp.PlacementError, match=r"find_if: argument 'x' has shape \(2, 5\).*x\.reshape\(-1\)"):
        pp.find_if(policy, x.reshape(2, 5), negative)
    with pytest.raises(pp.PlacementError, match=r"equal: argument 'y' has shape \(2, 5\)"):
        pp.equal(policy, x, x.reshape(2, 5))
    with pytest.raises(pp.PlacementError, match="find: value is None, a NoneType: must be a number"):
        pp.find(policy, x, None)
    with pytest.raises(pp.KernelError, match=r"find_last_if: predicate 'lambda' .*takes 2 arguments \(a, b\)"):
        pp.find_last_if(policy, x, lambda a, b: a > b)
    if policy.executor.kind != "hybrid":
        with pytest.raises(
            pp.KernelError, match=r"adjacent_find: predicate 'lambda' .*takes 1 argument \(a\): must take 2"
        ):
            pp.adjacent_find(policy, x, lambda a: a > 0)
