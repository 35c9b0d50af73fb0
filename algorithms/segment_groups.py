"""Work on segments by groups of work-items that share memory, for GPUs.

A group takes a block of the path that merges the segments with the elements, see `segments`. Its items first load the
elements of all pieces that begin there, neighbours beside neighbours, and keep their values; then each folds pieces of
its own out of shared memory. So values are read in whole lines, whatever the segments' lengths are, and folded in the
order that they have everywhere. What is kept has room for the longest piece, but for wide values.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms import segments
from portapar.algorithms.for_each import for_each
from portapar.algorithms.groups import together
from portapar.algorithms.segments import PIECE
from portapar.part import SHARED, LocalPart
from portapar.values import Values

ITEMS: Final = 256
SIZE: Final = 2048  #: segments and elements of a block together: less than a piece, so a segment begins one at most
_SHORT = 1024  #: segments that are longer than this are long
_TOGETHER: Final = 8  #: loads that an item has on their way


def staged(values: Values) -> Any:
    """The kernel function that gives an element's value out of those that a group has loaded."""
    load = values.load

    def at(i: int, held: Any, base: int) -> Any:
        return load(np.uint64(i - base), held)

    return at


def walk(
    part: LocalPart, end: int, longest: int, dtype: np.dtype, at: Any, store: Any, visit: Any, begin: int, count: int,
    offsets: Any, heads: Any, sums: Any, out: Any,
) -> None:  # fmt: skip
    """Calls `visit` for every piece of the segments, as `segments.walk`, but with values that are loaded.

    They are ``at(i)``, and ``store(place, held, value)`` keeps one; elements are loaded between 0 and `end` only.
    ``visit(s, lo, hi, q, stop, held, base, top, begin, heads, sums, out)``: the piece has the elements from `q` to
    `stop`, and those from `base` to `top` are held. If offsets decrease, segments are visited all the same, but some
    pieces may not be: whoever visits must look at `lo` and `hi`.
    """
    room = min(SIZE + (_SHORT if longest <= _SHORT else PIECE), SHARED // dtype.itemsize)
    blocks = -(-(end - begin + count) // SIZE)

    def find(block: int, begin: int, count: int, offsets: Any, firsts: Any) -> None:
        last = len(firsts) - 1
        place = segments.first(block * SIZE, begin, count, offsets) if 0 < block and block < last else 0
        firsts[block] = count if block == last else place

    def value(i: int, held: Any) -> Any:
        return at(i)

    def keep(acc: int, place: int, held: Any, x: Any) -> int:
        store(np.uint64(place), held, x)
        return acc

    loads, keeps = together(value, keep, _TOGETHER, ITEMS, ITEMS)

    def pieces(
        group: int, step: int, item: int, held: Any, room: int, end: int, firsts: Any, begin: int, count: int,
        offsets: Any, heads: Any, sums: Any, out: Any,
    ) -> None:  # fmt: skip
        here, there = group * SIZE, group * SIZE + SIZE
        s, last = int(firsts[group]), int(firsts[group + 1])
        base = int(offsets[np.uint64(s)])  # of the first piece that begins here
        rest = -1  # that of the segment before, if one begins
        if s > 0:
            lo = int(offsets[np.uint64(s - 1)])
            q = lo + max(1, (begin + here - s - lo + PIECE - 1) // PIECE) * PIECE
            if q < base and q - begin + s < there:
                base = rest = q
        top = min(int(offsets[np.uint64(last)]), begin + there - last + PIECE, base + room, end)
        base = max(base, 0)
        if step == 0:
            i = base + item
            while i + (_TOGETHER - 1) * ITEMS < top:
                keeps(0, i - base, held, loads(i, held))
                i += _TOGETHER * ITEMS
            while i < top:
                keep(0, i - base, held, value(i, held))
                i += ITEMS
        else:
            for r in range(s - 1 + item, last, ITEMS):
                if r >= s or rest >= 0:
                    lo, hi = int(offsets[np.uint64(r)]), int(offsets[np.uint64(r + 1)])
                    q = lo if r >= s else rest
                    visit(r, lo, hi, q, min(q + PIECE, hi), held, base, top, begin, heads, sums, out)

    firsts = part.empty(blocks + 1, np.int64)
    for_each(part.how, blocks + 1, find, begin, count, offsets, firsts)
    extent, shared = (blocks, 2, ITEMS), [(dtype, room)]
    part.groups(extent, pieces, shared, room, end, firsts, begin, count, offsets, heads, sums, out)
