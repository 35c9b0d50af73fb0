"""An order at random of the vertices, and deciding about them in that order.

`BLOCK` neighbouring vertices stay together and in order, so that who goes through them reads rows that lie behind one
another. Numbers at random are those of the finalizer of MurmurHash3 (A. Appleby, 2011), which is one-to-one on 32 bits.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays, lazy
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.sort import argsort
from portapar.algorithms.transform import fill, iota
from portapar.errors import ArgumentError
from portapar.part import LocalPart

BLOCK: Final = 256  #: vertices
OUT: Final = 2**31 - 1  #: the place of a vertex that is out: behind all others
_CHUNK = 8  #: blocks that a thread does at a time in the first round
_GROWTH = 16  #: how many times as many in the next one


def seeded(algorithm: str, seed: Any) -> Any:
    """A seed that the user gave, as the bits that vertices are mixed with."""
    return np.uint32(arrays.whole_number(f"{algorithm}: seed", seed, -(2**63), error=ArgumentError) % 2**32)


def in_turn(part: LocalPart, n: int, seed: Any, decide: Any, *args: Any) -> Any:
    """Decide about n vertices in an order at random, as far as possible at the same time.

    ``decide(k, live, size, places, waits, *args)`` does it for the `size` vertices of block ``live[k]``, one after the
    other. ``places[v]`` is where a vertex stands in the order, from 1 on, until `decide` writes there what became of
    it, such as `OUT`. It writes 1 to ``waits[live[k]]`` if a vertex must wait for one before it; such blocks are gone
    through again. On CPUs threads take blocks in order, so that few wait, and more at a time in every round: at last
    one thread takes all of them, and none waits. Devices with many threads take single vertices.

    Returns
    -------
    array of int32, (n,)
        `places`: what became of each.
    """
    how = part.how
    blocks = -(-n // BLOCK)
    order = argsort(how, part.map(lazy.iota(blocks), lambda block: of_vertex(block, seed)))
    places = part.empty(n, np.int32)
    for_each(how, blocks, _place, order, places)
    size, live = (1, iota(how, part.empty(n, np.int32))) if part.wide else (BLOCK, order)
    waits, chunk = part.empty(len(live), np.uint8), _CHUNK
    while len(live):
        fill(how, waits, np.uint8(0))
        for_each(how._dealt(chunk), len(live), decide, live, size, places, waits, *args)
        live = copy_if(how, live, _waiting(waits))
        chunk *= _GROWTH
    return places


# kernels ------------------------------------------------------------------------------------------


def of_vertex(v: Any, seed: Any) -> Any:
    """A number at random for each vertex."""
    h = np.uint32(v) ^ seed
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def _place(k: Any, order: Any, places: Any) -> None:
    first: Any = np.int64(order[k]) * BLOCK
    for v in range(first, min(first + BLOCK, len(places))):
        places[np.uint64(v)] = k * BLOCK + (v - first) + 1


def _waiting(waits: Any) -> Any:
    def waiting(block: Any) -> Any:
        return waits[block] > 0

    return waiting
