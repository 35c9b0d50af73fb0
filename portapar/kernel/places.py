"""Where the elements of host arrays lie: whether some share a place in memory."""

from __future__ import annotations

import numpy as np


def have_their_own(x: np.ndarray) -> bool:
    """Whether each element has a place of its own, for certain: every axis reaches beyond all shorter ones."""
    reach = x.dtype.itemsize  # bytes that the axes so far take
    for stride, length in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < reach:
            return False
        reach += stride * (length - 1)
    return True


def share(x: np.ndarray, y: np.ndarray, work: int) -> bool:
    """Whether two arrays share elements; True as well where it takes more work than that to find out."""
    if not np.may_share_memory(x, y):
        return False
    try:
        return np.shares_memory(x, y, max_work=work)  # type: ignore[arg-type]  # the stub knows -1 and 0 only
    except np.exceptions.TooHardError:
        return True
