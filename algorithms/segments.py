"""Segments of a sequence: their offsets looked at, and work on their elements cut into blocks; for algorithms on them.

Segments are given as in the CSR format: segment s has the elements ``offsets[s]`` to ``offsets[s + 1]``. Work is cut
along the path that merges the segments with the elements (Merrill, Garland, "Merge-based parallel sparse
matrix-vector multiplication", 2016): each block of work has as many segments and elements together, however
skewed the segments' lengths are, and finds its first segment by a binary search in the offsets.

A segment is cut into pieces of `PIECE` elements, counted from its own start. A piece belongs to the block of work
that it begins in. So what is done with a segment depends on nothing but its length: sums have the same bits on every
device, on any number of threads and parts, wherever the segment lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from portapar import arrays
from portapar.errors import PlacementError
from portapar.few import Step
from portapar.lazy import Lazy, unaligned
from portapar.part import LocalPart
from portapar.parts import Data, Parts

PIECE: Final = 4096  #: elements that are folded in one go


@dataclass(frozen=True)
class Segments:
    """The segments of a call, found right.

    Attributes
    ----------
    offsets : Data
    count : int
        How many there are.
    begin, end : int
        Where the first begins and the last ends.
    shortest, longest : int
        Elements of a segment; 0 if there is none.
    """

    offsets: Data
    count: int
    begin: int
    end: int
    shortest: int
    longest: int

    def blocks(self, part: LocalPart, by: Sequence[Any] = ()) -> tuple[int, int]:
        """How work on all of it by functions is cut: (how many blocks, segments and elements together in each)."""
        return part.blocks(self.end - self.begin + self.count, least=512, each=32, by=by)


def find(p: Parts, offsets: Any, n: int) -> Segments:
    """The segments of `n` elements.

    Raises
    ------
    PlacementError
        Offsets are no integers, decrease, or are out of range.
    """
    if unaligned(offsets):
        kind = offsets.dtype
        raise PlacementError(f"{p.algorithm}: offsets is not aligned to its dtype {kind}: copy it, offsets.copy()")
    if isinstance(offsets, Lazy):
        raise PlacementError(f"{p.algorithm}: offsets is {offsets!r}, a lazy input. Pass pp.copy(policy, offsets)")
    p.length(offsets, "offsets")
    data = p.replicated(offsets, "offsets")
    count = len(data) - 1
    if data.dtype.kind not in "iu":
        raise PlacementError(
            f"{p.algorithm}: offsets has dtype {data.dtype}: must be integers. Pass offsets.astype(np.int64)"
        )
    if count < 0:
        raise PlacementError(f"{p.algorithm}: offsets is empty: must have one element more than there are segments")
    told = p.each("offsets", lambda part: _extent(part, data[part], count, part.run))[0]
    assert told is not None
    begin, end, shortest, longest = told
    if shortest < 0:
        host = arrays.asnumpy(data.value)
        s = int(np.flatnonzero(host[1:] < host[:-1])[0])
        raise PlacementError(
            f"{p.algorithm}: offsets decrease: offsets[{s}] is {host[s]} and offsets[{s + 1}] is {host[s + 1]}. "
            "Each must be at least the one before"
        )
    if begin < 0 or end > n:
        raise PlacementError(
            f"{p.algorithm}: offsets go from {begin} to {end}: must lie between 0 and the number of elements, {n}"
        )
    return Segments(data, count, begin, end, shortest, longest)


def found(step: Step, offsets: Any, n: int) -> Segments | None:
    """The segments of `n` elements by plain offsets, found in a remembered step; None where others must look."""
    part, count = step.part, len(offsets) - 1
    told = None if part is None else _extent(part, offsets, count, step.run)
    if told is None or told[2] < 0 or told[0] < 0 or told[1] > n:
        return None
    return Segments(Data.here(offsets), count, *told)


def fit(offsets: Any, n: int, empties: int) -> int:
    """Whether few offsets are right for `n` elements, 1 or 0; for kernels. Without `empties` all must have elements."""
    wrong = 1 if offsets[0] < 0 or offsets[len(offsets) - 1] > n else 0
    for s in range(len(offsets) - 1):
        a, b = offsets[np.uint64(s)], offsets[np.uint64(s + 1)]
        wrong |= 1 if b < a or (empties == 0 and b == a) else 0
    return 1 - wrong


def _extent(part: LocalPart, offsets: Any, count: int, run: Any) -> tuple[int, int, int, int] | None:
    """(first, last offset, least, largest difference; the least is -1 if any is negative).

    `run` is that of the part, or of a step; None if it did not run.
    """
    blocks, size = part.blocks(max(count, 1))
    found = part.empty(4 * blocks, np.int64)
    if not run(blocks, _differ, size, count, offsets, found, work=count):
        return None
    rows = arrays.asnumpy(found).reshape(blocks, 4)
    begin, end, shortest, longest = rows[0].tolist()
    if blocks > 1:
        shortest, longest = int(rows[:, 2].min()), int(rows[:, 3].max())
    return begin, end, shortest, longest


def _differ(block: int, size: int, count: int, offsets: Any, found: Any) -> None:
    lo = block * size
    hi = min(count, lo + size)
    least = most = np.int64(0)
    wrong = np.int64(0)
    if lo < hi:
        least = most = np.int64(offsets[np.uint64(lo + 1)]) - np.int64(offsets[np.uint64(lo)])
    for i in range(lo, hi):
        a, b = np.int64(offsets[np.uint64(i)]), np.int64(offsets[np.uint64(i + 1)])
        length = b - a
        least = length if length < least else least
        most = length if length > most else most
        wrong |= np.int64(b < a)  # which the difference does not show if it overflows
    found[4 * block] = offsets[0]
    found[4 * block + 1] = offsets[count]
    found[4 * block + 2] = -1 if wrong > 0 else least
    found[4 * block + 3] = most


def first(place: int, begin: int, count: int, offsets: Any) -> int:
    """The first segment at that place of the path or behind it; for kernels.

    On the path the head of segment s has the place ``offsets[s] - begin + s``, and its elements follow: element i
    has the place ``i - begin + s + 1``.
    """
    s, n = 0, count
    while n > 0:
        half = n // 2
        if np.int64(offsets[np.uint64(s + half)]) - begin + s + half < place:
            s += half + 1
            n -= half + 1
        else:
            n = half
    return s


# pieces -------------------------------------------------------------------------------------------


def walk(visit: Any) -> Any:
    """A kernel of a block of work: calls `visit` for every piece that begins in it.

    ``visit(s, lo, hi, q, end, begin, heads, sums, out)``: segment s has the elements from `lo` to `hi`, the piece those
    from `q` to `end`; an empty segment has one piece, which is empty.
    """

    def pieces(s: int, lo: int, hi: int, q: int, stop: int, begin: int, heads: Any, sums: Any, out: Any) -> None:
        while q < hi and (q == lo or q - begin + s + 1 < stop):  # the first one is where the segment's head is
            visit(s, lo, hi, q, min(q + PIECE, hi), begin, heads, sums, out)
            q += PIECE

    def step(block: int, size: int, begin: int, count: int, offsets: Any, heads: Any, sums: Any, out: Any) -> None:
        here, there = block * size, block * size + size
        s, last = first(here, begin, count, offsets), first(there, begin, count, offsets)
        hi = int(offsets[np.uint64(s)])
        if s > 0:  # the segment before, from its first piece that begins here
            lo = int(offsets[np.uint64(s - 1)])
            q = lo + max(1, (begin + here - s - lo + PIECE - 1) // PIECE) * PIECE
            pieces(s - 1, lo, hi, q, there, begin, heads, sums, out)
        while s < last:
            lo = hi
            hi = int(offsets[np.uint64(s + 1)])
            if hi - lo <= PIECE:
                visit(s, lo, hi, lo, hi, begin, heads, sums, out)
            else:
                pieces(s, lo, hi, lo, there, begin, heads, sums, out)
            s += 1

    return step


def place(q: int, lo: int, begin: int) -> int:
    """Where among the sums a piece of a long segment has its own: it begins at `q`, the segment at `lo`.

    First pieces have the odd places and others the even ones: no two of a kind begin in one window of `PIECE` elements.
    """
    return (q - begin) // PIECE * 2 + (1 if q == lo else 0)


def keep_head(s: int, q: int, lo: int, begin: int, heads: Any) -> None:
    """Note a segment of several pieces where its first one begins: no two do in one window of `PIECE` elements."""
    if q == lo:
        heads[np.uint64((lo - begin) // PIECE)] = s


def head(window: int, begin: int, count: int, offsets: Any, heads: Any) -> int:
    """The segment of several pieces that begins in that window; or -1.

    Where none does, nothing was noted, and memory holds anything: it counts only if it is true.
    """
    s = heads[np.uint64(window)]
    if s < 0 or s >= count:
        return -1
    lo, hi = np.int64(offsets[np.uint64(s)]), np.int64(offsets[np.uint64(s + 1)])
    return s if lo >= begin and (lo - begin) // PIECE == window and hi - lo > PIECE else -1
