"""Points that are spread out evenly: a grid of cells, and the nearest neighbours by rings of cells around a point.

The points of a cell lie behind one another, and the cells of a row too, so that what a ring reads are a few runs of
points. Points are put there by counting. J. L. Bentley, B. W. Weide, A. C. Yao, "Optimal expected-time algorithms for
closest point problems", 1980. Where many points share their cell with many others `Cells.around` gives up: a tree does
not depend on how they are spread.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from portapar.algorithms.for_each import for_each
from portapar.algorithms.irregular.points import NONE, nearer
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.scan import inclusive_scan
from portapar.algorithms.transform import fill
from portapar.kernel.front import atomic
from portapar.part import LocalPart

_CROWDED = 4  #: times as many points in a point's cell as if they were spread out evenly, which are too many
MOST: Final = 32  #: neighbours that are kept in order one by one
_WITHIN: Final = 0.999  #: of a ring's width that is sure to be looked at, whatever was rounded


@dataclass(frozen=True)
class Cells:
    """Points in the cells of a grid.

    Attributes
    ----------
    points : array, (n, d)
        Those of the first cell, of the next one, and so on.
    order : array of int32, (n,)
        Which point each was.
    begin : array of int32, (cells + 1,)
        Where the points of a cell begin; the first axis runs fastest.
    low : array of float64, (d,)
        Where the grid begins.
    counts : (int, int, int)
        Cells along each axis; 1 for one that there is not.
    size : float
        The width of a cell.
    """

    points: Any
    order: Any
    begin: Any
    low: Any
    counts: tuple[int, int, int]
    size: float

    @classmethod
    def around(cls, part: LocalPart, points: Any, low: np.ndarray, high: np.ndarray, k: int) -> Cells | None:
        """Cells so large that the k nearest of a point are mostly in the first ring; None if some are crowded."""
        (n, d), how = points.shape, part.how
        dtype = points.dtype
        many = (k + 2 * math.sqrt(k)) / (math.pi if d == 2 else 4 / 3 * math.pi)
        widths = high.astype(np.float64) - low.astype(np.float64)
        size = _width(widths, n / many)
        if not float(np.finfo(dtype).tiny) * 2**20 < size * size < np.inf:  # the squares of distances would be lost
            return None
        counts = *(int(w / size) + 1 for w in widths), 1
        x, y, z = counts[:3]
        begin, cell = part.empty(x * y * z + 1, np.int32), part.empty(n, np.int32)
        fill(how, begin, np.int32(0))
        corner = part.asarray(low.astype(np.float64))
        for_each(how, n, _count, corner, 1 / size, x, y, z, points, cell, begin)
        together = transform_reduce(how, begin, transform=_square)
        if together > _CROWDED * (many + 1) * n:
            return None
        inclusive_scan(how, begin, out=begin)
        placed, order = part.empty((n, d), dtype), part.empty(n, np.int32)
        for_each(how, n, _place, points, cell, begin, placed, order)
        return cls(placed, order, begin, corner, (x, y, z), size)

    def nearest(self, part: LocalPart, k: int, near: Any, found: Any) -> None:
        """The distances and numbers of the k nearest others of every point; of equally near ones the lowest first."""
        reach = self.points.dtype.type(_WITHIN * self.size)
        for_each(
            part.how._dealt(256), len(self.points), _nearest(self.points.dtype), k, reach, 1 / self.size, *self.counts,
            self.low, self.begin, self.points, self.order, near, found,
        )  # fmt: skip


def _width(widths: np.ndarray, cells: float) -> float:
    """The width of so many cells; of axes along which all points lie closer together there is one cell."""
    some = np.sort(widths)[::-1]
    for axes in range(len(some), 0, -1):
        size = float(np.exp(np.log(np.maximum(some[:axes], 1e-300)).mean()) / cells ** (1 / axes))
        if some[axes - 1] >= size:
            return size
    return 0.0


# kernels ------------------------------------------------------------------------------------------


def _square(count: Any) -> Any:
    return np.int64(count) * np.int64(count)


def _along(x: Any, low: Any, scale: Any, count: Any) -> Any:
    """The cell along an axis."""
    return min(max(np.int64((x - low) * scale), 0), count - 1)


def _count(i: Any, low: Any, scale: Any, nx: Any, ny: Any, nz: Any, points: Any, cell: Any, begin: Any) -> None:
    at = 0
    if points.shape[1] == 3:
        at = _along(points[i, 2], low[2], scale, nz)
    at = (at * ny + _along(points[i, 1], low[1], scale, ny)) * nx + _along(points[i, 0], low[0], scale, nx)
    cell[i] = at
    atomic.add(begin, np.uint64(at), 1)


def _place(i: Any, points: Any, cell: Any, begin: Any, placed: Any, order: Any) -> None:
    """From the end of its cell, which is where the cell begins at last."""
    at = np.uint64(atomic.sub(begin, np.uint64(cell[i]), 1) - 1)
    for a in range(points.shape[1]):
        placed[at, a] = points[i, a]
    order[at] = i


@functools.cache
def _nearest(dtype: np.dtype) -> Any:
    T = dtype.type

    def nearest(
        i: Any, k: Any, reach: Any, scale: Any, nx: Any, ny: Any, nz: Any, low: Any, begin: Any, points: Any,
        order: Any, near: Any, found: Any,
    ) -> None:  # fmt: skip
        far_of, who = np.full(MOST, np.inf, T), np.full(MOST, NONE, np.int32)
        x, y, z = _along(points[i, 0], low[0], scale, nx), _along(points[i, 1], low[1], scale, ny), 0
        if points.shape[1] == 3:
            z = _along(points[i, 2], low[2], scale, nz)
        worst, final = T(np.inf), NONE  # the last one that is kept
        ring, most, looking = 1, max(nx, max(ny, nz)), True
        while looking:
            for c in range(max(z - ring, 0), min(z + ring, nz - 1) + 1):
                for b in range(max(y - ring, 0), min(y + ring, ny - 1) + 1):
                    row = (c * ny + b) * nx
                    whole = ring == 1 or abs(c - z) == ring or abs(b - y) == ring  # of others the two ends
                    for side in range(1 if whole else 2):
                        left = max(x - ring, 0) if side == 0 else min(x + ring, nx)
                        right = min(x + ring, nx - 1) if whole or side == 1 else x - ring
                        if left <= right:
                            for at in range(begin[np.uint64(row + left)], begin[np.uint64(row + right + 1)]):
                                s = np.uint64(at)
                                off = points[s, 0] - points[i, 0]
                                far = off * off
                                for a in range(1, points.shape[1]):
                                    off = points[s, a] - points[i, a]
                                    far += off * off
                                if far <= worst and at != i and (far < worst or order[s] < final):
                                    j = k - 1
                                    while j > 0 and nearer(far, order[s], far_of[j - 1], who[j - 1]):
                                        far_of[j], who[j] = far_of[j - 1], who[j - 1]
                                        j -= 1
                                    far_of[j], who[j] = far, order[s]
                                    worst, final = far_of[k - 1], who[k - 1]
            width = T(ring) * reach
            looking = ring < most and not worst < width * width
            ring += 1
        q = np.uint64(order[i])
        for j in range(k):
            near[q, j], found[q, j] = np.sqrt(far_of[j]), who[j]

    return nearest
