"""An order at random of vertices and of edges, for kernels: no two have the same number, and no array is needed.

The finalizers of MurmurHash3 (A. Appleby, 2011), which are one-to-one on 32 and on 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.errors import ArgumentError


def seeded(algorithm: str, seed: Any) -> Any:
    """A seed that the user gave, as the bits that vertices are mixed with."""
    return np.uint32(arrays.whole_number(f"{algorithm}: seed", seed, -(2**63), error=ArgumentError) % 2**32)


def of_vertex(v: Any, seed: Any) -> Any:
    h = np.uint32(v) ^ seed
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def of_edge(u: Any, v: Any, seed: Any) -> Any:
    """The same from both of its ends."""
    h = (np.uint64(min(u, v) ^ seed) << np.uint64(32)) | np.uint64(max(u, v) ^ seed)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))
