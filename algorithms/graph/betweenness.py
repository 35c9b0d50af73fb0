"""betweenness_centrality: how many of the shortest paths between other vertices lead over each.

Brandes' method from some sources: a breadth-first search gives the depths; by depth, shortest paths are counted from
the source on, and what depends on a vertex is added up on the way back. Every vertex gathers from its neighbours, so
that sums have one order. U. Brandes, "A faster algorithm for betweenness centrality", 2001.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from portapar import arrays, ops
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.bfs import search
from portapar.algorithms.graph.graph import Graph, on_graph, vertices
from portapar.algorithms.histogram import bincount
from portapar.algorithms.reduce import reduce
from portapar.algorithms.sort import argsort
from portapar.algorithms.transform import transform
from portapar.errors import ArgumentError, flags
from portapar.part import LocalPart
from portapar.policy import Policy

_FEW = 512  #: vertices of a level that one thread does faster than several, and levels that it does in one step at most


def betweenness_centrality(
    policy: Policy | None, graph: Graph, sources: int | Sequence[int] | None = None, *, normalized: bool = True
) -> Any:
    """How many shortest paths from `sources` lead over each vertex, not counting their ends.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Its weights are not looked at.
    sources : int or sequence of int, optional
        All vertices by default; a few give an estimate.
    normalized : bool
        Divided by the largest, as in the GAP benchmark.

    Returns
    -------
    array of float64, (n,)
        Of several shortest paths between two vertices each counts as a part of one; if the graph is not directed a
        pair of sources counts twice, once from each end. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        A source is no vertex, or there are more shortest paths between two vertices than float64 counts.

    Notes
    -----
    The same bits on every executor. Every source costs a breadth-first search and two passes over the edges.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([1, 2, 3]))
    >>> pp.graph.betweenness_centrality(pp.par, g, normalized=False)
    array([0., 4., 4., 0.])
    """
    flags("graph.betweenness_centrality", normalized=normalized)

    def centrality(part: LocalPart, graph: Graph) -> Any:
        n, how = graph.num_vertices, part.how
        chosen = range(n) if sources is None else vertices("graph.betweenness_centrality", sources, graph)
        total = part.zeros(n, np.float64)
        for source in chosen:
            _add(part, graph, source, total)
        largest = reduce(how, total, op=ops.maximum) if n and normalized else 0
        return transform(how, total, op=lambda x: x / largest) if largest > 0 else total

    return on_graph("graph.betweenness_centrality", policy, graph, centrality)


def _add(part: LocalPart, graph: Graph, source: int, total: Any) -> None:
    """What depends on each vertex, of the paths from one source."""
    n, how = graph.num_vertices, part.how
    depth = search(part, graph, source, True)
    deepest = int(reduce(how, depth, op=ops.maximum))
    order = argsort(how, depth)  # by depth; those that are not reached are the first
    counts = arrays.asnumpy(bincount(how, transform(how, depth, op=lambda d: d + 1), minlength=deepest + 2))
    ends = np.cumsum(counts).tolist()
    paths, depends = part.zeros(n, np.float64), part.zeros(n, np.float64)
    back, forth = ((g.offsets, radix.bits(g.targets)) for g in (graph.reverse, graph))
    for_each(how, 1, _one_path, source, paths)
    for first, last in _together(ends, range(1, deepest + 1), part.wide):
        _levels(part, first, last, ends, _count, _counts, order, *back, depth, paths)
    if n and not reduce(how, paths, op=ops.maximum) < np.inf:
        raise ArgumentError(
            f"graph.betweenness_centrality: from vertex {source} to another one there are more than 1e308 shortest "
            "paths, which float64 does not count. The share of each is not to be had in such graphs (large grids)"
        )
    for first, last in _together(ends, range(deepest - 1, 0, -1), part.wide):
        _levels(part, first, last, ends, _depend, _depends, order, *forth, depth, paths, depends, total)


def _together(ends: list[int], levels: range, wide: bool) -> Iterator[tuple[int, int]]:
    """The first and the last of levels that are done in one step: several where each has few vertices."""
    first = None
    for level in levels:
        small = ends[level + 1] - ends[level] <= _FEW and not wide
        if first is not None and not (small and abs(level - first) < _FEW):
            yield first, level - levels.step
            first = None
        if not small:
            yield level, level
        elif first is None:
            first = level
    if first is not None:
        yield first, levels[-1]


def _levels(part: LocalPart, first: int, last: int, ends: list[int], one: Any, several: Any, *args: Any) -> None:
    if first == last:
        for_each(part.how._dealt(256), ends[first + 1] - ends[first], one, ends[first], first, *args)
    else:
        step = 1 if last > first else -1
        lo = min(first, last)
        some = part.asarray(np.array(ends[lo : max(first, last) + 2]))
        for_each(part.how, 1, several, first, last + step, step, lo, some, *args)


# kernels ------------------------------------------------------------------------------------------


def _one_path(_: Any, source: Any, paths: Any) -> None:
    paths[source] = 1


def _count(k: Any, first: Any, level: Any, order: Any, offsets: Any, sources: Any, depth: Any, paths: Any) -> None:
    """Paths to a vertex: those to the vertices before it."""
    v = np.uint64(order[first + k])
    found = 0.0
    for e in range(offsets[v], offsets[v + np.uint64(1)]):
        u = sources[np.uint64(e)]
        if depth[u] == level - 1:
            found += paths[u]
    paths[v] = found


def _counts(
    _: Any,
    first: Any,
    last: Any,
    step: Any,
    lo: Any,
    ends: Any,
    order: Any,
    offsets: Any,
    sources: Any,
    depth: Any,
    paths: Any,
) -> None:
    for level in range(first, last, step):
        for k in range(ends[level - lo], ends[level - lo + 1]):
            _count(k, 0, level, order, offsets, sources, depth, paths)


def _depend(
    k: Any,
    first: Any,
    level: Any,
    order: Any,
    offsets: Any,
    targets: Any,
    depth: Any,
    paths: Any,
    depends: Any,
    total: Any,
) -> None:
    u = np.uint64(order[first + k])
    found = 0.0
    for e in range(offsets[u], offsets[u + np.uint64(1)]):
        v = targets[np.uint64(e)]
        if depth[v] == level + 1:
            found += (1 + depends[v]) / paths[v]
    depends[u] = found * paths[u]
    total[u] += depends[u]


def _depends(
    _: Any, first: Any, last: Any, step: Any, lo: Any, ends: Any, order: Any, offsets: Any, targets: Any, depth: Any,
    paths: Any, depends: Any, total: Any,
) -> None:  # fmt: skip
    for level in range(first, last, step):
        for k in range(ends[level - lo], ends[level - lo + 1]):
            _depend(k, 0, level, order, offsets, targets, depth, paths, depends, total)
