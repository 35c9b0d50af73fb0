"""spmm: the product of a sparse matrix and a dense one.

Each row of the result is made in tiles of `TILE` columns, whose sums live in vector registers while the row's elements
pass by, so that what is read of the dense matrix are whole cache lines. Work is cut along the path that merges rows
with elements, as for `spmv`; a row is one thread's.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.segments import first
from portapar.algorithms.sparse.matrix import FLAGS, data_of, fail, matrix, product_dtype, rising, unsound
from portapar.algorithms.sparse.spmv import cut_rows, fits
from portapar.errors import ArgumentError
from portapar.few import FEW, MISS, Step, fixed
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

TILE: Final = 16
HALF: Final = 4


def spmm(policy: Policy | None, a: Any, x: Any, out: Any = None) -> Any:
    """``a @ x`` for a sparse matrix and a dense one.

    Parameters
    ----------
    policy : Policy
    a : sparse matrix, (m, n)
        Of SciPy, in the format CSR, as for `spmv`.
    x : array, (n, k)
        Fastest where its rows are contiguous.
    out : array, (m, k), optional
        Of the dtype of the result; must not overlap what is read.

    Returns
    -------
    array, (m, k)
        `out`, or a new one of the kind of `x`; of the dtype that `spmv` has.

    Raises
    ------
    ArgumentError
        As for `spmv`.

    Notes
    -----
    O(nnz k) work. Every sum is added in the order of the row's elements: the same bits on every executor. On several
    parts each has its rows of the matrix, and all of `x`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> from scipy.sparse import csr_array
    >>> a = csr_array(np.array([[0.0, 2.0], [3.0, 4.0]]))
    >>> pp.sparse.spmm(pp.par, a, np.array([[10.0, 1.0, 0.0], [1.0, 1.0, 1.0]]))
    array([[ 2.,  2.,  2.],
           [34.,  7.,  4.]])
    """
    return parts.run(
        "sparse.spmm", policy, (x, data_of(a), out),
        lambda p: _product(p, a, x, out), lambda step: _remembered(step, a, x, out),
    )  # fmt: skip


def _remembered(step: Step, a: Any, x: Any, out: Any) -> Any:
    """By remembered steps, of plain arrays."""
    if type(x) is not np.ndarray or x.ndim != 2 or getattr(a, "format", None) != "csr":
        return MISS
    offsets, indices, values, (m, n) = a.indptr, a.indices, a.data, a.shape
    if not type(offsets) is type(indices) is type(values) is np.ndarray or indices.dtype.kind not in "iu":
        return MISS
    part, shape = step.part, (m, x.shape[1])
    if part is None or len(x) != n or len(offsets) != m + 1 or 0 in shape:
        return MISS
    dtype = product_dtype(values.dtype, x.dtype)
    if out is not None and not (type(out) is np.ndarray and out.shape == shape and out.dtype == dtype):
        return MISS
    y, aliases = (np.empty(shape, dtype), {}) if out is None else (out, {"out": out})
    flags = np.zeros(FLAGS, np.int64)
    found = _run(part, step.run, (offsets, indices, values), n, x, y, flags, **aliases)
    return y if found and not flags[0] else MISS


def _product(p: Parts, a: Any, x: Any, out: Any) -> Any:
    told = p.algorithm
    m = matrix(told, a, ("csr",), cut=True)
    x = arrays.normal(x, "x")
    arrays.spec_of(x, "x")
    rows, columns = m.shape
    shape: Any = getattr(x, "shape", ())
    if len(shape) != 2 or shape[0] != columns or x.dtype.kind not in "biufc":
        dtype = getattr(x, "dtype", type(x).__name__)
        more = ". Use pp.sparse.spmv for one vector" if len(shape) == 1 else ""
        raise ArgumentError(
            f"{told}: a has shape {m.shape}, x has shape {shape} and dtype {dtype}: x must have {columns} rows, of "
            f"numbers{more}"
        )
    dtype = product_dtype(m.values.dtype, x.dtype)
    data = p.replicated(x, "x")
    p.recut((rows,), x if out is None else out)
    if out is not None:
        fits(p, out, (rows, shape[1]), dtype)
    result = p.new((rows, shape[1]), dtype) if out is None else p.write(out, "out", apart=[("x", x), *m.held])
    found = p.few()
    if found is not MISS:
        return found
    rows_of = cut_rows(p, m)

    def step(part: LocalPart) -> bool:
        y, here = result[part], rows_of(part)
        if 0 in y.shape:
            return True
        if here is None:
            return False
        flags = part.zeros(FLAGS, np.int64)
        _run(part, part.run, (here.offsets, here.indices, here.values), columns, data[part], y, flags)
        return not arrays.asnumpy(flags)[0]

    if not all(p.each("product", step)):
        raise unsound(told, m)
    return p.give(result)


def _run(part: LocalPart, run: Any, rows: Any, n: int, x: Any, y: Any, flags: Any, **aliases: Any) -> bool:
    _, indices, values = rows
    most, each = min(len(indices), len(values)), max(1, y.shape[1])
    blocks, size = part.blocks(most + len(y), least=max(1, FEW // each), each=32)
    product = _kernel(y.dtype, indices.dtype)
    return run(blocks, product, blocks, size, most, n, *rows, x, y, flags, work=(most + len(y)) * each, **aliases)


# kernels ------------------------------------------------------------------------------------------


@functools.cache
def _kernel(dtype: np.dtype, index: np.dtype) -> Any:
    T, U = dtype.type, np.dtype(f"u{index.itemsize}").type  # negative indices become large ones

    def wide(
        s: Any, c: Any, lo: Any, hi: Any, n: Any, columns: Any, values: Any, x: Any, y: Any, flags: Any
    ) -> None:  # fmt: skip
        sums = np.zeros(TILE, T)
        for e in range(lo, hi):
            j = U(columns[np.uint64(e)])
            if j < n:
                v = T(values[np.uint64(e)])
                for k in range(TILE):
                    sums[k] += v * T(x[j, np.uint64(c + k)])
            else:
                fail(flags)
        for k in range(TILE):
            y[s, np.uint64(c + k)] = sums[k]

    def half(
        s: Any, c: Any, lo: Any, hi: Any, n: Any, columns: Any, values: Any, x: Any, y: Any, flags: Any
    ) -> None:  # fmt: skip
        sums = np.zeros(HALF, T)
        for e in range(lo, hi):
            j = U(columns[np.uint64(e)])
            if j < n:
                v = T(values[np.uint64(e)])
                for k in range(HALF):
                    sums[k] += v * T(x[j, np.uint64(c + k)])
            else:
                fail(flags)
        for k in range(HALF):
            y[s, np.uint64(c + k)] = sums[k]

    def product(
        block: Any, blocks: Any, size: Any, most: Any, n: Any, offsets: Any, columns: Any, values: Any, x: Any, y: Any,
        flags: Any,
    ) -> None:  # fmt: skip
        count, width = len(offsets) - 1, y.shape[1]
        first_row = first(block * size, 0, count, offsets) if block > 0 else 0
        last = first(block * size + size, 0, count, offsets) if block + 1 < blocks else count
        if rising(first_row, max(first_row, last), most, offsets) == 0:
            fail(flags)
        else:
            for row in range(first_row, last):
                s = np.uint64(row)
                lo, hi = np.int64(offsets[s]), np.int64(offsets[np.uint64(row + 1)])
                c = 0
                while c + TILE <= width:
                    wide(s, c, lo, hi, n, columns, values, x, y, flags)
                    c += TILE
                while c + HALF <= width:
                    half(s, c, lo, hi, n, columns, values, x, y, flags)
                    c += HALF
                while c < width:
                    total = T(0)
                    for e in range(lo, hi):
                        j = U(columns[np.uint64(e)])
                        if j < n:
                            total += T(values[np.uint64(e)]) * T(x[j, np.uint64(c)])
                        else:
                            fail(flags)
                    y[s, np.uint64(c)] = total
                    c += 1

    return fixed(product)
