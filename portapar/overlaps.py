"""Whether arrays of any library share memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar.kernel import places
from portapar.partitioned import PartitionedArray


def same_memory(x: Any, out: Any) -> bool:
    """Whether two arrays are the same elements in the same order."""
    if isinstance(x, PartitionedArray) and isinstance(out, PartitionedArray):
        common = x.parts.keys() & out.parts.keys()
        return x is out or (x.cuts == out.cuts and all(same_memory(x.parts[k], out.parts[k]) for k in common))
    a, b = _memory(x), _memory(out)
    return (
        a is not None
        and b is not None
        and a[0] == b[0]
        and a[1].__array_interface__["data"][0] == b[1].__array_interface__["data"][0]
        and x.shape == out.shape
        and x.strides == out.strides
        and x.dtype == out.dtype
    )


def overlap(x: Any, y: Any) -> bool:
    """Whether two arrays share elements; True as well where that would take long to find out."""
    if isinstance(x, PartitionedArray) or isinstance(y, PartitionedArray):
        return any(overlap(a, b) for a in _parts(x) for b in _parts(y))
    a, b = _memory(x), _memory(y)
    return a is not None and b is not None and a[0] == b[0] and places.share(a[1], b[1], 1_000_000)


def shares_places(x: np.ndarray) -> bool:
    """Whether several elements of an array lie in one place, wholly or in part."""
    if x.flags.c_contiguous or x.flags.f_contiguous or x.size < 2 or places.have_their_own(x):
        return False
    offsets = sum(np.ix_(*(np.arange(n) * s for s, n in zip(x.strides, x.shape, strict=True))))
    return bool((np.diff(np.sort(offsets, axis=None)) < x.dtype.itemsize).any())


def _parts(x: Any) -> list[Any]:
    return list(x.parts.values()) if isinstance(x, PartitionedArray) else [x]


class _Shadow:
    """What stands for a device's array where only places are compared."""

    def __init__(self, x: Any, address: int) -> None:
        self.__array_interface__ = {
            "shape": x.shape, "strides": x.strides, "typestr": f"|V{x.dtype.itemsize}", "data": (address, False),
            "version": 3,
        }  # fmt: skip


def _memory(x: Any) -> tuple[Any, np.ndarray] | None:
    """(whose memory, an array at that place of it) of an array; nobody looks at its elements."""
    if isinstance(x, np.ndarray):
        return None, x
    interface = getattr(x, "__cuda_array_interface__", None)
    if interface is not None:
        return "cuda", np.asarray(_Shadow(x, interface["data"][0] or 1))
    buffer = getattr(x, "base_data", None)
    if buffer is None or not hasattr(x, "offset"):
        return None
    return ("opencl", buffer.int_ptr), np.asarray(_Shadow(x, x.offset + 64))
