"""reduce_by_key and group_by_key: what is done with all values that have one key.

The pairs are sorted by their keys, stably; equal keys are then neighbours, and their values the segments of
`segmented_reduce`. As in ParlayLib, and unlike in Thrust, equal keys need not be neighbours to begin with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import ops, parts
from portapar.algorithms import radix
from portapar.algorithms.copy_if import pack_index
from portapar.algorithms.for_each import for_each
from portapar.algorithms.segmented import segmented_reduce
from portapar.algorithms.sort import sort_by_key
from portapar.arrays import PartitionedArray
from portapar.errors import PlacementError
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy


def reduce_by_key(policy: Policy | None, keys: Any, values: Any, op: Any = ops.plus) -> tuple[Any, Any]:
    """The distinct keys in order, and for each the reduction of all values that have it.

    Parameters
    ----------
    policy : Policy
    keys : array
        One-dimensional, of booleans, integers or floats. Equal keys may stand anywhere. All NaN are one key, the last;
        so are 0.0 and -0.0.
    values : array
        As long as `keys`; of numbers, or of records of numbers. Of several dimensions the first one counts: the rows
        of a key are reduced to one, number by number.
    op : callable
        As for `segmented_reduce`. One that does not commute gets the values of a key in the order that they have.

    Returns
    -------
    (array, array)
        New: the keys, and values of the type that `op` settles on.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    As `sort_by_key`. The same bits on every executor. On one device only.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.reduce_by_key(pp.par, np.array([3, 1, 3, 1, 2]), np.array([1, 10, 100, 1000, 5]))
    (array([1, 2, 3]), array([1010,    5,  101]))
    """

    def reduce(p: Parts) -> tuple[Any, Any]:
        found, offsets, grouped = _group(p, keys, values)
        if len(grouped.shape) == 1:
            return found, segmented_reduce(p.how, offsets, grouped, op=op)
        return found, _reduce_rows(p, offsets, grouped, op)

    return parts.run("reduce_by_key", policy, (keys, values), reduce)


def group_by_key(policy: Policy | None, keys: Any, values: Any) -> tuple[Any, Any, Any]:
    """The distinct keys in order, and the values of each, side by side.

    Parameters
    ----------
    policy : Policy
    keys, values : array
        As for `reduce_by_key`.

    Returns
    -------
    (array, array of int64, array)
        New: the keys, offsets and the values: key k has the values ``offsets[k]`` to ``offsets[k + 1]``, in the order
        that they had.

    Raises
    ------
    PlacementError

    Notes
    -----
    As `sort_by_key`. On one device only.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.group_by_key(pp.par, np.array([3, 1, 3, 1, 2]), np.array([1, 10, 100, 1000, 5]))
    (array([1, 2, 3]), array([0, 2, 3, 5]), array([  10, 1000,    5,    1,  100]))
    """
    return parts.run("group_by_key", policy, (keys, values), lambda p: _group(p, keys, values))


def _group(p: Parts, keys: Any, values: Any) -> tuple[Any, Any, Any]:
    data = p.vector(keys, "keys")
    if data.dtype.kind not in "biuf":
        raise PlacementError(f"{p.algorithm}: keys has dtype {data.dtype}: must be booleans, integers or floats")
    rows = p.read(values, "values")
    part = p.alone()
    if len(rows.shape) == 1:
        ordered, grouped = sort_by_key(p.how, keys, values)
    else:
        numbers = np.arange(len(data))
        ordered, index = sort_by_key(p.how, keys, part.asarray(numbers) if p.kind == "device" else numbers)
        grouped = _rows(p, part, rows, index)
    n, equal = len(data), radix.coding(data.dtype, False).equal
    bits, flags = radix.bits(_here(part, ordered)), part.empty(n, np.bool_)

    def differ(i: int, bits: Any, flags: Any) -> None:
        flags[i] = i == 0 or equal(bits[np.uint64(i)]) != equal(bits[np.uint64(i - 1)])

    def head(k: int, n: int, heads: Any, bits: Any, offsets: Any, found: Any) -> None:
        offsets[np.uint64(k)] = heads[np.uint64(k)]
        found[np.uint64(k)] = bits[np.uint64(heads[np.uint64(k)])]
        if k == len(heads) - 1:
            offsets[np.uint64(k + 1)] = n

    for_each(part.how, n, differ, bits, flags)
    heads = pack_index(part.how, flags)
    found, offsets = part.empty(len(heads), data.dtype), part.zeros(len(heads) + 1, np.int64)
    for_each(part.how, len(heads), head, n, heads, bits, offsets, radix.bits(found))
    return p.concatenate("keys", lambda _: found), p.concatenate("offsets", lambda _: offsets), grouped


def _rows(p: Parts, part: LocalPart, rows: Data, index: Any) -> Any:
    """The rows of an array of several dimensions in the order of `index`."""
    here, out = rows[part], p.new(rows.shape, rows.dtype)
    there, width = out[part], rows.size // max(len(rows), 1)
    if isinstance(here, np.ndarray):
        here = np.ascontiguousarray(here)

    def row(i: int, width: int, index: Any, x: Any, out: Any) -> None:
        begin, to = index[np.uint64(i)] * width, i * width
        for k in range(width):
            out[np.uint64(to + k)] = x[np.uint64(begin + k)]

    if rows.size:
        for_each(part.how, len(rows), row, width, _here(part, index), here.reshape(-1), there.reshape(-1))
    return p.give(out)


def _reduce_rows(p: Parts, offsets: Any, grouped: Any, op: Any) -> Any:
    """The reduction of the rows of every segment, column by column."""
    part, n = p.alone(), len(offsets) - 1
    shape, width = grouped.shape[1:], int(np.prod(grouped.shape[1:]))
    there = _here(part, grouped).reshape(-1)
    length, out = len(grouped), None

    def take(i: int, width: int, k: int, x: Any, out: Any) -> None:
        out[np.uint64(i)] = x[np.uint64(i * width + k)]

    def put(i: int, width: int, k: int, x: Any, out: Any) -> None:
        out[np.uint64(i * width + k)] = x[np.uint64(i)]

    for k in range(max(width, 1)):
        column = part.empty(length if width else 0, grouped.dtype)
        for_each(part.how, len(column), take, width, k, there, column)
        found = segmented_reduce(part.how, _here(part, offsets) if width else np.zeros(1, np.int64), column, op=op)
        if out is None:
            out = part.empty((n, *shape), found.dtype)
        if width:
            for_each(part.how, n, put, width, k, found, out.reshape(-1))
    return p.concatenate("values", lambda _: out)


def _here(part: LocalPart, x: Any) -> Any:
    """An array of the only part where it can use it."""
    return x.parts[part.number] if isinstance(x, PartitionedArray) else part.asarray(x)
