"""histogram and bincount: how many elements (or what weight) fall into each bin.

Blocks of elements count into tables of their own, which are then added bin by bin; where there would be more
tables than elements to count, blocks share them by atomic updates. Integer counts are exact in any order. Weights
that are floats are added in blocks of a size that depends on nothing but how many elements and bins there are, each
with a table of its own, and the tables in order: the same bits on every executor, however it is cut. Shun, Blelloch,
Fineman, Gibbons, "Reducing contention through priority updates", 2013, and PBBS discuss the choice.

Bins have NumPy's meaning to the last bit: the edges decide (`portapar.algorithms.bins`). What lies outside is counted
too, in one more bin that is then dropped: so counting whole numbers needs no branch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portapar import arrays, ops, parts
from portapar.algorithms import few_counted
from portapar.algorithms.bins import estimated, itself, reached, searched, side_by_side
from portapar.algorithms.few_counted import APART, TABLES, weighed, weigher
from portapar.algorithms.for_each import for_each
from portapar.algorithms.order import check_number, key_function
from portapar.algorithms.reduce import transform_reduce
from portapar.errors import DeviceMemoryError, KernelError, PlacementError
from portapar.few import FEW, MANY, MISS, Step, elements
from portapar.kernel.front import atomic
from portapar.kernel.front.lift import loops
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy

_MANY, _SHARED = 1024, 128  #: of so many blocks several count in each of so many tables, by atomic updates
_FEW = 28  #: bins of which the elements are compared with all edges


def histogram(
    policy: Policy | None,
    x: Any,
    bins: Any = 10,
    range: tuple[float, float] | None = None,
    weights: Any = None,
    key: Any = None,
) -> Any:
    """How many elements lie between neighbouring edges.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, real numbers, or anything with `key`.
    bins : int or array_like
        How many bins of equal width, or their edges, which must not decrease. Every bin holds its left edge and
        not its right one, but for the last, which holds both. Elements outside are not counted, nor is NaN.
    range : (float, float), optional
        Outer edges of bins of equal width; by default the smallest and the largest element, which must be finite.
    weights : array, optional
        As long as `x`: what each element counts.
    key : callable or str, optional
        A kernel of one element: its value is counted in the element's place. A str names a field of records.

    Returns
    -------
    (counts, edges)
        Counts are int64, or of the dtype of `weights` (float64 for integers) with the same bits on every executor, and
        of the kind of `x`; edges are a NumPy array. On ranks and hybrids counts are a NumPy array, the same everywhere.

    Raises
    ------
    PlacementError
        For bad bins or range, or weights of another length.

    Notes
    -----
    O(n) work, O(n log bins) for edges of any distance. Of few bins the cost grows with their number.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> counts, edges = pp.histogram(pp.par, np.array([1, 2, 1, 4]), bins=3)
    >>> counts, edges
    (array([2, 1, 1]), array([1., 2., 3., 4.]))
    """
    return parts.run(
        "histogram", policy, (x, weights), lambda p: _histogram(p, x, bins, range, weights, key),
        lambda step: _remembered(step, x, bins, range, weights, key),
    )  # fmt: skip


def bincount(policy: Policy | None, x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How many elements have the value 0, 1, 2, …

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, integers from 0.
    weights : array, optional
        As long as `x`: what each element counts.
    minlength : int
        Bins at the least; there are as many as the largest element needs.

    Returns
    -------
    array
        int64, or float64 with `weights`, of the same bits on every executor. On ranks and hybrids a NumPy array, the
        same everywhere.

    Raises
    ------
    PlacementError
        For negative elements, for elements that are no integers, or weights of another length.
    DeviceMemoryError
        For more bins than memory holds.

    Notes
    -----
    O(n) work, and memory for some copies of the bins.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.bincount(pp.par, np.array([0, 1, 1, 3]))
    array([1, 2, 0, 1])
    """
    return parts.run(
        "bincount", policy, (x, weights), lambda p: _bincount(p, x, weights, minlength),
        lambda step: few_counted.bincount(step, x, weights, minlength),
    )  # fmt: skip


def _bincount(p: Parts, x: Any, weights: Any, minlength: int) -> Any:
    data = p.once(x, "x")
    if data.dtype.kind not in "iub":
        raise PlacementError(f"bincount: x has dtype {data.dtype}: must hold integers. For other numbers use histogram")
    bins, outside = arrays.whole_number("bincount: minlength", minlength), True
    _check_memory(p, bins, f"minlength is {bins}")
    _heavy(p, weights)
    found = p.few()
    if found is not MISS:
        return found
    if bins:  # often enough: then no pass is needed to find the largest
        counts, outside = _counts(p, data, weights, bins, _whole(bins, data.dtype) if weights is None else _number)
    if outside:
        unsigned = np.dtype(f"u{data.dtype.itemsize}").type

        def size(v: Any) -> Any:
            return unsigned(v)  # negative numbers become large ones

        most = max(p.each("largest", lambda part: _end(part, data[part], size, ops.maximum, -1)))
        if data.dtype.kind == "i" and most > np.iinfo(data.dtype).max:
            least = min(p.each("least", lambda part: _end(part, data[part], None, ops.minimum, 0)))
            raise PlacementError(
                f"bincount: x holds {least}: must hold no negative numbers. Subtract the least one first"
            )
        bins = max(bins, int(most) + 1)
        _check_memory(p, bins, f"x holds {most}. Count distinct values by reduce_by_key, or ranges by histogram")
        counts, _ = _counts(p, data, weights, bins, _number)
    return _give(p, counts)


def _check_memory(p: Parts, bins: int, why: str) -> None:
    """Refuse more bins than a machine's memory holds."""

    def look(_: LocalPart) -> None:
        import psutil

        have = psutil.virtual_memory().total
        if 8 * bins > have:
            raise DeviceMemoryError(f"{p.algorithm}: {bins} bins need {8 * bins} bytes, and there are {have}: {why}")

    if bins >> 27:  # a gigabyte
        p.each("memory", look)


def _whole(bins: int, dtype: np.dtype) -> Any:
    """A kernel: a whole number itself, `bins` for those that are not from 0 to bins - 1."""
    if dtype.kind == "u" and np.iinfo(dtype).max < bins:
        return _number
    outside = np.uint64(bins)

    def place(v: Any, edges: Any) -> Any:
        return min(np.uint64(v), outside)  # negative numbers become large ones

    return place


def _number(v: Any, edges: Any) -> Any:
    return v


def _end(part: LocalPart, x: Any, value: Any, op: Any, none: Any) -> Any:
    """The smallest or the largest of a part's values; `none` if it is empty."""
    if len(x) == 0:
        return none
    given = {} if value in (None, itself) else {"transform": value}
    return transform_reduce(part.how, x, op=op, **given).item()


def _give(p: Parts, counts: np.ndarray) -> Any:
    """Counts as the kind of array that went in."""
    return p.executor.asarray(counts) if p.kind == "device" else counts


def _histogram(p: Parts, x: Any, bins: Any, limits: Any, weights: Any, key: Any) -> Any:
    try:
        return _binned(p, x, bins, limits, weights, key)
    except KernelError:
        check_number(p, x, key)
        raise


def _binned(p: Parts, x: Any, bins: Any, limits: Any, weights: Any, key: Any) -> Any:
    if isinstance(bins, np.ndarray) and bins.ndim == 0:
        bins = bins[()]
    data = p.once(x, "x")
    value = itself if key is None else key_function(p, data.dtype, key, "x")
    if key is None and data.dtype.kind not in "biuf":
        raise PlacementError(f"histogram: x has dtype {data.dtype}: must hold real numbers. Or pass key=")
    if key is not None and limits is None:  # before it is asked for the least and the largest
        check_number(p, x, key)
    dtype = data.dtype
    if loops(value):  # called once for each, and Ctrl-C is heard between any two
        given, value = value, itself
        data = Data(x, data.shape, dtype, lambda part, of=data: part.map(of[part], given))  # type: ignore[misc]
    if isinstance(bins, (int, np.integer)) and not isinstance(bins, bool):
        kind = data.dtype if key is None and data.dtype.kind == "f" else np.dtype(np.float64)
        edges = _uniform(p, data, value, int(bins), limits, kind)
        find = estimated
    else:
        edges = np.asarray(bins)
        ordered = edges.ndim == 1 and len(edges) > 1 and edges.dtype.kind in "iuf" and (edges[1:] >= edges[:-1]).all()
        if not ordered:
            raise PlacementError(
                f"histogram: bins is {bins!r}: must be a whole number from 1, or edges, at least two numbers that do "
                "not decrease"
            )
        find = searched
    few = p.few()
    if few is not MISS:
        return few
    if weights is None and len(edges) - 1 <= _FEW:
        found = np.sum(p.each("count", lambda part: reached(part, data[part], value, edges, part.run)), axis=0)
        return _give(p, found[:-1] - found[1:]), edges
    aside = find is searched and value is itself and data.dtype.kind in "iuf"
    side = side_by_side(edges, data.dtype.type) if aside else None
    counts, _ = _counts(p, data, weights, len(edges) - 1, *find(value, edges), side)
    return _give(p, counts), edges


def _uniform(p: Parts, data: Data, value: Any, bins: int, limits: Any, kind: np.dtype) -> np.ndarray:
    """The edges of bins of equal width, for numbers of that kind."""
    if bins < 1:
        raise PlacementError(f"histogram: bins is {bins}: must be a whole number from 1")
    found = limits is None
    if found:

        def extent(part: LocalPart) -> list[Any]:
            return [_end(part, data[part], value, op, None) for op in (ops.minimum, ops.maximum)]

        ends = [pair for pair in p.each("extent", extent) if None not in pair]
        limits = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0, 1)
        if any(math.isnan(end) for pair in ends for end in pair):
            limits = (math.nan, math.nan)
        told = "x has elements that are not finite, so that its range is"
    else:
        told = "range is"
    try:
        low, high = limits
        finite = math.isfinite(low) and math.isfinite(high)
    except (TypeError, ValueError):
        raise PlacementError(f"histogram: range is {limits!r}: must be two numbers, or None") from None
    if not finite or low > high:
        raise PlacementError(f"histogram: {told} ({low}, {high}): must be two finite numbers, the lower one first")
    seen = np.array([low, high], kind)  # NumPy's edges depend on whether the range is given, and on the dtype
    _check_memory(p, bins, f"bins is {bins}")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.histogram_bin_edges(seen, bins, None if found else (low, high))
    except ValueError:
        raise PlacementError(
            f"histogram: the range ({low}, {high}) of {kind} has no {bins} bins of equal width. Pass fewer, or edges"
        ) from None


def _remembered(step: Step, x: Any, bins: Any, limits: Any, weights: Any, key: Any) -> Any:
    """The histogram by remembered steps."""
    n = elements(x, *([] if weights is None else [weights]), most=MANY, lazy=True)
    if n <= FEW and weights is None:
        return few_counted.histogram(step, x, bins, limits, weights, key)
    many = n and type(x) is np.ndarray and (weights is None or type(weights) is np.ndarray)
    part = step.part if many and key is None and x.dtype.kind in "iuf" else None
    if part is None:
        return MISS
    uniform = type(bins) is int
    if uniform:
        if limits is None and few_counted.edged(x.dtype):
            limits = tuple(_end(part, x, itself, op, None) for op in (ops.minimum, ops.maximum))
        edges = few_counted.edges_of(step, x, bins, limits)
    else:
        edges = bins if elements(bins, least=2, most=MANY) and bins.dtype.kind in "iuf" else None
        edges = edges if edges is not None and (edges[1:] >= edges[:-1]).all() else None
    if edges is None:
        return MISS  # the long way finds them, or says what is wrong
    count = len(edges) - 1
    if weights is None and count <= _FEW:
        found = reached(part, x, itself, edges, step.run)
        return MISS if found is None else (found[:-1] - found[1:], edges)
    place, among = (estimated if uniform else searched)(itself, edges)
    if weights is not None:
        found = few_counted.weigh(step, place, x, weights, among, count, _kind(weights.dtype))
        return MISS if found is None else (found[:count], edges)
    side = None if uniform else side_by_side(edges, x.dtype.type)
    table = _table(part, x, among, count, place, step.run, side)
    return MISS if table is None else (table[:count].astype(np.int64), edges)


def _kind(weights: np.dtype) -> np.dtype:
    """The dtype of sums of weights."""
    return weights if weights.kind == "f" else np.dtype(np.float64)


def _counts(
    p: Parts, data: Data, weights: Any, bins: int, place: Any, edges: Any = None, side: Any = None
) -> tuple[np.ndarray, bool]:
    """Elements, or their weights, by the number that ``place(element, edges)`` gives them; `bins` counts for none.

    And whether there are such. `side` does the same as ``_count(place)``, for several elements at a time.
    """
    heavy = _heavy(p, weights)
    kind: np.dtype = np.dtype(np.int64)
    if heavy is not None:
        kind = _kind(heavy.dtype) if p.algorithm == "histogram" else np.dtype(np.float64)
    edges = np.zeros(1) if edges is None else edges
    if heavy is not None:
        found = _weights(p, data, heavy, edges, bins, kind, place)
    else:

        def count(part: LocalPart) -> np.ndarray:
            count = _count(place) if side is None or part.wide else side
            return arrays.asnumpy(_table(part, data[part], part.asarray(edges), bins, place, part.run, count))

        found = sum(p.each("count", count), np.zeros(bins + 1, kind))
    return found[:bins], found[bins] > 0


def _heavy(p: Parts, weights: Any) -> Data | None:
    heavy = None if weights is None else p.once(weights, "weights")
    if heavy is not None and heavy.dtype.kind not in "biuf":
        raise PlacementError(f"{p.algorithm}: weights has dtype {heavy.dtype}: must hold real numbers")
    return heavy


def _table(part: LocalPart, x: Any, edges: Any, bins: int, place: Any, run: Any, count: Any = None) -> Any:
    """The counts of one part; the last one is how many elements are outside. For `run` see `reached`.

    `count` counts where blocks have tables of their own, by default ``_count(place)``.
    """
    n = len(x)
    if n == 0:
        return part.zeros(bins + 1, np.int64)
    blocks, size = part.blocks(n, least=1 << 14, each=1)
    tables = min(blocks, max(1, TABLES // max(bins, 1)))
    if blocks > _MANY:  # each bin's tables are added by one iteration
        tables = min(tables, _SHARED)
    counter = np.dtype(np.int32 if size * -(-blocks // tables) < 1 << 31 else np.int64)
    apart = bins + APART
    table = part.zeros(tables * apart, counter)
    if tables == blocks:
        made = run(blocks, count or _count(place), size, x, edges, table, apart, work=n)
    else:
        made = run(blocks, _share(place), size, x, edges, table, bins, apart, tables, work=n)
    if not made:
        return None
    return _sum(part, table, tables, bins, np.dtype(np.int64))


def _sum(part: LocalPart, table: Any, tables: int, bins: int, kind: np.dtype) -> Any:
    """The tables of a part, added in order."""
    if tables == 1:
        return table[: bins + 1]
    out = part.empty(bins + 1, kind)
    for_each(part.how, bins + 1, _add, table, tables, bins + APART, out)
    return out


def _weights(p: Parts, data: Data, heavy: Data, edges: np.ndarray, bins: int, kind: np.dtype, place: Any) -> np.ndarray:
    """The weights of all elements by bins, and how many elements are outside.

    Blocks of the whole, of a size that depends on nothing but how many elements and bins there are, have a table each,
    and these are added in order. A block that a cut divides is finished by the part that holds its end, which gets the
    table of what came before.
    """
    n, apart = len(data), bins + APART
    size = weighed(n, bins)

    def weigh(part: LocalPart, first: int, table: Any, blocks: int) -> None:
        """Add the elements from `first` on to the tables of as many blocks."""
        x, weights = data[part], heavy[part]
        part.run(blocks, weigher(place), first, size, x, weights, part.asarray(edges), table, bins, apart)

    def begun(part: LocalPart) -> Any:
        """The tables of the blocks that begin in a part."""
        first = -part.lo % size
        blocks = max(0, -(-(len(part) - first) // size))
        table = part.zeros(blocks * apart, kind)
        if blocks:
            weigh(part, first, table, blocks)
        return table

    if p.count == 1:

        def alone(part: LocalPart) -> np.ndarray:
            if n == 0:
                return np.zeros(bins + 1, kind)
            return arrays.asnumpy(_sum(part, begun(part), -(-n // size), bins, kind))

        return p.each("weigh", alone)[0]
    tables = p.do("weigh", lambda part: arrays.asnumpy(begun(part)).reshape(-1, apart)[:, : bins + 1])
    total, unfinished = np.zeros(bins + 1, kind), None
    for turn in range(p.count):

        def carry(part: LocalPart, turn: int = turn, total: Any = total, unfinished: Any = unfinished) -> Any:
            """What all parts up to this one come to: the sum of the whole blocks, and the table of one that goes on."""
            if part.number != turn:
                return None
            mine = list(tables[turn])
            if unfinished is not None and len(part):
                table = np.zeros(apart, kind)
                table[: bins + 1] = unfinished
                there = part.asarray(table)
                weigh(part, min(-part.lo % size, len(part)) - size, there, 1)
                mine.insert(0, arrays.asnumpy(there)[: bins + 1])
            elif unfinished is not None:
                mine = [unfinished]
            goes_on = mine.pop() if mine and part.hi % size and part.hi < n else None
            for table in mine:
                total = total + table
            return total, goes_on

        total, unfinished = p.each("carry", carry)[turn]
    return total


def _count(place: Any) -> Any:
    def count(block: int, size: int, x: Any, edges: Any, table: Any, apart: int) -> None:
        mine = block * apart
        for i in range(block * size, min(len(x), (block + 1) * size)):
            table[np.uint64(mine + int(place(x[np.uint64(i)], edges)))] += 1

    return count


def _share(place: Any) -> Any:
    def count(block: int, size: int, x: Any, edges: Any, table: Any, bins: int, apart: int, tables: int) -> None:
        mine, outside = block % tables * apart, 0
        for i in range(block * size, min(len(x), (block + 1) * size)):
            b = int(place(x[np.uint64(i)], edges))
            if b < bins:
                atomic.add(table, mine + b, 1)
            else:
                outside += 1
        atomic.add(table, mine + bins, outside)

    return count


def _add(bin: int, table: Any, tables: int, apart: int, out: Any) -> None:
    """A bin of all tables, in order."""
    total = table[bin]
    for k in range(1, tables):
        total += table[np.uint64(k * apart + bin)]
    out[bin] = total
