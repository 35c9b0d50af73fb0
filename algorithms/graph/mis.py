"""mis: an independent set of vertices that no other vertex can join.

Vertices have priorities at random. In every round those whose neighbours of higher priority are all out join the set,
and neighbours of the set are out; a vertex may see what others became in the same round, since the result is the one
set that a loop over the vertices in the order of their priorities would make. M. Luby, "A simple parallel algorithm
for the maximal independent set problem", 1986; G. Blelloch, J. Fineman, J. Shun, "Greedy sequential maximal independent
set and matching are parallel on average", SPAA 2012.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import of_vertex, seeded
from portapar.algorithms.transform import fill, iota, transform
from portapar.part import LocalPart
from portapar.policy import Policy

_OPEN: Final = 0  #: not decided
_IN: Final = 1
_OUT: Final = 2


def mis(policy: Policy | None, graph: Graph, *, seed: int = 0) -> Any:
    """A maximal independent set: no two of its vertices are joined, and every other vertex is joined with one of them.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Loops are not looked at.
    seed : int
        Of the priorities: another seed, another set.

    Returns
    -------
    array of bool, (n,)
        Whether each vertex is in the set. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same on every executor and in every run. O(m) work for each of O(log n) rounds at most, and mostly about twice
    the edges in all.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.zeros(4, int), np.arange(1, 5))
    >>> pp.graph.mis(pp.par, g)
    array([False,  True,  True,  True,  True])
    """
    check_undirected("graph.mis", graph)
    seed = seeded("graph.mis", seed)
    return on_graph("graph.mis", policy, graph, lambda part, g: _independent(part, g, seed))


def _independent(part: LocalPart, graph: Graph, seed: Any) -> Any:
    n, how = graph.num_vertices, part.how
    status = part.empty(n, np.uint8)
    fill(how, status, np.uint8(_OPEN))
    rows = graph.offsets, radix.bits(graph.targets)
    live = iota(how, part.empty(n, np.int32))
    while len(live):
        for_each(how._dealt(512), len(live), _decide, seed, live, *rows, status)
        live = copy_if(how, live, _among(status))
    return transform(how, status, op=lambda s: s == _IN)


# kernels ------------------------------------------------------------------------------------------


def _decide(k: Any, seed: Any, live: Any, offsets: Any, targets: Any, status: Any) -> None:
    v = np.uint32(live[k])
    mine, found = of_vertex(v, seed), _IN
    for e in range(offsets[v], offsets[np.uint64(v) + np.uint64(1)]):
        u = targets[np.uint64(e)]
        s = status[u]
        if s == _IN:
            found = _OUT
            break
        if s == _OPEN and found == _IN and of_vertex(u, seed) > mine:
            found = _OPEN
    status[v] = found


def _among(status: Any) -> Any:
    def undecided(v: Any) -> Any:
        return status[v] == _OPEN

    return undecided
