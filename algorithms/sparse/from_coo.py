"""from_coo: a sparse matrix of elements in any order.

Elements are sorted by columns and then by rows, by two counting sorts that are stable (see `transpose`); those of one
place are then next to each other, in the order that they came in.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.moves import gather
from portapar.algorithms.scan import exclusive_scan
from portapar.algorithms.sort import argsort
from portapar.algorithms.sparse.matrix import FLAGS, Matrix, fail, index_dtype, made, room, unsound, vector
from portapar.algorithms.sparse.transpose import lines_of, sorted_by
from portapar.algorithms.transform import fill
from portapar.errors import ArgumentError, one_of
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_WAYS = {"sum": 0, "first": 1, "last": 2}  #: what becomes of duplicates, as kernels know it
_WIDE = 1 << 20  #: columns that are counted whatever the number of elements is


def from_coo(
    policy: Policy | None,
    rows: Any,
    cols: Any,
    values: Any,
    shape: tuple[int, int],
    *,
    duplicates: Literal["sum", "first", "last"] = "sum",
) -> Any:
    """A matrix in CSR of elements in any order.

    Parameters
    ----------
    policy : Policy
        Where it is built: an executor of one part.
    rows, cols : array of integers, (k,)
        The place of each element.
    values : array, (k,)
    shape : (int, int)
    duplicates : {"sum", "first", "last"}
        What becomes of elements of one place: their sum, of the dtype of `values`, or the one that comes first or last.

    Returns
    -------
    scipy.sparse.csr_array
        In host memory; the columns of a row are in order, and no place has two elements. Zeros stay.

    Raises
    ------
    ArgumentError
        Lengths differ, or an index is out of range; the message gives the first place.

    Notes
    -----
    O(k + m + n) work, or O(k log k + m) for many more columns than elements; memory for three times the elements. Sums
    are added in the order of the elements: the same bits on every executor. Of a COO matrix of SciPy it is
    ``from_coo(policy, *b.coords, b.data, b.shape)``.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> rows, cols, values = np.array([1, 0, 1]), np.array([0, 2, 0]), np.array([1.0, 5.0, 2.0])
    >>> pp.sparse.from_coo(pp.par, rows, cols, values, (2, 3)).toarray()
    array([[0., 0., 5.],
           [3., 0., 0.]])
    """
    told = "sparse.from_coo"
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise ArgumentError(f"{told}: shape is {shape!r}: must be two whole numbers")
    m, n = (arrays.whole_number(f"{told}: shape[{k}]", x, error=ArgumentError) for k, x in enumerate(shape))
    one_of(f"{told}: duplicates", duplicates, _WAYS)
    given = vector(told, "rows", rows, "iu"), vector(told, "cols", cols, "iu"), vector(told, "values", values, "biufc")
    if not len(given[0]) == len(given[1]) == len(given[2]):
        lengths = ", ".join(f"{name} {len(x)}" for name, x in zip(("rows has", "cols", "values"), given, strict=True))
        raise ArgumentError(f"{told}: {lengths} elements: must have as many")

    def build(p: Parts) -> Any:
        part = p.alone()
        lines, columns, x = (
            p.replicated(x, name)[part] for name, x in zip(("rows", "cols", "values"), given, strict=True)
        )
        count, index, flags = len(lines), index_dtype(m, n, len(lines)), part.zeros(FLAGS, np.int64)
        i, j = part.empty(count, index), part.empty(count, index)
        for_each(part.how, count, _narrow, m, n, lines, columns, i, j, flags)
        if arrays.asnumpy(flags)[0]:
            raise unsound(told, Matrix("coo", (m, n), None, lines, columns, x), {"a.row": "rows", "a.col": "cols"})
        offsets, j, x = _in_order(part, i, j, x, m, n, flags)
        return made("csr", *_joined(part, offsets, j, x, _WAYS[duplicates]), (m, n))

    return parts.run(told, policy, given, build)


def _in_order(part: LocalPart, i: Any, j: Any, x: Any, m: int, n: int, flags: Any) -> tuple[Any, Any, Any]:
    """Elements sorted by rows and columns, stably: where rows begin, columns, values."""
    if n <= max(_WIDE, 4 * len(i)):
        offsets, i, x = sorted_by(part, j, i, x, n, flags)
        j = lines_of(part, offsets, len(i), flags)
    else:
        order = argsort(part.how, j)
        i, j, x = (gather(part.how, given, order) for given in (i, j, x))
    return sorted_by(part, i, j, x, m, flags)


def _joined(part: LocalPart, offsets: Any, j: Any, x: Any, way: int) -> tuple[Any, Any, Any]:
    """Values, columns and offsets of the same rows, with one element in each place."""
    uneven, m = part.how._dealt(1024), len(offsets) - 1
    starts = room(part, m + 1, offsets.dtype)
    fill(part.how, starts, offsets.dtype.type(0))
    for_each(uneven, m, _distinct, offsets, j, starts)
    exclusive_scan(part.how, starts, out=starts)
    most = int(arrays.asnumpy(starts[m:])[0])
    if most == len(j):
        return x, j, offsets
    columns, values = room(part, most, j.dtype), room(part, most, x.dtype)
    for_each(uneven, m, _join, way, offsets, j, x, starts, columns, values)
    return values, columns, starts


# kernels ------------------------------------------------------------------------------------------


def _narrow(e: Any, m: Any, n: Any, rows: Any, cols: Any, i: Any, j: Any, flags: Any) -> None:
    if rows[e] < 0 or rows[e] >= m or cols[e] < 0 or cols[e] >= n:
        fail(flags)
    i[e], j[e] = rows[e], cols[e]


def _distinct(s: Any, offsets: Any, columns: Any, counts: Any) -> None:
    found = 0
    for e in range(offsets[s], offsets[s + 1]):
        found += 1 if e == offsets[s] or columns[np.uint64(e)] != columns[np.uint64(e - 1)] else 0
    counts[s] = found


def _join(
    s: Any, way: Any, offsets: Any, columns: Any, values: Any, starts: Any, columns_out: Any, values_out: Any
) -> None:  # fmt: skip
    at = np.int64(starts[s]) - 1
    for e in range(offsets[s], offsets[s + 1]):
        j, v = columns[np.uint64(e)], values[np.uint64(e)]
        if e == offsets[s] or j != columns[np.uint64(e - 1)]:
            at += 1
            columns_out[np.uint64(at)] = j
            values_out[np.uint64(at)] = v
        elif way == 0:
            values_out[np.uint64(at)] += v
        elif way == 2:
            values_out[np.uint64(at)] = v
