"""How index ranges are cut, and how the partial results of a reduction are combined. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from portapar.kernel.forms import TILE


def alignment(row: int) -> int:
    """Rows per cut so that cuts fall on tile boundaries, which keeps reductions bitwise reproducible."""
    return TILE // math.gcd(TILE, max(row, 1))


def cut(rows: int, weights: Sequence[float], align: int = 1) -> tuple[int, ...]:
    """Cut `rows` in proportion to `weights`, on multiples of `align`.

    Returns
    -------
    tuple of int
        ``len(weights) + 1`` boundaries from 0 to `rows`; parts may be empty.

    Examples
    --------
    >>> cut(100, [1, 3])
    (0, 25, 100)
    >>> cut(100, [1, 1], align=64)
    (0, 64, 100)
    """
    total = float(sum(weights))
    bounds, reached = [0], 0.0
    for weight in weights[:-1]:
        reached += weight
        position = round(rows * (reached / total) / align) * align
        bounds.append(min(rows, max(bounds[-1], position)))
    return (*bounds, rows)
