"""transpose: the rows of a sparse matrix become its columns.

A counting sort by columns, which is stable: blocks of elements count them by column, prefix sums over columns, and in
each over the blocks, say where those of a block begin, and each block takes its elements there in order. F. Gustavson,
"Two fast algorithms for sparse matrices: multiplication and permuted transposition", 1978.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.scan import exclusive_scan
from portapar.algorithms.sparse.matrix import FLAGS, Matrix, fail, index_dtype, made, matrix, rising, room, unsound
from portapar.algorithms.transform import fill
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy


def transpose(policy: Policy | None, a: Any) -> Any:
    """The transposed matrix, in the same format.

    Parameters
    ----------
    policy : Policy
        Where it is made: an executor of one part.
    a : sparse matrix, (m, n)
        Of SciPy, in the format CSR or CSC.

    Returns
    -------
    scipy.sparse array or matrix, (n, m)
        In host memory, of the format of `a`: of CSR what ``a.T.tocsr()`` is. Elements that a row has twice stay so, in
        their order; its indices are in order, as those of every transposed matrix.

    Raises
    ------
    ArgumentError
        As for `spmv`.

    Notes
    -----
    O(nnz + n) work, and memory for the result, the row of each element and n numbers for each thread. ``a.T`` of
    SciPy is another view of the same arrays, CSC for CSR, and costs nothing: this is for those who need rows.
    ``transpose(policy, b.T)`` is a matrix in CSC as one in CSR, or the other way round.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> from scipy.sparse import csr_array
    >>> a = csr_array(np.array([[0, 2, 0], [3, 4, 0]]))
    >>> pp.sparse.transpose(pp.par, a).toarray()
    array([[0, 3],
           [2, 4],
           [0, 0]])
    """
    told = "sparse.transpose"
    m = matrix(told, a, ("csr", "csc"))

    def turn(p: Parts) -> Any:
        found = turned(p.alone(), m.on(p, p.alone()))
        if found is None:
            raise unsound(told, m)
        return made(m.format, found.values, found.indices, found.offsets, m.shape[::-1], a)

    return parts.run(told, policy, (m.values, m.indices, m.offsets), turn)


def turned(part: LocalPart, m: Matrix) -> Matrix | None:
    """The transposed matrix, where the part lives; None if something is out of range."""
    rows, columns = m.shape if m.format == "csr" else m.shape[::-1]
    most = int(arrays.asnumpy(m.offsets[rows:])[0])
    if not 0 <= most <= m.stored:
        return None
    flags = part.zeros(FLAGS, np.int64)
    lines = lines_of(part, m.offsets, most, flags, index_dtype(*m.shape, most))
    if arrays.asnumpy(flags)[0]:
        return None
    found = sorted_by(part, m.indices[:most], lines, m.values[:most], columns, flags)
    return found and Matrix(m.format, m.shape[::-1], found[0], None, *found[1:])


def lines_of(part: LocalPart, offsets: Any, most: int, flags: Any, index: Any = None) -> Any:
    """The row of each element; flags say whether offsets are right."""
    lines, rows = part.empty(most, index or offsets.dtype), len(offsets) - 1
    blocks, _ = part.blocks(max(rows + most, 1))
    part.run(blocks, _lines, -(-rows // blocks), most, offsets, lines, flags)
    return lines


def sorted_by(part: LocalPart, indices: Any, lines: Any, values: Any, n: int, flags: Any) -> Any:
    """Elements in the order of their indices, from 0 to n - 1, stably: (where each begins, lines, values).

    None if an index is out of range.
    """
    most, index = len(lines), lines.dtype
    blocks = max(1, min(part.width, most // max(n, 4096)))
    counts, offsets = part.empty((blocks, n), index), room(part, n + 1, index)
    part.run(blocks, _count, blocks, indices, counts, flags)
    if arrays.asnumpy(flags)[0]:
        return None
    fill(part.how, offsets, index.type(0))
    pieces, size = part.blocks(max(n, 1))
    part.run(pieces, _within, size, counts, offsets)
    exclusive_scan(part.how, offsets, out=offsets)
    taken = room(part, most, index), room(part, most, values.dtype)
    part.run(blocks, _take, blocks, indices, lines, values, offsets, counts, *taken)
    return offsets, *taken


# kernels ------------------------------------------------------------------------------------------


def _lines(block: Any, size: Any, most: Any, offsets: Any, lines: Any, flags: Any) -> None:
    """The row of each element."""
    lo, hi = min(block * size, len(offsets) - 1), min(block * size + size, len(offsets) - 1)
    if rising(lo, hi, most, offsets) == 0:
        fail(flags)
    else:
        for s in range(lo, hi):
            for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
                lines[np.uint64(e)] = s


def _count(block: Any, blocks: Any, indices: Any, counts: Any, flags: Any) -> None:
    n, most = counts.shape[1], len(indices)
    for k in range(n):
        counts[block, k] = 0
    for e in range(most * block // blocks, most * (block + 1) // blocks):
        j = np.int64(indices[np.uint64(e)])
        if j >= 0 and j < n:
            counts[block, np.uint64(j)] += 1
        else:
            fail(flags)


def _within(block: Any, size: Any, counts: Any, totals: Any) -> None:
    """Where among those of its index each block begins, and how many elements have the index."""
    for j in range(block * size, min(counts.shape[1], block * size + size)):
        total = totals[np.uint64(j)]
        for k in range(counts.shape[0]):
            here = counts[k, np.uint64(j)]
            counts[k, np.uint64(j)] = total
            total += here
        totals[np.uint64(j)] = total


def _take(
    block: Any, blocks: Any, indices: Any, lines: Any, values: Any, offsets: Any, counts: Any, lines_out: Any,
    values_out: Any,
) -> None:  # fmt: skip
    most = len(indices)
    for e in range(most * block // blocks, most * (block + 1) // blocks):
        k = np.uint64(indices[np.uint64(e)])
        at = np.uint64(offsets[k] + counts[block, k])
        counts[block, k] += 1
        lines_out[at] = lines[np.uint64(e)]
        values_out[at] = values[np.uint64(e)]
