"""Points in the plane and in space: what is looked at before, their order along a curve, and boxes around them.

Points that follow each other along a Morton curve are near each other, so that eight of them make a small box, two
boxes a larger one, and so on: a complete binary tree in an array, node v above the nodes 2 v and 2 v + 1. Its making
is a sort and one pass over the points. G. M. Morton, "A computer oriented geodetic data base", 1966; C. Lauterbach,
M. Garland, S. Sengupta, D. Luebke, D. Manocha, "Fast BVH construction on GPUs", 2009.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from portapar import arrays, lazy, ops, parts
from portapar.algorithms.find import find_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.moves import gather
from portapar.algorithms.reduce import reduce, transform_reduce
from portapar.algorithms.sort import sort_by_key
from portapar.algorithms.transform import iota
from portapar.errors import ArgumentError, of_kind
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy, check_policy

LEAF: Final = 8  #: points in a box of the lowest level
NONE: Final = 2**31 - 1  #: more than the number of any point


def check_points(algorithm: str, name: str, x: Any, dims: tuple[int, ...] = (2, 3), least: int = 0) -> Any:
    """An argument that must be an array of points; its numbers are looked at by `check_finite`."""
    x = arrays.normal(x, name)
    shape = tuple(getattr(x, "shape", ()))
    axes = " or ".join(map(str, dims))
    if not hasattr(x, "dtype") or len(shape) != 2 or shape[1] not in dims:
        kind = f"has shape {shape}" if hasattr(x, "dtype") else f"is {of_kind(x)}"
        raise ArgumentError(f"{algorithm}: {name} {kind}: must be an array of shape (n, {axes})")
    if np.dtype(x.dtype) not in (np.float32, np.float64):
        raise ArgumentError(
            f"{algorithm}: {name} has dtype {x.dtype}: must be float32 or float64. Pass {name}.astype(np.float64)"
        )
    if not least <= shape[0] <= NONE:
        raise ArgumentError(f"{algorithm}: {name} has {shape[0]} rows: must have {least} to {NONE}")
    return x


def on_text(algorithm: str, policy: Policy | None, text: Any, work: Callable[[LocalPart, Any], Any]) -> Any:
    """Carry out ``work(part, text)`` on one device; the arrays that it returns, one or several, come home."""
    check_policy(policy, algorithm)
    text = check_text(algorithm, text)

    def carry_out(p: Parts) -> Any:
        part = p.alone()
        found = work(part, p.replicated(text, "text")[part])
        if p.kind != "numpy":
            return found
        return tuple(map(arrays.asnumpy, found)) if isinstance(found, tuple) else arrays.asnumpy(found)

    return parts.run(algorithm, policy, (text,), carry_out)


def check_text(algorithm: str, text: Any) -> Any:
    """An argument that must be a text, as an array of its bytes."""
    if isinstance(text, (bytes, bytearray)):
        text = np.frombuffer(text, np.uint8)
    text = text if isinstance(text, str) else arrays.normal(text, "text")
    if not hasattr(text, "dtype") or len(text.shape) != 1 or np.dtype(text.dtype) != np.uint8:
        kind = (
            f"an array of {text.dtype}, {tuple(text.shape)}" if hasattr(text, "dtype") else f"{of_kind(text)}"
        )
        raise ArgumentError(f"{algorithm}: text is {kind}: must be bytes, such as b'...', or a flat array of uint8")
    if text.shape[0] > NONE:
        raise ArgumentError(f"{algorithm}: text has {text.shape[0]} bytes: at most {NONE}")
    return text


def check_finite(how: Policy, algorithm: str, name: str, x: Any) -> None:
    """Raise an `ArgumentError` for the first number that is NaN or infinite."""
    flat = x.reshape(-1)
    at = int(find_if(how, flat, _unbounded))
    if at < len(flat):
        value = arrays.asnumpy(flat[at : at + 1])[0]
        place = f"{at // x.shape[1]}, {at % x.shape[1]}" if len(x.shape) > 1 else str(at)
        raise ArgumentError(f"{algorithm}: {name}[{place}] is {value}: must be finite")


def bounded(how: Policy, algorithm: str, name: str, points: Any) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest coordinates of points that are all finite, on the host."""
    check_finite(how, algorithm, name, points)
    least, most = (arrays.asnumpy(reduce(how, points, axis=0, op=op)) for op in (ops.minimum, ops.maximum))
    return least, most


def check_squares(algorithm: str, name: str, low: np.ndarray, high: np.ndarray) -> None:
    """Raise an `ArgumentError` where the squares of distances would not fit the dtype."""
    width = (high.astype(np.float64) / 2 - low.astype(np.float64) / 2).max(initial=0.0)
    if width > float(np.finfo(low.dtype).max) ** 0.5 / 4:
        raise ArgumentError(
            f"{algorithm}: {name} are up to {2 * width:.3g} apart, whose square is no {low.dtype}. Scale them"
        )


@dataclass(frozen=True)
class Curve:
    """Where a Morton curve runs: from `low` on, with so many cells for each unit of length."""

    low: np.ndarray
    scale: float
    bits: int

    @classmethod
    def through(cls, low: np.ndarray, high: np.ndarray) -> Curve:
        """The finest one over a cube."""
        bits = 31 if len(low) == 2 else 21
        width = float((high.astype(np.float64) - low.astype(np.float64)).max(initial=0.0))
        scale = (2.0**bits - 1) / width if width > 0 else 0.0
        return cls(low.astype(np.float64), scale if np.isfinite(scale) else 0.0, bits)

    def sorted(self, part: LocalPart, points: Any) -> tuple[Any, Any]:
        """The cells along the curve in order, and which points are there; of equal ones in the order of the points.

        A point outside belongs to the nearest cell. Where many points are in one cell, since a few are far from all
        others, each cell has a curve of its own.
        """
        how, n = part.how, len(points)
        low, most = part.asarray(self.low), 2.0**self.bits
        codes, finer = part.empty(n, np.uint64), part.empty(n, np.uint64)
        for_each(how, n, _code, low, self.scale, most, False, points, codes)
        found, order = sort_by_key(how, codes, iota(how, part.empty(n, np.int32)))
        if _crowded(how, found):
            for_each(how, n, _code, low, self.scale, most, True, points, finer)
            _, order = sort_by_key(how, finer, iota(how, order))
            found, order = sort_by_key(how, gather(how, codes, order), order)
        return found, order


def _crowded(how: Policy, codes: Any) -> bool:
    """Whether many cells hold as many points as a leaf."""
    leaves = len(codes) // LEAF
    same = lambda k: codes[LEAF * k] == codes[LEAF * k + LEAF - 1]
    return bool(leaves) and int(transform_reduce(how, lazy.iota(leaves), transform=same)) > leaves // 32


@dataclass(frozen=True)
class Boxes:
    """A tree of boxes around points in the order of a curve.

    Attributes
    ----------
    points : array, (leaves, d, LEAF)
        In order; what is left of the last leaves is infinite.
    order : array of int32, (leaves * LEAF,)
        Which point each was; `NONE` where there is none.
    bounds : array, (2 * leaves, 2 * d)
        Of each node the least and the greatest coordinates.
    lowest : array of int32, (2 * leaves,)
        The first of a node's points in the order that they were given.
    leaves : int
        A power of two; leaf k is node ``leaves + k``.
    """

    points: Any
    order: Any
    bounds: Any
    lowest: Any
    leaves: int

    @classmethod
    def around(cls, part: LocalPart, points: Any, order: Any) -> Boxes:
        """The boxes of points whose order is known."""
        (n, d), how = points.shape, part.how
        leaves = 1 << (-(-n // LEAF) - 1).bit_length() if n else 1
        placed, number = part.empty((leaves, d, LEAF), points.dtype), part.empty(leaves * LEAF, np.int32)
        bounds, lowest = part.empty((2 * leaves, 2 * d), points.dtype), part.empty(2 * leaves, np.int32)
        for_each(how, leaves, _leaf, leaves, points, order, placed, number, bounds, lowest)
        level = leaves // 2
        while level:
            for_each(how, level, _join, level, bounds, lowest)
            level //= 2
        return cls(placed, number, bounds, lowest, leaves)


# kernels ------------------------------------------------------------------------------------------


def _unbounded(v: Any) -> Any:
    return not abs(v) < np.inf


def _code(i: Any, low: Any, scale: Any, most: Any, finer: Any, points: Any, codes: Any) -> None:
    """The bits of the coordinates, in turns, the first axis highest; or those after them."""
    code = np.uint64(0)
    for a in range(points.shape[1]):
        at = min(max((points[i, a] - low[a]) * scale, 0.0), most - 1)
        if finer:
            at = (at - np.floor(at)) * most
        code = (code << np.uint64(1)) | (_spread2(np.uint64(at)) if points.shape[1] == 2 else _spread3(np.uint64(at)))
    codes[i] = code


def _spread2(v: Any) -> Any:
    """A zero before each of 32 bits."""
    v = (v | (v << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    v = (v | (v << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    v = (v | (v << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    v = (v | (v << np.uint64(2))) & np.uint64(0x3333333333333333)
    return (v | (v << np.uint64(1))) & np.uint64(0x5555555555555555)


def _spread3(v: Any) -> Any:
    """Two zeros before each of 21 bits."""
    v = (v | (v << np.uint64(32))) & np.uint64(0x001F00000000FFFF)
    v = (v | (v << np.uint64(16))) & np.uint64(0x001F0000FF0000FF)
    v = (v | (v << np.uint64(8))) & np.uint64(0x100F00F00F00F00F)
    v = (v | (v << np.uint64(4))) & np.uint64(0x10C30C30C30C30C3)
    return (v | (v << np.uint64(2))) & np.uint64(0x1249249249249249)


def _leaf(k: Any, leaves: Any, points: Any, order: Any, placed: Any, number: Any, bounds: Any, lowest: Any) -> None:
    d = points.shape[1]
    first, last = min(LEAF * k, len(points)), min(LEAF * k + LEAF, len(points))
    for a in range(d):
        low, high = np.inf, -np.inf
        for i in range(first, last):
            x = points[np.uint64(order[i]), a]
            low, high = min(low, x), max(high, x)
            placed[k, a, i - first] = x
        for t in range(last - first, LEAF):
            placed[k, a, t] = np.inf
        bounds[leaves + k, a], bounds[leaves + k, d + a] = low, high
    least = NONE
    for i in range(first, last):
        number[i] = order[i]
        least = min(least, order[i])
    for i in range(LEAF * k + last - first, LEAF * k + LEAF):
        number[i] = NONE
    lowest[leaves + k] = least


def _join(k: Any, level: Any, bounds: Any, lowest: Any) -> None:
    v = level + k
    d = bounds.shape[1] // 2
    for a in range(d):
        bounds[v, a] = min(bounds[2 * v, a], bounds[2 * v + 1, a])
        bounds[v, d + a] = max(bounds[2 * v, d + a], bounds[2 * v + 1, d + a])
    lowest[v] = min(lowest[2 * v], lowest[2 * v + 1])


def nearer(far: Any, index: Any, other: Any, its: Any) -> Any:
    """Whether a point comes before another one: by its distance, of equal ones by its number."""
    return far < other or (far == other and index < its)
