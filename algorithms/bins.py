"""Which bin of a histogram a number is in.

Of few bins every edge counts the elements that are not below it, a loop that vectorizes, and the bins are the
differences. Else a multiplication estimates the place among bins of equal width, and the edges put it right; among
other edges it is found by a binary search, which 32 elements go through side by side on CPUs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portapar import arrays
from portapar.part import LocalPart

_EDGES = 7  #: edges that elements are compared with at a time
_LANES = 32  #: elements that go through a search side by side
_TILE = 2048  #: elements that stay in the first cache while they are compared


def reached(part: LocalPart, x: Any, value: Any, edges: np.ndarray, run: Any) -> Any:
    """How many elements each edge but the last is not above, and how many are above the last; there are few edges.

    `run` is that of the part or of a step; None if it did not run.
    """
    bins, passes = len(edges) - 1, -(-(len(edges) - 1) // _EDGES)
    padded = np.full(passes * _EDGES + 1, edges[-1])
    padded[:bins] = edges[:-1]
    blocks, size = part.blocks(max(len(x), 1), least=1 << 14)
    table = part.zeros(blocks * passes * (_EDGES + 1), np.int64)
    if not run(blocks, _compare(value), size, x, part.asarray(padded), table, passes, work=len(x)):
        return None
    table = arrays.asnumpy(table).reshape(blocks, passes, _EDGES + 1).sum(axis=0)
    return np.append(table[:, :_EDGES].reshape(-1)[:bins], table[0, _EDGES])


def itself(v: Any) -> Any:
    return v


def _compare(value: Any) -> Any:
    def count(block: int, size: int, x: Any, edges: Any, table: Any, passes: int) -> None:
        behind, last = min(len(x), (block + 1) * size), edges[np.uint64(len(edges) - 1)]
        for tile in range(block * size, behind, _TILE):
            end = min(tile + _TILE, behind)
            for k in range(passes):
                at, to = _EDGES * k, (_EDGES + 1) * (block * passes + k)
                e0, e1, e2 = edges[np.uint64(at)], edges[np.uint64(at + 1)], edges[np.uint64(at + 2)]
                e3, e4, e5 = edges[np.uint64(at + 3)], edges[np.uint64(at + 4)], edges[np.uint64(at + 5)]
                e6 = edges[np.uint64(at + 6)]
                n0 = n1 = n2 = n3 = n4 = n5 = n6 = above = 0
                for i in range(tile, end):
                    u = value(x[np.uint64(i)])
                    n0 += u >= e0
                    n1 += u >= e1
                    n2 += u >= e2
                    n3 += u >= e3
                    n4 += u >= e4
                    n5 += u >= e5
                    n6 += u >= e6
                    above += u > last
                table[np.uint64(to)] += n0
                table[np.uint64(to + 1)] += n1
                table[np.uint64(to + 2)] += n2
                table[np.uint64(to + 3)] += n3
                table[np.uint64(to + 4)] += n4
                table[np.uint64(to + 5)] += n5
                table[np.uint64(to + 6)] += n6
                table[np.uint64(to + 7)] += above

    return count


def estimated(value: Any, edges: np.ndarray) -> tuple[Any, np.ndarray]:
    """A kernel: the number of the bin of equal width that an element is in, `bins` for outside; and its edges."""
    bins, first, last = len(edges) - 1, edges[0], edges[-1]
    with np.errstate(over="ignore", divide="ignore"):
        scale = bins / np.float64(last - first)
    if not 0 < scale < math.inf:
        return searched(value, edges)

    def place(v: Any, edges: Any) -> Any:
        u = value(v)
        if not (first <= u and u <= last):
            return bins
        b = min(int((u - first) * scale), bins - 1)
        if u < edges[np.uint64(b)]:
            return b - 1
        if b < bins - 1 and u >= edges[np.uint64(b + 1)]:
            return b + 1
        return b

    return place, edges


def searched(value: Any, edges: np.ndarray) -> tuple[Any, np.ndarray]:
    """A kernel: the number of the bin that an element is in, found by a binary search; `bins` for outside.

    And the edges that it searches for the last one that is not above: all but the last, which fills them up to a
    power of two. So every step has one more bit of the place, without a branch.
    """
    bins, first, last = len(edges) - 1, edges[0], edges[-1]
    bits = (bins - 1).bit_length()
    padded = np.full(1 << bits, last)
    padded[:bins] = edges[:-1]

    def place(v: Any, edges: Any) -> Any:
        u = value(v)
        if not (first <= u and u <= last):
            return bins
        b = 0
        for below in range(bits - 1, -1, -1):
            b = 2 * b + (edges[np.uint64((2 * b + 1) << below)] <= u)
        return min(b, bins - 1)

    return place, padded


def side_by_side(edges: np.ndarray, kind: Any) -> Any:
    """As `_count` of `searched`, of elements of that kind; `edges` are those of the bins."""
    bins, first, last = len(edges) - 1, edges[0], edges[-1]
    bits, place = (bins - 1).bit_length(), searched(itself, edges)[0]

    def count(block: int, size: int, x: Any, edges: Any, table: Any, apart: int) -> None:
        mine, i, stop = block * apart, block * size, min(len(x), (block + 1) * size)
        u, b = np.zeros(_LANES, kind), np.zeros(_LANES, np.int64)
        while i + _LANES <= stop:
            for k in range(_LANES):
                u[k] = x[np.uint64(i + k)]
                b[k] = 0
            for below in range(bits - 1, -1, -1):
                for k in range(_LANES):
                    b[k] = 2 * b[k] + (1 if edges[np.uint64((2 * b[k] + 1) << below)] <= u[k] else 0)
            for k in range(_LANES):
                inside = first <= u[k] and u[k] <= last
                table[np.uint64(mine + (min(b[k], bins - 1) if inside else bins))] += 1
            i += _LANES
        for rest in range(i, stop):
            table[np.uint64(mine + int(place(x[np.uint64(rest)], edges)))] += 1

    return count
