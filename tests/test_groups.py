"""Primitives in their form for GPUs, by groups of work-items that share memory: the bits are those of threads.

PoCL runs that form, although it is slower there; where there is a GPU other tests run it too.
"""

import numpy as np
import pytest
from conftest import executor
from test_primitives import rough
from test_scan import AFFINE, PACKED, functions, line

import portapar as pp
from portapar.kernel.tiles import TILE


@pytest.fixture
def on_groups(monkeypatch):
    """A policy for OpenCL, with the form for GPUs."""
    found = executor("opencl:0")
    monkeypatch.setattr(found.device, "groups", True)
    return pp.par.on(found)


def same(a, b):
    a, b = pp.asnumpy(a), pp.asnumpy(b)
    assert a.dtype == b.dtype and a.shape == b.shape
    assert a.tolist() == b.tolist() if a.dtype.names else a.tobytes() == b.tobytes()  # records have gaps


@pytest.mark.parametrize("most", [2 * TILE, pytest.param(40 * TILE, marks=pytest.mark.extra)])
def test_scans_of_all_lengths(on_groups, most):
    borders = [k * size for size in (128, TILE, 2 * TILE, 8 * TILE) for k in (1, 2, 3)]
    x = rough(most + 1, "f8")
    placed = on_groups.executor.asarray(x)
    for n in sorted({n + d for n in borders for d in (-1, 0, 1) if n + d <= most} | {1, 2, most}):
        same(pp.inclusive_scan(on_groups, placed[:n]), pp.inclusive_scan(pp.par, x[:n]))
        same(pp.exclusive_scan(on_groups, placed[:n], init=0.1), pp.exclusive_scan(pp.par, x[:n], init=0.1))


SCANS = {
    "f4, extrema": lambda how, x: pp.inclusive_scan(how, x.astype("f4"), op=pp.maximum),
    "i1": lambda how, x: pp.inclusive_scan(how, (x % 100).astype("i1")),
    "c16": lambda how, x: pp.exclusive_scan(how, x + 1j * x[::-1]),
    "into another dtype": lambda how, x: pp.inclusive_scan(how, x.astype("f4"), out=np.empty(len(x))),
    "in place": lambda how, x: (lambda y: pp.inclusive_scan(how, y, out=y))(x.copy()),
    "backwards": lambda how, x: pp.inclusive_scan(how, x[::-1], out=np.empty(2 * len(x))[::2]),
    "does not commute": lambda how, x: pp.inclusive_scan(how, functions(len(x)), PACKED),
    "tuples": lambda how, x: pp.transform_scan(
        how, functions(len(x)) // 256, functions(len(x), 1) % 256, transform=line, op=AFFINE
    ),
    "three fields": lambda how, x: pp.transform_scan(
        how, x, transform=lambda v: (v, 1, v * v), op=lambda a, b: (a[0] + b[0], a[1] + b[1], max(a[2], b[2])),
        init=(0.5, 0, 0.0),
    ),
    "loops": lambda how, x: pp.inclusive_scan(how, x, op=slow),
}  # fmt: skip


OFTEN = ("in place",)


def slow(a, b):
    for _ in range(3):
        a = a + b * 0.125
    return a


@pytest.mark.parametrize("case", [c if c in OFTEN else pytest.param(c, marks=pytest.mark.rare) for c in SCANS])
def test_scans(on_groups, case):
    for n in (1, 9 * TILE + 77):
        x = rough(n, "f8")
        same(SCANS[case](on_groups, x), SCANS[case](pp.par, x))


def test_scans_of_parts(on_groups):
    x = rough(11 * TILE + 5, "f8")
    for weights in ((1, 1), (1, 7), (9, 2)):
        both = pp.hybrid(pp.simd(), on_groups.executor, weights=weights)
        other = pp.hybrid(on_groups.executor, pp.simd(), weights=weights)
        for where in (both, other):
            where.worth = 0.0
            same(pp.inclusive_scan(pp.par.on(where), x), pp.inclusive_scan(pp.par, x))


@pytest.mark.parametrize("most", [2 * TILE + 1, pytest.param(40 * TILE, marks=pytest.mark.extra)])
def test_selections_of_all_lengths(on_groups, most):
    x = np.random.default_rng(0).random(most)
    x[TILE : TILE + 300] = 0.0  # a run that is kept, and one that is not
    x[2 * TILE - 600 : 2 * TILE] = 1.0
    placed = on_groups.executor.asarray(x)
    for n in sorted({k + d for k in (16, 256, 4080, TILE, 2 * TILE, most) for d in (-1, 0, 1) if k + d <= most} | {1}):
        found = pp.asnumpy(pp.copy_if(on_groups, placed[:n], lambda v: v < 0.5))
        np.testing.assert_array_equal(found, x[:n][x[:n] < 0.5])
        found, count = pp.partition(on_groups, placed[:n], lambda v: v < 0.25)
        fits = x[:n] < 0.25
        assert count == fits.sum()
        np.testing.assert_array_equal(pp.asnumpy(found), np.concatenate([x[:n][fits], x[:n][~fits]]))


SELECTIONS = {
    "unique": lambda how, x: pp.unique(how, x.round(3)),
    "unique count": lambda how, x: np.array(pp.unique_count(how, x.round(3))),
    "nothing": lambda how, x: pp.copy_if(how, x, lambda v: v > 2),
    "i1, all but zero": lambda how, x: pp.remove_if(how, (x * 3).astype("i1"), lambda v: v == 0),
    "by a stencil": lambda how, x: pp.copy_if(how, x.astype("c8"), lambda v: v == 2, stencil=(x * 3).astype("u2")),
    "places": lambda how, x: pp.pack_index(how, x > 0.9),
    "tuples": lambda how, x: pp.copy_if(how, pp.lazy.zip(x, (x * 9).astype("i4")), lambda pair: pair[1] == 3),
    "loops": lambda how, x: pp.copy_if(how, x, lambda v: slow(v, v) < 0.5),
}


@pytest.mark.rare
@pytest.mark.parametrize("case", SELECTIONS)
def test_selections(on_groups, case):
    for n in (1, 5 * TILE + 77):
        x = np.random.default_rng(n).random(n)
        same(SELECTIONS[case](on_groups, x), SELECTIONS[case](pp.par, x))


LENGTHS = (
    [0], [1], [4095], [4096], [4097], [0] * 5000, [1] * 5000, [2047, 1, 2048, 2049], [0, 0, 2046, 0, 1, 0],
    [3] * 700 + [30_000, 0, 5] + [900] * 9, [5, *range(1020, 1030), 0, 13_000, 1, 4096, 0, 8192],
)  # fmt: skip


def segments(lengths, begin=3):
    offsets = begin + np.concatenate([[0], np.cumsum(lengths)])
    return offsets, rough(int(offsets[-1]) + 2, "f8")


def test_segments(on_groups):
    """Empty, short and long ones; few and many; those whose elements have room in shared memory, and others."""
    for lengths in LENGTHS:
        offsets, x = segments(lengths)
        placed = on_groups.executor.asarray(offsets), on_groups.executor.asarray(x)
        same(pp.segmented_reduce(on_groups, *placed), pp.segmented_reduce(pp.par, offsets, x))


REDUCTIONS = {
    "products": lambda how, s, x: pp.segmented_reduce(how, s, x, op=pp.multiplies),
    "without identity": lambda how, s, x: pp.segmented_reduce(how, s, x, op=lambda a, b: max(a, b), init=-1e300),
    "with init": lambda how, s, x: pp.segmented_reduce(how, s.astype("u4"), x.astype("f4"), init=0.5),
    "i1": lambda how, s, x: pp.segmented_reduce(how, s.astype("i4"), (x % 100).astype("i1")),
    "c16": lambda how, s, x: pp.segmented_reduce(how, s, x + 1j * x[::-1]),
    "does not commute": lambda how, s, x: pp.segmented_reduce(how, s, functions(len(x)), op=PACKED),
    "tuples": lambda how, s, x: pp.segmented_reduce(
        how, s, x, transform=lambda v: (v, 1, -v), op=lambda a, b: (a[0] + b[0], a[1] + b[1], max(a[2], b[2])),
        init=(0.0, 0, -1e300),
    ),
    "loops": lambda how, s, x: pp.segmented_reduce(how, s, x, op=slow, init=0.25),
}  # fmt: skip


@pytest.mark.rare
@pytest.mark.parametrize("case", REDUCTIONS)
def test_reductions_of_segments(on_groups, case):
    for lengths in LENGTHS[5:]:
        offsets, x = segments(lengths)
        same(REDUCTIONS[case](on_groups, offsets, x), REDUCTIONS[case](pp.par, offsets, x))


class Rows:
    """A matrix in CSR, whatever its arrays hold."""

    format = "csr"

    def __init__(self, columns, indptr, indices, data):
        self.shape, self.indptr, self.indices, self.data = (len(indptr) - 1, columns), indptr, indices, data


def rows_of(where, lengths, dtype="f8", index="i4", columns=700):
    offsets, x = segments(lengths, 0)
    indices = np.random.default_rng(1).integers(0, columns, len(x)).astype(index)
    return [where.asarray(a) for a in (offsets.astype(index), indices, x.astype(dtype))]


@pytest.mark.parametrize("dtype", ["f8", *(pytest.param(t, marks=pytest.mark.rare) for t in ("f4", "c16", "i2", "?"))])
@pytest.mark.extra
def test_sparse_products(on_groups, dtype):
    where, host = on_groups.executor, pp.threads()
    for lengths in LENGTHS[4:] if dtype == "f8" else LENGTHS[-2:]:
        for index in ("i4",) if dtype == "f8" else ("i4", "i8"):
            x = rough(700, "f8").astype(dtype)
            found = pp.sparse.spmv(on_groups, Rows(700, *rows_of(where, lengths, dtype, index)), where.asarray(x))
            same(found, pp.sparse.spmv(pp.par, Rows(700, *rows_of(host, lengths, dtype, index)), x))


def test_unsound_sparse_matrices(on_groups):
    where, x = on_groups.executor, on_groups.executor.asarray(np.ones(700))
    offsets, indices, data = (pp.asnumpy(a) for a in rows_of(where, LENGTHS[-1]))
    for array, place, value in (
        (indices, 5, 700), (indices, -3, -1), (offsets, 0, 1), (offsets, 3, -(2**31)), (offsets, 4, 2**31 - 1),
        (offsets, -1, len(data) + 1), (offsets, 14, 9000), (offsets, -3, 0),
    ):  # fmt: skip
        kept = array[place]
        array[place] = value
        with pytest.raises(pp.ArgumentError):
            pp.sparse.spmv(on_groups, Rows(700, *map(where.asarray, (offsets, indices, data))), x)
        array[place] = kept
