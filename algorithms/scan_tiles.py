"""The steps of a scan on GPUs: groups of work-items that share memory fold and scan several tiles each.

A tile is folded from left to right, one operation after the other, so that its bits are the same everywhere. One item
does that; what a group adds is how memory is moved. It takes its tiles strip by strip: 128 items load the next strip
of every tile, neighbours beside neighbours, and store the strip that was done before, while one item for each tile
folds the strip that is there. So memory is moved in whole lines, `TILES` of them are on their way for every item
that loads, and the time of the folds is hidden behind it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms.groups import together
from portapar.kernel.front.codec import codec
from portapar.part import SHARED, LocalPart
from portapar.values import Values

TILE: Final = 4096
STRIP: Final = 128  #: elements of a tile that are loaded at a time, one by each of as many items
ROW: Final = STRIP + 1  #: places for them: items that fold neighbouring tiles read different banks
STRIPS: Final = TILE // STRIP
ITEMS = STRIP + 32  #: and a warp that folds
TILES = (8, 4, 2)  #: tiles of a group: as many as there is room for


class GroupSteps:
    """The steps on the tiles of one part.

    Parameters
    ----------
    part : LocalPart
    values : Values
    at : callable
        The kernel function that gives the value of an element.
    """

    def __init__(self, part: LocalPart, values: Values, at: Any) -> None:
        self.part, self.values, self.at = part, values, at
        self.tiles = next(count for count in TILES if fits(values.dtype, count))

    def totals(self, n: int, begin: int, sums: Any) -> None:
        """The folds of the tiles from `begin` on, of which the last ends at `n`."""
        op, load, store, tiles = self.values.op, self.values.load, self.values.store, self.tiles
        fetch = self._fetch()
        strip, size = tiles * ROW, tiles * TILE

        def fold(acc: Any, place: int, strips: Any, value: Any) -> Any:
            return op(acc, value)

        walk = self._walk(fold)

        def totals(group: int, step: int, item: int, strips: Any, accs: Any, n: int, begin: int, sums: Any) -> None:
            first = begin + group * size
            if item < STRIP:
                if step < STRIPS:
                    fetch(first, step, item, n, strips, step % 2 * strip)
            elif step > 0 and item < STRIP + tiles:
                t = item - STRIP
                lo = first + t * TILE + (step - 1) * STRIP
                hi = min(n, lo + STRIP)
                if lo < hi:
                    place = (step - 1) % 2 * strip + t * ROW
                    acc, k = load(np.uint64(place), strips), place + 1
                    if step > 1:
                        acc, k = load(np.uint64(t), accs), place
                    acc = walk(acc, k, place + hi - lo, strips)
                    store(np.uint64(t), accs, acc)
                    if step == STRIPS or hi == n:
                        store(np.uint64(group * tiles + t), sums, acc)

        self._run(len(sums), STRIPS + 1, totals, 2, n, begin, sums)

    def scan(self, n: int, started: int, before: int, carries: Any, pick: Any, out: Any) -> None:
        """The prefixes of all tiles.

        `before` elements of the first one are elsewhere. It begins with its carry if it is `started`, as all others do.
        """
        op, load, store, tiles = self.values.op, self.values.load, self.values.store, self.tiles
        fetch, keep = self._fetch(), codec(out.dtype).store
        strip, size = tiles * ROW, tiles * TILE

        def prefix(acc: Any, place: int, strips: Any, value: Any) -> Any:
            after = op(acc, value)
            store(np.uint64(place), strips, pick(acc, after))
            return after

        walk = self._walk(prefix)

        def scan(
            group: int, step: int, item: int, strips: Any, accs: Any, n: int, started: int, before: int, carries: Any,
            out: Any,
        ) -> None:  # fmt: skip
            first = group * size - before
            if item < STRIP:
                if step < STRIPS:
                    fetch(first, step, item, n, strips, step % 3 * strip)
                if step >= 2:
                    place = (step - 2) % 3 * strip + item
                    i = first + (step - 2) * STRIP + item
                    for t in range(tiles):
                        k = i + t * TILE
                        if k >= 0 and k < n:
                            keep(np.uint64(k), out, load(np.uint64(place + t * ROW), strips))
            elif step > 0 and step <= STRIPS and item < STRIP + tiles:
                t = item - STRIP
                tile = group * tiles + t
                lo = first + t * TILE + (step - 1) * STRIP
                a, hi = max(lo, 0), min(n, lo + STRIP)
                if a < hi:
                    place = (step - 1) % 3 * strip + t * ROW - lo
                    acc, k = load(np.uint64(place + a), strips), place + a + 1
                    if step > 1 and lo > 0:
                        acc, k = load(np.uint64(t), accs), place + a
                    elif started + tile > 0:
                        acc, k = load(np.uint64(tile), carries), place + a
                    acc = walk(acc, k, place + hi, strips)
                    store(np.uint64(t), accs, acc)

        self._run(len(carries), STRIPS + 2, scan, 3, n, started, before, carries, out)

    def _run(self, tiles: int, steps: int, body: Any, strips: int, *args: Any) -> None:
        dtype = self.values.dtype
        shared = [(dtype, strips * self.tiles * ROW), (dtype, self.tiles)]
        self.part.groups((-(-tiles // self.tiles), steps, ITEMS), body, shared, *args)

    def _fetch(self) -> Any:
        """The kernel function that loads an element of each tile of a group: all of them before it keeps the first."""
        at, store, tiles = self.at, self.values.store, self.tiles

        def element(i: int, strips: Any) -> Any:
            return at(i)

        def keep(acc: Any, place: int, strips: Any, value: Any) -> Any:
            store(np.uint64(place), strips, value)
            return acc

        loads, keeps = together(element, keep, tiles, TILE, ROW)

        def fetch(first: int, step: int, item: int, n: int, strips: Any, base: int) -> None:
            i = first + step * STRIP + item
            if first >= 0 and first + tiles * TILE <= n:
                keeps(0, base + item, strips, loads(i, strips))
            else:
                for t in range(tiles):
                    k = i + t * TILE
                    if k >= 0 and k < n:
                        keep(0, base + item + t * ROW, strips, at(k))

        return fetch

    def _walk(self, visit: Any) -> Any:
        """The kernel function that visits values from left to right; eight are loaded before the first is visited."""
        load = self.values.load

        def value(k: int, strips: Any) -> Any:
            return load(np.uint64(k), strips)

        loads, visits = together(value, visit, 8, 1, 1)

        def walk(acc: Any, k: int, end: int, strips: Any) -> Any:
            while k + 8 <= end:
                acc = visits(acc, k, strips, loads(k, strips))
                k += 8
            while k < end:
                acc = visit(acc, k, strips, value(k, strips))
                k += 1
            return acc

        return walk


def fits(dtype: np.dtype, tiles: int = TILES[-1]) -> bool:
    """Whether there is room for that many tiles."""
    return tiles * (3 * ROW + 1) * dtype.itemsize <= SHARED
