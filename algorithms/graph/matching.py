"""maximal_matching: edges without a common end, to which no other edge can be added.

Edges have priorities at random. Every vertex points along its edge of the highest priority to a vertex that is still
free; two that point at each other are matched, and only who pointed at one of them looks for another one. The result is
what a loop over the edges in the order of their priorities would make. R. Preis, "Linear time 1/2-approximation
algorithm for maximum weighted matching in general graphs", STACS 1999; F. Manne, R. Bisseling, "A parallel
approximation algorithm for the weighted maximum matching problem", 2007.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import of_edge, seeded
from portapar.algorithms.transform import fill, iota
from portapar.part import LocalPart
from portapar.policy import Policy


def maximal_matching(policy: Policy | None, graph: Graph, *, seed: int = 0) -> Any:
    """A maximal matching: with whom each vertex is matched, so that every edge has an end that is matched.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Its weights and loops are not looked at.
    seed : int
        Of the priorities: another seed, another matching.

    Returns
    -------
    array of int32, (n,)
        The vertex at the other end, -1 for a vertex that is alone. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same on every executor and in every run. O(m) work for each of O(log n) rounds at most, and mostly a few
    times the edges in all.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 2, 4]), np.array([1, 3, 5]), n=7)
    >>> pp.graph.maximal_matching(pp.par, g)
    array([ 1,  0,  3,  2,  5,  4, -1], dtype=int32)
    """
    check_undirected("graph.maximal_matching", graph)
    seed = seeded("graph.maximal_matching", seed)
    return on_graph("graph.maximal_matching", policy, graph, lambda part, g: _matching(part, g, seed))


def _matching(part: LocalPart, graph: Graph, seed: Any) -> Any:
    n, how = graph.num_vertices, part.how
    mate, choice = part.empty(n, np.int32), part.empty(n, np.int32)
    fill(how, mate, np.int32(-1))
    fill(how, choice, np.int32(-1))
    rows = graph.offsets, radix.bits(graph.targets)
    live = iota(how, part.empty(n, np.int32))
    while len(live):
        for_each(how._dealt(512), len(live), _choose, seed, live, *rows, mate, choice)
        for_each(how, len(live), _match, live, choice, mate)
        live = copy_if(how, live, _free(mate, choice))
    return mate


# kernels ------------------------------------------------------------------------------------------


def _choose(k: Any, seed: Any, live: Any, offsets: Any, targets: Any, mate: Any, choice: Any) -> None:
    v = np.uint32(live[k])
    known = choice[v]
    if known < 0 or mate[np.uint64(known)] >= 0:
        best: Any = -1
        most = np.uint64(0)
        for e in range(offsets[v], offsets[np.uint64(v) + np.uint64(1)]):
            u = targets[np.uint64(e)]
            if mate[u] < 0 and u != v:
                p = of_edge(u, v, seed)
                if p > most or best < 0:
                    best, most = np.int64(u), p
        choice[v] = best


def _match(k: Any, live: Any, choice: Any, mate: Any) -> None:
    v = np.uint64(live[k])
    other = choice[v]
    if other >= 0 and choice[np.uint64(other)] == np.int64(v):
        mate[v] = other


def _free(mate: Any, choice: Any) -> Any:
    def free(v: Any) -> Any:
        return mate[v] < 0 and choice[v] >= 0

    return free
