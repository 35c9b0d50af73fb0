"""Operators with names: kernels of two values, for reductions."""

from __future__ import annotations

from typing import Any


def plus(x: Any, y: Any) -> Any:
    """The sum."""
    return x + y


def multiplies(x: Any, y: Any) -> Any:
    """The product."""
    return x * y


def minimum(x: Any, y: Any) -> Any:
    """The smaller value; NaN if either is NaN, as in NumPy."""
    return y if y < x or y != y else x


def maximum(x: Any, y: Any) -> Any:
    """The larger value; NaN if either is NaN, as in NumPy."""
    return y if y > x or y != y else x


def bit_and(x: Any, y: Any) -> Any:
    """The bits that both have."""
    return x & y


def bit_or(x: Any, y: Any) -> Any:
    """The bits that either has."""
    return x | y


def bit_xor(x: Any, y: Any) -> Any:
    """The bits that exactly one has."""
    return x ^ y


def logical_and(x: Any, y: Any) -> Any:
    """Whether both are true."""
    return bool(x) and bool(y)


def logical_or(x: Any, y: Any) -> Any:
    """Whether either is true."""
    return bool(x) or bool(y)
