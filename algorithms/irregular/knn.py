"""knn: the nearest neighbours of points, exactly.

Of points that are spread out evenly each looks into the cells of a grid around it (`cells`). Others, and those that are
asked for by queries, are put in order along a Morton curve, with a binary tree of boxes around them. A search begins in
the box where its point lies, which gives a near bound at once, and climbs: at each step up it looks into the other
half, where that box is no farther away than the bound. Searches run in the order of the curve, so that neighbours read
the same boxes.
J. L. Bentley, "Multidimensional binary search trees used for associative searching", 1975, prunes by bounds;
M. Connor, P. Kumar, "Fast construction of k-nearest neighbor graphs for point clouds", 2010, begins on the curve.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.irregular.cells import MOST, Cells
from portapar.algorithms.irregular.points import (
    LEAF,
    NONE,
    Boxes,
    Curve,
    bounded,
    check_points,
    check_squares,
    nearer,
)
from portapar.algorithms.searchsorted import searchsorted
from portapar.errors import ArgumentError
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy, check_policy

_DEEP: Final = 64  #: boxes that wait: one for each level of the tree


def knn(policy: Policy | None, points: Any, k: int = 1, queries: Any = None) -> tuple[Any, Any]:
    """The k nearest points of every query, or of every point the k nearest others.

    Parameters
    ----------
    policy : Policy
    points : array of float32 or float64, (n, 2) or (n, 3)
    k : int
        From 1 to 32, and at most as many as there are: n, or n - 1 without `queries`.
    queries : array, (m, 2) or (m, 3), optional
        Of the dtype and dimension of `points`. If not given, the points themselves, of which none is its own
        neighbour; another one at the same place is.

    Returns
    -------
    distances : array of the dtype of `points`, (m, k)
        Nearest first.
    indices : array of int32, (m, k)
        Rows of `points`; of equally near ones the lowest first. With ``policy.task`` a Future of both.

    Raises
    ------
    ArgumentError
        Wrong shapes or dtypes, numbers that are not finite, too large a k, or squares of distances that overflow.

    Notes
    -----
    Exact, and the same bits on every executor: nearest by the sum of the squares of differences, as the points' dtype
    computes it. O(n log n) work where points are spread out; equal ones cost no more.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [3.0, 4.0]])
    >>> distances, indices = pp.irregular.knn(pp.par, points, 2)
    >>> distances[0], indices[0]
    (array([3., 4.]), array([1, 2], dtype=int32))
    """
    name = "irregular.knn"
    check_policy(policy, name)
    points = check_points(name, "points", points)
    given = {"points": points}
    if queries is not None:
        queries = given["queries"] = check_points(name, "queries", queries, points.shape[1:])
        if queries.dtype != points.dtype:
            raise ArgumentError(f"{name}: points are {points.dtype}, queries {queries.dtype}: must be of one dtype")
    most = len(points) - (queries is None)
    k = arrays.whole_number(f"{name}: k", k, 1, MOST, ArgumentError)
    if k > most and len(given.get("queries", points)):
        raise ArgumentError(f"{name}: k is {k}, and each has {max(most, 0)} points to choose from")

    def carry_out(p: Parts) -> tuple[Any, Any]:
        part = p.alone()
        found = _search(part, name, k, *(p.replicated(x, label)[part] for label, x in given.items()))
        return tuple(map(arrays.asnumpy, found)) if p.kind == "numpy" else found  # type: ignore[return-value]

    return parts.run(name, policy, tuple(given.values()), carry_out)


def _search(part: LocalPart, name: str, k: int, points: Any, queries: Any = None) -> tuple[Any, Any]:
    how, alone = part.how, queries is None
    m = len(points if alone else queries)
    near, found = part.empty((m, k), points.dtype), part.empty((m, k), np.int32)
    if not m:
        return near, found
    low, high = bounded(how, name, "points", points)
    curve = Curve.through(low, high)
    if not alone:
        least, most = bounded(how, name, "queries", queries)
        low, high = np.minimum(low, least), np.maximum(high, most)
    check_squares(name, "points", low, high)
    cells = Cells.around(part, points, low, high, k) if alone else None
    if cells is not None:
        cells.nearest(part, k, near, found)
        return near, found
    codes, order = curve.sorted(part, points)
    tree = Boxes.around(part, points, order)
    asked, begin = tree, part.empty(1, np.int64)
    if not alone:
        there, turn = curve.sorted(part, queries)
        asked, begin = Boxes.around(part, queries, turn), searchsorted(how, codes, there)
    blocks = -(-m // LEAF)
    for_each(
        how._dealt(16), blocks, _nearest(points.dtype.type), k, alone, len(points), tree.leaves, tree.points,
        tree.order, tree.bounds, tree.lowest, asked.leaves, asked.points, asked.order, asked.bounds, begin, near, found,
    )  # fmt: skip
    return near, found


# kernels ------------------------------------------------------------------------------------------


def _nearest(T: Any) -> Any:
    def nearest(
        b: Any,
        k: Any,
        alone: Any,
        n: Any,
        leaves: Any,
        points: Any,
        order: Any,
        bounds: Any,
        lowest: Any,
        blocks: Any,
        queries: Any,
        turn: Any,
        around: Any,
        begin: Any,
        near: Any,
        found: Any,
    ) -> None:
        """The nearest of `LEAF` queries, which are near each other."""
        waiting, worst, last = np.empty(_DEEP, np.int32), np.empty(LEAF, T), np.empty(LEAF, np.int32)
        away = np.empty(LEAF, T)
        for t in range(LEAF):
            worst[t], last[t] = np.inf, NONE
            q = turn[LEAF * b + t]
            if q == NONE:
                worst[t], last[t] = -1, -1
            else:
                for j in range(k):
                    near[np.uint64(q), j], found[np.uint64(q), j] = np.inf, NONE
        leaf = b if alone else min(begin[LEAF * b], n - 1) // LEAF
        node = waiting[0] = leaves + leaf
        most, final = _farthest(worst, last)
        while node > 0:
            count = 1
            while count > 0:
                count -= 1
                v = np.int64(waiting[count])
                far = _apart(v, blocks + b, bounds, around)
                if far < most or (far == most and lowest[v] < final):
                    if v >= leaves:
                        _look(b, v - leaves, k, alone, points, order, queries, turn, near, found, worst, last, away)
                        most, final = _farthest(worst, last)
                    else:
                        left = _apart(2 * v, blocks + b, bounds, around)
                        right = _apart(2 * v + 1, blocks + b, bounds, around)
                        waiting[count] = 2 * v + (left <= right)
                        waiting[count + 1] = 2 * v + (right < left)
                        count += 2
            waiting[0] = node ^ 1
            node = node >> 1 if node > 1 else 0
        for t in range(LEAF):
            q = turn[LEAF * b + t]
            if q != NONE:
                for j in range(k):
                    near[np.uint64(q), j] = np.sqrt(near[np.uint64(q), j])

    return nearest


def _apart(v: Any, u: Any, bounds: Any, around: Any) -> Any:
    """The square of the distance of two boxes, no more than that of any points in them, rounding included."""
    d = bounds.shape[1] // 2
    total = around[u, 0] * 0
    for a in range(d):
        off = max(max(bounds[v, a] - around[u, d + a], around[u, a] - bounds[v, d + a]), total * 0)
        total += off * off
    return total


def _look(
    b: Any,
    leaf: Any,
    k: Any,
    alone: Any,
    points: Any,
    order: Any,
    queries: Any,
    turn: Any,
    near: Any,
    found: Any,
    worst: Any,
    last: Any,
    away: Any,
) -> None:
    """Put the points of a leaf among the nearest, where they are."""
    for t in range(LEAF):
        if worst[t] >= 0:
            for s in range(LEAF):
                off = queries[b, 0, t] - points[leaf, 0, s]
                away[s] = off * off
            for a in range(1, points.shape[1]):
                for s in range(LEAF):
                    off = queries[b, a, t] - points[leaf, a, s]
                    away[s] += off * off
            hits = 0
            for s in range(LEAF):
                hits += away[s] <= worst[t]
            if hits > 0:
                q = np.uint64(turn[LEAF * b + t])
                for s in range(LEAF):
                    index = order[LEAF * leaf + s]
                    if nearer(away[s], index, worst[t], last[t]) and not (alone and index == turn[LEAF * b + t]):
                        j = k - 1
                        while j > 0 and nearer(away[s], index, near[q, j - 1], found[q, j - 1]):
                            near[q, j], found[q, j] = near[q, j - 1], found[q, j - 1]
                            j -= 1
                        near[q, j], found[q, j] = away[s], index
                        worst[t], last[t] = near[q, k - 1], found[q, k - 1]


def _farthest(worst: Any, last: Any) -> Any:
    """Of what is kept, for all queries."""
    most, final = worst[0], last[0]
    for t in range(1, LEAF):
        most, final = max(most, worst[t]), max(final, last[t])
    return most, final
