"""Whether results are right, from the definition alone: each of these looks at every edge, and uses no other
algorithm's way.

They run in NumPy, on the host, and raise AssertionError with the first place that is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms.graph.graph import Graph


def verify_bfs(graph: Graph, source: int, parent: Any) -> None:
    """That `parent` is a tree of shortest paths from `source`, as `bfs` returns it.

    Raises
    ------
    AssertionError
    """
    u, v, _ = _edges(graph)
    parent = arrays.asnumpy(parent)
    depth = _depths(graph, source, u, v)
    _all((parent >= 0) == (depth >= 0), "{} is reached by one of both only", parent)
    _all(parent[[source]] == source, "the source's parent is not the source: vertex {}", parent)
    others = np.flatnonzero((parent >= 0) & (np.arange(len(parent)) != source))
    _all(depth[parent[others]] == depth[others] - 1, "{} is not one step farther than its parent", others)
    edges = np.sort(u * np.int64(len(parent)) + v)
    wanted = parent[others].astype(np.int64) * len(parent) + others
    at = np.searchsorted(edges, wanted)
    _all((at < len(edges)) & (edges[np.minimum(at, len(edges) - 1)] == wanted), "{}: no edge from its parent", others)


def verify_sssp(graph: Graph, source: int, distance: Any) -> None:
    """That no edge makes a distance shorter, and that each vertex has an edge that makes its distance.

    Raises
    ------
    AssertionError
    """
    u, v, w = _edges(graph)
    distance = arrays.asnumpy(distance)
    never = np.iinfo(distance.dtype).max if distance.dtype.kind in "iu" else np.inf
    reached = distance[u] < never
    u, v, w = u[reached], v[reached], w[reached]
    _all(distance[v] <= distance[u] + w, "an edge to {} makes its distance shorter", v)
    made = np.zeros(len(distance), bool)
    made[v[distance[v] == distance[u] + w]] = True
    made[source] = distance[source] == 0
    _all(made | (distance == never), "no edge makes the distance of {}", distance)
    _all(
        (distance < never) == (_depths(graph, source, *_edges(graph)[:2]) >= 0),
        "{} is reached, or not, wrongly",
        distance,
    )


def verify_components(graph: Graph, label: Any) -> None:
    """That edges join vertices of one label, and that vertices of one label are joined.

    Raises
    ------
    AssertionError
    """
    u, v, _ = _edges(graph)
    label = arrays.asnumpy(label)
    _all(label[u] == label[v], "an edge to {} leads to another component", v)
    n = len(label)
    labels, first = np.unique(label, return_index=True)
    both = np.concatenate([u, v]), np.concatenate([v, u])
    known = np.zeros(n, bool)
    known[first] = True  # one vertex of each label, and what is reached from it
    while True:
        fresh = known[both[0]] & ~known[both[1]]
        if not fresh.any():
            break
        known[both[1][fresh]] = True
    _all(known, "{} is not joined with the others of its label", known)


def verify_pagerank(graph: Graph, rank: Any, *, damping: float = 0.85, tolerance: float = 1e-4) -> None:
    """That another iteration, in double precision, changes the ranks by less than `tolerance` in all.

    Raises
    ------
    AssertionError
    """
    u, v, _ = _edges(graph)
    rank = arrays.asnumpy(rank).astype(np.float64)
    n = len(rank)
    given = rank / np.maximum(np.bincount(u, minlength=n), 1)
    again = (1 - damping) / max(n, 1) + damping * np.bincount(v, given[u], n)
    change = np.abs(again - rank).sum()
    assert change < tolerance, f"another iteration changes the ranks by {change}"


def verify_triangles(graph: Graph, count: int) -> None:
    """That there are so many triangles: with SciPy, of the product of the matrix with itself.

    Raises
    ------
    AssertionError
    """
    from scipy.sparse import csr_array

    u, v, _ = _edges(graph)
    other = u != v
    n = graph.num_vertices
    a = csr_array((np.ones(other.sum(), np.int64), (u[other], v[other])), shape=(n, n))
    a.data[:] = 1
    found = int((a @ a).multiply(a).sum()) // 6
    assert found == count, f"{found} triangles, not {count}"


def _edges(graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ends and weights of all edges."""
    offsets, v = arrays.asnumpy(graph.offsets), arrays.asnumpy(graph.targets).astype(np.int64)
    u = np.repeat(np.arange(graph.num_vertices), np.diff(offsets))
    return u, v, np.ones(len(v), np.int64) if graph.weights is None else arrays.asnumpy(graph.weights)


def _depths(graph: Graph, source: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Edges to every vertex, level by level over all edges; -1 where no path leads."""
    depth = np.full(graph.num_vertices, -1)
    depth[source] = level = 0
    while True:
        fresh = v[(depth[u] == level) & (depth[v] < 0)]
        if not len(fresh):
            return depth
        level += 1
        depth[fresh] = level


def _all(right: np.ndarray, told: str, where: np.ndarray) -> None:
    if not right.all():
        k = int(np.flatnonzero(~right)[0])
        vertex = where[k] if len(where) == len(right) and where.dtype.kind in "iu" else k
        raise AssertionError(told.format(f"vertex {vertex}"))
