"""Small arrays of a kernel's own: one for each run of the body, on its stack, never on the heap.

Shape and dtype are constants: `private_zeros((3, 3), np.float32)`. Outside a kernel these are NumPy's
functions. Such an array can be handed to another kernel function, but not returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["CONSTRUCTORS", "private_empty", "private_full", "private_zeros"]


def private_empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array whose elements are not set."""
    return np.empty(shape, dtype)


def private_zeros(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An array of zeros."""
    return np.zeros(shape, dtype)


def private_full(shape: int | tuple[int, ...], value: Any, dtype: Any) -> Any:
    """An array whose elements all have one value."""
    return np.full(shape, value, dtype)


CONSTRUCTORS = (private_empty, private_zeros, private_full)
