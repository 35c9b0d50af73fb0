"""Ranks and centralities; iterations are those of networkx, so that they end after as many, or fail as there."""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.betweenness import betweenness_centrality as dependencies
from portapar.algorithms.graph.graph import Graph
from portapar.networkx.graphs import Converted, Unsupported
from portapar.networkx.search import Totals
from portapar.networkx.served import served
from portapar.policy import par

_DEALT = par.with_(schedule="dynamic", chunk_size=512)


def _failed(iterations: int) -> Exception:
    import networkx as nx

    return nx.PowerIterationFailedConvergence(iterations)


# products ------------------------------------------------------------------------------------------


def gathered(into: Graph, x: np.ndarray) -> np.ndarray:
    """For every vertex the sum over its edges of the weight times what stands at the other end."""
    out = np.empty(len(x))
    if into.weights is None:
        for_each(_DEALT, len(x), _sum, into.offsets, into.targets, x, out)
    else:
        for_each(_DEALT, len(x), _weighted_sum, into.offsets, into.targets, into.weights, x, out)
    return out


def _sum(v: Any, offsets: Any, targets: Any, x: Any, out: Any) -> None:
    total = 0.0
    for e in range(offsets[v], offsets[v + 1]):
        total += x[np.uint64(targets[np.uint64(e)])]
    out[v] = total


def _weighted_sum(v: Any, offsets: Any, targets: Any, weights: Any, x: Any, out: Any) -> None:
    total = 0.0
    for e in range(offsets[v], offsets[v + 1]):
        total += weights[np.uint64(e)] * x[np.uint64(targets[np.uint64(e)])]
    out[v] = total


# by iteration --------------------------------------------------------------------------------------


def _shares(G: Converted, given: Any) -> np.ndarray:
    """The probabilities that a dict of weights gives."""
    values = [given.get(node, 0) for node in G.nodes]
    if not set(map(type, values)) <= {int, float}:
        raise Unsupported("weights that are no numbers")
    found = np.array(values, np.float64)
    if not found.sum() > 0 or not np.isfinite(found).all():
        raise Unsupported("weights without a positive sum")
    return found / found.sum()


@served(
    fits=lambda G, alpha, personalization, max_iter, tol, nstart, weight, dangling: (
        nstart is None and all(x is None or isinstance(x, dict) for x in (personalization, dangling))
    )
)
def pagerank(
    G: Converted, alpha: float = 0.85, personalization: Any = None, max_iter: int = 100, tol: float = 1e-6,
    nstart: Any = None, weight: Any = "weight", dangling: Any = None,
) -> dict[Any, float]:  # fmt: skip
    n, rows = len(G), G.weighted(weight)
    if rows.weights is not None and rows.weight_range()[0] < 0:
        raise Unsupported("negative weights")
    restart = np.full(n, 1 / n) if personalization is None else _shares(G, personalization)
    lost = restart if dangling is None else _shares(G, dangling)
    into = rows.reverse
    out = gathered(rows, np.ones(n))
    stuck = np.flatnonzero(out == 0)
    each = np.divide(1.0, out, out=np.zeros(n), where=out != 0)
    x = np.full(n, 1 / n)
    for _ in range(max_iter):
        last = x
        x = alpha * (gathered(into, x * each) + x[stuck].sum() * lost) + (1 - alpha) * restart
        if np.abs(x - last).sum() < n * tol:
            return G.by_node(x)
    raise _failed(max_iter)


@served(fits=lambda G, max_iter, tol, nstart, weight: nstart is None and (weight is None or isinstance(weight, str)))
def eigenvector_centrality(
    G: Converted, max_iter: int = 100, tol: float = 1e-6, nstart: Any = None, weight: Any = None
) -> dict[Any, float]:
    n, into = len(G), G.weighted(weight).reverse
    x = np.full(n, 1 / n)
    for _ in range(max_iter):
        last = x
        x = last + gathered(into, last)
        x = x / (np.linalg.norm(x) or 1)
        if np.abs(x - last).sum() < n * tol:
            return G.by_node(x)
    raise _failed(max_iter)


@served(
    fits=lambda G, alpha, beta, max_iter, tol, nstart, normalized, weight: (
        nstart is None and isinstance(beta, (int, float)) and (weight is None or isinstance(weight, str))
    )
)
def katz_centrality(
    G: Converted, alpha: float = 0.1, beta: Any = 1.0, max_iter: int = 1000, tol: float = 1e-6, nstart: Any = None,
    normalized: bool = True, weight: Any = None,
) -> dict[Any, float]:  # fmt: skip
    n, into = len(G), G.weighted(weight).reverse
    x = np.zeros(n)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(max_iter):
            last = x
            x = alpha * gathered(into, last) + float(beta)
            if np.abs(x - last).sum() < n * tol:
                length = float(np.linalg.norm(x)) if normalized else 1.0
                return G.by_node(x * (1.0 / length if length else 1.0))
    raise _failed(max_iter)


# by degree -----------------------------------------------------------------------------------------


def _by_degree(G: Converted, degree: np.ndarray) -> dict[Any, Any]:
    n = len(G)
    return dict.fromkeys(G.nodes, 1) if n <= 1 else G.by_node(degree * (1.0 / (n - 1.0)))


@served(light=True)
def degree_centrality(G: Converted) -> dict[Any, float]:
    return _by_degree(G, G.out_degree + G.in_degree if G.directed else G.out_degree)


@served("directed", light=True)
def in_degree_centrality(G: Converted) -> dict[Any, float]:
    return _by_degree(G, G.in_degree)


@served("directed", light=True)
def out_degree_centrality(G: Converted) -> dict[Any, float]:
    return _by_degree(G, G.out_degree)


@served(
    fits=lambda G, source, target, nodes, weight: (
        source == target == "out" and nodes is None and weight is None
    )
)
def average_neighbor_degree(
    G: Converted, source: str = "out", target: str = "out", nodes: Any = None, weight: Any = None
) -> dict[Any, float]:
    degree = G.out_degree
    sums = gathered(G.rows, degree.astype(np.float64))
    return G.by_node(np.divide(sums, degree, out=np.zeros(len(G)), where=degree != 0))


# by paths ------------------------------------------------------------------------------------------


@served(fits=lambda G, u, distance, wf_improved: u is None and distance is None)
def closeness_centrality(
    G: Converted, u: Any = None, distance: Any = None, wf_improved: bool = True
) -> dict[Any, float]:
    n, found = len(G), Totals(G.rows)
    others = found.reach - 1.0
    near = np.divide(others, found.total, out=np.zeros(n), where=found.total > 0)
    if wf_improved and n > 1:
        near *= others / (n - 1)
    return G.by_node(near)


@served(fits=lambda G, nbunch, distance, sources: nbunch is None and distance is None and sources is None)
def harmonic_centrality(
    G: Converted, nbunch: Any = None, distance: Any = None, sources: Any = None
) -> dict[Any, float]:
    found = G.by_node(Totals(G.rows).inverse)
    return {node: found[node] or 0 for node in set(G.nodes)}  # the order of a set, as there


@served(
    fits=lambda G, k, normalized, weight, endpoints, seed: (
        weight is None and not endpoints and (k is None or (isinstance(k, int) and 0 < k <= len(G)))
    )
)
def betweenness_centrality(
    G: Converted, k: Any = None, normalized: bool = True, weight: Any = None, endpoints: bool = False, seed: Any = None
) -> dict[Any, float]:
    n = len(G)
    some = None if k is None or k == n else G.numbers(seed.sample(G.nodes, k))
    found = dependencies(par, G.rows, None if some is None else some.tolist(), normalized=False)
    if n > 2:
        searches = n - 1 if some is None else len(some)
        sides = 1 if G.directed else 2
        scale = lambda count: 1 / (count * (n - 2)) if normalized else (n - 1) / (count * sides)
        found = np.array(found)
        if some is None:
            found *= scale(searches)
        else:
            factor = np.full(n, scale(searches))
            factor[some] = scale(searches - 1) if searches > 1 else np.nan
            found *= factor
    return G.by_node(found)
