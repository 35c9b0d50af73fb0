"""maximal_matching: edges without a common end, to which no other edge can be added.

The matching that a loop over the vertices in an order at random makes: each that is free takes the first neighbour of
its row that is free. Two vertices can be matched as soon as none before them wants one of the two: when no neighbour of
either stands before them and is not done. G. Blelloch, J. Fineman, J. Shun, "Greedy sequential maximal independent set
and matching are parallel on average", SPAA 2012.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import in_turn, rank, seeded
from portapar.algorithms.transform import fill
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_OPEN: Final = 0  #: free, and not done
_DONE: Final = 1


def maximal_matching(policy: Policy | None, graph: Graph, *, seed: int = 0) -> Any:
    """A maximal matching: with whom each vertex is matched, so that every edge has an end that is matched.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Its weights and loops are not looked at.
    seed : int
        Of the order: another seed, another matching.

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
    The same on every executor and in every run: 16 neighbouring vertices at a time in their order, and these blocks in
    an order at random. O(n + m) work, and more where many vertices wait for others.

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
    mate, status = part.empty(n, np.int32), part.empty(n, np.uint8)
    fill(how, mate, np.int32(-1))
    fill(how, status, np.uint8(_OPEN))
    in_turn(part, n, seed, _match, graph.offsets, radix.bits(graph.targets), mate, status)
    return mate


# kernels ------------------------------------------------------------------------------------------


def _match(
    k: Any, live: Any, size: Any, waits: Any, seed: Any, offsets: Any, targets: Any, mate: Any, status: Any
) -> None:  # fmt: skip
    block = np.int64(live[k])
    for at in range(block * size, min(block * size + size, len(status))):
        v = np.uint64(at)
        if status[v] == _OPEN:
            if _found(v, seed, offsets, targets, mate, status):
                status[v] = _DONE
            else:
                waits[np.uint64(block)] = 1


def _found(v: Any, seed: Any, offsets: Any, targets: Any, mate: Any, status: Any) -> Any:
    """Whether it is known what becomes of a vertex; then it is in `mate`.

    Two swaps make sure that both ends are still free: who goes through a row sees what was so before.
    """
    mine = rank(v, seed)
    if _awaited(v, mine, seed, offsets, targets, status):
        return False
    for e in range(offsets[v], offsets[v + np.uint64(1)]):
        u = np.uint64(targets[np.uint64(e)])
        if status[u] == _OPEN and u != v:
            if _awaited(u, mine, seed, offsets, targets, status):
                return False
            if atomic.cas(mate, v, -1, np.int32(u)) != -1:
                return True
            if atomic.cas(mate, u, -1, np.int32(v)) == -1:
                status[u] = _DONE
                return True
            mate[v] = -1
    return True


def _awaited(u: Any, mine: Any, seed: Any, offsets: Any, targets: Any, status: Any) -> Any:
    """Whether a neighbour of a vertex comes first, and is not done."""
    for e in range(offsets[u], offsets[u + np.uint64(1)]):
        w = targets[np.uint64(e)]
        if status[w] == _OPEN and rank(w, seed) < mine:
            return True
    return False
