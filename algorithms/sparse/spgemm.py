"""spgemm: the product of two sparse matrices.

Row by row: a row of the result is the sum of those rows of `b` that the row of `a` has elements for. One pass counts
the elements of each row, a second one computes them. Each block of rows has an accumulator of its own: for each column
of `b` a number, and the last row that has the column. F. Gustavson, "Two fast algorithms for sparse matrices:
multiplication and permuted transposition", 1978.

The columns of a short row are put in order by counting for each how many are less, those of a long one by a row of
bits, and a second row of bits that says which words of the first have any.

Rows are cut into blocks by the number of products that they take.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.scan import exclusive_scan
from portapar.algorithms.sparse.matrix import (
    FLAGS,
    Matrix,
    fail,
    index_dtype,
    made,
    matrix,
    product_dtype,
    rising,
    room,
    segment,
    unsound,
)
from portapar.algorithms.transform import fill
from portapar.errors import ArgumentError
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_BLOCKS = 4  #: of rows, for each thread
_BYTES = 1 << 28  #: of all accumulators, or what one for each thread takes
SHORT: Final = 64


def spgemm(policy: Policy | None, a: Any, b: Any) -> Any:
    """``a @ b`` for two sparse matrices.

    Parameters
    ----------
    policy : Policy
        Where it is made: an executor of one part.
    a : sparse matrix, (m, k)
    b : sparse matrix, (k, n)
        Of SciPy, both in the format CSR or both in CSC, as for `spmv`.

    Returns
    -------
    scipy.sparse array or matrix, (m, n)
        In host memory, in the format of both. Indices are in order, and no place has two elements; sums that come to
        zero stay (SciPy leaves them out). Of the dtype that `spmv` has.

    Raises
    ------
    ArgumentError
        As for `spmv`.

    Notes
    -----
    Work for every product of two elements, twice, and memory for n numbers for each of some blocks of rows. Every sum
    is added in the order of the row of `a`, as in SciPy: the same bits on every executor.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> from scipy.sparse import csr_array
    >>> a = csr_array(np.array([[0, 2], [3, 4]]))
    >>> pp.sparse.spgemm(pp.par, a, a).toarray()
    array([[ 6,  8],
           [12, 22]])
    """
    told = "sparse.spgemm"
    one = matrix(told, a, ("csr", "csc"))
    two = matrix(told, b, ("csr", "csc"), "b")
    if one.format != two.format:
        raise ArgumentError(
            f"{told}: a has the format {one.format.upper()} and b {two.format.upper()}: must have the same. Pass "
            f"b.to{one.format}()"
        )
    if one.shape[1] != two.shape[0]:
        raise ArgumentError(f"{told}: a has shape {one.shape} and b {two.shape}: b must have {one.shape[1]} rows")
    shape = one.shape[0], two.shape[1]

    def multiply(p: Parts) -> Any:
        part = p.alone()
        held = [(m.on(p, part), name) for m, name in ((one, "a"), (two, "b"))]
        held = held if one.format == "csr" else held[::-1]  # the transposed product is that of the transposed ones
        found = _product(part, held[0][0], held[1][0])
        if isinstance(found, int):
            raise unsound(told, held[found][0], {} if held[found][1] == "a" else _NAMES)
        values, indices, offsets = found
        return made(one.format, values, indices, offsets, shape, a)

    return parts.run(told, policy, (one.values, two.values, one.indices, two.indices), multiply)


_NAMES = {f"a.{name}": f"b.{name}" for name in ("indptr", "indices", "data")}


def _product(part: LocalPart, a: Matrix, b: Matrix) -> Any:
    """Values, indices and offsets of the product of rows; 0 or 1 if `a` or `b` is out of range."""
    how, dtype = part.how, product_dtype(a.values.dtype, b.values.dtype)
    m, k = (x - 1 for x in (len(a.offsets), len(b.offsets)))
    n = b.shape[1] if b.format == "csr" else b.shape[0]
    flags = part.zeros(FLAGS, np.int64)
    count, fold = _kernels(dtype)
    work = part.zeros(m + 1, np.int64)
    for_each(how._dealt(1024), m, _products, a.stored, b.stored, k, a.offsets, a.indices, b.offsets, work, flags)
    wrong = arrays.asnumpy(flags).tolist()
    if any(wrong):
        return wrong.index(1)
    exclusive_scan(how, work, out=work)
    total = int(arrays.asnumpy(work[m:])[0])
    most = min(_BLOCKS * part.width, total // (4 * n + 4), _BYTES // (n * dtype.itemsize + 1))
    blocks = max(1, min(max(most, 1 if part.wide else part.width), total >> 12))
    stamp = index_dtype(2 * m)
    last = part.empty((blocks, max(n, 1)), stamp)
    starts = room(part, m + 1, np.int64)
    fill(how, starts, np.int64(0))
    rows = a.offsets, a.indices, b.offsets, b.indices
    part.run(blocks, count, blocks, total, n, work, *rows, last, starts, flags)
    if arrays.asnumpy(flags)[0]:
        return 1
    exclusive_scan(how, starts, out=starts)
    stored = int(arrays.asnumpy(starts[m:])[0])
    index = index_dtype(a.shape[0], a.shape[1], n, stored)
    indices, values = room(part, stored, index), room(part, stored, dtype)
    sums, bits, marks = (
        part.empty((blocks, size), kind)
        for size, kind in ((max(n, 1), dtype), (n // 64 + 1, np.uint64), (n // 4096 + 1, np.uint64))
    )
    held = a.values, b.values, last, sums, bits, marks
    part.run(blocks, fold, blocks, total, n, work, *rows, *held, starts, indices, values)
    offsets = room(part, m + 1, index)
    for_each(how, m + 1, _narrow, starts, offsets)
    return values, indices, offsets


# kernels ------------------------------------------------------------------------------------------


def _products(
    s: Any, most: Any, most_b: Any, k: Any, offsets: Any, indices: Any, offsets_b: Any, work: Any, flags: Any
) -> None:  # fmt: skip
    """How many products a row takes, and one more; the offsets of both are looked at."""
    found = np.int64(1)
    if rising(s, s + 1, most, offsets) == 0:
        fail(flags)
    else:
        for e in range(offsets[s], offsets[s + 1]):
            j = np.int64(indices[np.uint64(e)])
            if j < 0 or j >= k:
                fail(flags)
            elif rising(j, j + 1, most_b, offsets_b) == 0:
                atomic.max(flags, 1, 1)
            else:
                found += np.int64(offsets_b[np.uint64(j + 1)]) - np.int64(offsets_b[np.uint64(j)])
    work[s] = found


def _narrow(s: Any, starts: Any, offsets: Any) -> None:
    offsets[s] = starts[s]


@functools.cache
def _kernels(dtype: np.dtype) -> tuple[Any, Any]:
    T = dtype.type

    def count(
        block: Any, blocks: Any, total: Any, n: Any, work: Any, offsets: Any, indices: Any, offsets_b: Any,
        indices_b: Any, last: Any, starts: Any, flags: Any,
    ) -> None:  # fmt: skip
        """How many columns each row of the product has."""
        for k in range(n):
            last[block, np.uint64(k)] = -1
        m = len(offsets) - 1
        for s in range(
            segment(total * block // blocks, m, work) if block > 0 else 0,
            segment(total * (block + 1) // blocks, m, work) if block + 1 < blocks else m,
        ):
            found = 0
            for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
                j = np.uint64(indices[np.uint64(e)])
                for f in range(offsets_b[j], offsets_b[j + np.uint64(1)]):
                    c = np.int64(indices_b[np.uint64(f)])
                    if c >= 0 and c < n:
                        found += last[block, np.uint64(c)] != s
                        last[block, np.uint64(c)] = s
                    else:
                        fail(flags)
            starts[np.uint64(s)] = found

    def short(
        s: Any, block: Any, n: Any, offsets: Any, indices: Any, offsets_b: Any, indices_b: Any, values: Any,
        values_b: Any, last: Any, sums: Any, at: Any, indices_out: Any, values_out: Any,
    ) -> None:  # fmt: skip
        """A row of at most `SHORT` columns."""
        m = len(offsets) - 1
        columns = np.full(SHORT, n, np.int64)
        found, before, order = 0, np.int64(-1), 1
        for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
            j, v = np.uint64(indices[np.uint64(e)]), T(values[np.uint64(e)])
            for f in range(offsets_b[j], offsets_b[j + np.uint64(1)]):
                c = np.int64(indices_b[np.uint64(f)])
                k = np.uint64(c)
                if c >= 0 and c < n:
                    if last[block, k] != m + s:
                        last[block, k] = m + s
                        sums[block, k] = v * T(values_b[np.uint64(f)])
                        if found < SHORT:
                            columns[found] = c
                            found += 1
                        order &= 1 if c > before else 0
                        before = c
                    else:
                        sums[block, k] += v * T(values_b[np.uint64(f)])
        for i in range(found):
            c, place = columns[i], i
            if order == 0:
                place = 0
                for q in range(SHORT):
                    place += 1 if columns[q] < c else 0
            indices_out[np.uint64(at + place)] = c
            values_out[np.uint64(at + place)] = sums[block, np.uint64(c)]

    def long(
        s: Any, block: Any, n: Any, offsets: Any, indices: Any, offsets_b: Any, indices_b: Any, values: Any,
        values_b: Any, last: Any, sums: Any, bits: Any, marks: Any, at: Any, indices_out: Any, values_out: Any,
    ) -> None:  # fmt: skip
        """A row of many columns; the bits are clear before and afterwards."""
        m, one = len(offsets) - 1, np.uint64(1)
        for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
            j, v = np.uint64(indices[np.uint64(e)]), T(values[np.uint64(e)])
            for f in range(offsets_b[j], offsets_b[j + one]):
                c = np.int64(indices_b[np.uint64(f)])
                k = np.uint64(c)
                if c >= 0 and c < n:
                    if last[block, k] != m + s:
                        last[block, k] = m + s
                        sums[block, k] = v * T(values_b[np.uint64(f)])
                        bits[block, np.uint64(c >> 6)] |= one << np.uint64(c & 63)
                        marks[block, np.uint64(c >> 12)] |= one << np.uint64((c >> 6) & 63)
                    else:
                        sums[block, k] += v * T(values_b[np.uint64(f)])
        place = np.uint64(at)
        for high in range(marks.shape[1]):
            mark = marks[block, np.uint64(high)]
            marks[block, np.uint64(high)] = 0
            while mark != 0:
                word = np.uint64(high * 64) + np.uint64(_lowest(mark))
                mark &= mark - one
                left = bits[block, word]
                bits[block, word] = 0
                while left != 0:
                    k = word * np.uint64(64) + np.uint64(_lowest(left))
                    left &= left - one
                    indices_out[place] = k
                    values_out[place] = sums[block, k]
                    place += one

    def fold(
        block: Any, blocks: Any, total: Any, n: Any, work: Any, offsets: Any, indices: Any, offsets_b: Any,
        indices_b: Any, values: Any, values_b: Any, last: Any, sums: Any, bits: Any, marks: Any, starts: Any,
        indices_out: Any, values_out: Any,
    ) -> None:  # fmt: skip
        m = len(offsets) - 1
        for k in range(bits.shape[1]):
            bits[block, np.uint64(k)] = 0
        for k in range(marks.shape[1]):
            marks[block, np.uint64(k)] = 0
        for s in range(
            segment(total * block // blocks, m, work) if block > 0 else 0,
            segment(total * (block + 1) // blocks, m, work) if block + 1 < blocks else m,
        ):
            at, end = np.int64(starts[np.uint64(s)]), np.int64(starts[np.uint64(s + 1)])
            if end - at <= SHORT:
                short(
                    s, block, n, offsets, indices, offsets_b, indices_b, values, values_b, last, sums, at, indices_out,
                    values_out,
                )  # fmt: skip
            else:
                long(
                    s, block, n, offsets, indices, offsets_b, indices_b, values, values_b, last, sums, bits, marks, at,
                    indices_out, values_out,
                )  # fmt: skip

    return count, fold


def _lowest(word: Any) -> Any:
    """The place of the lowest bit."""
    return np.bitwise_count((word & (~word + np.uint64(1))) - np.uint64(1))
