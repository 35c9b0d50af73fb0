"""jaccard: how much of their neighbours two vertices share.

Two rows in order are merged; where one is much longer than the other, what the shorter has is looked up in it by
halving. P. Jaccard, "Étude comparative de la distribution florale", 1901.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import check_vertices, checked_length
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.errors import ArgumentError
from portapar.part import LocalPart
from portapar.policy import Policy

_LOOK_UP: Final = 16  #: so many times as long as the other is a row that is looked up in


def jaccard(policy: Policy | None, graph: Graph, sources: Any = None, targets: Any = None) -> Any:
    """The similarity of pairs of vertices: neighbours that both have, over neighbours that either has.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Of a directed one neighbours are where edges lead to.
    sources, targets : array of integers, (k,), optional
        The two vertices of each pair; by default the ends of every edge, in the order of ``graph.targets``.

    Returns
    -------
    array of float64, (k,)
        0 for two vertices without neighbours. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        An end is no vertex, or one of `sources` and `targets` is missing.

    Notes
    -----
    The same bits on every executor. Equal edges count once. The work for a pair is at most that of reading both rows.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3]))
    >>> pp.graph.jaccard(pp.par, g, np.array([0, 0]), np.array([1, 2]))
    array([1., 0.])
    """
    if (sources is None) != (targets is None):
        raise ArgumentError("graph.jaccard: one of sources and targets is missing: give both, or none for all edges")
    pairs = [x if x is None or hasattr(x, "dtype") else np.asarray(x) for x in (sources, targets)]
    counts = {checked_length("graph.jaccard", name, x, "iu")
              for name, x in zip(("sources", "targets"), pairs, strict=True) if x is not None}  # fmt: skip
    if len(counts) > 1:
        raise ArgumentError(f"graph.jaccard: sources has {len(pairs[0])}, targets has {len(pairs[1])} vertices")

    def similar(part: LocalPart, graph: Graph) -> Any:
        how, ordered = part.how, graph.in_order()
        rows, degree = (ordered.offsets, radix.bits(ordered.targets)), part.empty(graph.num_vertices, np.int32)
        for_each(how._dealt(256), graph.num_vertices, _different, *rows, degree)
        if sources is None:
            given, out = (graph.offsets, radix.bits(graph.targets)), part.empty(len(graph.targets), np.float64)
            for_each(how._dealt(64), graph.num_vertices, _row, *given, *rows, degree, out)
            return out
        u, v = (part.asarray(x if x.dtype.kind in "iu" else np.zeros(0, np.int64)) for x in pairs)
        for name, x in (("sources", u), ("targets", v)):
            check_vertices(how, f"graph.jaccard: {name}", x, graph.num_vertices)
        out = part.empty(len(u), np.float64)
        for_each(how._dealt(64), len(u), _pair, u, v, *rows, degree, out)
        return out

    return on_graph("graph.jaccard", policy, graph, similar)


# kernels ------------------------------------------------------------------------------------------


def _different(u: Any, offsets: Any, targets: Any, degree: Any) -> None:
    """How many neighbours a vertex has, of which equal ones stand next to each other."""
    found = 0
    for e in range(offsets[u], offsets[u + 1]):
        found += e == offsets[u] or targets[np.uint64(e)] != targets[np.uint64(e - 1)]
    degree[u] = found


def _row(u: Any, given: Any, ends: Any, offsets: Any, targets: Any, degree: Any, out: Any) -> None:
    for e in range(given[u], given[u + 1]):
        out[e] = _similarity(u, np.int64(ends[np.uint64(e)]), offsets, targets, degree)


def _pair(k: Any, u: Any, v: Any, offsets: Any, targets: Any, degree: Any, out: Any) -> None:
    out[k] = _similarity(np.int64(u[k]), np.int64(v[k]), offsets, targets, degree)


def _similarity(u: Any, v: Any, offsets: Any, targets: Any, degree: Any) -> Any:
    if degree[u] > degree[v]:
        u, v = v, u
    a, last, b, end = offsets[u], offsets[u + 1], offsets[v], offsets[v + 1]
    lookup = (last - a) * _LOOK_UP < end - b
    shared = 0
    while a < last and b < end:
        x = targets[np.uint64(a)]
        if lookup:
            b = _not_less(x, b, end, targets)
        else:
            while b < end and targets[np.uint64(b)] < x:
                b += 1
        if b < end and targets[np.uint64(b)] == x:
            shared += 1
        a += 1
        while a < last and targets[np.uint64(a)] == x:
            a += 1
    either = np.int64(degree[u]) + np.int64(degree[v]) - shared
    return shared / either if either > 0 else 0.0


def _not_less(x: Any, b: Any, end: Any, targets: Any) -> Any:
    """The first place from `b` on with an element that is not less."""
    count = end - b
    while count > 0:
        half = count // 2
        if targets[np.uint64(b + half)] < x:
            b += half + 1
            count -= half + 1
        else:
            count = half
    return b
