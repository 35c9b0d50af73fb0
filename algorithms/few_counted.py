"""bincount and histogram in remembered steps: of few elements in one, bincount of many in one of blocks.

Of many elements each block has a table for all small numbers, if some elements, from everywhere, are all small: so no
pass is needed to find the largest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portapar import ops
from portapar.algorithms.reduce import reduce
from portapar.few import FEW, MANY, MISS, Step, elements
from portapar.kernel.front import atomic

APART = 32  #: counters between two tables at the least: blocks must not write to the same cache line
TABLES = 1 << 22  #: counters at most in all private tables together
_WEIGHED = 1 << 13  #: elements of a block at the least whose weights are added in order
_KINDS = frozenset(np.dtype(code) for code in "?bhilqBHILQd")  #: whose bins of equal width have edges of float64


def bincount(step: Step, x: Any, weights: Any, minlength: Any) -> Any:
    """Counts or weights of elements that are small numbers."""
    heavy = weights is not None
    n = elements(x, *([weights] * heavy), most=MANY, lazy=True)
    if not n or type(minlength) is not int or not 0 <= minlength <= FEW:
        return MISS
    if n > FEW:
        if heavy and not (type(x) is type(weights) is np.ndarray):
            return MISS
        return _weigh_many(step, n, x, weights, minlength) if heavy else _count_many(step, n, x, minlength)
    table, told = np.zeros(FEW, np.float64 if heavy else np.int64), np.empty(2, np.int64)
    if not step(_weigh_few if heavy else _count_few, x, *([weights] * heavy), table, told) or told[1]:
        return MISS
    return table[: max(minlength, told[0])].copy()


_SAMPLE = 64  #: elements that are looked at


def _count_many(step: Step, n: int, x: Any, minlength: int) -> Any:
    part = step.part
    if part is None or x.dtype.kind not in "biu" or not _small(step, x, -(-n // _SAMPLE)):
        return MISS
    blocks, size = part.blocks(n, least=1 << 14, each=1)
    tables, told = np.zeros((blocks, FEW + APART), np.int64), np.zeros(2, np.int64)
    if not step.run(blocks, _count_block, size, x, tables.reshape(-1), told, work=n) or told[1]:
        return MISS
    length = max(minlength, int(told[0]))
    return tables[0, :length].copy() if blocks == 1 else tables[:, :length].sum(axis=0)


def _small(step: Step, x: Any, every: int) -> bool:
    """Whether some of the elements are numbers below FEW."""
    if type(x) is np.ndarray:
        return 0 <= int(x[::every].max()) < FEW
    small = np.empty(1, np.int64)
    return step(_smallest, x, every, small) and bool(small[0])


def _smallest(_: int, x: Any, every: int, small: Any) -> None:
    small[0] = 1
    for i in range(0, len(x), every):
        if np.uint64(x[np.uint64(i)]) >= np.uint64(FEW):
            small[0] = 0


def _count_block(block: int, size: int, x: Any, tables: Any, told: Any) -> None:
    """Counts of the numbers below FEW; ``told`` gets the end of those that there are, and how many others there are."""
    mine, most = block * (FEW + APART), np.uint64(FEW)
    for i in range(block * size, min(len(x), (block + 1) * size)):
        b = min(np.uint64(x[np.uint64(i)]), most)  # negative numbers become large ones
        tables[np.uint64(mine) + b] += 1
    end = FEW
    while end > 0 and tables[np.uint64(mine + end - 1)] == 0:
        end -= 1
    atomic.max(told, 0, end)
    atomic.add(told, 1, tables[np.uint64(mine + FEW)])


def weighed(n: int, bins: int) -> int:
    """Elements of each block of which the weights are added in order."""
    return max(_WEIGHED, bins, -(-n // max(1, min(64, TABLES // max(bins, 1)))))


def weigher(place: Any) -> Any:
    """The kernel that adds weights up in a table for each block, those of elements outside as how many they are."""

    def count(
        block: int, first: int, size: int, x: Any, weights: Any, edges: Any, table: Any, bins: int, apart: int
    ) -> None:  # fmt: skip
        mine, outside, begin = block * apart, 0, first + block * size
        for i in range(max(begin, 0), min(len(x), begin + size)):
            b = np.uint64(place(x[np.uint64(i)], edges))
            if b < np.uint64(bins):
                table[np.uint64(mine) + b] += weights[np.uint64(i)]
            else:
                outside += 1
        table[np.uint64(mine + bins)] += outside

    return count


def _number(v: Any, edges: Any) -> Any:
    return v


def _weigh_many(step: Step, n: int, x: Any, weights: Any, bins: int) -> Any:
    """The weights of numbers that are not negative, nor large."""
    part = step.part
    if part is None or x.dtype.kind not in "iu" or weights.dtype.kind not in "biuf":
        return MISS
    edges, kind = np.zeros(1), np.dtype(np.float64)
    if bins:  # often enough: then no pass is needed to find the largest
        found = weigh(step, _number, x, weights, edges, bins, kind)
        if found is None or not found[bins]:
            return MISS if found is None else found[:bins]
    most = reduce(part.how, x.view(f"u{x.dtype.itemsize}"), op=ops.maximum).item()  # negative ones become large
    if most >= FEW:
        return MISS
    found = weigh(step, _number, x, weights, edges, max(bins, most + 1), kind)
    return MISS if found is None else found[: max(bins, most + 1)]


def weigh(step: Step, place: Any, x: Any, weights: Any, edges: Any, bins: int, kind: np.dtype) -> Any:
    """The sums of weights by the number that ``place(element, edges)`` gives; `bins` for others, which are counted.

    None if the step did not run.
    """
    if weights.dtype.kind not in "biuf":
        return None
    size = weighed(len(x), bins)
    tables = np.zeros((-(-len(x) // size), bins + APART), kind)
    rest = tables.reshape(-1), bins, bins + APART
    made = step.run(len(tables), weigher(place), 0, size, x, weights, edges, *rest, work=len(x))
    return np.add.reduce(tables[:, : bins + 1], axis=0) if made else None  # in order


def _count_few(_: int, x: Any, table: Any, told: Any) -> None:
    end = outside = 0
    for i in range(len(x)):
        b = np.uint64(x[np.uint64(i)])  # negative numbers become large ones
        if b < np.uint64(len(table)):
            table[b] += 1
            end = max(end, int(b) + 1)
        else:
            outside += 1
    told[0], told[1] = end, outside


def _weigh_few(_: int, x: Any, weights: Any, table: Any, told: Any) -> None:
    end = outside = 0
    for i in range(len(x)):
        b = np.uint64(x[np.uint64(i)])
        if b < np.uint64(len(table)):
            table[b] += weights[np.uint64(i)]
            end = max(end, int(b) + 1)
        else:
            outside += 1
    told[0], told[1] = end, outside


def histogram(step: Step, x: Any, bins: Any, limits: Any, weights: Any, key: Any) -> Any:
    """Counts and edges; for the arguments see `portapar.algorithms.histogram.histogram`."""
    if weights is not None or key is not None or not elements(x, lazy=True) or x.dtype not in _KINDS:
        return MISS
    right = np.empty(1, np.int64)
    if type(bins) is int:
        ends = _ends(limits)
        if ends is None or not 1 <= bins <= FEW:
            return MISS
        edges, counts = np.empty(bins + 1), np.zeros(bins, np.int64)
        made = step(_uniform, x, *ends, edges, counts, right)
    else:
        if not elements(bins, least=2):
            return MISS
        edges, counts = bins, np.zeros(len(bins) - 1, np.int64)
        made = step(_between, x, edges, counts, right)
    return (counts, edges) if made and right[0] else MISS


def edged(dtype: np.dtype) -> bool:
    """Whether bins of equal width for elements of a dtype have edges of float64."""
    return dtype in _KINDS


def edges_of(step: Step, x: Any, bins: Any, limits: Any) -> Any:
    """The edges of bins of equal width for many elements of a known range; None if that is for others to do."""
    ends = None if limits is None else _ends(limits)
    if type(bins) is not int or not 1 <= bins <= FEW or ends is None or x.dtype not in _KINDS:
        return None
    edges, right = np.empty(bins + 1), np.empty(1, np.int64)
    return edges if step(_edges, *ends, edges, right) and right[0] else None


def _ends(limits: Any) -> tuple[float, float] | None:
    """The limits as floats, NaN where there are none; None if they are not plain numbers in order."""
    if limits is None:
        return math.nan, math.nan
    plain = type(limits) is tuple and len(limits) == 2 and {type(end) for end in limits} <= {int, float}
    if not plain or not all(abs(end) < 2**53 for end in limits) or not limits[0] <= limits[1]:
        return None
    return float(limits[0]), float(limits[1])


def _uniform(_: int, x: Any, low: float, high: float, edges: Any, counts: Any, right: Any) -> None:
    """Bins of equal width between `low` and `high`, or the extrema, with the edges that NumPy makes."""
    bins, fine = len(counts), 1
    if low != low:
        low = high = np.float64(x[np.uint64(0)])
        for i in range(len(x)):
            u = np.float64(x[np.uint64(i)])
            low, high = min(low, u), max(high, u)
            fine &= 1 if u - u == 0 else 0
    _edges(0, low, high, edges, right)
    right[0] &= fine
    if right[0] == 1:
        low, high = edges[np.uint64(0)], edges[np.uint64(bins)]
        scale = bins / (high - low)
        for i in range(len(x)):
            u = x[np.uint64(i)]
            if low <= u and u <= high:
                b = min(int((u - low) * scale), bins - 1)
                if u < edges[np.uint64(b)]:
                    b -= 1
                elif b < bins - 1 and u >= edges[np.uint64(b + 1)]:
                    b += 1
                counts[np.uint64(b)] += 1


def _edges(_: int, low: float, high: float, edges: Any, right: Any) -> None:
    """The edges of bins of equal width, and whether they are such that an element's bin can be computed."""
    bins, fine = len(edges) - 1, 1
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / bins
    scale = bins / (high - low)
    for k in range(bins):
        edges[np.uint64(k)] = k * width + low
    edges[np.uint64(bins)] = high
    for k in range(bins):
        fine &= 1 if edges[np.uint64(k)] < edges[np.uint64(k + 1)] else 0
    right[0] = fine if 0 < scale < 1e300 else 0


def _between(_: int, x: Any, edges: Any, counts: Any, right: Any) -> None:
    """Bins between edges that must not decrease."""
    bins, fine = len(counts), 1
    for k in range(bins):
        fine &= 1 if edges[np.uint64(k)] <= edges[np.uint64(k + 1)] else 0
    right[0] = fine
    if fine == 1:
        for i in range(len(x)):
            u = x[np.uint64(i)]
            if edges[np.uint64(0)] <= u and u <= edges[np.uint64(bins)]:
                b, n = 0, bins - 1  # the last of the first edges that is not above
                while n > 0:
                    half = (n + 1) // 2
                    above = u < edges[np.uint64(b + half)]
                    b += 0 if above else half
                    n = half - 1 if above else n - half
                counts[np.uint64(b)] += 1
