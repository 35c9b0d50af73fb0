"""Whether results are right, from the definition alone: each of these looks at every edge.

They run in NumPy, on the host, and raise AssertionError with the first place that is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms.graph.graph import Graph, vertex, vertices
from portapar.algorithms.graph.pagerank import check_numbers
from portapar.errors import ArgumentError, flags, of_kind


def verify_bfs(graph: Graph, source: int, parent: Any) -> None:
    """That `parent` is a tree of shortest paths from `source`, as `bfs` returns it.

    Raises
    ------
    AssertionError
    """
    u, v, _ = _edges("graph.verify_bfs", graph)
    source = vertex("graph.verify_bfs", "source", source, graph)
    n, parent = graph.num_vertices, _result(graph, parent)
    _all((parent >= -1) & (parent < n), "the parent of {} is no vertex", parent)
    depth = _depths(graph, [source])
    _all((parent >= 0) == (depth >= 0), "{} is reached by one of both only", parent)
    _that(parent[source] == source, f"the parent of the source is {parent[source]}")
    others = np.flatnonzero((parent >= 0) & (np.arange(n) != source))
    _all(depth[parent[others]] == depth[others] - 1, "{} is not one step farther than its parent", others)
    edges = np.sort(u * np.int64(n) + v)
    wanted = parent[others].astype(np.int64) * n + others
    at = np.searchsorted(edges, wanted)
    _all((at < len(edges)) & (edges[np.minimum(at, len(edges) - 1)] == wanted), "{}: no edge from its parent", others)


def verify_sssp(graph: Graph, source: int, distance: Any) -> None:
    """That no edge makes a distance shorter, and that edges which make distances lead from `source` to every vertex.

    Raises
    ------
    AssertionError
    """
    u, v, w = _edges("graph.verify_sssp", graph)
    source = vertex("graph.verify_sssp", "source", source, graph)
    distance = _result(graph, distance)
    never = np.iinfo(distance.dtype).max if distance.dtype.kind in "iu" else np.inf
    _that(distance[source] == 0, f"the distance of the source is {distance[source]}")
    reached = distance[u] < never
    sums = distance[u[reached]] + w[reached]
    _all(distance[v[reached]] <= sums, "an edge to {} makes its distance shorter", v[reached])
    made = np.zeros(len(u), bool)
    made[reached] = distance[v[reached]] == sums
    depth = _depths(graph, [source], made)
    _all((distance < never) == (depth >= 0), "no path from the source makes the distance of {}", distance)


def verify_components(graph: Graph, label: Any) -> None:
    """That labels are the smallest vertices of what hangs together.

    Raises
    ------
    AssertionError
    """
    u, v, _ = _edges("graph.verify_components", graph)
    label, n = _result(graph, label), graph.num_vertices
    _all(label[u] == label[v], "an edge to {} leads to another component", v)
    _all((label >= 0) & (label <= np.arange(n)), "the label of {} is not the smallest vertex", label)
    _all(label[label] == label, "the label of {} has another label", label)
    order = np.argsort(np.concatenate([u, v]), kind="stable")
    both = np.concatenate([v, u])[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate([u, v]), minlength=n))]).astype(np.int64)
    depth = _reach(offsets, both, np.flatnonzero(label == np.arange(n)), n)
    _all(depth >= 0, "{} is not joined with the others of its label", label)


def verify_betweenness(
    graph: Graph, sources: int | Sequence[int] | None, values: Any, *, normalized: bool = True
) -> None:
    """That `betweenness_centrality` of these sources is so, to 1e-9: Brandes' method once more, edge by edge.

    Raises
    ------
    AssertionError
    """
    flags("graph.verify_betweenness", normalized=normalized)
    u, v, _ = _edges("graph.verify_betweenness", graph)
    values, n = _result(graph, values), graph.num_vertices
    wanted = np.zeros(n)
    for source in range(n) if sources is None else vertices("graph.verify_betweenness", sources, graph):
        depth = _depths(graph, [source])
        on = (depth[u] >= 0) & (depth[v] == depth[u] + 1)
        a, b = u[on], v[on]
        order = np.argsort(depth[a], kind="stable")
        a, b = a[order], b[order]
        cuts = np.searchsorted(depth[a], np.arange(depth.max(initial=0) + 1)).tolist() + [len(a)]
        levels = [slice(lo, hi) for lo, hi in itertools.pairwise(cuts)]
        paths, depends = np.zeros(n), np.zeros(n)
        paths[source] = 1
        for level in levels:
            np.add.at(paths, b[level], paths[a[level]])
        for level in levels[::-1]:
            np.add.at(depends, a[level], paths[a[level]] / paths[b[level]] * (1 + depends[b[level]]))
        depends[source] = 0
        wanted += depends
    if normalized and wanted.max(initial=0) > 0:
        wanted /= wanted.max()
    _all(np.isclose(values, wanted, rtol=1e-9, atol=1e-9), "the betweenness of {} is another one", values)


def verify_pagerank(
    graph: Graph, rank: Any, *, damping: float = 0.85, tolerance: float = 1e-4, dangling: str = "drop"
) -> None:
    """That another iteration, in double precision, changes the ranks by less than `tolerance` in all.

    `damping` and `dangling` are those of `pagerank`.

    Raises
    ------
    AssertionError
    """
    u, v, _ = _edges("graph.verify_pagerank", graph)
    check_numbers("graph.verify_pagerank", damping, tolerance, dangling)
    rank = _result(graph, rank).astype(np.float64)
    n = len(rank)
    degree = np.bincount(u, minlength=n)
    given = rank / np.maximum(degree, 1)
    lost = rank[degree == 0].sum() if dangling == "spread" else 0.0
    again = (1 - damping + damping * lost) / max(n, 1) + damping * np.bincount(v, given[u], n)
    change = np.abs(again - rank).sum()
    _that(change < tolerance, f"another iteration changes the ranks by {change}")


def verify_triangles(graph: Graph, count: int) -> None:
    """That there are so many triangles: with SciPy, of the product of the matrix with itself.

    Raises
    ------
    AssertionError
    """
    from scipy.sparse import csr_array

    u, v, _ = _edges("graph.verify_triangles", graph)
    count = arrays.whole_number("graph.verify_triangles: count", count, error=ArgumentError)
    other = u != v
    n = graph.num_vertices
    a = csr_array((np.ones(other.sum(), np.int64), (u[other], v[other])), shape=(n, n))
    a.data[:] = 1
    found = int((a @ a).multiply(a).sum()) // 6
    _that(found == count, f"{found} triangles, not {count}")


def _edges(told: str, graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ends and weights of all edges."""
    if not isinstance(graph, Graph):
        raise ArgumentError(f"{told}: the graph is {of_kind(graph)}: must be a pp.graph.Graph")
    offsets, v = arrays.asnumpy(graph.offsets), arrays.asnumpy(graph.targets).astype(np.int64)
    u = np.repeat(np.arange(graph.num_vertices), np.diff(offsets))
    w = np.ones(len(v), np.int64) if graph.weights is None else arrays.asnumpy(graph.weights)
    return u, v, w.astype(np.int64) if w.dtype.kind == "u" else w


def _result(graph: Graph, x: Any) -> np.ndarray:
    """A result on the host, of one number for each vertex."""
    x = arrays.asnumpy(x)
    _that(x.shape == (graph.num_vertices,), f"it has shape {x.shape}, and the graph {graph.num_vertices} vertices")
    return x


def _depths(graph: Graph, sources: Any, which: np.ndarray | None = None) -> np.ndarray:
    """Edges on the way to every vertex, or such of them that may be taken; -1 where no path leads."""
    offsets, targets = arrays.asnumpy(graph.offsets), arrays.asnumpy(graph.targets)
    if which is not None:
        offsets, targets = np.concatenate([[0], np.cumsum(which)])[offsets], targets[which]
    return _reach(offsets, targets, np.asarray(sources), graph.num_vertices)


def _reach(offsets: np.ndarray, targets: np.ndarray, front: np.ndarray, n: int) -> np.ndarray:
    """Level by level, from several vertices."""
    depth, level = np.full(n, -1), 0
    depth[front] = 0
    while len(front):
        level += 1
        counts = offsets[front + 1] - offsets[front]
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = targets[np.repeat(offsets[front], counts) + steps]
        front = np.unique(found[depth[found] < 0])
        depth[front] = level
    return depth


def _that(right: Any, told: str) -> None:
    if not right:
        raise AssertionError(told)


def _all(right: np.ndarray, told: str, where: np.ndarray) -> None:
    if not right.all():
        k = int(np.flatnonzero(~right)[0])
        vertex = where[k] if len(where) == len(right) and where.dtype.kind in "iu" else k
        raise AssertionError(told.format(f"vertex {vertex}"))
