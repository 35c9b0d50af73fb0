"""Breadth-first searches whose vertices come in networkx's order, and distances of one and of all pairs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.components import connected_components as components
from portapar.algorithms.graph.distances import all_pairs
from portapar.algorithms.graph.distances import diameter as bounds
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.algorithms.graph.many import WIDTH, search_many
from portapar.algorithms.graph.sssp import sssp
from portapar.networkx.graphs import Converted, Unsupported
from portapar.networkx.served import early, served, soon
from portapar.policy import par, seq

_EACH = par.with_(schedule="dynamic", chunk_size=1)
_HELD = 1 << 22  #: elements of each array in which several searches at the same time have their rows


def found_from(rows: Graph, source: int, limit: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices in the order in which a queue finds them, and for each vertex its depth and the one before it.

    One thread, since the order says who came first.
    """
    return next(found_from_each(rows, [source], limit))


def found_from_each(
    rows: Graph, sources: list[int], limit: Any = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """That for one source after the other; several at the same time, each on one thread."""
    n = rows.num_vertices
    most = n if limit is None or limit > n else max(math.ceil(limit), 0)
    for some in _some(sources, n):
        depth, before = np.full((len(some), n), -1, np.int32), np.full((len(some), n), -1, np.int32)
        queue, count = np.empty((len(some), n), np.int32), np.zeros(len(some), np.int64)
        held = rows.offsets, rows.targets, depth, before, queue, count
        for_each(_EACH if len(some) > 1 else seq, len(some), _search, some, most, *held)
        for k, found in enumerate(count.tolist()):
            yield queue[k, :found], depth[k], before[k]


def _some(sources: list[int], size: int) -> Iterator[np.ndarray]:
    """Sources for which arrays of that size are held at the same time."""
    most = min(WIDTH, max(_HELD // (size + 1), 1))
    return (np.array(sources[k : k + most]) for k in range(0, len(sources), most))


def _search(
    k: Any, sources: Any, most: Any, offsets: Any, targets: Any, depth: Any, before: Any, queue: Any, count: Any
) -> None:
    depth[k, sources[k]] = 0
    queue[k, 0] = sources[k]
    at, end = 0, 1
    while at < end:
        u = np.uint64(queue[k, at])
        at += 1
        if depth[k, u] < most:
            for e in range(offsets[u], offsets[u + np.uint64(1)]):
                v = np.uint64(targets[np.uint64(e)])
                if depth[k, v] < 0:
                    depth[k, v] = depth[k, u] + 1
                    before[k, v] = u
                    queue[k, end] = v
                    end += 1
    count[k] = end


def _limited(G: Any, cutoff: Any, **others: Any) -> bool:
    return cutoff is None or isinstance(cutoff, (int, float))


def _near(cutoff: Any = None, depth_limit: Any = None, **others: Any) -> bool:
    """Whether a search ends soon."""
    return cutoff is not None or depth_limit is not None


# from one node -------------------------------------------------------------------------------------


def _told(G: Converted, order: np.ndarray, far: np.ndarray) -> dict[Any, Any]:
    return dict(zip(G.labels(order), far[order].tolist(), strict=True))


def _lengths(G: Converted, rows: Graph, source: int, cutoff: Any) -> dict[Any, int]:
    return _told(G, *found_from(rows, source, cutoff)[:2])


def _lengths_of_all(G: Converted, rows: Graph, cutoff: Any = None) -> Iterator[tuple[Any, dict[Any, int]]]:
    found = found_from_each(rows, list(range(len(G))), cutoff)
    return ((node, _told(G, order, depth)) for node, (order, depth, _) in zip(G.nodes, found, strict=True))


@served(fits=_limited, light=_near)
def single_source_shortest_path_length(G: Converted, source: Any, cutoff: Any = None) -> dict[Any, int]:
    return _lengths(G, G.rows, G.number(source), cutoff)


@served(fits=_limited, light=_near)
def single_target_shortest_path_length(G: Converted, target: Any, cutoff: Any = None) -> dict[Any, int]:
    return _lengths(G, G.predecessors, G.number(target), cutoff)


@served(fits=_limited)
def all_pairs_shortest_path_length(G: Converted, cutoff: Any = None) -> Iterator[tuple[Any, dict[Any, int]]]:
    return _lengths_of_all(G, G.rows, cutoff)


def _edges(G: Converted, source: Any, depth_limit: Any) -> Iterator[tuple[Any, Any]]:
    order, _, before = found_from(G.rows, G.number(source), depth_limit)
    return zip(G.labels(before[order[1:]]), G.labels(order[1:]), strict=True)


def _unsorted(G: Any, source: Any, depth_limit: Any, sort_neighbors: Any, reverse: Any = False) -> bool:
    return _limited(G, depth_limit) and sort_neighbors is None and not (reverse and G.is_directed())


@served(fits=_unsorted, light=_near)
def bfs_edges(
    G: Converted, source: Any, reverse: bool = False, depth_limit: Any = None, sort_neighbors: Any = None
) -> Iterator[tuple[Any, Any]]:
    return _edges(G, source, depth_limit)


@served(fits=_unsorted, light=_near)
def bfs_predecessors(
    G: Converted, source: Any, depth_limit: Any = None, sort_neighbors: Any = None
) -> Iterator[tuple[Any, Any]]:
    return ((child, parent) for parent, child in _edges(G, source, depth_limit))


@served(fits=_unsorted, light=_near)
def bfs_successors(
    G: Converted, source: Any, depth_limit: Any = None, sort_neighbors: Any = None
) -> Iterator[tuple[Any, list[Any]]]:
    order, _, before = found_from(G.rows, G.number(source), depth_limit)
    if len(order) == 1:
        return iter([(source, [])])
    parents, children = before[order[1:]], G.labels(order[1:])
    cuts = np.flatnonzero(np.diff(parents, prepend=-1))
    ends = [*cuts.tolist(), len(children)]
    heads = [source, *G.labels(parents[cuts])[1:]]
    return ((head, children[a:b]) for head, (a, b) in zip(heads, itertools.pairwise(ends), strict=True))


@served(fits=lambda G, sources: sources in G, light=early)
def bfs_layers(G: Converted, sources: Any) -> Iterator[list[Any]]:
    order, depth, _ = found_from(G.rows, G.number(sources))
    ends = np.cumsum(np.bincount(depth[order])).tolist()
    labels = [sources, *G.labels(order[1:])]
    return (labels[a:b] for a, b in itertools.pairwise([0, *ends]))


@served(light=soon)
def descendants(G: Converted, source: Any) -> set[Any]:
    return set(G.labels(found_from(G.rows, G.number(source))[0][1:]))


@served(light=soon)
def ancestors(G: Converted, source: Any) -> set[Any]:
    return set(G.labels(found_from(G.rows.reverse, G.number(source))[0][1:]))


@served(fits=lambda G, source, distance: isinstance(distance, int), light=early)
def descendants_at_distance(G: Converted, source: Any, distance: int) -> set[Any]:
    _, depth, _ = found_from(G.rows, G.number(source))
    return set(G.labels(np.flatnonzero(depth == distance))) if distance >= 0 else set()


@served(light=early)
def has_path(G: Converted, source: Any, target: Any) -> bool:
    return bool(found_from(G.rows, G.number(source))[1][G.number(target)] >= 0)


# over weights --------------------------------------------------------------------------------------


def _checked(rows: Graph) -> Graph:
    if rows.weights is not None and rows.weight_range()[0] < 0:
        raise Unsupported("negative weights")
    return rows


@served(fits=lambda G, source, cutoff, weight: cutoff is None and isinstance(weight, str))
def single_source_dijkstra_path_length(
    G: Converted, source: Any, cutoff: Any = None, weight: Any = "weight"
) -> dict[Any, Any]:
    rows, source = _checked(G.weighted(weight)), G.number(source)
    if rows.weights is None:
        return _lengths(G, rows, source, None)
    far = sssp(par, rows, source)
    reached = np.flatnonzero(far < (np.inf if far.dtype.kind == "f" else np.iinfo(np.int64).max))
    others = reached[reached != source]
    order = others[np.argsort(far[others], kind="stable")]
    return {G.nodes[source]: 0} | _told(G, order, far)


@served(fits=lambda G, cutoff, weight: cutoff is None and isinstance(weight, str))
def all_pairs_dijkstra_path_length(
    G: Converted, cutoff: Any = None, weight: Any = "weight"
) -> Iterator[tuple[Any, dict[Any, Any]]]:
    rows = _checked(G.weighted(weight))
    return _lengths_of_all(G, rows) if rows.weights is None else _distances_of_all(G, rows)


def _distances_of_all(G: Converted, rows: Graph) -> Iterator[tuple[Any, dict[Any, Any]]]:
    """Dijkstra's method from every vertex, several at the same time."""
    n, m = len(G), len(rows.targets)
    for some in _some(list(range(n)), m):
        far, queue = np.empty((len(some), n), rows.weights.dtype), np.empty((len(some), n), np.int32)
        state, count = np.zeros((len(some), n), np.int8), np.zeros(len(some), np.int64)
        heap, waiting = np.empty((len(some), m + 1), far.dtype), np.empty((len(some), m + 1), np.int64)
        held = rows.offsets, rows.targets, rows.weights, far, queue, state, heap, waiting, count
        for_each(_EACH, len(some), _dijkstra, some, *held)
        for k, found in enumerate(count.tolist()):
            yield G.nodes[some[k]], {G.nodes[some[k]]: 0} | _told(G, queue[k, 1:found], far[k])


def _dijkstra(
    k: Any, sources: Any, offsets: Any, targets: Any, weights: Any, far: Any, queue: Any, state: Any, heap: Any,
    waiting: Any, count: Any,
) -> None:  # fmt: skip
    """Of equal distances the one that was met first: `waiting` has who it is, below the number of its turn."""
    far[k, sources[k]] = 0
    state[k, sources[k]] = 1
    heap[k, 0] = 0
    waiting[k, 0] = sources[k]
    size, turn, found = 1, np.int64(1), 0
    while size > 0:
        u, d = np.int64(waiting[k, 0] & 0xFFFFFFFF), heap[k, 0]
        size -= 1
        last, w = heap[k, size], waiting[k, size]
        at, child = 0, 1
        while child < size:
            other = child + 1
            if other < size and (
                heap[k, other] < heap[k, child]
                or (heap[k, other] == heap[k, child] and waiting[k, other] < waiting[k, child])
            ):
                child = other
            if last < heap[k, child] or (last == heap[k, child] and w < waiting[k, child]):
                break
            heap[k, at] = heap[k, child]
            waiting[k, at] = waiting[k, child]
            at, child = child, 2 * child + 1
        heap[k, at] = last
        waiting[k, at] = w
        if state[k, u] != 2:
            state[k, u] = 2
            queue[k, found] = u
            found += 1
            for e in range(offsets[u], offsets[u + 1]):
                v, longer = np.int64(targets[e]), d + weights[e]
                if state[k, v] == 0 or (state[k, v] == 1 and longer < far[k, v]):
                    state[k, v] = 1
                    far[k, v] = longer
                    at = size
                    while at > 0 and longer < heap[k, (at - 1) // 2]:
                        heap[k, at] = heap[k, (at - 1) // 2]
                        waiting[k, at] = waiting[k, (at - 1) // 2]
                        at = (at - 1) // 2
                    heap[k, at] = longer
                    waiting[k, at] = turn << 32 | v
                    size += 1
                    turn += 1
    count[k] = found


@served(fits=lambda G, nodelist, weight: nodelist is None and (weight is None or isinstance(weight, str)))
def floyd_warshall_numpy(G: Converted, nodelist: Any = None, weight: Any = "weight") -> np.ndarray:
    rows = G.weighted(weight)
    far = all_pairs(par, rows)
    return np.where(far < np.iinfo(np.int64).max, far, np.inf) if far.dtype.kind == "i" else far.astype(np.float64)


# between all pairs ---------------------------------------------------------------------------------


class Totals:
    """Of the distances from all vertices to each: how many reach it, their sum, that of their inverses, the largest."""

    def __init__(self, rows: Graph) -> None:
        n = rows.num_vertices
        self.reach, self.total = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.inverse, self.most = np.zeros(n, np.float64), np.zeros(n, np.int64)
        for first in range(0, n, WIDTH):
            sources = list(range(first, min(first + WIDTH, n)))
            depth = on_graph("networkx", par, rows, lambda part, g, s=sources: search_many(part, g, s, True))
            for_each(par, n, _add_up, depth, self.reach, self.total, self.inverse, self.most)


def _add_up(v: Any, depth: Any, reach: Any, total: Any, inverse: Any, most: Any) -> None:
    for s in range(depth.shape[0]):
        d = depth[s, v]
        if d >= 0:
            reach[v] += 1
            total[v] += d
            most[v] = max(most[v], d)
            if d > 0:
                inverse[v] += 1.0 / d


def _from_all(G: Converted) -> Totals:
    """Of the distances from each vertex, if all reach all."""
    found = Totals(G.rows.reverse)
    if not (found.reach == len(G)).all():
        raise Unsupported("the graph is not connected")
    return found


def _unweighted(G: Any, e: Any, usebounds: Any, weight: Any) -> bool:
    return e is None and not usebounds and weight is None


@served(fits=lambda G, v, sp, weight: v is None and sp is None and weight is None)
def eccentricity(G: Converted, v: Any = None, sp: Any = None, weight: Any = None) -> dict[Any, int]:
    return G.by_node(_from_all(G).most)


@served(fits=_unweighted)
def diameter(G: Converted, e: Any = None, usebounds: bool = False, weight: Any = None) -> int:
    if G.directed:
        return int(_from_all(G).most.max())
    if components(par, G.rows).any():  # not all hang together with the first
        raise Unsupported("the graph is not connected")
    return bounds(par, G.rows)[0]


@served(fits=_unweighted)
def radius(G: Converted, e: Any = None, usebounds: bool = False, weight: Any = None) -> int:
    return int(_from_all(G).most.min())


def _no_tree(G: Any, e: Any, usebounds: Any, weight: Any) -> bool:
    """Of a tree networkx finds the centre soon, and tells it in another order."""
    return _unweighted(G, e, usebounds, weight) and (G.is_directed() or G.number_of_edges() != len(G) - 1)


@served(fits=_no_tree)
def center(G: Converted, e: Any = None, usebounds: bool = False, weight: Any = None) -> list[Any]:
    most = _from_all(G).most
    return G.labels(np.flatnonzero(most == most.min()))


@served(fits=_unweighted)
def periphery(G: Converted, e: Any = None, usebounds: bool = False, weight: Any = None) -> list[Any]:
    most = _from_all(G).most
    return G.labels(np.flatnonzero(most == most.max()))


@served(fits=lambda G, weight, method: len(G) > 1 and weight is None and method in (None, "unweighted"))
def average_shortest_path_length(G: Converted, weight: Any = None, method: Any = None) -> float:
    n = len(G)
    return int(_from_all(G).total.sum()) / (n * (n - 1))


@served(fits=lambda G, weight: weight is None)
def wiener_index(G: Converted, weight: Any = None) -> float:
    total = int(_from_all(G).total.sum())
    return total if G.directed else total / 2


@served("undirected", fits=lambda G: len(G) > 1)
def global_efficiency(G: Converted) -> float:
    n = len(G)
    return float(Totals(G.rows).inverse.sum()) / (n * (n - 1))
