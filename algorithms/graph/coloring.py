"""coloring: colours for the vertices, so that no two that are joined have the same.

A vertex takes the smallest colour that no neighbour of higher priority has, once all of them have theirs; vertices of
many edges come first, and in an order at random among those of about as many. M. Jones, P. Plassmann, "A parallel graph
coloring heuristic", 1993; W. Hasenplaugh et al., "Ordering heuristics for parallel graph coloring", SPAA 2014 (largest
logarithm of the degree first). The list of vertices is in that order, so that those that wait for others stand behind
them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import of_vertex, seeded
from portapar.algorithms.sort import argsort
from portapar.algorithms.transform import fill
from portapar.part import LocalPart
from portapar.policy import Policy

_AT_ONCE: Final = 64  #: colours that one look at a row tells apart


def coloring(policy: Policy | None, graph: Graph, *, seed: int = 0) -> Any:
    """A colour for every vertex, another one than those of its neighbours.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Loops are not looked at.
    seed : int
        Of the order: another seed, other colours.

    Returns
    -------
    array of int32, (n,)
        From 0 on; at most one more than the largest degree of them. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same on every executor and in every run. O(n + m) work, and more where colours wait for each other over several
    rounds; rows are read once for every 64 colours.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([1, 2, 3]))
    >>> pp.graph.coloring(pp.par, g)
    array([1, 0, 1, 0], dtype=int32)
    """
    check_undirected("graph.coloring", graph)
    seed = seeded("graph.coloring", seed)
    return on_graph("graph.coloring", policy, graph, lambda part, g: colored(part, g, seed))


def colored(part: LocalPart, graph: Graph, seed: Any) -> Any:
    """The colours, where a part lives."""
    n, how = graph.num_vertices, part.how
    color, priority = part.empty(n, np.int32), part.empty(n, np.uint64)
    fill(how, color, np.int32(-1))
    rows = graph.offsets, radix.bits(graph.targets)
    for_each(how, n, _priority, seed, graph.offsets, priority)
    live = argsort(how, priority, descending=True)
    while len(live):
        for_each(how._dealt(64), len(live), _color, live, *rows, priority, color)
        live = copy_if(how, live, _among(color))
    return color


# kernels ------------------------------------------------------------------------------------------


def _priority(v: Any, seed: Any, offsets: Any, priority: Any) -> None:
    """The logarithm of the degree above bits at random; no two are equal."""
    degree, bits = offsets[v + 1] - offsets[v], 0
    while degree > 0:
        degree >>= 1
        bits += 1
    priority[v] = (np.uint64(bits) << np.uint64(32)) | np.uint64(of_vertex(v, seed))


def _color(k: Any, live: Any, offsets: Any, targets: Any, priority: Any, color: Any) -> None:
    v = np.uint64(live[k])
    mine, first, found = priority[v], 0, -1
    while found == -1:
        used = np.uint64(0)
        for e in range(offsets[v], offsets[v + np.uint64(1)]):
            u = targets[np.uint64(e)]
            if priority[u] > mine:
                c = color[u] - first
                if color[u] < 0:
                    found = -2
                    break
                if 0 <= c < _AT_ONCE:
                    used |= np.uint64(1) << np.uint64(c)
        if found == -1:
            c = 0
            while c < _AT_ONCE and (used >> np.uint64(c)) & np.uint64(1) != 0:
                c += 1
            if c < _AT_ONCE:
                found = first + c
            first += _AT_ONCE
    if found >= 0:
        color[v] = found


def _among(color: Any) -> Any:
    def without(v: Any) -> Any:
        return color[v] < 0

    return without
