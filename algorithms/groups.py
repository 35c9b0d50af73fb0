"""Selections by groups of work-items that share memory, for GPUs: what is kept, one behind the other.

A group takes a block of 4096 elements: neighbouring items test neighbouring elements, 16 each. Then an item counts what
is kept of a run of 16 neighbours, the counts are summed in rows, and it notes the places of its run's elements in
order. In the end neighbouring items write neighbouring results. So memory is read twice and written once, in whole
lines. Method: "pack" of Blelloch, "Prefix sums and their applications", 1990.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays
from portapar.part import LocalPart

ITEMS: Final = 256
ROW: Final = 16  #: elements of a run, runs of a row, and rows of a block
SIZE: Final = ITEMS * ROW


def together(loads: Any, visits: Any, count: int, apart: int, beside: int) -> tuple[Any, Any]:
    """What loads that many values, so far apart, and what visits them then, in places so far from each other.

    ``loads(i, shared)`` and ``visits(acc, place, shared, value)`` do that with one. `count` is a power of two. All
    loads are on their way before the first value is needed: a compiler does not see that they may be.
    """
    if count == 1:
        return loads, visits
    half, halves = together(loads, visits, count // 2, apart, beside)
    further, next_place = count // 2 * apart, count // 2 * beside

    def both(i: int, shared: Any) -> Any:
        return half(i, shared), half(i + further, shared)

    def visit(acc: Any, place: int, shared: Any, pair: Any) -> Any:
        return halves(halves(acc, place, shared, pair[0]), place + next_place, shared, pair[1])

    return both, visit


def kept_before(part: LocalPart, n: int, kept: Any) -> np.ndarray:
    """How many of `n` elements are kept up to the end of each block; ``kept(i)`` tells of one."""

    def test(i: int, shared: Any) -> int:
        return 1 if kept(i) else 0

    def add(acc: int, place: int, shared: Any, one: int) -> int:
        return acc + one

    tests, adds = together(test, add, ROW, ITEMS, 0)

    def count(group: int, step: int, item: int, sums: Any, n: int, counts: Any) -> None:
        if step == 0:
            first, fits = group * SIZE, 0
            if first + SIZE <= n:
                fits = adds(0, 0, sums, tests(first + item, sums))
            else:
                for i in range(first + item, n, ITEMS):
                    fits += test(i, sums)
            sums[item] = fits
        elif step == 1 and item < ROW:
            total = 0
            for k in range(item * ROW, item * ROW + ROW):
                total += int(sums[k])
            sums[item * ROW] = total
        elif step == 2 and item == 0:
            total = 0
            for k in range(ROW):
                total += int(sums[k * ROW])
            counts[group] = total

    blocks = -(-n // SIZE)
    counts = part.empty(blocks, np.int64)
    part.groups((blocks, 3, ITEMS), count, [(np.int32, ITEMS)], n, counts)
    return arrays.asnumpy(counts).cumsum()


def keep(part: LocalPart, n: int, kept: Any, value: Any, store: Any, ends: np.ndarray, out: Any, split: bool) -> None:
    """``value(i)`` of every element that is kept to `out`, in order, and if `split` of all others behind them.

    `ends` is what `kept_before` tells.
    """

    def test(i: int, flags: Any) -> int:
        return 1 if kept(i) else 0

    def note(acc: int, place: int, flags: Any, one: int) -> int:
        flags[place] = one
        return acc

    tests, notes = together(test, note, ROW, ITEMS, ITEMS)

    def write(
        group: int, step: int, item: int, flags: Any, order: Any, runs: Any, rows: Any, n: int, total: int, ends: Any,
        out: Any,
    ) -> None:  # fmt: skip
        first = group * SIZE
        if step == 0:
            if first + SIZE <= n:
                notes(0, item, flags, tests(first + item, flags))
            else:
                for place in range(item, SIZE, ITEMS):
                    flags[place] = test(first + place, flags) if first + place < n else 0
        elif step == 1:
            fits = 0
            for k in range(item * ROW, item * ROW + ROW):
                fits += int(flags[k])
            runs[item] = fits
        elif step == 2:
            if item < ROW:
                fits = 0
                for k in range(item * ROW, item * ROW + ROW):
                    here = int(runs[k])
                    runs[k] = fits
                    fits += here
                rows[item] = fits
        else:
            fits = before = 0
            for row in range(ROW):
                before = fits if row == item // ROW else before
                fits += int(rows[row])
            if step == 3:
                yes = before + int(runs[item])
                no = fits + item * ROW - yes
                for k in range(item * ROW, item * ROW + ROW):
                    order[yes if flags[k] == 1 else no] = k
                    yes += int(flags[k])
                    no += 1 - int(flags[k])
            else:
                begin = ends[group - 1] if group > 0 else 0
                for k in range(item, min(fits, ends[group] - begin), ITEMS):
                    store(np.uint64(begin + k), out, value(first + int(order[k])))
                if total >= 0:
                    begin = total + first - begin - fits
                    for k in range(fits + item, min(n - first, SIZE), ITEMS):
                        if begin + k < n:  # whatever the predicate said before
                            store(np.uint64(begin + k), out, value(first + int(order[k])))

    shared = [(np.uint8, SIZE), (np.uint16, SIZE), (np.int32, ITEMS), (np.int32, ROW)]
    total = int(ends[-1]) if split and len(ends) else -1
    part.groups((len(ends), 5, ITEMS), write, shared, n, total, part.asarray(ends), out)
