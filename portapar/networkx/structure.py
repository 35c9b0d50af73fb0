"""Components, cores, triangles, colours and forests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.clustering import clustering_coefficient
from portapar.algorithms.graph.components import connected_components as weak
from portapar.algorithms.graph.cores import k_core as cores
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.algorithms.graph.spanning import minimum_spanning_forest
from portapar.algorithms.graph.strong import closing_order
from portapar.algorithms.graph.strong import strongly_connected_components as strong
from portapar.algorithms.graph.triangles import triangle_count
from portapar.algorithms.sort import argsort
from portapar.networkx.graphs import Converted, Unsupported
from portapar.networkx.served import early, served, soon
from portapar.policy import par, seq

_DEALT = par.with_(schedule="dynamic", chunk_size=64)

# components ----------------------------------------------------------------------------------------


def _sets(G: Converted, label: np.ndarray) -> Iterator[set[Any]]:
    """The vertices of each label, in the order of labels."""
    order = argsort(par, label)
    ends = np.flatnonzero(np.diff(label[order], append=-1)) + 1
    labels = G.labels(order)
    return (set(labels[a:b]) for a, b in itertools.pairwise([0, *ends.tolist()]))


def _count(label: np.ndarray) -> int:
    return int(np.count_nonzero(label == np.arange(len(label))))


@served("undirected", light=soon)
def connected_components(G: Converted) -> Iterator[set[Any]]:
    return _sets(G, weak(par, G.rows))


@served("undirected", light=soon)
def number_connected_components(G: Converted) -> int:
    return _count(weak(par, G.rows))


@served("undirected", light=soon)
def is_connected(G: Converted) -> bool:
    return not weak(par, G.rows).any()


@served("undirected", light=soon)
def node_connected_component(G: Converted, n: Any) -> set[Any]:
    label = weak(par, G.rows)
    return set(G.labels(np.flatnonzero(label == label[G.number(n)])))


@served("directed", light=soon)
def weakly_connected_components(G: Converted) -> Iterator[set[Any]]:
    return _sets(G, weak(par, G.rows))


@served("directed", light=soon)
def number_weakly_connected_components(G: Converted) -> int:
    return _count(weak(par, G.rows))


@served("directed", light=soon)
def is_weakly_connected(G: Converted) -> bool:
    return not weak(par, G.rows).any()


@served("directed")
def strongly_connected_components(G: Converted) -> Iterator[set[Any]]:
    return _sets(G, on_graph("networkx", par, G.rows, closing_order))


@served("directed")
def number_strongly_connected_components(G: Converted) -> int:
    return _count(strong(par, G.rows))


@served("directed")
def is_strongly_connected(G: Converted) -> bool:
    return not strong(par, G.rows).any()


@served(light=True)  # so is a circle
def is_directed_acyclic_graph(G: Converted) -> bool:
    return G.directed and not G.loops.any() and _count(strong(par, G.rows)) == len(G)


@served(light=True)
def is_tree(G: Converted) -> bool:
    return len(G) - 1 == G.number_of_edges() and not weak(par, G.rows).any()


@served()
def is_forest(G: Converted) -> bool:
    return G.number_of_edges() == len(G) - _count(weak(par, G.rows))


@served(light=True)
def isolates(G: Converted) -> Iterator[Any]:
    return iter(G.labels(np.flatnonzero(G.out_degree + G.in_degree == 0)))


@served(light=True)
def number_of_isolates(G: Converted) -> int:
    return int(np.count_nonzero(G.out_degree + G.in_degree == 0))


# triangles and cores -------------------------------------------------------------------------------


@served("undirected", fits=lambda G, nodes: nodes is None)
def triangles(G: Converted, nodes: Any = None) -> dict[Any, int]:
    return G.by_node(triangle_count(par, G.rows, each=True))


def _unweighted(G: Any, nodes: Any, weight: Any, **others: Any) -> bool:
    return nodes is None and weight is None


def _closed(rows: Graph) -> np.ndarray:
    """For every vertex how often a neighbour of a neighbour is its neighbour, without loops; rows are in order.

    A pair that stands in a row twice counts twice, on each of the three ways.
    """
    out = np.empty(rows.num_vertices, np.int64)
    for_each(_DEALT, len(out), _meet, rows.offsets, rows.targets, out)
    return out


def _meet(v: Any, offsets: Any, targets: Any, out: Any) -> None:
    total = 0
    for e in range(offsets[v], offsets[v + 1]):
        u = targets[e]
        a, last, b, end = offsets[v], offsets[v + 1], offsets[u], offsets[u + 1]
        if last - a > end - b:
            a, last, b, end = b, end, a, last
        for k in range(a, last):  # of the shorter row, in the longer
            x, lo, hi = targets[k], b, end
            while lo < hi:
                middle = (lo + hi) // 2
                if targets[middle] < x:
                    lo = middle + 1
                else:
                    hi = middle
            while lo < end and targets[lo] == x:
                total += 1
                lo += 1
    out[v] = total


def _coefficients(G: Converted) -> np.ndarray:
    if not G.directed:
        return clustering_coefficient(par, G.rows)
    rows = G.both
    degree, closed = np.diff(rows.offsets), _closed(rows)
    starts = np.repeat(np.arange(len(G)), degree)
    twice = np.flatnonzero((rows.targets[1:] == rows.targets[:-1]) & (starts[1:] == starts[:-1]))
    pairs = 2 * (degree * (degree - 1) - 2 * np.bincount(starts[twice], minlength=len(G)))
    return np.divide(closed, pairs, out=np.zeros(len(G)), where=closed > 0)


@served(fits=_unweighted)
def clustering(G: Converted, nodes: Any = None, weight: Any = None) -> dict[Any, float]:
    return {node: c or 0 for node, c in G.by_node(_coefficients(G)).items()}


@served(fits=_unweighted)
def average_clustering(G: Converted, nodes: Any = None, weight: Any = None, count_zeros: bool = True) -> float:
    found = _coefficients(G)
    listed = (found if count_zeros else found[found > 0]).tolist()
    return sum(listed) / len(listed)


@served()
def transitivity(G: Converted) -> float:
    """Of a directed graph along its edges only, as networkx has it."""
    degree = np.diff(G.rows.offsets) - G.loops
    found = _closed(G.apart) if G.directed else 2 * triangle_count(par, G.rows, each=True)
    closed = int(found.sum())
    return closed / int((degree * (degree - 1)).sum()) if closed else 0


@served()
def core_number(G: Converted) -> dict[Any, int]:
    if G.loops.any():
        raise Unsupported("loops")
    return G.by_node(cores(par, G.both if G.directed else G.rows))


# colours -------------------------------------------------------------------------------------------


@served(fits=lambda G, strategy, interchange: strategy == "largest_first" and not interchange)
def greedy_color(G: Converted, strategy: Any = "largest_first", interchange: bool = False) -> dict[Any, int]:
    degree = G.out_degree + G.in_degree if G.directed else G.out_degree
    order = np.argsort(-degree, kind="stable")
    color, used = np.full(len(G), -1, np.int64), np.full(len(G) + 1, -1, np.int64)
    for_each(seq, 1, _greedy, order, G.rows.offsets, G.rows.targets, color, used)
    return dict(zip(G.labels(order), color[order].tolist(), strict=True))


def _greedy(_: Any, order: Any, offsets: Any, targets: Any, color: Any, used: Any) -> None:
    """One after the other; `used` says for each colour who saw it last."""
    for k in range(len(order)):
        v = order[k]
        for e in range(offsets[v], offsets[v + 1]):
            c = color[targets[e]]
            if c >= 0:
                used[c] = k
        c = 0
        while used[c] == k:
            c += 1
        color[v] = c


@served(light=early)
def is_bipartite(G: Converted) -> bool:
    rows, side = G.both if G.directed else G.rows, np.full(len(G), -1, np.int8)
    for_each(seq, 1, _sides, rows.offsets, rows.targets, side, np.empty(len(G), np.int32))
    return not (side[G.sources] == side[G.rows.targets]).any()


def _sides(_: Any, offsets: Any, targets: Any, side: Any, queue: Any) -> None:
    for root in range(len(side)):
        if side[root] < 0:
            side[root] = 0
            queue[0] = root
            at, end = 0, 1
            while at < end:
                u = queue[at]
                at += 1
                for e in range(offsets[u], offsets[u + 1]):
                    v = targets[e]
                    if side[v] < 0:
                        side[v] = 1 - side[u]
                        queue[end] = v
                        end += 1


# forests -------------------------------------------------------------------------------------------


@served("undirected", light=soon, fits=lambda G, algorithm, weight, keys, data, ignore_nan: (
    algorithm == "kruskal" and isinstance(weight, str) and isinstance(data, bool)
))  # fmt: skip
def minimum_spanning_edges(
    G: Converted, algorithm: str = "kruskal", weight: Any = "weight", keys: bool = True, data: bool = True,
    ignore_nan: bool = False,
) -> Iterator[Any]:  # fmt: skip
    rows = G.weighted(weight)
    once = np.flatnonzero(G.sources < rows.targets)
    if rows.weights is not None:  # the order in which Kruskal's method takes them
        once = once[argsort(par, rows.weights[once])]
    u, v = G.sources[once], rows.targets[once]
    ranked = Graph.from_edges(par, u, v, np.arange(len(once)), n=len(G))
    taken = np.sort(ranked.weights[minimum_spanning_forest(par, ranked)])
    ends = zip(G.labels(u[taken]), G.labels(v[taken]), strict=True)
    if not data:
        return ends
    adjacency = G.origin._adj
    return ((a, b, adjacency[a][b]) for a, b in ends)
