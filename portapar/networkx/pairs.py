"""Predictions of links from what two nodes share, and how many edges go both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import numpy as np

from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.jaccard import jaccard
from portapar.algorithms.sort import sort
from portapar.networkx.graphs import Converted, Unsupported
from portapar.networkx.served import served
from portapar.policy import par

_DEALT = par.with_(schedule="dynamic", chunk_size=64)
_FIRST, _MOST = 1 << 10, 1 << 16  #: pairs that are looked at together


def _listed(G: Any, ebunch: Any) -> bool:
    """Pairs that can be read twice, or none: all that are not joined."""
    return ebunch is None or isinstance(ebunch, (list, tuple))


def _few(G: Any, ebunch: Any) -> bool:
    """Whether there are so few pairs that networkx has looked at all before the graph is converted."""
    return ebunch is not None and len(ebunch) < len(G)


def _of_pairs(G: Converted, ebunch: Any, told: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    """What `told` makes of a list of pairs; without pairs of all that are not joined, some after others."""
    return chain.from_iterable(map(told, _not_joined(G))) if ebunch is None else told(ebunch)


def _not_joined(G: Converted) -> Iterator[list[tuple[Any, Any]]]:
    import networkx as nx

    others, count = nx.non_edges(G.origin), _FIRST
    while some := list(islice(others, count)):
        yield some
        count = min(2 * count, _MOST)


def _ends(G: Converted, ebunch: Any) -> tuple[np.ndarray, np.ndarray]:
    found = G.numbers_of_pairs(ebunch)
    return found[0::2].copy(), found[1::2].copy()


def _told(ebunch: Any, values: np.ndarray, none: np.ndarray) -> Iterator[tuple[Any, Any, Any]]:
    """Pairs and their values; `none` are those of which networkx says 0, and no float."""
    listed = values.tolist()
    for k in np.flatnonzero(none).tolist():
        listed[k] = 0
    return zip(map(itemgetter(0), ebunch), map(itemgetter(1), ebunch), listed, strict=True)


@served("undirected", fits=_listed, light=_few)
def jaccard_coefficient(G: Converted, ebunch: Any = None) -> Iterator[tuple[Any, Any, float]]:
    if G.loops.any():
        raise Unsupported("loops")

    def told(pairs: Any) -> Iterator[Any]:
        u, v = _ends(G, pairs)
        return _told(pairs, jaccard(par, G.rows, u, v), G.out_degree[u] + G.out_degree[v] == 0)

    return _of_pairs(G, ebunch, told)


def _over_shared(G: Converted, ebunch: Any, value: np.ndarray) -> Iterator[tuple[Any, Any, float]]:
    """The sum of the values of the neighbours that both have."""
    if G.loops.any():
        raise Unsupported("loops")
    rows = G.rows.in_order()

    def told(pairs: Any) -> Iterator[Any]:
        u, v = _ends(G, pairs)
        if (u == v).any():
            raise Unsupported("loops")
        out = np.empty(len(u))
        for_each(_DEALT, len(u), _shared, u, v, rows.offsets, rows.targets, value, out)
        return _told(pairs, out, out == 0)

    return _of_pairs(G, ebunch, told)


def _shared(k: Any, u: Any, v: Any, offsets: Any, targets: Any, value: Any, out: Any) -> None:
    a, last, b, end, total = offsets[u[k]], offsets[u[k] + 1], offsets[v[k]], offsets[v[k] + 1], 0.0
    while a < last and b < end:
        x, y = targets[a], targets[b]
        if x == y:
            total += value[x]
        a, b = a + (x <= y), b + (y <= x)
    out[k] = total


def _inverse(x: np.ndarray) -> np.ndarray:
    return np.divide(1.0, x, out=np.zeros(len(x)), where=x > 0)


@served("undirected", fits=_listed, light=_few)
def adamic_adar_index(G: Converted, ebunch: Any = None) -> Iterator[tuple[Any, Any, float]]:
    return _over_shared(G, ebunch, _inverse(np.log(np.maximum(G.out_degree, 1))))


@served("undirected", fits=_listed, light=_few)
def resource_allocation_index(G: Converted, ebunch: Any = None) -> Iterator[tuple[Any, Any, float]]:
    return _over_shared(G, ebunch, _inverse(G.out_degree.astype(np.float64)))


@served("undirected", fits=_listed, light=True)
def preferential_attachment(G: Converted, ebunch: Any = None) -> Iterator[tuple[Any, Any, int]]:
    def told(pairs: Any) -> Iterator[Any]:
        u, v = _ends(G, pairs)
        values = G.out_degree[u] * G.out_degree[v]
        return _told(pairs, values, values == 0)

    return _of_pairs(G, ebunch, told)


def _both_ways(G: Converted) -> float:
    n, u, v = len(G), G.sources.astype(np.int64), G.rows.targets
    if not len(v):
        raise Unsupported("no edges")
    keys = sort(par, np.minimum(u, v) * n + np.maximum(u, v))
    different = 1 + int(np.count_nonzero(np.diff(keys)))
    return 2 * (len(v) - different) / len(v)


@served("directed")
def overall_reciprocity(G: Converted) -> float:
    return _both_ways(G)


@served("directed", fits=lambda G, nodes: nodes is None)
def reciprocity(G: Converted, nodes: Any = None) -> float:
    return _both_ways(G)
