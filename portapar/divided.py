"""Reductions over parts whose cuts divide tiles.

A sum keeps its bits although cuts fall anywhere: the tiles that a part holds whole it folds by itself, and of a tile
that a cut divides it tells the elements' values, at most `TILE`, which are put together and folded as every tile is. So
parts tell each other once: these values, and the folds of the largest subtrees of the tree that they have whole.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from portapar import shares
from portapar.kernel.front.codec import codec
from portapar.kernel.front.lift import lift
from portapar.kernel.front.text import Text
from portapar.kernel.program import Program, Spec
from portapar.kernel.tiles import TILE


@dataclass(slots=True)
class Fragments:
    """What a part has of a reduction.

    Attributes
    ----------
    lo, hi : int
        Its flat indices.
    head, tail : numpy.ndarray
        The values of the elements that it has of the tile that `lo` divides, and of the one that `hi` divides; all in
        `head` where it is one and the same.
    partials : numpy.ndarray
        The folds of the tiles that it has whole.
    """

    lo: int
    hi: int
    head: np.ndarray
    partials: np.ndarray
    tail: np.ndarray


def spans(lo: int, hi: int, size: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Of the part [lo, hi) of `size` elements: its head, its whole tiles, and its tail.

    Examples
    --------
    >>> spans(4000, 13000, 20000)
    ((4000, 4096), (4096, 12288), (12288, 13000))
    >>> spans(4000, 20000, 20000)
    ((4000, 4096), (4096, 20000), (20000, 20000))
    >>> spans(5000, 5010, 20000)
    ((5000, 5010), (5010, 5010), (5010, 5010))
    """
    first = min(-(-lo // TILE) * TILE, hi)
    last = hi if hi == size else max(hi // TILE * TILE, first)
    return (lo, first), (first, last), (last, hi)


def merged(fragments: Sequence[Fragments], size: int, fold: Callable[[np.ndarray], np.ndarray]) -> Fragments:
    """What neighbouring parts have together: the tiles that only cuts between them divide are folded.

    Parameters
    ----------
    fragments : sequence of Fragments
        In order.
    size : int
        Elements of the whole.
    fold : callable
        The fold of one tile, from its values.
    """
    if len(fragments) == 1:
        return fragments[0]
    lo, hi = fragments[0].lo, fragments[-1].hi
    head = tail = np.empty(0, fragments[0].head.dtype)
    found: list[np.ndarray] = []
    waiting: list[np.ndarray] = []  # what there is of a tile whose end is still to come
    begun = lo % TILE == 0  # and its first element is here
    for part in fragments:
        if len(part.head):
            waiting.append(part.head)
            end = part.lo + len(part.head)
            if end % TILE == 0 or end == size:
                values = np.concatenate(waiting)
                if begun:
                    found.append(fold(values))
                else:
                    head = values
                waiting, begun = [], True
        if len(part.partials):
            found.append(part.partials)
        if len(part.tail):
            waiting.append(part.tail)
    if waiting:
        head, tail = (head, np.concatenate(waiting)) if begun else (np.concatenate(waiting), tail)
    return Fragments(lo, hi, head, np.concatenate(found) if found else tail[:0], tail)


@dataclass(frozen=True, slots=True)
class Layout:
    """What parts tell each other of a reduction: values of elements, and folds of subtrees, part after part.

    Attributes
    ----------
    counts : tuple of int
        How many numbers each part tells.
    own : tuple
        For each part the pieces of the tree that it tells, (level, begin, end) as `shares.subtrees` has them.
    runs : tuple of (begin, end, bool)
        Of all that is told the runs that are values of one tile (True), or folds.
    pieces : tuple
        All pieces of the tree in order: what becomes of these runs.
    """

    counts: tuple[int, ...]
    own: tuple[tuple[tuple[int, int, int], ...], ...]
    runs: tuple[tuple[int, int, bool], ...]
    pieces: tuple[tuple[int, int, int], ...]


@functools.lru_cache(maxsize=256)
def layout(ends: tuple[int, ...], size: int) -> Layout:
    """For parts that are cut at `ends`.

    Examples
    --------
    >>> found = layout((0, 5 * TILE + 7, 8 * TILE), 8 * TILE)
    >>> found.own, found.runs
    ((((2, 0, 4), (0, 4, 5)), ((1, 6, 8),)), ((0, 2, False), (2, 4098, True), (4098, 4099, False)))
    """
    borders = [((size if end == size else end // TILE * TILE), -(-end // TILE) * TILE) for end in ends]
    cuts = tuple(sorted({-(-place // TILE) for border in borders for place in border}))
    pieces = dict(zip(cuts, shares.subtrees(cuts), strict=False))
    counts, own, runs, place, begin = [], [], [], 0, 0
    for lo, hi in shares.spans(ends):
        (_, first), (_, last), _ = spans(lo, hi, size)
        own.append(pieces[first // TILE] if first < last else ())
        counts.append(first - lo + len(own[-1]) + hi - last)
        place += first - lo
        if first > lo and (first % TILE == 0 or first == size):
            runs.append((begin, place, True))
            begin = place
        if own[-1]:
            place = begin + len(own[-1])
            runs.append((begin, place, False))
            begin = place
        place += hi - last
    return Layout(tuple(counts), tuple(own), tuple(runs), tuple(itertools.chain(*pieces.values())))


@functools.lru_cache(maxsize=1024)
def values_program(program: Program) -> Program:
    """For a reduction, the program that stores the values of its elements, in a last argument."""
    assert program.acc is not None
    text = _text(program, ())
    names = "".join(f", a{k}" for k in range(len(program.specs)))
    stored = f"values[i] = elem(i{names})"
    if program.acc.names is not None:
        text.kernel(lift(codec(program.acc).store)[0], "store_value")
        stored = f"store_value(i, values, elem(i{names}))"
    text.add(f"def body(i{names}, values):\n    {stored}\n", "body")
    return text.program("map", (*program.specs, Spec(program.acc, 1)), written=(len(program.specs),))


@functools.lru_cache(maxsize=1024)
def tile_program(program: Program) -> Program:
    """For a reduction, the one that folds such values."""
    assert program.acc is not None
    text = _text(program, ("elem",))
    text.kernel(lift(codec(program.acc).load)[0], "load_value")
    text.add("def elem(i, values):\n    return load_value(i, values)\n", "elem")
    return text.program("reduce", (Spec(program.acc, 1),), acc=program.acc, ordered=program.ordered)


def _text(program: Program, without: tuple[str, ...]) -> Text:
    """The functions of a program, but for some."""
    text, line = Text(), 1
    for part in re.split(r"^(?=def )", program.text, flags=re.MULTILINE)[1:]:
        name, count = part[len("def ") : part.index("(")], part.count("\n")
        if name not in without:
            places = ((k, (program.origin or {}).get(line + k - 1)) for k in range(1, count + 1))
            text.add(part, name, {k: place for k, place in places if place is not None})
        line += count
    return text
