"""mis: an independent set of vertices that no other vertex can join.

The set that a loop over the vertices in an order at random makes: a vertex joins it unless a neighbour has. Who joins
tells all neighbours that they are out, whose rows need not be read any more; a vertex waits for neighbours before it
that are not decided. It may see what others became at the same time, since the result is that one set. G. Blelloch,
J. Fineman, J. Shun, "Greedy sequential maximal independent set and matching are parallel on average", SPAA 2012.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import in_turn, rank, seeded
from portapar.algorithms.transform import fill, transform
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
        Of the order: another seed, another set.

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
    The same on every executor and in every run: 16 neighbouring vertices at a time in their order, and these blocks in
    an order at random. O(n + m) work, and more where many vertices wait for others.

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
    n = graph.num_vertices
    status = part.empty(n, np.uint8)
    fill(part.how, status, np.uint8(_OPEN))
    in_turn(part, n, seed, _decide, graph.offsets, radix.bits(graph.targets), status)
    return transform(part.how, status, op=lambda s: s == _IN)


# kernels ------------------------------------------------------------------------------------------


def _decide(
    k: Any, live: Any, size: Any, waits: Any, seed: Any, offsets: Any, targets: Any, status: Any
) -> None:  # fmt: skip
    block = np.int64(live[k])
    for at in range(block * size, min(block * size + size, len(status))):
        v = np.uint64(at)
        if status[v] == _OPEN:
            first, last = offsets[v], offsets[v + np.uint64(1)]
            mine, found = rank(v, seed), _IN
            for e in range(first, last):
                u = targets[np.uint64(e)]
                s = status[u]
                if s == _IN:
                    found = _OUT
                    break
                if s == _OPEN and rank(u, seed) < mine:
                    found = _OPEN
            if found == _OPEN:
                waits[np.uint64(block)] = 1
            else:
                status[v] = found
                if found == _IN:
                    for e in range(first, last):
                        u = targets[np.uint64(e)]
                        if u != v:
                            status[u] = _OUT
