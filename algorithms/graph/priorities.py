"""An order at random of the vertices, for kernels: no two have the same number, and no array is needed.

`BLOCK` neighbouring vertices stay together and in order, so that who goes through the vertices in this order reads rows
that lie behind one another. Blocks are mixed by the finalizer of MurmurHash3 (A. Appleby, 2011), which is one-to-one on
32 bits.
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

BLOCK: Final = 16  #: vertices, a power of two
_BITS: Final = BLOCK.bit_length() - 1
_CHUNK = 8  #: blocks that a thread does at a time in the first round
_GROWTH = 16  #: how many times as many in the next one


def seeded(algorithm: str, seed: Any) -> Any:
    """A seed that the user gave, as the bits that vertices are mixed with."""
    return np.uint32(arrays.whole_number(f"{algorithm}: seed", seed, -(2**63), error=ArgumentError) % 2**32)


def in_turn(part: LocalPart, n: int, seed: Any, decide: Any, *args: Any) -> None:
    """Decide about n vertices in the order of `rank`, as far as possible at the same time.

    ``decide(k, live, size, waits, seed, *args)`` does it for the `size` vertices of block ``live[k]``, in order, and
    writes 1 to ``waits[live[k]]`` if one must wait for a vertex of lower rank; such blocks are gone through again. On
    CPUs threads take blocks in order, so that few wait, and more at a time in every round: at last one thread takes all
    of them, and none waits. Devices with many threads take single vertices.
    """
    how = part.how
    size = 1 if part.wide else BLOCK
    blocks = -(-n // size)
    waits = part.empty(blocks, np.uint8)
    if part.wide:
        live = iota(how, part.empty(blocks, np.int32))
    else:
        live = argsort(how, part.map(lazy.iota(blocks), lambda block: of_vertex(block, seed)))
    chunk = _CHUNK
    while len(live):
        fill(how, waits, np.uint8(0))
        for_each(how._dealt(chunk), len(live), decide, live, size, waits, seed, *args)
        live = copy_if(how, live, _waiting(waits))
        chunk *= _GROWTH


# kernels ------------------------------------------------------------------------------------------


def of_vertex(v: Any, seed: Any) -> Any:
    """A number at random for each vertex."""
    h = np.uint32(v) ^ seed
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def rank(v: Any, seed: Any) -> Any:
    """Where a vertex stands in the order at random: lower ones are before it."""
    v = np.uint64(v)
    block = np.uint64(of_vertex(v >> np.uint64(_BITS), seed))
    return (block << np.uint64(_BITS)) | (v & np.uint64(BLOCK - 1))


def _waiting(waits: Any) -> Any:
    def waiting(block: Any) -> Any:
        return waits[block] > 0

    return waiting
