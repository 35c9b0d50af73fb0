"""reduce_by_key, scan_by_key, unique_by_key, group_by_key: values that have one key; merge_by_key.

The pairs are sorted by their keys, stably; equal keys are then neighbours, and their values the segments of
`segmented_reduce` and `segmented_scan`. As in ParlayLib, and unlike in Thrust, equal keys need not be neighbours to
begin with; ``consecutive=True`` is Thrust's way, in which every run of equal keys is one, and nothing is sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays, ops, parts
from portapar.algorithms import few_sorted
from portapar.algorithms.for_each import for_each
from portapar.algorithms.merge import end_to_end, merge_to, tell_moved
from portapar.algorithms.moves import gather, scatter, tell_scattered
from portapar.algorithms.order import Order, before
from portapar.algorithms.runs import Runs, few_first, few_runs, keys_of
from portapar.algorithms.segmented import reduce_few, scan_few, segmented_reduce, segmented_scan
from portapar.algorithms.sort import argsort, merge_whole, sort_by_key, tell_sorted
from portapar.errors import ArgumentError, PlacementError, flags
from portapar.few import MANY, MISS, Step, elements
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Data, Parts
from portapar.policy import Policy
from portapar.values import Values


def reduce_by_key(
    policy: Policy | None, keys: Any, values: Any, op: Any = ops.plus, *, consecutive: bool = False
) -> tuple[Any, Any]:
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
    consecutive : bool
        Every run of equal neighbours is a key of its own, and nothing is sorted: for keys that are grouped already.

    Returns
    -------
    (array, array)
        New: the keys, and values of the type that `op` settles on.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    As `sort_by_key`, or O(n) for runs. The same bits on every executor. Values of several dimensions on one device
    only.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> keys, values = np.array([3, 1, 1, 3, 2]), np.array([1, 10, 1000, 100, 5])
    >>> pp.reduce_by_key(pp.par, keys, values)
    (array([1, 2, 3]), array([1010,    5,  101]))
    >>> pp.reduce_by_key(pp.par, keys, values, consecutive=True)
    (array([3, 1, 3, 2]), array([   1, 1010,  100,    5]))
    """
    flags("reduce_by_key", consecutive=consecutive)

    def reduce(p: Parts) -> tuple[Any, Any]:
        found = _there(p, reduce_by_key, keys, values, lambda k, v: (k, _wide(v)), op=op, consecutive=consecutive)
        if found is MISS:
            _check_keys(p, keys)
            found = p.few(ops.monoid(op).py_func)
        if found is not MISS:
            return found
        runs, ordered, grouped = _group(p, keys, values, consecutive)
        found, offsets = runs.first(ordered, "keys"), runs.offsets()
        if len(grouped.shape) == 1:
            return found, segmented_reduce(p.how, offsets, grouped, op=op)
        return found, _reduce_rows(p, offsets, grouped, op)

    def few(step: Step) -> Any:
        given = Values.few((values,), op, most=MANY)
        if given is None:  # the long way finds out their types
            return MISS
        found = _few_groups(step, keys, values, consecutive)
        reduced = MISS if found is MISS else reduce_few(step, found[1], given.of(found[2]), None)
        return MISS if reduced is MISS else (found[0], reduced)

    return parts.run("reduce_by_key", policy, (keys, values), reduce, few)


def scan_by_key(
    policy: Policy | None,
    keys: Any,
    values: Any,
    op: Any = ops.plus,
    *,
    inclusive: bool = True,
    init: Any = None,
    consecutive: bool = False,
    out: Any = None,
) -> Any:
    """For every value the reduction of all values up to it that have its key: running sums, products, counts by key.

    Parameters
    ----------
    policy : Policy
    keys : array
        As for `reduce_by_key`.
    values : array
        One-dimensional, as long as `keys`; of numbers, or of records of numbers.
    op : callable
        As for `segmented_reduce`.
    inclusive : bool
        Whether a value is part of its own result.
    init : number or tuple, optional
        What every key begins with. For exclusive scans by default the identity of `op`.
    consecutive : bool
        As for `reduce_by_key`: every run begins anew.
    out : array, optional
        As long as `values`; may be `values` itself. By default a new array.

    Returns
    -------
    array
        `out`, of the type that `op` settles on: result i belongs to ``values[i]``.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    As `argsort`, or O(n) for runs. The same bits on every executor.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> keys, values = np.array([3, 1, 1, 3, 2]), np.array([1, 10, 1000, 100, 5])
    >>> pp.scan_by_key(pp.par, keys, values)
    array([   1,   10, 1010,  101,    5])
    >>> pp.scan_by_key(pp.par, keys, values, consecutive=True)
    array([   1,   10, 1010,  100,    5])
    """
    flags("scan_by_key", inclusive=inclusive, consecutive=consecutive)
    how = {"op": op, "inclusive": inclusive, "init": init}

    def scan(p: Parts) -> Any:
        n = p.length(keys, "keys")
        if p.length(values, "values") != n:
            raise ArgumentError(f"{p.algorithm}: keys has {n} elements and values {len(values)}: must have as many")
        if consecutive:
            data = keys_of(p, keys, "keys")
            found = p.few(ops.monoid(op).py_func)
            return segmented_scan(p.how, Runs(p, data).offsets(), values, out=out, **how) if found is MISS else found
        if out is not None:
            if p.length(out, "out") != n:
                raise ArgumentError(f"{p.algorithm}: out has length {len(out)}, must be {n}")
            p.write(out, "out", [("values", values)], [("keys", keys)])
        elif (found := _there(p, scan_by_key, keys, values, lambda _, v: (_wide(v),), **how)) is not MISS:
            return found
        _check_keys(p, keys)
        found = p.few(ops.monoid(op).py_func)
        if found is not MISS:
            return found
        _tell_gathered(p, keys, values)
        places = argsort(p.how, keys)
        runs = Runs(p, p.stored(gather(p.how, keys, places), "keys"))
        found = segmented_scan(p.how, runs.offsets(), gather(p.how, values, places), **how)
        if out is None and p.kind == "numpy" and p.count > 1:  # ranks write to no array of which each has a copy
            return sort_by_key(p.how, places, found)[1]
        return scatter(p.how, found, places, p.new(n, found.dtype).value if out is None else out)

    def few(step: Step) -> Any:
        n = elements(keys, values, most=MANY)
        given = Values.few((values,), op, None, init, MANY) if n else None
        if given is None:
            return MISS
        if consecutive:
            found = few_runs(step, keys)
            return MISS if found is None else scan_few(step, found[1], given, inclusive, out)
        plain = few_sorted.few(step, keys) == n and out is None and values.dtype.isnative and values.flags.aligned
        places: Any = few_sorted.argsort(step, keys, None, False) if plain else MISS
        found = None if places is MISS else few_runs(step, keys[places])
        scanned = MISS if found is None else scan_few(step, found[1], given.of(values[places]), inclusive, None)
        if scanned is MISS:
            return MISS
        result = np.empty_like(scanned)
        result[places] = scanned
        return result

    return parts.run("scan_by_key", policy, (keys, values, out), scan, few)


def unique_by_key(policy: Policy | None, keys: Any, values: Any, *, consecutive: bool = False) -> tuple[Any, Any]:
    """The distinct keys in order, and the first value of each.

    Parameters
    ----------
    policy : Policy
    keys : array
        As for `reduce_by_key`.
    values : array
        One-dimensional, as long as `keys`, of any dtype.
    consecutive : bool
        As for `reduce_by_key`: the first key and value of every run, in the order that they have.

    Returns
    -------
    (array, array)
        New.

    Raises
    ------
    PlacementError

    Notes
    -----
    As `sort_by_key`, or O(n) for runs.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.unique_by_key(pp.par, np.array([3, 1, 1, 3, 2]), np.array([1, 10, 1000, 100, 5]))
    (array([1, 2, 3]), array([10,  5,  1]))
    """
    flags("unique_by_key", consecutive=consecutive)

    def unique(p: Parts) -> tuple[Any, Any]:
        p.length(values, "values")
        found = _there(p, unique_by_key, keys, values, lambda k, v: (k, v), consecutive=consecutive)
        if found is MISS:
            _check_keys(p, keys)
            found = p.few()
        if found is not MISS:
            return found
        runs, ordered, grouped = _group(p, keys, values, consecutive)
        return runs.first(ordered, "keys"), runs.first(p.stored(grouped, "values"), "values")

    def few(step: Step) -> Any:
        found = _few_groups(step, keys, values, consecutive)
        if found is MISS:
            return MISS
        heads = found[1][:-1]
        firsts = found[2][heads] if few_sorted.few(step, keys) else few_first(step, found[2], heads)
        return MISS if firsts is None else (found[0], firsts)

    return parts.run("unique_by_key", policy, (keys, values), unique, few)


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
    As `sort_by_key`. Values of several dimensions on one device only.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.group_by_key(pp.par, np.array([3, 1, 3, 1, 2]), np.array([1, 10, 100, 1000, 5]))
    (array([1, 2, 3]), array([0, 2, 3, 5]), array([  10, 1000,    5,    1,  100]))
    """

    def group(p: Parts) -> tuple[Any, Any, Any]:
        found = _there(p, group_by_key, keys, values, lambda k, v: (k, np.int64, v))
        if found is MISS:
            _check_keys(p, keys)
            found = p.few()
        if found is not MISS:
            return found
        runs, ordered, grouped = _group(p, keys, values)
        return runs.first(ordered, "keys"), runs.offsets(), grouped

    return parts.run("group_by_key", policy, (keys, values), group, lambda step: _few_groups(step, keys, values, False))


def merge_by_key(
    policy: Policy | None,
    keys: Any,
    values: Any,
    other_keys: Any,
    other_values: Any,
    *,
    key: Any = None,
    descending: bool = False,
) -> tuple[Any, Any]:
    """The pairs of two sequences that are sorted by their keys, in order; of equal keys those of the first one first.

    Parameters
    ----------
    policy : Policy
    keys, values : array
        One-dimensional, of one length; the keys sorted by `key` and `descending`.
    other_keys, other_values : array
        Likewise, of the dtypes of the first two.
    key, descending
        As for `sort`, of the keys.

    Returns
    -------
    (array, array)
        Keys and values, new.

    Raises
    ------
    PlacementError, KernelError

    Notes
    -----
    O(n) work; on several parts a sort.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.merge_by_key(pp.par, np.array([1, 4]), np.array([10, 40]), np.array([1, 3]), np.array([11, 30]))
    (array([1, 1, 3, 4]), array([10, 11, 30, 40]))
    """
    flags("merge_by_key", descending=descending)
    names = "keys", "other_keys", "values", "other_values"
    given = keys, other_keys, values, other_values
    return parts.run("merge_by_key", policy, given, lambda p: _merge(p, given, names, key, descending),
                     whole=merge_whole(key, descending))  # fmt: skip


def _merge(p: Parts, given: tuple[Any, ...], names: Sequence[str], key: Any, descending: bool) -> tuple[Any, Any]:
    n, m, *lengths = (p.length(x, name) for x, name in zip(given, names, strict=True))
    if lengths != [n, m]:
        raise ArgumentError(
            f"{p.algorithm}: there are {n} keys with {lengths[0]} values, and {m} other keys with {lengths[1]}: must "
            "be as many"
        )
    for k in (0, 2):
        if given[k].dtype != given[k + 1].dtype:
            raise ArgumentError(
                f"{p.algorithm}: {names[k]} has dtype {given[k].dtype}, {names[k + 1]} {given[k + 1].dtype}: must be "
                "the same"
            )
    if p.count > 1:
        named = list(zip(given, names, strict=True))
        tell_moved(p, named[:2], named[2:])
        keys, values = end_to_end(p, given[:2], names[:2]), end_to_end(p, given[2:], names[2:])
        return sort_by_key(p.how, keys, values, key=key, descending=descending)
    order = Order(p, given[0].dtype, key, descending, "keys")
    data = [p.replicated(x, name) for x, name in zip(given, names, strict=True)]
    p.cuts = (0, n + m)
    (part,) = p.own
    outs = p.new(n + m, data[0].dtype), p.new(n + m, data[2].dtype)
    a, b, x, y = (part.asarray(part_of[part]) for part_of in data)
    to_keys, to_values = outs[0][part], outs[1][part]

    def put(k: int, other: bool, i: int) -> None:
        to_keys[np.uint64(k)] = b[np.uint64(i)] if other else a[np.uint64(i)]
        to_values[np.uint64(k)] = y[np.uint64(i)] if other else x[np.uint64(i)]

    def either(k: int, other: bool, i: int, j: int) -> None:
        key, other_key, value, other_value = a[np.uint64(i)], b[np.uint64(j)], x[np.uint64(i)], y[np.uint64(j)]
        to_keys[np.uint64(k)] = other_key if other else key
        to_values[np.uint64(k)] = other_value if other else value

    if n + m:
        merge_to(part, n, m, before(order.keys(part, b), order.keys(part, a)), put, either, part.run)
    return p.give(outs[0]), p.give(outs[1])


def _tell_gathered(p: Parts, keys: Any, values: Any) -> None:
    """For the plan: keys and values are gathered in the order of the keys, and what comes of the values goes back."""
    if p.survey is None or p.count == 1:
        return
    n, wide = len(keys), _wide(values.dtype).itemsize
    for x in (keys, values):
        p.tells([[(0, n)]] * p.count, x.dtype.itemsize, x)
    if p.kind != "numpy":
        p.expects(n + 1, np.int64)
    elif p.executor.kind == "mpi":  # of each step every rank gets the result
        p.told(n * (16 + keys.dtype.itemsize + values.dtype.itemsize + wide) * (len(p.executor.firsts) - 2), most=True)
        tell_sorted(p, 8, 16 + wide)
    tell_scattered(p, n, wide + 8)


def _there(p: Parts, algorithm: Any, keys: Any, values: Any, results: Any, **more: Any) -> Any:
    """The call on devices (`Parts.there`); `results` gives the dtypes of its results from those of keys and values."""
    data, rows = p.vector(keys, "keys"), p.read(values, "values")
    found = [(len(data), dtype) for dtype in results(data.dtype, rows.dtype)]
    return p.there(algorithm, {"keys": keys, "values": values}, *found, **more)


def _wide(dtype: np.dtype) -> np.dtype:
    """As large as what an operator makes of values: sums of small integers have 64 bits."""
    return np.dtype(f"V{max(8, dtype.itemsize)}")


def _group(p: Parts, keys: Any, values: Any, consecutive: bool = False) -> tuple[Runs, Data, Any]:
    """(the runs of keys, the keys, the values as they go with them)."""
    data = _check_keys(p, keys)
    rows = p.read(values, "values")
    if consecutive:
        ordered, grouped = keys, values
    elif len(rows.shape) == 1:
        ordered, grouped = sort_by_key(p.how, keys, values)
    else:
        part, numbers = p.alone(), np.arange(len(data))
        ordered, index = sort_by_key(p.how, keys, part.asarray(numbers) if p.kind == "device" else numbers)
        grouped = _rows(p, part, rows, index)
    stored = p.stored(ordered, "keys")
    return Runs(p, stored), stored, grouped


def _check_keys(p: Parts, keys: Any) -> Data:
    data = p.vector(keys, "keys")
    if data.dtype.kind not in "biuf":
        raise PlacementError(
            f"{p.algorithm}: keys has dtype {data.dtype}: must be booleans, integers or floats"
            f"{arrays.columns(data.dtype)}"
        )
    return data


def _few_groups(step: Step, keys: Any, values: Any, consecutive: bool) -> Any:
    """(distinct keys, offsets, the values of each side by side), by remembered steps."""
    part = step.part
    if part is None or not elements(keys, values, most=MANY) or not few_sorted.ordered(keys):
        return MISS
    if not (values.dtype.isnative and values.flags.aligned and keys.flags.aligned):
        return MISS  # the long way says what is wrong, as this algorithm
    if not consecutive:
        found = few_sorted.sort_by_key(step, keys, values, None, False)
        keys, values = sort_by_key(part.how, keys, values) if found is MISS else found
    found = few_runs(step, keys)
    return MISS if found is None else (*found, values)


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
