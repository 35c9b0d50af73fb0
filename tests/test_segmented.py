"""segmented_reduce and segmented_scan on every executor, against plain Python."""

import functools
import itertools

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from test_primitives import data, rough
from test_scan import AFFINE, PACKED, functions, line, packed

import portapar as pp
from portapar.algorithms.segments import PIECE

LENGTHS = {
    "none": [],
    "one empty": [0],
    "all empty": [0] * 3000,
    "one element": [1],
    "few": [2, 0, 0, 31, 1, 0],
    "rows": list(np.random.default_rng(1).integers(0, 60, 1000)),
    "around a piece": [PIECE - 1, PIECE, 0, PIECE + 1, 3, 2 * PIECE, 2 * PIECE + 1, 0],
    "one giant": [1, 0, 2] * 300 + [20 * PIECE + 17] + [0, 3, 1] * 300,
    "one": [9 * PIECE + 77],
    "end empty": [70_000] + [0] * 5000,
}


def csr(lengths, dtype="i8", begin=0):
    return (begin + np.concatenate([[0], np.cumsum(lengths)])).astype(dtype)


def segments(offsets, x):
    return [x[lo:hi] for lo, hi in zip(offsets[:-1], offsets[1:], strict=True)]


def fold(x):
    """A segment's sum in plain Python, in the order that depends on its length alone."""
    total = None
    for first in range(0, len(x), PIECE):
        piece = x[first : first + PIECE]
        a, b, c, d = (functools.reduce(add, piece[lane::4], -0.0) for lane in range(4))
        a = (a + b) + (c + d)
        total = a if total is None else total + a
    return total


def add(a, b):
    return a + b


def first_of(a, b):
    return a


@pytest.mark.parametrize("name", LENGTHS)
def test_sums(policy, name):
    for dtype, begin in (("i8", 0), ("i4", 5)):
        offsets = csr(LENGTHS[name], dtype, begin)
        x = data(offsets[-1] + begin)
        got = pp.segmented_reduce(policy, offsets, x)
        assert got.dtype == np.float64 and got.shape == (len(offsets) - 1,)
        np.testing.assert_array_equal(got, [s.sum() for s in segments(offsets, x)])
        out = np.full(len(offsets) - 1, np.nan)
        assert pp.segmented_reduce(policy, offsets, x, init=2.5, out=out) is out
        np.testing.assert_array_equal(out, got + 2.5)


@pytest.mark.parametrize("name", ["rows", "around a piece", "one giant"])
def test_sums_have_the_same_bits_everywhere(policy, name):
    offsets = csr(LENGTHS[name])
    x = rough(offsets[-1], "f8")
    expected = np.array([fold(s) if len(s) else 0.0 for s in segments(offsets, x)])
    for _ in range(5):
        assert pp.segmented_reduce(policy, offsets, x).tobytes() == expected.tobytes()
    moved = np.concatenate([rough(777, "f8"), x])  # nor do they depend on where the segments lie
    assert pp.segmented_reduce(policy, offsets + 777, moved).tobytes() == expected.tobytes()


def test_a_long_segment_that_begins_at_the_end_of_a_block(policy):
    for empty in (15, 510, 511, 512):  # blocks of 16 or 512
        x = data(PIECE + 1, "i8") + empty
        got = pp.segmented_reduce(policy, csr([0] * empty + [len(x)]), x)
        np.testing.assert_array_equal(got, [0] * empty + [x.sum()])


@pytest.mark.extra
def test_operators_that_do_not_commute(policy):
    offsets = csr([3, 1, 0, 100, PIECE, 5 * PIECE + 3, 2, 0])
    x = functions(offsets[-1])
    got = pp.segmented_reduce(policy, offsets, x, op=PACKED)
    np.testing.assert_array_equal(got, [functools.reduce(packed, s, 256) for s in segments(offsets, x)])
    for op in (PACKED, pp.Monoid(packed, commutative=False)):
        got = pp.segmented_reduce(policy, offsets, x, op=op, init=7 * 256 + 3)
        np.testing.assert_array_equal(got, [functools.reduce(packed, s, 7 * 256 + 3) for s in segments(offsets, x)])


@pytest.mark.extra
def test_tuples_and_records(policy):
    offsets = csr([3, 0, 100, 2 * PIECE + 3, 2])
    x = functions(offsets[-1])
    a, b = x // 256, x % 256
    expected = [functools.reduce(packed, s, 256) for s in segments(offsets, x)]
    got = pp.segmented_reduce(policy, offsets, a, b, transform=line, op=AFFINE)
    np.testing.assert_array_equal(got["f0"] * 256 + got["f1"], expected)
    records = np.zeros(len(x), [("slope", "i8"), ("shift", "i4")])
    records["slope"], records["shift"] = a, b
    out = np.zeros(len(expected), records.dtype)
    assert pp.segmented_reduce(policy, offsets, records, op=AFFINE, out=out) is out
    np.testing.assert_array_equal(out["slope"] * 256 + out["shift"], expected)
    got = pp.segmented_reduce(policy, offsets, pp.lazy.zip(a, b), op=AFFINE, init=(1, 5))
    expected = [functools.reduce(packed, s, 256 + 5) for s in segments(offsets, x)]
    np.testing.assert_array_equal(got["f0"] * 256 + got["f1"], expected)


def matrix(rows, degree, seed=1):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 2 * degree, rows)
    lengths[rows // 2] = 3 * PIECE
    where = np.repeat(np.arange(rows), lengths)
    entries = rng.integers(-9, 10, len(where)).astype(float)
    return scipy.sparse.csr_array((entries, rng.integers(0, rows, len(where)), csr(lengths, "i4")), shape=(rows, rows))


@pytest.mark.extra
def test_sparse_matrix_times_vector(policy):
    a = matrix(2000, 10)
    x = data(a.shape[1])
    y = np.zeros(a.shape[0])
    got = pp.segmented_reduce(policy, a.indptr, a.data, a.indices, transform=lambda v, j: v * x[j], out=y)
    assert got is y
    np.testing.assert_array_equal(y, a @ x)
    got = pp.segmented_reduce(policy, a.indptr, pp.lazy.transform(a.data, a.indices, lambda v, j: v * x[j]))
    np.testing.assert_array_equal(got, y)
    numbered = pp.segmented_reduce(
        policy, a.indptr, pp.range(5, 5 + 2 * a.nnz, 2), a.data, 3, transform=lambda i, v, s: i * v * s
    )
    each = np.arange(5, 5 + 2 * a.nnz, 2) * a.data * 3
    np.testing.assert_array_equal(numbered, [s.sum() for s in segments(a.indptr, each)])


@pytest.mark.extra
def test_types_and_operators(renderer):
    offsets = csr([5, 1, 2 * PIECE + 50])
    for dtype in ("u1", "c16"):
        x = data(offsets[-1], dtype)
        got = pp.segmented_reduce(renderer, offsets, x)
        assert got.dtype == pp.reduce(renderer, x).dtype
        np.testing.assert_array_equal(got, [s.sum() for s in segments(offsets, x)])
    x = data(offsets[-1])
    x[7:60:9] = np.nan
    got = pp.segmented_reduce(renderer, offsets, x, op=np.maximum)
    np.testing.assert_array_equal(got, [s.max() for s in segments(offsets, x)])
    np.testing.assert_array_equal(pp.segmented_reduce(renderer, csr([0, 0]), x, op=pp.maximum), [-np.inf] * 2)
    for dtype in ("f4", "c16"):  # the sum of nothing is 0, that of -0 is -0
        zeros = pp.segmented_reduce(renderer, csr([1, 0, PIECE + 2]), -np.zeros(PIECE + 3, dtype))
        assert not zeros.any() and np.signbit(zeros.real).tolist() == [True, False, True]
        assert np.signbit(zeros.imag).tolist() == ([True, False, True] if dtype == "c16" else [False] * 3)
    out = np.zeros(3, "f4")
    small = data(offsets[-1], "i4")
    assert pp.segmented_reduce(renderer, offsets, small, out=out) is out
    np.testing.assert_array_equal(out, [s.sum() for s in segments(offsets, small)])


def test_views(policy):
    base = data(5 * PIECE)
    base.flags.writeable = False
    offsets = np.repeat(csr([7, 0, 2 * PIECE]), 2)[::2]
    out = np.zeros(6)
    for x in (base[::-1], base[::2]):
        pp.segmented_reduce(policy, offsets, x, out=out[::2])
        np.testing.assert_array_equal(out[::2], [s.sum() for s in segments(offsets, x)])
        assert not out[1::2].any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(-1000, 1000), max_size=30), max_size=50), st.integers(-5, 5))
def test_anything(rows, init):
    offsets, x = csr([len(row) for row in rows]), np.array([v for row in rows for v in row], np.int64)
    np.testing.assert_array_equal(pp.segmented_reduce(pp.par, offsets, x, init=init), [init + sum(r) for r in rows])
    got = pp.segmented_scan(pp.par, offsets, x, init=init)
    np.testing.assert_array_equal(got, [init + sum(r[: k + 1]) for r in rows for k in range(len(r))])


def test_a_hundred_runs():
    lengths = np.random.default_rng(5).zipf(1.5, 5000).clip(0, 200_000)
    offsets = csr(lengths)
    x = rough(offsets[-1], "f8")
    expected = pp.segmented_reduce(pp.seq, offsets, x).tobytes()
    scanned = pp.segmented_scan(pp.seq, offsets, x).tobytes()
    for how in (pp.par, pp.par.on(pp.threads(5))):
        for _ in range(50):
            assert pp.segmented_reduce(how, offsets, x).tobytes() == expected
            assert pp.segmented_scan(how, offsets, x).tobytes() == scanned


def test_device_arrays_stay_there(where):
    offsets, x = csr([7, 0, 2 * PIECE + 1, 30_000]), data(2 * PIECE + 30_008)
    here, how = where.asarray(x), pp.par.on(where)
    expected = [s.sum() for s in segments(offsets, x)]
    there = offsets if where.kind == "hybrid" else where.asarray(offsets)
    for given_offsets in (offsets, there):
        got = pp.segmented_reduce(how, given_offsets, here)
        assert type(got) is type(here)
        np.testing.assert_array_equal(pp.asnumpy(got), expected)
    out = where.empty(4, np.float64)
    assert pp.segmented_reduce(how, offsets, here, out=out) is out
    np.testing.assert_array_equal(pp.asnumpy(out), expected)
    if where.kind != "hybrid":
        assert pp.segmented_scan(how, there, here, out=here) is here
        np.testing.assert_array_equal(pp.asnumpy(here), scanned(offsets, x))


def test_tasks_and_plans(policy):
    offsets, x = csr([1000, 3000]), data(4000)
    expected = [s.sum() for s in segments(offsets, x)]
    np.testing.assert_array_equal(pp.segmented_reduce(policy.task, offsets, x).result(), expected)
    plan = pp.plan(pp.segmented_reduce, policy, offsets, x)
    assert "segmented_reduce over 4000 rows" in str(plan)
    np.testing.assert_array_equal(plan.run(), expected)


# scans --------------------------------------------------------------------------------------------


def scanned(offsets, x):
    return np.concatenate([np.empty(0), *(np.cumsum(s) for s in segments(offsets, x))])


@pytest.mark.parametrize("name", LENGTHS)
def test_scans(policy, name):
    offsets = csr(LENGTHS[name], "i4")
    x = data(offsets[-1])
    expected = scanned(offsets, x)
    np.testing.assert_array_equal(pp.segmented_scan(policy, offsets, x), expected)
    np.testing.assert_array_equal(pp.segmented_scan(policy, offsets, x, inclusive=False), expected - x)
    got = pp.segmented_scan(policy, offsets, x, init=2.5, inclusive=False, out=x)
    assert got is x
    np.testing.assert_array_equal(x, expected - data(offsets[-1]) + 2.5)


@pytest.mark.extra
def test_scans_that_do_not_commute(renderer):
    offsets = csr([3, 0, 100, 3 * PIECE + 3, 2])
    x = functions(offsets[-1])
    expected = np.concatenate([np.frompyfunc(packed, 2, 1).accumulate(s) for s in segments(offsets, x) if len(s)])
    np.testing.assert_array_equal(pp.segmented_scan(renderer, offsets, x, op=PACKED), expected.astype(int))
    a, b = x // 256, x % 256
    got = pp.segmented_scan(renderer, offsets, pp.lazy.zip(a, b), op=AFFINE)
    np.testing.assert_array_equal(got["f0"] * 256 + got["f1"], expected.astype(int))


def test_scans_have_the_same_bits_everywhere(policy):
    offsets = csr(LENGTHS["one giant"])
    x = rough(offsets[-1], "f8")
    for inclusive in (True, False):
        got = pp.segmented_scan(policy, offsets, x, inclusive=inclusive)
        assert got.tobytes() == pp.segmented_scan(pp.seq, offsets, x, inclusive=inclusive).tobytes()


# errors -------------------------------------------------------------------------------------------

BAD_OFFSETS = {
    r"offsets decrease: offsets\[1\] is 5 and offsets\[2\] is 3": np.array([0, 5, 3, 9]),
    r"offsets decrease: offsets\[9000\]": np.r_[np.full(9001, 7), np.full(9001, 6)].astype("i4"),
    "offsets go from -1 to 9: must lie between 0 and the number of elements, 100": np.array([-1, 9]),
    "offsets go from 0 to 101": np.array([0, 50, 101]),
    "offsets decrease: ": np.array([0, 2**63 - 1, -(2**63), 5]),
    "offsets has dtype float64: must be integers": np.array([0.0, 1.0]),
    "offsets is empty": np.array([], "i8"),
    r"'offsets' has shape \(1, 2\)": np.array([[0, 1]]),
    "'offsets' is a list": [0, 1],
    "a lazy input": pp.lazy.iota(5),
}


@pytest.mark.parametrize("match", BAD_OFFSETS)
def test_bad_offsets(policy, match):
    offsets, x = BAD_OFFSETS[match], data(100)
    out = np.full(max(len(offsets) - 1, 0), 7.0)
    with pytest.raises(pp.PlacementError, match=match):
        pp.segmented_reduce(policy, offsets, x, out=out)
    assert (out == 7).all()
    if policy.executor.kind != "hybrid":
        kept = x.copy()
        with pytest.raises(pp.PlacementError, match=match):
            pp.segmented_scan(policy, offsets, x, out=x)
        np.testing.assert_array_equal(x, kept)


def test_what_is_refused(policy):
    offsets, x = csr([5, 0, 95]), data(100)
    kept = x.copy()
    for arguments, match in (
        ({"op": add}, "there are empty segments, and op has no identity: pass init="),
        ({"out": np.zeros(4)}, "out has length 4, must be 3"),
        ({"out": np.zeros(3, "i4")}, "would lose information"),
        ({"out": x[:3]}, "overlaps"),
        ({"out": offsets[:3].view("f8")}, "overlaps offsets"),
        ({"out": pp.lazy.iota(3)}, "out is a lazy input"),
        ({"init": "a"}, "init is 'a', a str"),
    ):
        with pytest.raises(pp.PlacementError, match=match):
            pp.segmented_reduce(policy, offsets, x, **arguments)
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="out is read-only"):
        pp.segmented_reduce(policy, offsets, x, out=frozen)
    with pytest.raises(pp.PlacementError, match=r"the inputs differ in length \(a: 100, b: 99\)"):
        pp.segmented_reduce(policy, offsets, x, x[1:], transform=lambda a, b: a + b)
    with pytest.raises(pp.KernelError, match="takes 1 argument"):
        pp.segmented_reduce(policy, offsets, x, x, transform=lambda a: a)
    with pytest.raises(pp.PlacementError, match="no input is an array"):
        pp.segmented_reduce(policy, offsets)
    np.testing.assert_array_equal(x, kept)
    assert not frozen.any()
    assert pp.segmented_reduce(policy, offsets, x, op=first_of, init=1.0).tolist() == [1.0, 1.0, 1.0]


def test_what_scans_refuse(renderer):
    offsets, x = csr([5, 0, 95]), data(100)
    for wrong, match in ((offsets[:-1], r"x\[0:5\]"), (offsets[2:], r"must cover it. Pass x\[5:100\] and offsets - 5")):
        with pytest.raises(pp.PlacementError, match=match):
            pp.segmented_scan(renderer, wrong, x)
    with pytest.raises(pp.PlacementError, match="op has no identity: pass init="):
        pp.segmented_scan(renderer, offsets, x, op=add, inclusive=False)
    with pytest.raises(pp.PlacementError, match="out has length 99"):
        pp.segmented_scan(renderer, offsets, x, out=x[1:])
    base = data(101)
    with pytest.raises(pp.PlacementError, match="out partly overlaps the input 'x'"):
        pp.segmented_scan(renderer, offsets, base[:-1], out=base[1:])
    both = np.array([0, 1, 2, 4])
    with pytest.raises(pp.PlacementError, match="out overlaps offsets"):
        pp.segmented_scan(renderer, both, data(4, "i8"), out=both)
    assert both.tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "uint64", "int16"])
def test_offsets_of_all_integers(renderer, dtype):
    x, offsets = np.arange(40.0), np.array([0, 3, 3, 20, 40], dtype)
    wanted = [x[a:b].sum() for a, b in itertools.pairwise(offsets.tolist())]
    assert pp.segmented_reduce(renderer, offsets, x).tolist() == wanted
    scanned = pp.segmented_scan(renderer, offsets, x)
    assert [scanned[b - 1] for a, b in itertools.pairwise(offsets.tolist()) if b > a] == [w for w in wanted if w]
    with pytest.raises(pp.PortaparError, match="offsets has dtype float64.*astype"):
        pp.segmented_reduce(renderer, offsets / 2.0, x)
