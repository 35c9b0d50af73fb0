"""spmv: the product of a sparse matrix and a vector.

Rows (CSR): work is cut along the path that merges rows with elements, so that every block has as many of both
together, however skewed the rows' lengths are. D. Merrill, M. Garland, "Merge-based parallel sparse matrix-vector
multiplication", 2016. A row is added up in pieces of `PIECE` elements, counted from its own start; a long one lies in
several blocks, and its pieces are combined afterwards.

Columns (CSC) and elements in any order (COO): elements are cut evenly, and each block adds to a result of its own;
these are combined in order. How many there are depends on the matrix alone.

So sums have the same bits on every executor, on any number of threads and parts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from portapar import arrays, parts, shares
from portapar.algorithms import radix, segment_groups, segments
from portapar.algorithms.segments import first, head, keep_head, place
from portapar.algorithms.sparse.matrix import (
    FLAGS,
    Matrix,
    data_of,
    fail,
    matrix,
    product_dtype,
    rising,
    segment,
    unsound,
)
from portapar.algorithms.transform import transform
from portapar.errors import ArgumentError, PlacementError
from portapar.few import FEW, MISS, Step, fixed
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

PIECE: Final = segments.PIECE  #: elements that are added up in one go
_RESULTS = 16  #: results that blocks of columns have of their own, at most


def spmv(policy: Policy | None, a: Any, x: Any, out: Any = None) -> Any:
    """``a @ x`` for a sparse matrix and a vector.

    Parameters
    ----------
    policy : Policy
    a : sparse matrix, (m, n)
        Of SciPy, in the format CSR, CSC (such as ``b.T`` of one in CSR) or COO, with indices of 32 or 64 bits, in any
        order, duplicates included; or another object with the same attributes, whose arrays may be a device's own.
    x : array, (n,)
    out : array, (m,), optional
        Of the dtype of the result; must not overlap what is read.

    Returns
    -------
    array, (m,)
        `out`, or a new one of the kind of `x`. Its dtype is what NumPy has for both, and sums are no wider, as in
        SciPy; of booleans they are "or".

    Raises
    ------
    ArgumentError
        Wrong shapes or dtypes; offsets that fall, or an index out of range, with the first place. What is in `out` is
        undefined then.

    Notes
    -----
    O(nnz + m) work, in balance however skewed the rows are; the same bits on every executor. CSR is the fastest, and
    the only format for several parts, of which each has its rows of the matrix, and all of `x`; there the arrays of the
    matrix may be partitioned, wherever they are cut.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> from scipy.sparse import csr_array
    >>> a = csr_array(np.array([[0.0, 2.0], [3.0, 4.0]]))
    >>> pp.sparse.spmv(pp.par, a, np.array([10.0, 1.0]))
    array([ 2., 34.])
    >>> pp.sparse.spmv(pp.par, a.T, np.array([10.0, 1.0]))
    array([ 3., 24.])
    """
    return parts.run(
        "sparse.spmv", policy, (x, data_of(a), out),
        lambda p: _product(p, a, x, out), lambda step: _remembered(step, a, x, out),
    )  # fmt: skip


# the ways of a call -------------------------------------------------------------------------------


def _remembered(step: Step, a: Any, x: Any, out: Any) -> Any:
    """By remembered steps, of rows in plain arrays."""
    if type(x) is not np.ndarray or x.ndim != 1 or getattr(a, "format", None) != "csr":
        return MISS
    offsets, indices, values, (m, n) = a.indptr, a.indices, a.data, a.shape
    if not type(offsets) is type(indices) is type(values) is np.ndarray or indices.dtype.kind not in "iu":
        return MISS
    if len(x) != n or len(offsets) != m + 1 or m == 0:
        return MISS
    dtype = product_dtype(values.dtype, x.dtype)
    if out is None:
        y = np.empty(m, dtype)
    elif type(out) is np.ndarray and out.shape == (m,) and out.dtype == dtype:
        y = out
    else:
        return MISS
    aliases: dict[str, Any] = {} if out is None else {"out": out}
    most = min(len(indices), len(values))
    flags = np.zeros(FLAGS, np.int64)
    if most <= FEW and m <= FEW:
        alone = _kernels(dtype, indices.dtype)[0]
        found = step(alone, most, n, offsets, indices, values, x, y, flags, **aliases)
    elif (part := step.part) is None:
        return MISS
    else:
        blocks, size = part.blocks(most + m, least=FEW, each=32)
        found = _rows(np.empty, step.run, blocks, size, most, n, (offsets, indices, values), x, y, flags, **aliases)
    return y if found and not flags[0] else MISS


def _product(p: Parts, a: Any, x: Any, out: Any) -> Any:
    told = p.algorithm
    m = matrix(told, a, cut=True)
    x = arrays.normal(x, "x")
    arrays.spec_of(x, "x")
    rows, columns = m.shape
    if getattr(x, "shape", ()) != (columns,):
        more = ". Use pp.sparse.spmm for several vectors" if len(getattr(x, "shape", ())) == 2 else ""
        raise ArgumentError(
            f"{told}: a has shape {m.shape} and x {getattr(x, 'shape', ())}: x must have shape ({columns},){more}"
        )
    if x.dtype.kind not in "biufc":
        raise ArgumentError(f"{told}: x has dtype {x.dtype}: must hold numbers")
    if p.count > 1 and m.format != "csr":
        raise PlacementError(
            f"{told}: {p.executor!r} has {p.count} parts, each with its rows, and a has the format {m.format.upper()}. "
            "Pass a.tocsr(), or use one executor, such as pp.threads()"
        )
    dtype = product_dtype(m.values.dtype, x.dtype)
    data = p.replicated(x, "x")
    p.recut((rows,), x if out is None else out)
    if out is None:
        result = p.new(rows, dtype)
    else:
        fits(p, out, (rows,), dtype)
        result = p.write(out, "out", apart=[("x", x), *m.held])
    found = p.few()
    if found is not MISS:
        return found
    rows_of = cut_rows(p, m)

    def step(part: LocalPart) -> bool:
        y = result[part]
        if len(y) == 0:
            return True
        flags = part.zeros(FLAGS, np.int64)
        if m.format == "csr":
            here = rows_of(part)
            if here is None:
                return False
            held = here.offsets, here.indices, here.values
            if part.shares and columns > 0:
                _rows_by_groups(part, here.stored, columns, held, data[part], y, flags)
                return not arrays.asnumpy(flags)[0]
            blocks, size = part.blocks(here.stored + len(y), least=512 if part.wide else FEW, each=32)
            _rows(part.empty, part.run, blocks, size, here.stored, columns, held, data[part], y, flags)
        else:
            _scattered(part, m.on(p, part), data[part], y, flags)
        return not arrays.asnumpy(flags)[0]

    if not all(p.each("product", step)):
        raise unsound(told, m)
    return p.give(result)


def fits(p: Parts, out: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an output of another shape or dtype."""
    out = arrays.normal(out, "out")
    if getattr(out, "shape", None) != shape or out.dtype != dtype:
        told = f"shape {out.shape} and dtype {out.dtype}" if hasattr(out, "shape") else f"is {out!r}"
        raise ArgumentError(f"{p.algorithm}: out has {told}: must have shape {shape} and dtype {dtype}")


def cut_rows(p: Parts, m: Matrix) -> Callable[[LocalPart], Matrix | None]:
    """What gives a part its rows of a matrix in CSR, where it can use them; None if offsets are out of range."""
    if p.count == 1:
        return lambda part: m.on(p, part)
    cuts = p.cuts
    if m.cut:
        return _fetched(p, m, cuts)

    def rows(part: LocalPart) -> Matrix | None:
        lo, hi = cuts[part.number : part.number + 2]
        offsets, indices, values = (arrays.asnumpy(x) for x in (m.offsets, m.indices, m.values))
        begin, end = int(offsets[lo]), int(offsets[hi])
        if not _inside(m, lo, begin, end):
            return None
        held = offsets[lo : hi + 1].astype(np.int64) - begin, indices[begin:end], values[begin:end]
        return Matrix("csr", (hi - lo, m.shape[1]), part.asarray(held[0]), None, *map(part.asarray, held[1:]))

    return rows


def _inside(m: Matrix, row: int, begin: int, end: int) -> bool:
    """Whether elements from `begin` to `end` can be those of rows that begin with `row`."""
    return 0 <= begin <= end <= m.stored and (row > 0 or begin == 0)


def _fetched(p: Parts, m: Matrix, cuts: tuple[int, ...]) -> Callable[[LocalPart], Matrix | None]:
    """As `cut_rows`, of arrays that are partitioned: what lies elsewhere is fetched, all else is used where it is."""

    def fetch(x: Any, name: str, wanted: Callable[[int], tuple[int, int]]) -> dict[int, Any]:
        p.recut((x.shape[0],), x)
        return {k: some for k, (some,) in p.rows(name, p.read(x, name), lambda k: [wanted(k)], views=True).items()}

    def ends(part: LocalPart) -> tuple[int, int]:
        mine = offsets[part.number]
        return int(arrays.asnumpy(mine[:1])[0]), int(arrays.asnumpy(mine[-1:])[0])

    offsets = fetch(m.offsets, "a.indptr", lambda k: (cuts[k], cuts[k + 1] + 1))
    spans = p.each("elements", ends)
    right = [_inside(m, lo, *span) for lo, span in zip(cuts, spans, strict=False)]
    indices, values = {}, {}
    if all(ok or lo == hi for ok, (lo, hi) in zip(right, shares.spans(cuts), strict=True)):
        spans = [span if ok else (0, 0) for ok, span in zip(right, spans, strict=True)]
        indices, values = (fetch(x, name, spans.__getitem__) for name, x in m.held[1:])
    p.cuts = cuts

    def rows(part: LocalPart) -> Matrix | None:
        k = part.number
        if not indices:
            return None
        mine = part.empty(offsets[k].shape[0], np.int64)
        transform(part.how, offsets[k], spans[k][0], out=mine, op=_less)
        return Matrix("csr", (mine.shape[0] - 1, m.shape[1]), mine, None, indices[k], values[k])

    return rows


def _less(offset: Any, begin: Any) -> Any:
    return np.int64(offset) - begin


# the steps ----------------------------------------------------------------------------------------


def _rows(
    empty: Any, run: Any, blocks: int, size: int, most: int, n: int, rows: Any, x: Any, y: Any, flags: Any,
    **aliases: Any,
) -> bool:  # fmt: skip
    """Of rows; `run` is that of a part or of a step. False if it did not run."""
    windows, count = most // PIECE + 1, len(y)
    heads, sums = empty(windows, np.int64), empty(2 * windows, y.dtype)
    _, product, combine, _ = _kernels(y.dtype, rows[1].dtype)
    rest = heads, sums, y, flags
    if not run(blocks, product, blocks, size, most, n, *rows, x, *rest, work=most + count, **aliases):
        return False
    if windows > 1 and arrays.asnumpy(flags)[1]:
        return run(1, combine, windows, count, rows[0], *rest, work=windows)
    return True


def _rows_by_groups(part: LocalPart, most: int, n: int, rows: Any, x: Any, y: Any, flags: Any) -> None:
    """Of rows, by groups of work-items; each looks at the offsets of its own rows, and at its own indices."""
    offsets, columns, values = rows
    windows, count, T = most // PIECE + 1, len(y), y.dtype.type
    U = np.dtype(f"u{columns.dtype.itemsize}").type
    heads, sums = part.empty(windows, np.int64), part.empty(2 * windows, y.dtype)

    def product(e: Any) -> Any:
        i = U(columns[np.uint64(e)])
        return T(values[np.uint64(e)]) * T(x[i if i < n else U(0)]), 0 if i < n else 1

    def keep(place: Any, held: Any, found: Any) -> None:
        held[place] = found[0]
        if found[1] == 1:
            fail(flags)

    def term(e: Any, held: Any, base: Any, top: Any) -> Any:
        return held[np.uint64(e - base)] if e < top else product(e)[0]

    def visit(
        s: Any, lo: Any, hi: Any, q: Any, stop: Any, held: Any, base: Any, top: Any, _: Any, heads: Any, sums: Any,
        y: Any,
    ) -> None:  # fmt: skip
        if lo < 0 or hi < lo or hi > most or q < base or (s == 0 and lo != 0):
            fail(flags)
        else:
            a = b = c = d = T(0)
            e = q
            while e + 4 <= stop:
                a += term(e, held, base, top)
                b += term(e + 1, held, base, top)
                c += term(e + 2, held, base, top)
                d += term(e + 3, held, base, top)
                e += 4
            a = (a + b) + (c + d)
            while e < stop:
                a += term(e, held, base, top)
                e += 1
            if hi - lo > PIECE:
                keep_head(s, q, lo, 0, heads)
                sums[np.uint64(place(q, lo, 0))] = a
                atomic.max(flags, 1, 1)
            else:
                y[np.uint64(s)] = a

    segment_groups.walk(part, most, PIECE, y.dtype, product, keep, visit, 0, count, offsets, heads, sums, y)
    found = arrays.asnumpy(flags)
    if found[1] and not found[0]:
        part.run(windows, _kernels(y.dtype, columns.dtype)[3], count, offsets, heads, sums, y)


def _scattered(part: LocalPart, m: Matrix, x: Any, y: Any, flags: Any) -> None:
    """Of columns, or of elements in any order."""
    dtype, (rows, columns), most = y.dtype, m.shape, m.stored
    blocks = max(1, min(_RESULTS, most // (4 * rows), most // FEW))
    results = y if blocks == 1 else part.empty(blocks * rows, dtype)
    by_column, by_element, combine = _scatters(dtype)
    indices = radix.bits(m.indices)
    if m.format == "csc":
        part.run(blocks, by_column, blocks, most, rows, m.offsets, indices, m.values, x, results, flags)
    else:
        held = radix.bits(m.lines), indices, m.values
        part.run(blocks, by_element, blocks, most, rows, columns, *held, x, results, flags)
    if blocks > 1:
        pieces, size = part.blocks(max(rows, 1))
        part.run(pieces, combine, size, blocks, rows, results, y)


# kernels ------------------------------------------------------------------------------------------


@functools.cache
def _kernels(dtype: np.dtype, index: np.dtype) -> tuple[Any, Any, Any, Any]:
    T, U = dtype.type, np.dtype(f"u{index.itemsize}").type  # negative indices become large ones

    def fold(lo: Any, hi: Any, n: Any, columns: Any, values: Any, x: Any, flags: Any) -> Any:
        """Four sums in turn, which hides the latency of additions; a row's first elements decide nothing else."""
        a = b = c = d = T(0)
        e = lo
        while e + 4 <= hi:
            i, j = U(columns[np.uint64(e)]), U(columns[np.uint64(e + 1)])
            k, m = U(columns[np.uint64(e + 2)]), U(columns[np.uint64(e + 3)])
            if i < n and j < n and k < n and m < n:
                a += T(values[np.uint64(e)]) * T(x[i])
                b += T(values[np.uint64(e + 1)]) * T(x[j])
                c += T(values[np.uint64(e + 2)]) * T(x[k])
                d += T(values[np.uint64(e + 3)]) * T(x[m])
            else:
                fail(flags)
            e += 4
        a = (a + b) + (c + d)
        while e < hi:
            i = U(columns[np.uint64(e)])
            if i < n:
                a += T(values[np.uint64(e)]) * T(x[i])
            else:
                fail(flags)
            e += 1
        return a

    def alone(
        _: Any, most: Any, n: Any, offsets: Any, columns: Any, values: Any, x: Any, y: Any, flags: Any
    ) -> None:  # fmt: skip
        """All rows, of which each is one piece."""
        if rising(0, len(offsets) - 1, most, offsets) == 0:
            fail(flags)
        else:
            for s in range(len(offsets) - 1):
                lo, hi = np.int64(offsets[np.uint64(s)]), np.int64(offsets[np.uint64(s + 1)])
                y[np.uint64(s)] = fold(lo, hi, n, columns, values, x, flags)

    def pieces(
        s: Any, lo: Any, hi: Any, q: Any, stop: Any, n: Any, columns: Any, values: Any, x: Any, heads: Any, sums: Any,
        flags: Any,
    ) -> None:  # fmt: skip
        """Those pieces of a long row that begin in a block, from `q` on."""
        while q < hi and (q == lo or q + s + 1 < stop):
            keep_head(s, q, lo, 0, heads)
            sums[np.uint64(place(q, lo, 0))] = fold(q, min(q + PIECE, hi), n, columns, values, x, flags)
            q += PIECE
        atomic.max(flags, 1, 1)

    def product(
        block: Any, blocks: Any, size: Any, most: Any, n: Any, offsets: Any, columns: Any, values: Any, x: Any,
        heads: Any, sums: Any, y: Any, flags: Any,
    ) -> None:  # fmt: skip
        count = len(offsets) - 1
        here, stop = block * size, block * size + size
        s = first(here, 0, count, offsets) if block > 0 else 0
        last = first(stop, 0, count, offsets) if block + 1 < blocks else count
        if rising(max(s - 1, 0), max(s, last), most, offsets) == 0:
            fail(flags)
        else:
            hi = np.int64(offsets[np.uint64(s)])
            if s > 0:  # the row before, from its first piece that begins here
                lo = np.int64(offsets[np.uint64(s - 1)])
                q = lo + max(1, (here - s - lo + PIECE - 1) // PIECE) * PIECE
                if q < hi:
                    pieces(s - 1, lo, hi, q, stop, n, columns, values, x, heads, sums, flags)
            while s < last:
                lo = hi
                hi = np.int64(offsets[np.uint64(s + 1)])
                if hi - lo <= PIECE:
                    y[np.uint64(s)] = fold(lo, hi, n, columns, values, x, flags)
                else:
                    pieces(s, lo, hi, lo, stop, n, columns, values, x, heads, sums, flags)
                s += 1

    def window_sum(window: Any, count: Any, offsets: Any, heads: Any, sums: Any, y: Any) -> None:
        """The sum of a long row, of its pieces."""
        s = head(window, 0, count, offsets, heads)
        if s >= 0:
            lo, hi = int(offsets[np.uint64(s)]), int(offsets[np.uint64(s + 1)])
            total = sums[np.uint64(place(lo, lo, 0))]
            for q in range(lo + PIECE, hi, PIECE):
                total += sums[np.uint64(place(q, lo, 0))]
            y[np.uint64(s)] = total

    def combine(_: Any, windows: Any, count: Any, offsets: Any, heads: Any, sums: Any, y: Any, flags: Any) -> None:
        """The sums of long rows."""
        if flags[0] == 0:
            for window in range(windows):
                window_sum(window, count, offsets, heads, sums, y)

    return fixed(alone), fixed(product), fixed(combine), fixed(window_sum)


@functools.cache
def _scatters(dtype: np.dtype) -> tuple[Any, Any, Any]:
    T = dtype.type

    def by_column(
        block: Any, blocks: Any, most: Any, rows: Any, offsets: Any, indices: Any, values: Any, x: Any, results: Any,
        flags: Any,
    ) -> None:  # fmt: skip
        count = len(offsets) - 1
        lo, hi = most * block // blocks, most * (block + 1) // blocks
        s = segment(lo, count, offsets) if block > 0 else 0
        last = segment(hi, count, offsets) if block + 1 < blocks else count
        base = block * rows
        for i in range(rows):
            results[np.uint64(base + i)] = T(0)
        if rising(s, max(s, min(last + 1, count)), most, offsets) == 0:
            fail(flags)
        else:
            for j in range(s, min(last + 1, count)):
                begin, end = np.int64(offsets[np.uint64(j)]), np.int64(offsets[np.uint64(j + 1)])
                if begin < end:
                    v = T(x[np.uint64(j)])
                    for e in range(max(begin, lo), min(end, hi)):
                        i = indices[np.uint64(e)]
                        if i < rows:
                            results[np.uint64(base + np.int64(i))] += T(values[np.uint64(e)]) * v
                        else:
                            fail(flags)

    def by_element(
        block: Any, blocks: Any, most: Any, rows: Any, columns: Any, lines: Any, indices: Any, values: Any, x: Any,
        results: Any, flags: Any,
    ) -> None:  # fmt: skip
        base = block * rows
        for i in range(rows):
            results[np.uint64(base + i)] = T(0)
        for e in range(most * block // blocks, most * (block + 1) // blocks):
            i, j = lines[np.uint64(e)], indices[np.uint64(e)]
            if i < rows and j < columns:
                results[np.uint64(base + np.int64(i))] += T(values[np.uint64(e)]) * T(x[j])
            else:
                fail(flags)

    def combine(block: Any, size: Any, blocks: Any, rows: Any, results: Any, y: Any) -> None:
        lo, hi = block * size, min(rows, block * size + size)
        for i in range(lo, hi):
            y[np.uint64(i)] = results[np.uint64(i)]
        for k in range(1, blocks):
            for i in range(lo, hi):
                y[np.uint64(i)] += results[np.uint64(k * rows + i)]

    return by_column, by_element, combine
