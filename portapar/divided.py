"""Reductions over parts whose cuts divide tiles.

A sum keeps its bits although cuts fall anywhere: the tiles that a part holds whole it folds by itself, and of a tile
that a cut divides it tells the elements' values, at most `TILE`. Who holds the tile's end puts them together and folds
them as every tile is folded.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from portapar.kernel.front.codec import codec
from portapar.kernel.front.lift import lift
from portapar.kernel.front.text import Text
from portapar.kernel.program import Program, Spec
from portapar.kernel.tiles import TILE


@dataclass(frozen=True, slots=True)
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


def tiles_before(place: int, size: int) -> int:
    """How many tiles belong to what is before a cut: a divided one belongs to who holds its end."""
    return -(-size // TILE) if place == size else place // TILE


def joined(
    fragments: Iterable[Fragments], size: int, fold: Callable[[np.ndarray], np.ndarray], mine: Sequence[bool]
) -> list[np.ndarray]:
    """The folds of all tiles that belong to some parts, in order.

    Parameters
    ----------
    fragments : iterable of Fragments
        Of all parts, in order; the `partials` of others may be empty.
    size : int
        Elements of the whole.
    fold : callable
        The fold of one tile, from its values.
    mine : sequence of bool
        For each part whether its tiles are asked for.
    """
    found: list[np.ndarray] = []
    waiting: list[np.ndarray] = []
    for part, own in zip(fragments, mine, strict=True):
        if len(part.head):
            waiting.append(part.head)
            end = part.lo + len(part.head)
            if end % TILE == 0 or end == size:
                if own:
                    found.append(fold(np.concatenate(waiting)))
                waiting = []
        if own and len(part.partials):
            found.append(part.partials)
        if len(part.tail):
            waiting.append(part.tail)
    return found


@functools.lru_cache(maxsize=1024)
def values_program(program: Program) -> Program:
    """For a reduction, the program that stores the values of its elements, in a last argument."""
    assert program.acc is not None
    text = _text(program, ())
    text.kernel(lift(codec(program.acc).store)[0], "store_value")
    names = "".join(f", a{k}" for k in range(len(program.specs)))
    text.add(f"def body(i{names}, values):\n    store_value(i, values, elem(i{names}))\n", "body")
    return text.program("map", (*program.specs, Spec(program.acc, 1)))


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
