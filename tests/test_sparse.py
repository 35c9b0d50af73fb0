"""Sparse matrices against SciPy, on every executor; what is refused."""

import copy
import sys

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix

import portapar as pp

sparse = pp.sparse
PIECE = 4096


_CUT = pp.par.on(pp.hybrid(pp.threads(1), pp.simd(), weights=[1, 1]))


def rows_of(lengths, n, dtype="f8", index="i4", seed=1):
    """A matrix with so many elements in each row, in any order, some of them twice, some of them zeros."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(index)
    values = rng.integers(-9, 9, offsets[-1]).astype(dtype)
    if np.dtype(dtype).kind in "fc":
        values += rng.random(offsets[-1]).astype(dtype) * (rng.random(offsets[-1]) < 0.9)
    made = csr_array((len(lengths), n), dtype=dtype)
    made.indptr, made.indices, made.data = offsets, rng.integers(0, n, offsets[-1]).astype(index), values
    return made


KINDS = {
    "no rows": lambda: rows_of([], 5),
    "no columns": lambda: csr_array((4, 0)),
    "nothing in it": lambda: csr_array((300, 200)),
    "one element": lambda: rows_of([1], 1),
    "empty rows": lambda: rows_of([0, 0, 3, 0, 9, 0, 0], 8),
    "skewed": lambda: rows_of([5, *[0, 1, 2, 30] * 400, 9000], 3000),
    "one giant row": lambda: rows_of([3] * 10 + [3 * PIECE + 17] + [0, 2] * 700, 500),
    "one row": lambda: rows_of([5 * PIECE], 70),
    "one column": lambda: rows_of([1, 0, 4] * 2000, 1),
}


def same(found, wanted, told=""):
    """Two sparse matrices, to the last index."""
    assert type(found) is type(wanted) and found.shape == wanted.shape, told
    np.testing.assert_array_equal(found.indptr, wanted.indptr, err_msg=told)
    np.testing.assert_array_equal(found.indices, wanted.indices, err_msg=told)
    np.testing.assert_allclose(found.data, wanted.data, rtol=1e-12, atol=1e-9, err_msg=told)
    assert found.dtype == wanted.dtype and found.indices.dtype == found.indptr.dtype == np.int32


# products with vectors ----------------------------------------------------------------------------


def test_spmv(policy):
    for name, make in KINDS.items():
        a = make()
        x = np.random.default_rng(2).normal(size=a.shape[1])
        found = sparse.spmv(policy, a, x)
        np.testing.assert_allclose(found, a @ x, rtol=1e-11, atol=1e-9, err_msg=name)
        assert np.array_equal(found, sparse.spmv(pp.unseq, a, x)), f"{name}: not the same bits"
        for k in range(2):  # remembered, with other numbers in its arrays
            a.data, x[:] = a.data * (k + 2), x[::-1] + k
            out = np.full(a.shape[0], np.nan)
            assert sparse.spmv(policy, a, x, out) is out
            np.testing.assert_allclose(out, a @ x, rtol=1e-11, atol=1e-9, err_msg=name)


def test_spmv_of_columns_and_elements(renderer):
    for name, make in KINDS.items():
        a = make()
        x, z = (np.random.default_rng(2).normal(size=n) for n in a.shape[::-1])
        for b, y in ((a.T, z), (csc_array(a), x), (a.tocoo(), x)):
            found = sparse.spmv(renderer, b, y)
            np.testing.assert_allclose(found, b @ y, rtol=1e-11, atol=1e-9, err_msg=name)
            assert np.array_equal(found, sparse.spmv(pp.unseq, b, y)), f"{name}: not the same bits"


@pytest.mark.parametrize(
    "kind", ["f4 f4", *(pytest.param(kind, marks=pytest.mark.rare) for kind in ("? ?", "f4 c8", "i8 f4")), "i1 i1"]
)
def test_dtypes_are_those_of_scipy(renderer, kind):
    one, other = kind.split()
    index = "i8" if one == "f4" else "i4"
    a = rows_of([5, 0, 40, 1, 0, 2], 30, one, index)
    numbers = np.random.default_rng(2).integers(-100, 100, 30)
    x = numbers > 0 if other == "?" else numbers.astype(other)
    for y in (x, np.repeat(x, 2)[::2]):  # elements that are apart
        found, wanted = sparse.spmv(renderer, a, y), a @ y
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_numbers_that_are_none(renderer):
    a = csr_array((np.array([0.0, 1.0, np.nan, 2.0]), np.array([0, 1, 2, 1]), np.array([0, 2, 3, 4])), (3, 3))
    for x in ([np.inf, 1, 1], [1, np.inf, 1], [-0.0, np.nan, 0], [0.0, -0.0, -0.0]):
        np.testing.assert_array_equal(sparse.spmv(renderer, a, np.array(x)), a @ np.array(x))


def test_read_only_and_old_matrices():
    a = csr_matrix(rows_of([3, 0, 2], 6))
    x = np.arange(6.0)
    for part in (a.data, a.indices, a.indptr, x):
        part.flags.writeable = False
    np.testing.assert_allclose(sparse.spmv(pp.par, a, x), a @ x)
    np.testing.assert_allclose(sparse.spmv(None, a, x), a @ x)  # the default policy
    later = sparse.spmv(pp.par.task, a, x)
    np.testing.assert_allclose(later.result(), a @ x)
    assert "sparse.spmv" in str(pp.plan(sparse.spmv, pp.par, a, x))


def test_arrays_of_a_device(renderer):
    where = renderer.executor
    if where.device.host_memory:
        pytest.skip("its arrays are NumPy's")
    a, x = rows_of([3, 0, 2, 40], 30), np.random.default_rng(1).normal(size=30)
    found = sparse.spmv(pp.par, a, where.asarray(x))
    assert type(found) is where.array_type
    np.testing.assert_allclose(pp.asnumpy(found), a @ x)


def broken(**changes):
    a = rows_of([2, 3, 0, 1], 5)
    for name, value in changes.items():
        setattr(a, name, np.asarray(value, getattr(a, name).dtype))
    return a


BROKEN = {
    "a.indices[2] is 5: must be a column, 0 to 4": {"indices": [0, 1, 5, 2, 3, 4]},
    "a.indices[5] is -1: must be a column": {"indices": [0, 1, 4, 2, 3, -1]},
    "a.indptr begins with 1": {"indptr": [1, 2, 5, 5, 6]},
    "a.indptr[2] is 1, after 2: must not fall": {"indptr": [0, 2, 1, 5, 6]},
    "a.indptr[1] is -7, after 0": {"indptr": [0, -7, 5, 5, 6]},
    "a.indptr ends with 7, and there are 6 indices and 6 values": {"indptr": [0, 2, 5, 5, 7]},
    "4 rows and 4 in indptr: must have 5": {"indptr": [0, 2, 5, 6]},
    "there are 5 indices and 6 values": {"indices": [0, 1, 2, 3, 4]},
}


@pytest.mark.parametrize("words", BROKEN)
def test_broken_matrices_are_told_and_harmless(where, words):
    policy, a = pp.par.on(where), broken(**BROKEN[words])
    for _ in range(2):
        with pytest.raises(pp.ArgumentError) as error:
            sparse.spmv(policy, a, np.ones(5))
        assert words in str(error.value) and "sparse.spmv" in str(error.value)
    if len(where.members) == 1:
        with pytest.raises(pp.ArgumentError) as error:
            sparse.transpose(policy, a)
        assert words in str(error.value)


def test_an_index_that_becomes_wrong_between_two_calls(renderer):
    for lengths in ([2, 3], [2000] * 10):
        a, x = rows_of(lengths, 9), np.ones(9)
        sparse.spmv(renderer, a, x)
        sparse.spmv(renderer, a, x)
        a.indices[-1] = 2**30
        with pytest.raises(pp.ArgumentError, match="is 1073741824: must be a column"):
            sparse.spmv(renderer, a, x)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: sparse.spmv(pp.par, a, np.ones(4)), "a has shape (3, 5) and x (4,): x must have shape (5,)"),
        (lambda a: sparse.spmv(pp.par, a, np.ones((5, 1))), "pp.sparse.spmm"),
        (lambda a: sparse.spmm(pp.par, a, np.ones(5)), "pp.sparse.spmv"),
        (lambda a: sparse.spmm(pp.par, a, np.ones((4, 2))), "x must have 5 rows"),
        (lambda a: sparse.spmm(pp.par, a, np.ones((5, 2)), np.ones((3, 3))), "must have shape (3, 2)"),
        (lambda a: sparse.spmm(pp.par, a.tocsc(), np.ones((5, 2))), "format CSC: must be CSR. Pass a.tocsr()"),
        (lambda a: sparse.spmv(pp.par, a.toarray(), np.ones(5)), "a is a ndarray: must be a sparse matrix"),
        (lambda a: sparse.spmv(pp.par, a.todia(), np.ones(5)), "format DIA: must be CSR or CSC or COO"),
        (lambda a: sparse.spmv(pp.par, a.copy().tolil(), np.ones(5)), "has the format LIL: must be CSR or CSC or COO"),
        (lambda a: sparse.spmm(pp.par, a.todok(), np.ones((5, 2))), "format DOK: must be CSR. Pass a.tocsr()"),
        (lambda a: sparse.spmv(pp.par, a, [1, 2, 3, 4, 5]), "np.asarray(x)"),
        (lambda a: sparse.spmv(pp.par, a, np.ones(5, object)), "dtype object"),
        (lambda a: sparse.spmv(pp.par, a, np.ones(5), np.ones(4)), "must have shape (3,) and dtype float64"),
        (lambda a: sparse.spmv(pp.par, a, np.ones(5), np.ones(3, "f4")), "must have shape (3,) and dtype float64"),
        (lambda a: (lambda x: sparse.spmv(pp.par, a, x, x[1:4]))(np.ones(5)), "out overlaps x"),
        (lambda a: sparse.spmv(pp.par, a, np.ones(5), a.data[:3]), "out overlaps a.data"),
        (lambda a: sparse.spmv(pp.par, a, np.ones(5), np.broadcast_to(1.0, 3)), "out is read-only"),
        (lambda a: sparse.spmv(3, a, np.ones(5)), "must be a policy"),
        (lambda a: sparse.spmv(_CUT, a.tocoo(), np.ones(5)), "a.tocsr()"),
        (lambda a: sparse.from_coo(pp.par, [0], [0], [1], (1, 1)), "np.asarray"),
        (lambda a: sparse.from_coo(pp.par, *np.ones((3, 2)), (2, 2)), "rows has shape (2,) and dtype float64"),
        (lambda a: sparse.from_coo(pp.par, *np.ones((3, 2), int), (2, -1)), "shape[1] is -1"),
        (lambda a: sparse.from_coo(pp.par, *np.ones((3, 2), int), (2, 1)), "cols[0] is 1: must be a column, 0 to 0"),
        (lambda a: sparse.from_coo(pp.par, *np.ones((3, 2), int), 4), "shape is 4"),
        (lambda a: sparse.from_coo(pp.par, np.ones(2, int), np.ones(3, int), np.ones(2), (9, 9)), "cols 3"),
        (lambda a: sparse.from_coo(pp.par, *np.ones((3, 2), int), (2, 2), duplicates="mean"), "one of 'sum', 'first'"),
    ],
)  # fmt: skip
def test_wrong_arguments(call, words):
    a = rows_of([2, 0, 3], 5)
    before = copy.deepcopy(a.data)
    with pytest.raises(pp.ArgumentError) as error:
        call(a)
    assert words in str(error.value)
    np.testing.assert_array_equal(a.data, before)


# products with matrices ---------------------------------------------------------------------------


def test_spmm(policy):
    for name in ("no rows", "no columns", "empty rows", "skewed", "one giant row"):
        a = KINDS[name]()
        for width in (0, 1, 3, 23):
            x = np.random.default_rng(2).normal(size=(a.shape[1], width))
            for y in (x, np.asfortranarray(x)):
                np.testing.assert_array_equal(sparse.spmm(policy, a, y), a @ x, err_msg=name)  # in SciPy's order
            out = np.full((a.shape[0], width), np.nan)
            for _ in range(2):
                x += 1
                assert sparse.spmm(policy, a, x, out) is out
                np.testing.assert_array_equal(out, a @ x, err_msg=name)
    a = broken(indices=[0, 1, 5, 2, 3, 4])
    for _ in range(2):
        with pytest.raises(pp.ArgumentError, match=r"sparse.spmm: a.indices\[2\] is 5: must be a column, 0 to 4"):
            sparse.spmm(policy, a, np.ones((5, 21)))


def test_spgemm(renderer):
    rng = np.random.default_rng(4)
    wide = rows_of(rng.integers(0, 9, 400), 9000)
    band = csr_array(scipy.sparse.diags_array(rng.random((9, 700)), offsets=range(-4, 5), shape=(700, 700)))
    pairs = [
        (rows_of([], 5), rows_of([1, 2, 0, 3, 1], 7)),
        (csr_array((4, 0)), csr_array((0, 3))),
        (csr_array((3, 4)), csr_array((4, 0))),
        (KINDS["empty rows"](), rows_of([3, 0, 40, 1, 5, 9, 300, 2], 200)),
        (rows_of(rng.integers(0, 30, 500), 400), wide),  # rows of more columns than are sorted one by one
        (wide.T.tocsr(), wide),
        (rows_of([4, 0, 9, 2], 20), rows_of(rng.integers(0, 4, 20), 1_000_000)),  # columns that are far apart
        (band, band),
        (band, csr_array((band.data, band.indices[::-1].copy(), band.indptr), band.shape)),  # in no order
    ]
    for a, b in pairs:
        for one, other in ((a, b), (csc_array(a), csc_array(b))):
            for turn in range(2):  # the second time remembered, with other numbers
                wanted = one @ other
                wanted.sort_indices()
                found = sparse.spgemm(renderer, one, other)
                assert found.has_canonical_format
                found.eliminate_zeros()  # which SciPy leaves out
                same(found, wanted)
                one.data = one.data[::-1] * (turn + 2)
    for index in (5, -1):
        a, b = rows_of([2, 3, 0, 1], 5), rows_of([1, 2, 0, 3, 1], 7)
        for broken in (a, b):
            sparse.spgemm(renderer, a, b)
            broken.indices[3], kept = 7 if broken is b else index, broken.indices[3]
            with pytest.raises(pp.ArgumentError, match=r"[ab].indices\[3\] is [57-].*: must be a column"):
                sparse.spgemm(renderer, a, b)
            broken.indices[3] = kept
        b.indptr[1:3] = 3, 2
        with pytest.raises(pp.ArgumentError, match=r"b.indptr\[2\] is 2, after 3"):
            sparse.spgemm(renderer, a, b)


def test_what_spgemm_refuses():
    a, good = rows_of([2, 3, 0, 1], 5), rows_of([1, 2, 0, 3, 1], 7)
    for b, words in (
        (broken(), "a has shape (4, 5) and b (4, 5): b must have 5 rows"),
        (good.tocsc(), "a has the format CSR and b CSC: must have the same. Pass b.tocsr()"),
        (good.toarray(), "b is a ndarray: must be a sparse matrix"),
        (good.tocoo(), "b has the format COO: must be CSR or CSC"),
    ):
        with pytest.raises(pp.ArgumentError) as error:
            sparse.spgemm(pp.par, a, b)
        assert words in str(error.value)
    for words in BROKEN:
        with pytest.raises(pp.ArgumentError) as error:
            sparse.spgemm(pp.par, broken(**BROKEN[words]), good)
        assert words in str(error.value)
    square = csr_array((np.ones(6), np.array([0, 1, 4, 2, 3, 4]), np.array([0, 2, 5, 5, 6, 6])), (5, 5))
    for part, value, words in (
        ("indices", [0, 1, 4, 2, 3, 5], "b.indices[5] is 5: must be a column, 0 to 4"),
        ("indptr", [0, 2, 7, 5, 6, 6], "b.indptr[3] is 5, after 7"),
    ):
        b = square.copy()
        setattr(b, part, np.array(value, np.int32))
        with pytest.raises(pp.ArgumentError) as error:
            sparse.spgemm(pp.par, csr_array(np.ones((5, 5))), b)
        assert words in str(error.value)


# triangular systems --------------------------------------------------------------------------------


def solvable(n, each):
    """A matrix with both triangles, whose diagonal is in two pieces; its columns are in no order."""
    a, on = rows_of([each] * n, max(n, 1)).tocoo(), np.tile(np.arange(n), 2)
    i, j = np.concatenate([a.row, on]), np.concatenate([a.col, on])
    order = np.argsort(i, kind="stable")
    values = np.concatenate([a.data, np.full(2 * n, 15.0 * each + 5)])
    return csr_array((values[order], j[order], np.append(0, np.cumsum(np.bincount(i, minlength=n)))), (n, n))


def test_trisolve(renderer, monkeypatch):
    policy = renderer
    monkeypatch.setattr(sys.modules[sparse.trisolve.__module__], "_THREADS", 1)  # few are enough
    for n, each in ((0, 0), (1, 0), (40, 3), (60000, 1)):
        a, b = solvable(n, each), np.random.default_rng(2).normal(size=n)
        for lower in (True, False):
            side = scipy.sparse.tril(a) if lower else scipy.sparse.triu(a)
            known = sparse.levels(policy, a, lower=lower)
            assert sorted(known.order) == list(range(n)) and known.starts[-1] == n
            assert n == 0 or known.alone(2) == (n < 60000)
            found = sparse.trisolve(policy, a, b, lower=lower)
            np.testing.assert_allclose(side @ found, b, atol=1e-9)
            for _ in range(2):
                assert np.array_equal(found, sparse.trisolve(policy, a, b, lower=lower, levels=known))
            here = b.copy()
            assert sparse.trisolve(policy, a, here, lower=lower, out=here) is here
            assert np.array_equal(here, found)
            unit = sparse.trisolve(policy, a / 30, b, lower=lower, unit_diagonal=True, levels=known)
            bare = scipy.sparse.eye_array(n) + (side - scipy.sparse.diags_array(a.diagonal(), shape=(n, n))) / 30
            np.testing.assert_allclose(bare @ unit, b, atol=1e-9)


def test_levels_of_little_work_are_one_step():
    n = 30000
    a = csr_array(scipy.sparse.diags_array([np.ones(n), np.full(n - 1, 0.5)], offsets=[0, -1]))
    known = sparse.levels(pp.par, a)
    assert len(known) == n and known.runs(1 << 13) == [(0, n, False)]
    ends = scipy.sparse.eye_array(9000)
    known = sparse.levels(pp.par, csr_array(scipy.sparse.block_diag([ends, a[:20, :20], ends])))
    assert known.runs(1 << 13) == [(0, 18001, True), (18001, 18020, False)]


@pytest.mark.rare
def test_whole_numbers_are_solved_in_floats():
    assert sparse.trisolve(pp.par, solvable(5, 2).astype(int), np.ones(5, int)).dtype == np.float64


def test_what_trisolve_refuses():
    a, b = solvable(5, 2), np.ones(5)
    hole = a.copy()
    hole.data[hole.indices == 3] = 0
    known = sparse.levels(pp.par, a)
    for call, words in (
        (lambda: sparse.trisolve(pp.par, rows_of([1, 2], 5), b), "a has shape (2, 5): must be square"),
        (lambda: sparse.levels(pp.par, a.tocsc()), "format CSC: must be CSR"),
        (lambda: sparse.trisolve(pp.par, a, np.ones(4)), "b must be numbers of shape (5,)"),
        (lambda: sparse.trisolve(pp.par, hole, b), "a[3, 3] is zero, or not there"),
        (lambda: sparse.trisolve(pp.par, hole, b, levels=known), "a[3, 3] is zero, or not there"),
        (lambda: sparse.trisolve(pp.par, solvable(6, 2), np.ones(6), levels=known), "with 5 rows and 20 elements"),
        (lambda: sparse.trisolve(pp.par, a, b, lower=False, levels=known), "of the upper triangle"),
        (lambda: sparse.trisolve(pp.par, a, b, levels=3), "levels is 3"),
        (lambda: sparse.trisolve(pp.par, a, b, out=np.ones(5, "f4")), "must have shape (5,) and dtype float64"),
    ):
        with pytest.raises(pp.ArgumentError) as error:
            call()
        assert words in str(error.value)
    a.indices[3] = 9
    for options in ({}, {"levels": known}):
        with pytest.raises(pp.ArgumentError, match=r"sparse.trisolve: a.indices\[3\] is 9: must be a column, 0 to 4"):
            sparse.trisolve(pp.par, a, b, **options)
    with pytest.raises(pp.ArgumentError, match="is 9"):
        sparse.levels(pp.par, a)


# making and turning -------------------------------------------------------------------------------


def test_from_coo(device):
    policy = pp.par.on(device)
    rng = np.random.default_rng(3)
    for m, n, count in ((0, 4, 0), (4, 0, 0), (1, 1, 5000), (7, 90, 2000), (70000, 9, 30000)):
        i, j = (rng.integers(0, max(size, 1), count) for size in (m, n))
        values = rng.normal(size=count)
        wanted = coo_array((values, (i, j)), (m, n)).tocsr()
        wanted.sum_duplicates()
        same(sparse.from_coo(policy, i, j.astype(np.uint16), values, (m, n)), wanted)
        order, places = np.arange(float(count)), list(zip(i.tolist(), j.tolist(), strict=True))
        for which, turn in (("first", -1), ("last", 1)) if count else ():
            kept = dict(zip(places[::turn], order[::turn], strict=True))
            found = sparse.from_coo(policy, i, j, order, (m, n), duplicates=which)
            assert found.data.tolist() == [kept[place] for place in sorted(kept)]


@pytest.mark.parametrize("values", [np.full(4, 100, np.int8), np.ones(4, bool), np.full(4, 1 + 2j)])
@pytest.mark.rare
def test_sums_of_duplicates_keep_their_dtype(values):
    i = np.zeros(4, int)
    found = sparse.from_coo(pp.par, i, i, values, (1, 1))
    assert found.dtype == values.dtype and found[0, 0] == np.add.reduce(values, dtype=values.dtype)


@pytest.mark.rare
def test_many_more_columns_than_elements():
    i, j, values = np.array([3, 0, 3, 3]), np.array([2**40, 5, 2**33, 2**40]), np.arange(4.0)
    found = sparse.from_coo(pp.par, i, j, values, (4, 2**41))
    assert found.indices.tolist() == [5, 2**33, 2**40] and found.indptr.tolist() == [0, 1, 1, 1, 3]
    assert found.data.tolist() == [1, 2, 3]


def test_transpose(device):
    policy = pp.par.on(device)
    for name, make in KINDS.items():
        a = make()
        same(sparse.transpose(policy, a), a.T.tocsr(), name)
        b = csc_array(a)
        same(sparse.transpose(policy, b), b.T.tocsc(), name)
    old = csr_matrix(rows_of([3, 0, 2], 6))
    same(sparse.transpose(policy, old), old.T.tocsr())


def test_results_are_matrices_of_scipy():
    a = sparse.transpose(pp.par, rows_of([50] * 2000, 3000))
    assert a.has_sorted_indices and np.shares_memory(a.T.indices, a.indices)  # no view that SciPy would copy
    assert (a @ a.T).shape == (3000, 3000)
    assert scipy.sparse.issparse(a)
