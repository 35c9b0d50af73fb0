"""Cuts anywhere: sums and scans have the same bits wherever the parts begin and end."""

import numpy as np
import pytest
from conftest import executor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import portapar as pp
from portapar import divided, shares
from portapar.kernel.tiles import TILE

QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def cut_by_hand(where, x, cuts):
    """A partitioned array whose parts begin where the test wants."""
    spans = zip(where.members, cuts[:-1], cuts[1:], strict=True)
    parts = {k: member.asarray(x[lo:hi]) for k, (member, lo, hi) in enumerate(spans)}
    return pp.PartitionedArray(x.shape, x.dtype, cuts, parts, where)


@pytest.fixture(params=["hybrid:threads:2+simd+threads:3", "hybrid:simd+opencl:0+threads:2"])
def three(request):
    return executor(request.param)


@st.composite
def cuts(draw):
    n = draw(st.sampled_from([1, 2, 3, 100, TILE - 1, TILE, TILE + 1, 3 * TILE, 5 * TILE + 17]))
    near = st.one_of(st.integers(0, n), st.integers(0, 5).map(lambda k: min(n, k * TILE)))
    return (0, *sorted((draw(near), draw(near))), n)


def values(n):
    return np.random.default_rng(n).normal(size=n) * np.logspace(-8, 8, n)


@QUICK
@given(cuts=cuts())
def test_reduce(three, cuts):
    x = values(cuts[-1])
    placed = cut_by_hand(three, x, cuts)
    assert pp.reduce(pp.par.on(three), placed) == pp.reduce(pp.seq, x)
    assert pp.reduce(pp.par.on(three), placed, init=0.1) == pp.reduce(pp.seq, x, init=0.1)


@QUICK
@given(cuts=cuts())
def test_reduce_of_tuples_in_order(three, cuts):
    x = values(cuts[-1])

    def line(v):
        return 0.5, v

    def after(f, g):  # f, then g: does not commute
        return f[0] * g[0], g[0] * f[1] + g[1]

    found = pp.transform_reduce(pp.par.on(three), cut_by_hand(three, x, cuts), transform=line, op=after)
    assert found == pp.transform_reduce(pp.seq, x, transform=line, op=after)


@QUICK
@given(cuts=cuts())
def test_scan(three, cuts):
    x = values(cuts[-1])
    placed = cut_by_hand(three, x, cuts)
    for scan in (pp.inclusive_scan, pp.exclusive_scan):
        assert np.array_equal(pp.asnumpy(scan(pp.par.on(three), placed)), scan(pp.seq, x))
        assert np.array_equal(pp.asnumpy(scan(pp.par.on(three), placed, init=0.3)), scan(pp.seq, x, init=0.3))


@QUICK
@given(cuts=cuts())
def test_rows(three, cuts):
    """Sums over arrays of several dimensions, and what is written at its own place."""
    x = values(3 * cuts[-1]).reshape(-1, 3)
    placed = cut_by_hand(three, x, cuts)
    assert pp.reduce(pp.par.on(three), placed) == pp.reduce(pp.seq, x)
    doubled = pp.transform(pp.par.on(three), placed, op=lambda v: 2.0 * v)
    assert doubled.cuts == cuts
    assert np.array_equal(pp.asnumpy(doubled), 2.0 * x)


@given(size=st.integers(1, 9 * TILE), data=st.data())
def test_what_parts_tell_each_other_of_a_reduction(size, data):
    """Every element is in one piece of the tree, which one part has, or all of whose elements are told."""
    near = st.one_of(st.integers(0, size), st.integers(0, 9).map(lambda k: min(size, k * TILE)))
    ends = (0, *sorted(data.draw(st.lists(near, max_size=5))), size)
    found, tiles = divided.layout(ends, size), -(-size // TILE)
    assert [lo for _, lo, _ in found.pieces] == [0, *(hi for _, _, hi in found.pieces[:-1])]
    assert found.pieces[-1][2] == tiles
    for (lo, hi), own, count in zip(shares.spans(ends), found.own, found.counts, strict=True):
        assert all(lo <= first * TILE and min(last * TILE, size) <= hi for _, first, last in own)
        assert count - len(own) + sum(min(last * TILE, size) - first * TILE for _, first, last in own) == hi - lo
    assert [lo for lo, _, _ in found.runs] == [0, *(hi for _, hi, _ in found.runs[:-1])]
    assert found.runs[-1][1] == sum(found.counts)
    pieces = iter(found.pieces)
    for lo, hi, of_tile in found.runs:
        mine = [next(pieces) for _ in range(1 if of_tile else hi - lo)]
        if of_tile:
            ((_, first, last),) = mine
            assert last == first + 1 and hi - lo == min(last * TILE, size) - first * TILE
        else:
            assert all(piece in [x for own in found.own for x in own] for piece in mine)
    assert next(pieces, None) is None


@given(rows=st.integers(1, 10**9), weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_every_part_gets_its_share(rows, weights):
    cuts = shares.cut_rows(rows, weights)
    assert cuts[0] == 0 and cuts[-1] == rows
    for lo, hi, weight in zip(cuts[:-1], cuts[1:], weights, strict=True):
        share = rows * weight / sum(weights)
        assert abs(hi - lo - share) <= max(1.0, 0.01 * share)


def test_large_rows_are_shared():
    where = pp.hybrid(pp.threads(2), pp.simd(), weights=(3, 1))
    assert where.empty((1001, 1001)).cuts == (0, 750, 1001)


def test_small_calls_are_not_cut():
    where = pp.hybrid(pp.simd(), pp.threads(2), weights=(1, 2))
    x = np.arange(100.0)
    plan = pp.plan(pp.reduce, pp.par.on(where), x)
    assert [part.hi - part.lo for part in plan.parts] == [0, 100]
    assert "not worth cutting" in str(plan)
    assert plan.run() == x.sum()


def test_partitioned_arrays_beside_others_of_another_length():
    """What is cut is what the result is as long as; the other one is read anywhere, on the host or in parts."""
    where = executor("hybrid:threads:2+simd")
    how, a, b = pp.par.on(where), np.arange(120), 2 * np.arange(60)
    x, few, table = np.arange(60) * 7 % 60, np.array([5, 70, 3]), np.arange(60) * 3
    calls = {
        "includes": (lambda a, b: pp.includes(how, a, b), (a, b), True),
        "includes not": (lambda b, a: pp.includes(how, b, a), (b, a), False),
        "set_union": (lambda a, b: pp.set_union(how, a, b), (a, b), a),
        "set_intersection": (lambda a, b: pp.set_intersection(how, a, b), (a, b), b),
        "set_difference": (lambda b, a: pp.set_difference(how, b, a), (b, a[::2][:50].copy()), b[50:]),
        "set_symmetric_difference": (lambda a, b: pp.set_symmetric_difference(how, a, b), (a, b), a[1::2]),
        "merge": (lambda a, b: pp.merge(how, a, b), (a, b), np.sort(np.concatenate([a, b]))),
        "isin": (lambda x, few: pp.isin(how, x, few), (x, few), np.isin(x, few)),
        "gather": (lambda t, few: pp.gather(how, t, few), (table, few % 60), table[few % 60]),
        "searchsorted": (lambda t, few: pp.searchsorted(how, t, few), (table, few), np.searchsorted(table, few)),
        "search": (lambda x, y: pp.search(how, x, y), (x, x[40:44].copy()), 40),
        "find_first_of": (lambda x, few: pp.find_first_of(how, x, few), (x, few), int(np.isin(x, few).argmax())),
        "lexicographical_compare": (lambda x, y: pp.lexicographical_compare(how, x, y), (x[:50].copy(), x), True),
    }
    for name, (call, both, expected) in calls.items():
        for places in ((0,), (1,), (0, 1)):
            args = [where.asarray(y) if k in places else y for k, y in enumerate(both)]
            for _ in range(2):
                assert np.array_equal(pp.asnumpy(call(*args)), expected), (name, places)
