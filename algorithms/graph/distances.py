"""diameter and all_pairs: how far the vertices of a graph lie from each other.

`diameter` bounds how far each vertex lies from the farthest: a search from one of them says it for that one, and, by
the triangle inequality, how much it can be for all others; the next search begins where the bounds say most. F. Takes,
W. Kosters, "Determining the diameter of small world networks", CIKM 2011. Where that does not settle it soon, vertices
far from a middle one are searched from, the farthest first: paths between those left are at most twice as long as the
way from the middle to the farthest of them. P. Crescenzi et al., "On computing the diameter of real-world undirected
graphs", 2013. `all_pairs` lets 64 searches go along
together (`many`); with weights it takes Floyd and Warshall's method (1962) for small graphs, and else a search for each
vertex.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, ops
from portapar.algorithms.extrema import max_element
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.bfs import search
from portapar.algorithms.graph.components import components
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.many import WIDTH, search_many
from portapar.algorithms.graph.sssp import paths
from portapar.algorithms.histogram import bincount
from portapar.algorithms.reduce import reduce
from portapar.algorithms.sort import argsort
from portapar.algorithms.transform import copy, fill, transform
from portapar.errors import ArgumentError
from portapar.part import LocalPart
from portapar.policy import Policy

_SINGLY = 16  #: searches, one after the other, that begin where the bounds say most
_NEVER = np.iinfo(np.int64).max
_FAR = 2**61  #: farther than any path; the sum of two of them has 64 bits


def diameter(policy: Policy | None, graph: Graph, *, searches: int | None = None) -> Any:
    """Bounds of the largest distance between two vertices that a path joins, in edges.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Its weights are not looked at.
    searches : int, optional
        How many breadth-first searches there are at most; by default as many as make the bounds equal.

    Returns
    -------
    (int, int)
        The diameter is not less than the first, and not more than the second; without `searches` they are equal. With
        ``policy.task`` a Future of them.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    Of a graph of several components it is the largest of theirs. A search is O(n + m) work; mostly some tens of them
    make the bounds equal, and n at most.

    Examples
    --------
    >>> import portapar as pp
    >>> pp.graph.diameter(pp.par, pp.graph.grid(pp.par, 30, 40))
    (68, 68)
    """
    check_undirected("graph.diameter", graph)
    most = None if searches is None else arrays.whole_number("graph.diameter: searches", searches, error=ArgumentError)

    def bounds(part: LocalPart, graph: Graph) -> tuple[int, int]:
        n, how = graph.num_vertices, part.how
        if n == 0:
            return 0, 0
        label = components(part, graph)
        low, high, rank = part.zeros(n, np.int32), part.empty(n, np.int32), part.empty(n, np.int64)
        for_each(how, n, _begin, label, bincount(how, label, minlength=n), high)
        done, component, depth = 0, -1, low
        while True:
            lower, upper = (int(reduce(how, x, op=ops.maximum)) for x in (low, high))
            if lower >= upper or done == most:
                return lower, max(lower, upper)
            if done < _SINGLY:
                for_each(how, n, _rank_high if done % 2 == 0 else _rank_low, lower, graph.offsets, low, high, rank)
                some = [max_element(how, rank)]
            else:
                widest = max_element(how, high)
                if component != (component := int(arrays.asnumpy(label[widest : widest + 1])[0])):
                    for_each(how, n, _rank_middle, component, label, high, rank)
                    depth = search(part, graph, max_element(how, rank), True)
                for_each(how, n, _rank_fringe, component, lower, label, depth, low, high, rank)
                some = arrays.asnumpy(argsort(how, rank, descending=True)[:WIDTH]).tolist()
                some = some[: n if most is None else most - done]
            found = search_many(part, graph, some, True)
            farthest = part.empty(len(some), np.int32)
            for_each(how._dealt(1), len(some), _farthest, found, farthest)
            for_each(how, n, _bound, farthest, found, low, high)
            done += len(some)
            if component >= 0:
                lower = int(reduce(how, low, op=ops.maximum))
                for_each(how, n, _rank_fringe, component, lower, label, depth, low, high, rank)
                limit = max(lower, 2 * int(reduce(how, rank, op=ops.maximum)))
                for_each(how, n, _limit, component, limit, label, high)

    return on_graph("graph.diameter", policy, graph, bounds)


def all_pairs(policy: Policy | None, graph: Graph) -> Any:
    """The distance from every vertex to every other.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        With weights, none of them negative; without, each is 1.

    Returns
    -------
    array, (n, n)
        Row `s` is what `sssp` returns for the source `s`. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        A weight is negative.

    Notes
    -----
    The same on every executor. O(n^3) work with weights for graphs of few vertices or many edges, else that of a search
    from every vertex.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1]), np.array([1, 2]), np.array([0.5, 2.0]), directed=True)
    >>> pp.graph.all_pairs(pp.par, g)
    array([[0. , 0.5, 2.5],
           [inf, 0. , 2. ],
           [inf, inf, 0. ]])
    """

    def distances(part: LocalPart, graph: Graph) -> Any:
        n, how = graph.num_vertices, part.how
        if graph.weights is None:
            depth = search_many(part, graph, list(range(n)), True)
            out = part.empty((n, n), np.int64)
            if n:
                transform(how, depth.reshape(-1), out=out.reshape(-1), op=lambda d: np.int64(d) if d >= 0 else _NEVER)
            return out
        kept = graph.weights.dtype.kind == "f"
        out = part.empty((n, n), graph.weights.dtype if kept else np.int64)
        if n == 0:
            return out
        if not _few(n, len(graph.targets)) or graph.weight_range()[0] < 0:
            for source in range(n):
                copy(how, paths(part, graph, source, None), out=out[source])
            return out
        if not kept and int(graph.weight_range()[1]) * (n - 1) >= _FAR:
            raise ArgumentError("graph.all_pairs: the sums of weights may exceed 61 bits. Pass weights of float64")
        far = out.dtype.type(np.inf if kept else _FAR)
        fill(how, out.reshape(-1), far)
        for_each(how, n, _rows, graph.offsets, graph.targets, graph.weights, out)
        into, onward = part.empty(n, out.dtype), part.empty(n, out.dtype)
        for k in range(n):
            for_each(how, n, _cross, k, out, into, onward)
            for_each(how, (n, n), _over, into, onward, out)
        return out if kept else transform(how, out, op=lambda d: d if d < _FAR else _NEVER)

    return on_graph("graph.all_pairs", policy, graph, distances)


def _few(n: int, m: int) -> bool:
    """Whether all triples of vertices are looked at sooner than searches from each are done."""
    return n * n < 600_000 + 40 * m


# kernels ------------------------------------------------------------------------------------------


def _begin(v: Any, label: Any, sizes: Any, high: Any) -> None:
    high[v] = sizes[np.uint64(label[v])] - 1


def _rank_high(v: Any, lower: Any, offsets: Any, low: Any, high: Any, rank: Any) -> None:
    """Which may lie the farthest from another one; of such, that of the most edges."""
    rank[v] = np.int64(high[v]) << 32 | min(offsets[v + 1] - offsets[v], 2**32 - 1)


def _rank_low(v: Any, lower: Any, offsets: Any, low: Any, high: Any, rank: Any) -> None:
    """Which may lie in the middle, of those that are not known to lie no farther from another one than some do."""
    near = np.int64(2**31 - 1 - low[v]) << 32 | min(offsets[v + 1] - offsets[v], 2**32 - 1)
    rank[v] = near if high[v] > lower else -1


def _rank_middle(v: Any, component: Any, label: Any, high: Any, rank: Any) -> None:
    rank[v] = 2**31 - np.int64(high[v]) if label[v] == component else -1


def _rank_fringe(
    v: Any, component: Any, lower: Any, label: Any, depth: Any, low: Any, high: Any, rank: Any
) -> None:
    """How far a vertex that may lie at the end of a longer path is from the middle."""
    rank[v] = depth[v] if label[v] == component and high[v] > lower and low[v] < high[v] else -1


def _limit(v: Any, component: Any, limit: Any, label: Any, high: Any) -> None:
    if label[v] == component:
        high[v] = min(high[v], limit)


def _farthest(s: Any, depth: Any, farthest: Any) -> None:
    most = depth[s, 0]
    for v in range(1, depth.shape[1]):
        most = max(most, depth[s, v])
    farthest[s] = most


def _bound(v: Any, farthest: Any, depth: Any, low: Any, high: Any) -> None:
    for s in range(len(farthest)):
        d = depth[s, v]
        if d >= 0:
            low[v] = max(low[v], d, farthest[s] - d)
            high[v] = min(high[v], farthest[s] + d)


def _rows(u: Any, offsets: Any, targets: Any, weights: Any, out: Any) -> None:
    for e in range(offsets[u], offsets[u + 1]):
        out[u, targets[e]] = min(out[u, targets[e]], weights[e])
    out[u, u] = 0


def _cross(v: Any, k: Any, out: Any, into: Any, onward: Any) -> None:
    into[v], onward[v] = out[v, k], out[k, v]


def _over(u: Any, v: Any, into: Any, onward: Any, out: Any) -> None:
    out[u, v] = min(out[u, v], into[u] + onward[v])
