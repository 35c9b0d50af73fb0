"""histogram and bincount: how many elements (or what weight) fall into each bin.

Blocks of elements count into tables of their own, which are then added bin by bin; where there would be more
tables than elements to count, blocks share them by atomic updates. Integer counts are exact in any order. Weights
that are floats are added in blocks of a size that does not depend on the device, each with a table of its own, in
order: the same bits on every device. Shun, Blelloch, Fineman, Gibbons, "Reducing contention through priority
updates", 2013, and PBBS discuss the choice.

Bins have NumPy's meaning to the last bit: an element's place is estimated by one multiplication, and then put
right by comparing with the edges themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portapar import arrays, ops, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.reduce import transform_reduce
from portapar.errors import PlacementError
from portapar.kernel import atomic
from portapar.parts import Data, Parts, Piece
from portapar.policy import Policy

_TABLES = 1 << 22  #: counters at most in all private tables together
_WEIGHED = 1 << 16  #: elements of a block at the least whose weights are added in order


def histogram(
    policy: Policy | None,
    x: Any,
    bins: Any = 10,
    range: tuple[float, float] | None = None,
    weights: Any = None,
    key: Any = None,
) -> Any:
    """How many elements lie between neighbouring edges.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, real numbers, or anything with `key`.
    bins : int or array_like
        How many bins of equal width, or their edges, which must not decrease. Every bin holds its left edge and
        not its right one, but for the last, which holds both. Elements outside are not counted, nor is NaN.
    range : (float, float), optional
        Outer edges of bins of equal width; by default the smallest and the largest element, which must be finite.
    weights : array, optional
        As long as `x`: what each element counts.
    key : callable, optional
        A kernel of one element: its value is counted in the element's place.

    Returns
    -------
    (counts, edges)
        Counts are int64, or of the dtype of `weights` (float64 for integers), and of the kind of `x`; edges are
        a NumPy array. On ranks and hybrids counts are a NumPy array, the same everywhere.

    Raises
    ------
    PlacementError
        For bad bins or range, or weights of another length.

    Notes
    -----
    O(n) work, O(n log bins) for edges of any distance.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> counts, edges = pp.histogram(pp.par, np.array([1, 2, 1, 4]), bins=3)
    >>> counts, edges
    (array([2, 1, 1]), array([1., 2., 3., 4.]))
    """
    return parts.run("histogram", policy, (x, weights), lambda p: _histogram(p, x, bins, range, weights, key))


def bincount(policy: Policy | None, x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How many elements have the value 0, 1, 2, …

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, integers from 0.
    weights : array, optional
        As long as `x`: what each element counts.
    minlength : int
        Bins at the least; there are as many as the largest element needs.

    Returns
    -------
    array
        int64, or float64 with `weights`. On ranks and hybrids a NumPy array, the same everywhere.

    Raises
    ------
    PlacementError
        For negative elements, for elements that are no integers, or weights of another length.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.bincount(pp.par, np.array([0, 1, 1, 3]))
    array([1, 2, 0, 1])
    """
    return parts.run("bincount", policy, (x, weights), lambda p: _bincount(p, x, weights, minlength))


def _bincount(p: Parts, x: Any, weights: Any, minlength: int) -> Any:
    data = p.vector(x, "x")
    if data.dtype.kind not in "iub":
        raise PlacementError(f"bincount: x has dtype {data.dtype}: must hold integers. For other numbers use histogram")
    if isinstance(minlength, bool) or not isinstance(minlength, (int, np.integer)) or minlength < 0:
        raise PlacementError(f"bincount: minlength is {minlength!r}: must be a whole number from 0")
    if minlength and weights is None:  # often enough: then no pass is needed to find the largest
        bins = int(minlength)

        def inside(v: Any) -> Any:
            return v if 0 <= v and v < bins else -1

        counts = _counts(p, data, None, bins, inside)
        if counts.sum() == len(data):
            return _give(p, counts)
    ends = [end for end in p.each("extent", lambda piece: _extent(piece, data[piece], None)) if end is not None]
    least, most = min((lo for lo, _ in ends), default=0), max((hi for _, hi in ends), default=-1)
    if least < 0:
        raise PlacementError(f"bincount: x holds {least}: must hold no negative numbers. Subtract the least one first")
    return _give(p, _counts(p, data, weights, max(int(most) + 1, int(minlength)), _itself))


def _give(p: Parts, counts: np.ndarray) -> Any:
    """Counts as the kind of array that went in."""
    return p.executor.asarray(counts) if p.kind == "device" else counts


def _histogram(p: Parts, x: Any, bins: Any, limits: Any, weights: Any, key: Any) -> Any:
    data = p.vector(x, "x")
    value = _itself if key is None else p.function(key, "key", 1)
    if key is None and data.dtype.kind not in "biuf":
        raise PlacementError(f"histogram: x has dtype {data.dtype}: must hold real numbers. Or pass key=")
    if isinstance(bins, (int, np.integer)) and not isinstance(bins, bool):
        edges = _uniform(p, data, value, int(bins), limits)
        if key is not None or data.dtype.kind != "f":
            edges = edges.astype(np.float64)
        place = _estimated(value, edges, data.dtype)
    else:
        edges = np.asarray(bins)
        ordered = edges.ndim == 1 and len(edges) > 1 and edges.dtype.kind in "iuf" and (edges[1:] >= edges[:-1]).all()
        if not ordered:
            raise PlacementError(
                f"histogram: bins is {bins!r}: must be a whole number from 1, or edges, at least two numbers that do "
                "not decrease"
            )
        place = _searched(value, edges)
    return _give(p, _counts(p, data, weights, len(edges) - 1, place)), edges


def _itself(v: Any) -> Any:
    return v


def _uniform(p: Parts, data: Data, value: Any, bins: int, limits: Any) -> np.ndarray:
    """The edges of bins of equal width."""
    if bins < 1:
        raise PlacementError(f"histogram: bins is {bins}: must be a whole number from 1")
    found = limits is None
    if found:
        ends = [end for end in p.each("extent", lambda piece: _extent(piece, data[piece], value)) if end is not None]
        limits = (min(lo for lo, _ in ends), max(hi for _, hi in ends)) if ends else (0, 1)
        if any(math.isnan(lo) or math.isnan(hi) for lo, hi in ends):
            limits = (math.nan, math.nan)
        told = "x has elements that are not finite, so that its range is"
    else:
        told = "range is"
    try:
        low, high = limits
        finite = math.isfinite(low) and math.isfinite(high)
    except (TypeError, ValueError):
        raise PlacementError(f"histogram: range is {limits!r}: must be two numbers, or None") from None
    if not finite or low > high:
        raise PlacementError(f"histogram: {told} ({low}, {high}): must be two finite numbers, the lower one first")
    kind = data.dtype if data.dtype.kind == "f" else np.dtype(np.float64)
    seen = np.array([low, high], kind)  # NumPy's edges depend on whether the range is given, and on the dtype
    return np.histogram_bin_edges(seen, bins, None if found else (low, high))


def _extent(piece: Piece, x: Any, value: Any) -> tuple[Any, Any] | None:
    """(smallest, largest) of a part's values; None if it is empty."""
    if len(x) == 0:
        return None
    given = {} if value in (None, _itself) else {"transform": value}
    least, most = (transform_reduce(piece.how, x, op=op, **given) for op in (ops.minimum, ops.maximum))
    return least.item(), most.item()


def _estimated(value: Any, edges: np.ndarray, dtype: np.dtype) -> Any:
    """A kernel: the number of the bin of equal width that an element is in, or -1."""
    bins, first, last = len(edges) - 1, edges[0], edges[-1]
    scale = np.float64(bins) / np.float64(last - first)

    def place(v: Any, edges: Any) -> Any:
        u = value(v)
        if not (first <= u and u <= last):
            return -1
        b = min(int((u - first) * scale), bins - 1)
        if u < edges[np.uint64(b)]:
            return b - 1
        if b < bins - 1 and u >= edges[np.uint64(b + 1)]:
            return b + 1
        return b

    place.edges = edges  # type: ignore[attr-defined]
    return place


def _searched(value: Any, edges: np.ndarray) -> Any:
    """A kernel: the number of the bin that an element is in, by a binary search of the edges, or -1."""
    bins, first, last = len(edges) - 1, edges[0], edges[-1]

    def place(v: Any, edges: Any) -> Any:
        u = value(v)
        if not (first <= u and u <= last):
            return -1
        lo, hi = 0, bins
        while lo < hi:  # the last edge that is not above u
            half = (lo + hi + 1) // 2
            if edges[np.uint64(half)] <= u:
                lo = half
            else:
                hi = half - 1
        while lo >= bins or (lo > 0 and edges[np.uint64(lo)] == last):  # the last bin holds its right edge
            lo -= 1
        return lo

    place.edges = edges  # type: ignore[attr-defined]
    return place


def _counts(p: Parts, data: Data, weights: Any, bins: int, place: Any) -> np.ndarray:
    """Elements, or their weights, by the number that `place` gives them."""
    heavy = None if weights is None else p.vector(weights, "weights")
    if heavy is not None and heavy.dtype.kind not in "biuf":
        raise PlacementError(f"{p.algorithm}: weights has dtype {heavy.dtype}: must hold real numbers")
    kind: np.dtype = np.dtype(np.int64)
    if heavy is not None:
        kind = heavy.dtype if heavy.dtype.kind == "f" and p.algorithm == "histogram" else np.dtype(np.float64)
    edges = getattr(place, "edges", None)
    which = place if edges is not None else lambda v, edges: place(v)
    edges = np.zeros(1) if edges is None else edges

    def count(piece: Piece) -> np.ndarray:
        given = None if heavy is None else heavy[piece]
        table = _table(piece, data[piece], given, piece.asarray(edges), bins, kind, which)
        return arrays.asnumpy(table)

    return sum(p.each("count", count), np.zeros(bins, kind))


def _table(piece: Piece, x: Any, weights: Any, edges: Any, bins: int, kind: np.dtype, place: Any) -> Any:
    """The counts of one part."""
    n = len(x)
    if n == 0:
        return piece.zeros(bins, kind)
    if weights is None:
        blocks, size = piece.blocks(n, least=1 << 14, each=1)
        tables = min(blocks, max(1, _TABLES // max(bins, 1)))
        counter = np.dtype(np.int32 if size * -(-blocks // tables) < 1 << 31 else np.int64)
    else:
        size = max(_WEIGHED, -(-n // max(1, min(64, _TABLES // max(bins, 1)))))
        blocks = tables = -(-n // size)
        counter = kind
    table, out = piece.zeros(tables * bins, counter), piece.empty(bins, kind)
    if bins == 0:
        return out
    if weights is not None:
        piece.run(blocks, _weigh(place), size, x, weights, edges, table, bins)
    elif tables == blocks:
        piece.run(blocks, _count(place), size, x, edges, table, bins)
    else:
        piece.run(blocks, _share(place), size, x, edges, table, bins, tables)
    for_each(piece.how, bins, _add, table, tables, bins, out)
    return out


def _count(place: Any) -> Any:
    def count(block: int, size: int, x: Any, edges: Any, table: Any, bins: int) -> None:
        mine = block * bins
        for i in range(block * size, min(len(x), (block + 1) * size)):
            b = place(x[np.uint64(i)], edges)
            if b >= 0:
                table[np.uint64(mine + int(b))] += 1

    return count


def _share(place: Any) -> Any:
    def count(block: int, size: int, x: Any, edges: Any, table: Any, bins: int, tables: int) -> None:
        mine = block % tables * bins
        for i in range(block * size, min(len(x), (block + 1) * size)):
            b = place(x[np.uint64(i)], edges)
            if b >= 0:
                atomic.add(table, mine + int(b), 1)

    return count


def _weigh(place: Any) -> Any:
    def count(block: int, size: int, x: Any, weights: Any, edges: Any, table: Any, bins: int) -> None:
        mine = block * bins
        for i in range(block * size, min(len(x), (block + 1) * size)):
            b = place(x[np.uint64(i)], edges)
            if b >= 0:
                table[np.uint64(mine + int(b))] += weights[np.uint64(i)]

    return count


def _add(bin: int, table: Any, tables: int, bins: int, out: Any) -> None:
    """A bin of all tables, in order."""
    total = table[bin]
    for k in range(1, tables):
        total += table[np.uint64(k * bins + bin)]
    out[bin] = total
