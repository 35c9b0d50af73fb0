"""Copies of arrays that iterations update atomically: what they hold at first, and how they are put together."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import numpy as np

#: the atomic operations whose results on copies can be combined, and how
COMBINED = {"add": "add", "sub": "add", "min": "min", "max": "max", "and_": "and_", "or_": "or_", "xor": "xor"}


def combined(operations: Collection[str]) -> str:
    """How copies are combined that these atomic operations have changed; empty if they cannot be."""
    found = {COMBINED.get(operation, "") for operation in operations}
    return found.pop() if len(found) == 1 else ""


@functools.lru_cache(maxsize=256)
def neutral(operation: str, dtype: np.dtype) -> Any:
    """What changes nothing when it is combined with a number, not even its bits."""
    if operation == "add":
        return dtype.type(-0.0) if dtype.kind == "f" else dtype.type(0)
    if operation in ("or_", "xor") or dtype.kind not in ("iuf" if operation in ("min", "max") else "iu"):
        return dtype.type(0)  # or what atomics are not for: that is told as the kernel is compiled
    if operation == "and_":
        return ~dtype.type(0)
    if dtype.kind == "f":
        return dtype.type(np.inf if operation == "min" else -np.inf)
    return np.iinfo(dtype).max if operation == "min" else np.iinfo(dtype).min


def combine(operation: str, total: np.ndarray, some: np.ndarray) -> None:
    """Combine numbers with those of a total, as `pp.atomic` does one after the other."""
    if operation == "min":
        np.copyto(total, some, where=some < total)
    elif operation == "max":
        np.copyto(total, some, where=some > total)
    else:
        ufunc = {"add": np.add, "and_": np.bitwise_and, "or_": np.bitwise_or, "xor": np.bitwise_xor}[operation]
        with np.errstate(all="ignore"):
            ufunc(total, some, out=total)
