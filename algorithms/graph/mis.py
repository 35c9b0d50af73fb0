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
from portapar.algorithms.graph.priorities import OUT, in_turn, seeded
from portapar.part import LocalPart
from portapar.policy import Policy

_IN: Final = 0  #: the place of a vertex in the set


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
    The same on every executor and in every run: 256 neighbouring vertices at a time in their order, and these blocks in
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
    rows = graph.offsets, radix.bits(graph.targets)
    places = in_turn(part, graph.num_vertices, seed, _decide, *rows)
    return part.map(places, lambda place: place == _IN)


# kernels ------------------------------------------------------------------------------------------


def _decide(k: Any, live: Any, size: Any, places: Any, waits: Any, offsets: Any, targets: Any) -> None:
    block: Any = np.int64(live[k])
    for at in range(block * size, min(block * size + size, len(places))):
        v = np.uint64(at)
        mine = places[v]
        if mine != _IN and mine != OUT:
            first, last = offsets[v], offsets[v + np.uint64(1)]
            least = mine
            for e in range(first, last):
                least = min(least, places[targets[np.uint64(e)]])
                if least == _IN:
                    break
            if least == _IN:
                places[v] = OUT
            elif least < mine:
                waits[np.uint64(block)] = 1
            else:
                places[v] = _IN
                for e in range(first, last):
                    u = targets[np.uint64(e)]
                    if u != v:
                        places[u] = OUT
