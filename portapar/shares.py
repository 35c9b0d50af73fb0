"""How index ranges are cut, and how the partial results of a reduction are combined. Pure arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from portapar.kernel.tiles import TILE


def cut(rows: int, weights: Sequence[float], align: int = 1) -> tuple[int, ...]:
    """Cut `rows` in proportion to `weights`, on multiples of `align`.

    Returns
    -------
    tuple of int
        ``len(weights) + 1`` boundaries from 0 to `rows`; parts may be empty.

    Examples
    --------
    >>> cut(100, [1, 3])
    (0, 25, 100)
    >>> cut(100, [1, 1], align=64)
    (0, 64, 100)
    """
    total = float(sum(weights))
    bounds, reached = [0], 0.0
    for weight in weights[:-1]:
        reached += weight
        position = round(rows * (reached / total) / align) * align
        bounds.append(min(rows, max(bounds[-1], position)))
    return (*bounds, rows)


def cut_rows(rows: int, weights: Sequence[float]) -> tuple[int, ...]:
    """Cut rows in proportion to weights: anywhere, but on round numbers where that changes no share by more than 1 %.

    Rows and weights alone decide, so that arrays of as many rows are cut alike, whatever a row holds.

    Examples
    --------
    >>> cut_rows(1001, [1, 1, 1, 1])
    (0, 250, 500, 751, 1001)
    >>> cut_rows(10_000_000, [1, 1])
    (0, 4997120, 10000000)
    """
    if len(weights) == 1:
        return 0, rows
    least = rows * min(w for w in weights if w > 0) / float(sum(weights))
    align = 1
    while align < TILE and align * 2 <= least / 100:
        align *= 2
    return cut(rows, weights, align)


def all_to_one(rows: int, weights: Sequence[float]) -> tuple[int, ...]:
    """Cuts that give the part of the largest weight everything: for what is not worth cutting."""
    best = max(range(len(weights)), key=weights.__getitem__)
    return (0,) * (best + 1) + (rows,) * (len(weights) - best)


@functools.lru_cache(maxsize=256)
def subtrees(cuts: tuple[int, ...]) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """The largest subtrees of a reduction's tree that each part holds whole, in order.

    The tree combines tiles 2k and 2k + 1, then the pairs in the same way, and so on; what has no partner
    at the right end moves up as it is. So a part can send few values instead of one per tile.

    Parameters
    ----------
    cuts : tuple of int
        Part k holds the tiles ``cuts[k]`` to ``cuts[k + 1]``.

    Returns
    -------
    tuple of tuple of (level, begin, end)
        For every part; a subtree of that level combines the tiles [begin, end).

    Examples
    --------
    >>> subtrees((0, 3, 7))
    (((1, 0, 2), (0, 2, 3)), ((0, 3, 4), (2, 4, 7)))
    """
    total = cuts[-1]
    top = max(total - 1, 0).bit_length()
    found = []
    for lo, hi in zip(cuts[:-1], cuts[1:], strict=True):
        mine = []
        while lo < hi:
            level = (lo & -lo).bit_length() - 1 if lo else top
            while min(lo + (1 << level), total) > hi:
                level -= 1
            end = min(lo + (1 << level), total)
            mine.append((level, lo, end))
            lo = end
        found.append(tuple(mine))
    return tuple(found)


def combine(subtrees: Iterable[tuple[int, int, int]], values: Iterable[Any], op: Callable[[Any, Any], Any]) -> Any:
    """The value of the whole tree, from its subtrees in order and their values.

    Examples
    --------
    >>> combine(((1, 0, 2), (0, 2, 3), (0, 3, 4), (2, 4, 7)), ("ab", "c", "d", "efg"), lambda x, y: f"({x}{y})")
    '((ab(cd))efg)'
    """
    waiting: list[Any] = []
    for (level, lo, _), value in zip(subtrees, values, strict=True):
        while (lo >> level) % 2 == 1:  # a right child; its sibling is complete, as is everything before
            value, lo, level = op(waiting.pop(), value), lo - (1 << level), level + 1
        waiting.append(value)
    while len(waiting) > 1:  # at the right end, what has no partner moved up
        value = waiting.pop()
        waiting.append(op(waiting.pop(), value))
    return waiting[0]


def spans(cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The pairs of neighbours."""
    return zip(cuts[:-1], cuts[1:], strict=True)


def common(one: tuple[int, int], other: tuple[int, int]) -> int:
    """How many rows two ranges have in common."""
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))
