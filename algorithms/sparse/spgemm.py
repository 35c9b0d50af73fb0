"""spgemm: the product of two sparse matrices.

Row by row: a row of the result is the sum of those rows of `b` that the row of `a` has elements for. F. Gustavson, "Two
fast algorithms for sparse matrices: multiplication and permuted transposition", 1978. Each block of rows has an
accumulator of its own: a number for each column of `b`, which is 0 between two rows, and a bit for each column that the
row has. The bits give the columns in order. A row whose columns are far apart has marks besides, bits that say which
words of those bits are not empty; of rows of `b` that are runs of columns, as in bands, no column is looked at.

Rows are cut into blocks by the number of products that they take. In host memory one pass does all: every block writes
where there is room for as many elements as it has products, which costs nothing as long as nothing is written there,
and blocks then move together. Elsewhere, or if that is very much, a first pass counts the elements of each row.
"""

from __future__ import annotations

import functools
from typing import Any

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
_ROOM = 1 << 30  #: bytes for as many elements as there are products
_MARKS = 64  #: words of marks at most
_ALWAYS = 3  #: columns that are written of every word, whether it has as many or not


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
    Work for every product of two elements, and memory for n numbers for each of some blocks of rows. Every sum
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
    work, lows, highs = part.zeros(m + 1, np.int64), part.empty(k, np.int64), part.empty(k, np.int64)
    for_each(how._dealt(1024), m, _products, a.stored, k, a.offsets, a.indices, b.offsets, work, flags)
    for_each(how._dealt(1024), k, _span, b.stored, n, b.offsets, b.indices, lows, highs, flags)
    wrong = arrays.asnumpy(flags).tolist()
    if any(wrong):
        return wrong.index(1)
    work = exclusive_scan(how, work)
    total = int(arrays.asnumpy(work[m:])[0])
    index = index_dtype(a.shape[0], a.shape[1], n, total)
    once = part.executor.device.host_memory and total * (dtype.itemsize + index.itemsize) <= _ROOM
    most = min(_BLOCKS * part.width, total // (4 * n + 4), _BYTES // (n * dtype.itemsize + 1))
    blocks = max(1, min(max(most, 1 if part.wide else part.width), total >> 12))
    blocks = min(blocks, part.width) if once else blocks
    words = n // 64 + 1
    shift = max((words // (64 * _MARKS)).bit_length(), 0)
    sums, bits, marks, columns = (
        part.empty((blocks, size), kind) for size, kind in (
            (max(n, 1), dtype), ((words >> shift) + 1 << shift, np.uint64), (_MARKS + 1, np.uint64),
            (n + _ALWAYS, index_dtype(n + 64)),
        )
    )  # fmt: skip
    starts = room(part, m + 1, np.int64)
    fill(how, starts, np.int64(0))
    given = blocks, total, n, shift, work, lows, highs, a.offsets, a.indices, b.offsets, b.indices
    begins, stored = work, total
    if not once:
        part.run(blocks, count, *given, bits, marks, columns, starts)
        begins = exclusive_scan(how, starts)
        stored = int(arrays.asnumpy(begins[m:])[0])
        index = index_dtype(a.shape[0], a.shape[1], n, stored)
    indices, values = room(part, stored, index), room(part, stored, dtype)
    held = a.values, b.values, sums, bits, marks, columns
    part.run(blocks, fold, *given, *held, begins, starts, indices, values)
    offsets = room(part, m + 1, index)
    for_each(how, m + 1, _narrow, exclusive_scan(how, starts), offsets)
    if once:
        _together(indices, values, work, offsets, total, blocks)
    return values, indices, offsets


def _together(indices: Any, values: Any, work: Any, offsets: Any, total: int, blocks: int) -> None:
    """Move the elements of all blocks behind each other, and give back the room that is left."""
    firsts = [0, *(int(np.searchsorted(work, total * k // blocks, "right")) - 1 for k in range(1, blocks))]
    for s, end in zip(firsts, [*firsts[1:], len(offsets) - 1], strict=True):
        at, stop, begin = int(offsets[s]), int(offsets[end]), int(work[s])
        if at < begin:
            for x in (indices, values):
                x[at:stop] = x[begin : begin + stop - at]
    for x in (indices, values):
        x.resize(int(offsets[-1]), refcheck=False)


# kernels ------------------------------------------------------------------------------------------


def _products(
    s: Any, most: Any, k: Any, offsets: Any, indices: Any, offsets_b: Any, work: Any, flags: Any
) -> None:  # fmt: skip
    """How many products a row takes, and one more; `_span` looks at `offsets_b`."""
    found = np.int64(1)
    if rising(s, s + 1, most, offsets) == 0:
        fail(flags)
    else:
        for e in range(offsets[s], offsets[s + 1]):
            j = np.int64(indices[np.uint64(e)])
            if j < 0 or j >= k:
                fail(flags)
            else:
                found += np.int64(offsets_b[np.uint64(j + 1)]) - np.int64(offsets_b[np.uint64(j)])
    work[s] = found


def _span(j: Any, most: Any, n: Any, offsets: Any, indices: Any, lows: Any, highs: Any, flags: Any) -> None:
    """The first and the last column of a row of `b`; of a run of columns, ``~last``. A row out of range is empty."""
    low, high, run = n, np.int64(-1), 1
    if rising(j, j + 1, most, offsets) == 0:
        atomic.max(flags, 1, 1)
    else:
        begin = np.int64(offsets[j])
        for f in range(begin, offsets[j + 1]):
            c = np.int64(indices[np.uint64(f)])
            run &= 1 if f == begin or c == high + 1 else 0
            low, high = min(low, c), max(high, c)
        if low < 0 or high >= n:
            atomic.max(flags, 1, 1)
            low, high = n, np.int64(-1)
    lows[j] = low
    highs[j] = ~high if run == 1 and high >= 0 else high


def _narrow(s: Any, starts: Any, offsets: Any) -> None:
    offsets[s] = starts[s]


def _first(block: Any, blocks: Any, total: Any, work: Any) -> Any:
    """The first row of a block."""
    m = len(work) - 1
    return 0 if block == 0 else m if block == blocks else segment(total * block // blocks, m, work)


@functools.cache
def _kernels(dtype: np.dtype) -> tuple[Any, Any]:
    T = dtype.type

    def clear(block: Any, words: Any) -> None:
        for k in range(words.shape[1]):
            words[block, np.uint64(k)] = 0

    def window(
        s: Any, n: Any, offsets: Any, indices: Any, offsets_b: Any, indices_b: Any, lows: Any, highs: Any
    ) -> Any:  # fmt: skip
        """The words of the first and the last column of a row."""
        first, last = np.int64(n), np.int64(0)
        for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
            j = np.uint64(indices[np.uint64(e)])
            first, last = min(first, lows[j]), max(last, max(highs[j], ~highs[j]))
            if highs[j] >= 0:  # its first columns are read soon: many rows of b are on their way at the same time
                first = min(first, np.int64(indices_b[np.uint64(offsets_b[j])]))
        return max(min(first, last), np.int64(0)) >> 6, last >> 6

    def marking(block: Any, column: Any, n: Any, shift: Any, marks: Any) -> None:
        """Mark the word of a column."""
        c = np.uint64(np.int64(column))
        if c < np.uint64(n):
            mark = c >> np.uint64(shift + 6)
            marks[block, mark >> np.uint64(6)] |= np.uint64(1) << (mark & np.uint64(63))

    def run(block: Any, first: Any, size: Any, shift: Any, bits: Any, marks: Any, marked: Any) -> None:
        """Columns behind one another."""
        whole = ~np.uint64(0)
        for word in range(first >> 6, (first + size + 63) >> 6):
            low, high = max(first - word * 64, np.int64(0)), min(first + size - word * 64, np.int64(64))
            bits[block, np.uint64(word)] |= (whole << np.uint64(low)) & (whole >> np.uint64(64 - high))
            if marked == 1:
                marking(block, max(first, word << 6), first + size, shift, marks)

    def taken(block: Any, word: Any, found: Any, bits: Any, columns: Any) -> Any:
        """Write the columns of a word, and how many there are then; the word is clear afterwards."""
        left = bits[block, np.uint64(word)]
        bits[block, np.uint64(word)] = 0
        after = found + np.int64(np.bitwise_count(left))
        for _ in range(_ALWAYS):
            columns[block, np.uint64(found)] = word * 64 + _lowest(left)
            left &= left - np.uint64(1)
            found += 1
        while left != 0:
            columns[block, np.uint64(found)] = word * 64 + _lowest(left)
            left &= left - np.uint64(1)
            found += 1
        return after

    def listed(block: Any, first: Any, last: Any, shift: Any, bits: Any, marks: Any, columns: Any, marked: Any) -> Any:
        """Write the columns of the row, in order, and how many they are; bits and marks are clear afterwards."""
        found, one = np.int64(0), np.uint64(1)
        if marked == 0:
            for word in range(first, last + 1):
                found = taken(block, word, found, bits, columns)
        else:
            for high in range(first >> (6 + shift), (last >> (6 + shift)) + 1):
                mark = marks[block, np.uint64(high)]
                marks[block, np.uint64(high)] = 0
                while mark != 0:
                    group = np.int64(high * 64 + _lowest(mark))
                    mark &= mark - one
                    for word in range(group << shift, (group + 1) << shift):
                        found = taken(block, word, found, bits, columns)
        return found

    def count(
        block: Any, blocks: Any, total: Any, n: Any, shift: Any, work: Any, lows: Any, highs: Any, offsets: Any,
        indices: Any, offsets_b: Any, indices_b: Any, bits: Any, marks: Any, columns: Any, starts: Any,
    ) -> None:  # fmt: skip
        """How many columns each row of the product has."""
        clear(block, bits)
        clear(block, marks)
        for s in range(_first(block, blocks, total, work), _first(block + 1, blocks, total, work)):
            first, last = window(s, n, offsets, indices, offsets_b, indices_b, lows, highs)
            marked = 1 if last - first > 2 * (work[np.uint64(s + 1)] - work[np.uint64(s)]) else 0
            for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
                j = np.uint64(indices[np.uint64(e)])
                begin, end = np.int64(offsets_b[j]), np.int64(offsets_b[j + np.uint64(1)])
                if highs[j] < -1:
                    run(block, lows[j], end - begin, shift, bits, marks, marked)
                else:
                    for f in range(begin, end):
                        c = np.uint64(np.int64(indices_b[np.uint64(f)]))
                        if c < np.uint64(n):
                            bits[block, c >> np.uint64(6)] |= np.uint64(1) << (c & np.uint64(63))
                    if marked == 1:
                        for f in range(begin, end):
                            marking(block, indices_b[np.uint64(f)], n, shift, marks)
            starts[np.uint64(s)] = listed(block, first, last, shift, bits, marks, columns, marked)

    def fold(
        block: Any, blocks: Any, total: Any, n: Any, shift: Any, work: Any, lows: Any, highs: Any, offsets: Any,
        indices: Any, offsets_b: Any, indices_b: Any, values: Any, values_b: Any, sums: Any, bits: Any, marks: Any,
        columns: Any, begins: Any, starts: Any, indices_out: Any, values_out: Any,
    ) -> None:  # fmt: skip
        """The rows, one behind the other; how many columns each has."""
        clear(block, sums)
        clear(block, bits)
        clear(block, marks)
        at = _first(block, blocks, total, work)
        place = np.int64(begins[np.uint64(at)])
        for s in range(at, _first(block + 1, blocks, total, work)):
            first, last = window(s, n, offsets, indices, offsets_b, indices_b, lows, highs)
            marked = 1 if last - first > 2 * (work[np.uint64(s + 1)] - work[np.uint64(s)]) else 0
            for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
                j, v = np.uint64(indices[np.uint64(e)]), T(values[np.uint64(e)])
                begin, end = np.int64(offsets_b[j]), np.int64(offsets_b[j + np.uint64(1)])
                low = lows[j]
                if highs[j] < -1:
                    run(block, low, end - begin, shift, bits, marks, marked)
                    for f in range(begin, end):
                        sums[block, np.uint64(low + f - begin)] += v * T(values_b[np.uint64(f)])
                else:
                    for f in range(begin, end):
                        c = np.uint64(np.int64(indices_b[np.uint64(f)]))
                        if c < np.uint64(n):
                            sums[block, c] += v * T(values_b[np.uint64(f)])
                            bits[block, c >> np.uint64(6)] |= np.uint64(1) << (c & np.uint64(63))
                    if marked == 1:
                        for f in range(begin, end):
                            marking(block, indices_b[np.uint64(f)], n, shift, marks)
            found = listed(block, first, last, shift, bits, marks, columns, marked)
            for i in range(found):
                k = np.uint64(columns[block, np.uint64(i)])
                indices_out[np.uint64(place + i)] = k
                values_out[np.uint64(place + i)] = sums[block, k]
                sums[block, k] = T(0)
            starts[np.uint64(s)] = found
            place += found

    return count, fold


def _lowest(word: Any) -> Any:
    """The place of the lowest bit."""
    return np.int64(np.bitwise_count((word & (~word + np.uint64(1))) - np.uint64(1)))
