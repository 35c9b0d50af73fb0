"""spgemm: the product of two sparse matrices.

Row by row: a row of the result is the sum of those rows of `b` that the row of `a` has elements for. F. Gustavson, "Two
fast algorithms for sparse matrices: multiplication and permuted transposition", 1978. Each block of rows has an
accumulator of its own: a number for each column of `b`, which is 0 between two rows, and a bit for each column that the
row has. The bits give the columns in order. A row whose columns are far apart has marks besides, bits that say which
words of those bits are not empty; of rows of `b` that are runs of columns, as in bands, no column is looked at.

Rows are cut into blocks by the number of products that they take. In host memory one pass does all: every block writes
where there is room for as many elements as it has products, which costs nothing as long as nothing is written there,
and blocks then move together. Elsewhere, or if that is very much, a first pass counts the elements of each row. Small
matrices in host memory are looked at in one step, on the calling thread, and multiplied in a second one.
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
from portapar.few import MISS, Step, fixed
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_BLOCKS = 4  #: of rows, for each thread
_BYTES = 1 << 28  #: of all accumulators, or what one for each thread takes
_ROOM = 1 << 30  #: bytes for as many elements as there are products
_MARKS = 64  #: words of marks at most
_MARKED: Final = _MARKS + 1  #: with the one that the last column may need
_ALWAYS: Final = 3  #: columns that are written of every word, whether it has as many or not
_SMALL = 1 << 16  #: elements and rows of matrices that are looked at on the calling thread


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
        known = p.few()
        if known is not MISS:
            return known
        held = [(m.on(p, part), name) for m, name in ((one, "a"), (two, "b"))]
        held = held if one.format == "csr" else held[::-1]  # the transposed product is that of the transposed ones
        found = _product(part, held[0][0], held[1][0])
        if isinstance(found, int):
            raise unsound(told, held[found][0], {} if held[found][1] == "a" else _NAMES)
        values, indices, offsets = found
        return made(one.format, values, indices, offsets, shape, a)

    given = one.values, two.values, one.indices, two.indices
    return parts.run(told, policy, given, multiply, lambda step: _remembered(step, one, two, shape, a))


_NAMES = {f"a.{name}": f"b.{name}" for name in ("indptr", "indices", "data")}


def _remembered(step: Step, a: Matrix, b: Matrix, shape: tuple[int, int], like: Any) -> Any:
    """By remembered steps, of small matrices in plain arrays."""
    found = a.format
    if found == "csc":
        a, b = b, a
    m, k, n = len(a.offsets) - 1, len(b.offsets) - 1, shape[found == "csr"]
    held = a.offsets, a.indices, b.offsets, b.indices, a.values, b.values
    if any(type(x) is not np.ndarray for x in held) or not 0 < m + k + a.stored + b.stored <= _SMALL:
        return MISS
    part = step.part
    if part is None or min(m, k, n) == 0:
        return MISS
    work, lows, highs, flags = (np.empty(size, np.int64) for size in (m + 1, k, k, FLAGS))
    if not step(_look, a.stored, b.stored, n, *held[:4], work, lows, highs, flags) or flags.any():
        return MISS
    total, dtype = int(work[m]), product_dtype(a.values.dtype, b.values.dtype)
    index, blocks = index_dtype(m, k, n, total), max(1, min(part.width, total >> 12))
    if total * (dtype.itemsize + index.itemsize) > _ROOM or blocks * n * dtype.itemsize > _BYTES:
        return MISS
    shift, scratch = _scratch(np.empty, blocks, n, dtype)
    starts, offsets = np.empty(m, np.int64), np.zeros(m + 1, index)
    indices, values = np.empty(total, index), np.empty(total, dtype)
    given = blocks, total, n, shift, work, lows, highs, *held, *scratch, work, starts, indices, values
    if not step.run(blocks, _kernels(dtype)[1], *given, work=total):
        return MISS
    np.cumsum(starts, out=offsets[1:])
    _together(indices, values, work, offsets, total, blocks)
    return made(found, values, indices, offsets, shape, like)


def _scratch(empty: Any, blocks: int, n: int, dtype: np.dtype) -> tuple[int, list[Any]]:
    """How many words of bits a mark stands for, as a power of two; sums, bits, marks and columns of all blocks."""
    words = n // 64 + 1
    shift = (words // (64 * _MARKS)).bit_length()
    sizes = (max(n, 1), dtype), (_words(n, shift), np.uint64), (_MARKED, np.uint64), (n + _ALWAYS, index_dtype(n + 64))
    return shift, [empty(blocks * size, kind) for size, kind in sizes]


def _words(n: Any, shift: Any) -> Any:
    """Words of bits for n columns, in whole groups that a mark stands for."""
    return ((n // 64 + 1) // (1 << shift) + 1) * (1 << shift)


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
    shift, scratch = _scratch(part.empty, blocks, n, dtype)
    starts = room(part, m + 1, np.int64)
    fill(how, starts, np.int64(0))
    given = blocks, total, n, shift, work, lows, highs, a.offsets, a.indices, b.offsets, b.indices
    begins, stored = work, total
    if not once:
        part.run(blocks, count, *given, *scratch[1:], starts)
        begins = exclusive_scan(how, starts)
        stored = int(arrays.asnumpy(begins[m:])[0])
        index = index_dtype(a.shape[0], a.shape[1], n, stored)
    indices, values = room(part, stored, index), room(part, stored, dtype)
    part.run(blocks, fold, *given, a.values, b.values, *scratch, begins, starts, indices, values)
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


def _look(
    _: Any, most: Any, most_b: Any, n: Any, offsets: Any, indices: Any, offsets_b: Any, indices_b: Any, work: Any,
    lows: Any, highs: Any, flags: Any,
) -> None:  # fmt: skip
    """`_span` of all rows of `b`; where the products of each row of `a` begin, and where the last ones end."""
    m, k, place = len(offsets) - 1, len(offsets_b) - 1, np.int64(0)
    flags[0] = flags[1] = 0
    for j in range(k):
        _span(j, most_b, n, offsets_b, indices_b, lows, highs, flags)
    for s in range(m):
        if flags[1] == 0:
            _products(s, most, k, offsets, indices, offsets_b, work, flags)
            found, work[s] = work[s], place
            place += found
    work[m] = place


fixed(_look)


def _narrow(s: Any, starts: Any, offsets: Any) -> None:
    offsets[s] = starts[s]


def _first(block: Any, blocks: Any, total: Any, work: Any) -> Any:
    """The first row of a block."""
    m = len(work) - 1
    return 0 if block == 0 else m if block == blocks else segment(total * block // blocks, m, work)


@functools.cache
def _kernels(dtype: np.dtype) -> tuple[Any, Any]:
    T = dtype.type

    def clear(block: Any, size: Any, words: Any) -> Any:
        """Clear what a block has of an array; where that begins."""
        for k in range(block * size, block * size + size):
            words[np.uint64(k)] = 0
        return block * size

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

    def marking(at: Any, column: Any, n: Any, shift: Any, marks: Any) -> None:
        """Mark the word of a column; a block's marks begin at `at`."""
        c = np.uint64(np.int64(column))
        if c < np.uint64(n):
            mark = c >> np.uint64(shift + 6)
            marks[np.uint64(at) + (mark >> np.uint64(6))] |= np.uint64(1) << (mark & np.uint64(63))

    def run(at: Any, mark_at: Any, first: Any, size: Any, shift: Any, bits: Any, marks: Any, marked: Any) -> None:
        """Columns behind one another."""
        whole = ~np.uint64(0)
        for word in range(first >> 6, (first + size + 63) >> 6):
            low, high = max(first - word * 64, np.int64(0)), min(first + size - word * 64, np.int64(64))
            bits[np.uint64(at + word)] |= (whole << np.uint64(low)) & (whole >> np.uint64(64 - high))
            if marked == 1:
                marking(mark_at, max(first, word << 6), first + size, shift, marks)

    def taken(at: Any, word: Any, found: Any, bits: Any, columns: Any) -> Any:
        """Write the columns of a word, and where the next ones belong; the word is clear afterwards."""
        left = bits[np.uint64(at + word)]
        bits[np.uint64(at + word)] = 0
        after = found + np.int64(np.bitwise_count(left))
        for _ in range(_ALWAYS):
            columns[np.uint64(found)] = word * 64 + _lowest(left)
            left &= left - np.uint64(1)
            found += 1
        while left != 0:
            columns[np.uint64(found)] = word * 64 + _lowest(left)
            left &= left - np.uint64(1)
            found += 1
        return after

    def listed(
        at: Any, mark_at: Any, column_at: Any, first: Any, last: Any, shift: Any, bits: Any, marks: Any, columns: Any,
        marked: Any,
    ) -> Any:  # fmt: skip
        """Write the columns of the row, in order, and how many they are; bits and marks are clear afterwards."""
        found, one = np.int64(column_at), np.uint64(1)
        if marked == 0:
            for word in range(first, last + 1):
                found = taken(at, word, found, bits, columns)
        else:
            for high in range(first >> (6 + shift), (last >> (6 + shift)) + 1):
                mark = marks[np.uint64(mark_at + high)]
                marks[np.uint64(mark_at + high)] = 0
                while mark != 0:
                    group = np.int64(high * 64 + _lowest(mark))
                    mark &= mark - one
                    for word in range(group << shift, (group + 1) << shift):
                        found = taken(at, word, found, bits, columns)
        return found - column_at

    def count(
        block: Any, blocks: Any, total: Any, n: Any, shift: Any, work: Any, lows: Any, highs: Any, offsets: Any,
        indices: Any, offsets_b: Any, indices_b: Any, bits: Any, marks: Any, columns: Any, starts: Any,
    ) -> None:  # fmt: skip
        """How many columns each row of the product has."""
        at, mark_at = clear(block, _words(n, shift), bits), clear(block, _MARKED, marks)
        column_at = block * (n + _ALWAYS)
        for s in range(_first(block, blocks, total, work), _first(block + 1, blocks, total, work)):
            first, last = window(s, n, offsets, indices, offsets_b, indices_b, lows, highs)
            marked = 1 if last - first > 2 * (work[np.uint64(s + 1)] - work[np.uint64(s)]) else 0
            for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
                j = np.uint64(indices[np.uint64(e)])
                begin, end = np.int64(offsets_b[j]), np.int64(offsets_b[j + np.uint64(1)])
                if highs[j] < -1:
                    run(at, mark_at, lows[j], end - begin, shift, bits, marks, marked)
                else:
                    for f in range(begin, end):
                        c = np.uint64(np.int64(indices_b[np.uint64(f)]))
                        if c < np.uint64(n):
                            bits[np.uint64(at) + (c >> np.uint64(6))] |= np.uint64(1) << (c & np.uint64(63))
                    if marked == 1:
                        for f in range(begin, end):
                            marking(mark_at, indices_b[np.uint64(f)], n, shift, marks)
            starts[np.uint64(s)] = listed(at, mark_at, column_at, first, last, shift, bits, marks, columns, marked)

    def fold(
        block: Any, blocks: Any, total: Any, n: Any, shift: Any, work: Any, lows: Any, highs: Any, offsets: Any,
        indices: Any, offsets_b: Any, indices_b: Any, values: Any, values_b: Any, sums: Any, bits: Any, marks: Any,
        columns: Any, begins: Any, starts: Any, indices_out: Any, values_out: Any,
    ) -> None:  # fmt: skip
        """The rows, one behind the other; how many columns each has."""
        sum_at, column_at = clear(block, n, sums), block * (n + _ALWAYS)
        at, mark_at = clear(block, _words(n, shift), bits), clear(block, _MARKED, marks)
        top = _first(block, blocks, total, work)
        place = np.int64(begins[np.uint64(top)])
        for s in range(top, _first(block + 1, blocks, total, work)):
            first, last = window(s, n, offsets, indices, offsets_b, indices_b, lows, highs)
            marked = 1 if last - first > 2 * (work[np.uint64(s + 1)] - work[np.uint64(s)]) else 0
            for e in range(offsets[np.uint64(s)], offsets[np.uint64(s + 1)]):
                j, v = np.uint64(indices[np.uint64(e)]), T(values[np.uint64(e)])
                begin, end = np.int64(offsets_b[j]), np.int64(offsets_b[j + np.uint64(1)])
                low = lows[j]
                if highs[j] < -1:
                    run(at, mark_at, low, end - begin, shift, bits, marks, marked)
                    for f in range(begin, end):
                        sums[np.uint64(sum_at + low + f - begin)] += v * T(values_b[np.uint64(f)])
                else:
                    for f in range(begin, end):
                        c = np.uint64(np.int64(indices_b[np.uint64(f)]))
                        if c < np.uint64(n):
                            sums[np.uint64(sum_at) + c] += v * T(values_b[np.uint64(f)])
                            bits[np.uint64(at) + (c >> np.uint64(6))] |= np.uint64(1) << (c & np.uint64(63))
                    if marked == 1:
                        for f in range(begin, end):
                            marking(mark_at, indices_b[np.uint64(f)], n, shift, marks)
            found = listed(at, mark_at, column_at, first, last, shift, bits, marks, columns, marked)
            for i in range(found):
                k = np.uint64(columns[np.uint64(column_at + i)])
                indices_out[np.uint64(place + i)] = k
                values_out[np.uint64(place + i)] = sums[np.uint64(sum_at) + k]
                sums[np.uint64(sum_at) + k] = T(0)
            starts[np.uint64(s)] = found
            place += found

    return fixed(count), fixed(fold)


def _lowest(word: Any) -> Any:
    """The place of the lowest bit."""
    return np.int64(np.bitwise_count((word & (~word + np.uint64(1))) - np.uint64(1)))
