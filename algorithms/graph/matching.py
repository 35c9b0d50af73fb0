"""maximal_matching: edges without a common end, to which no other edge can be added.

In rounds: every vertex that is free takes the first neighbour that is, of its row from a place at random on, and puts a
number at random to both of them where no lower one is. Two whose number is the lowest at both ends are matched; who is
not stays for the next round. A round has a part of the vertices, so that most of them get whom they take, and who is
taken before takes none. These are the deterministic reservations of G. Blelloch, J. Fineman, P. Gibbons, J. Shun,
"Internally deterministic parallel algorithms can be fast", PPoPP 2012, for one edge of each vertex. Numbers fall from
round to round, so that those of former rounds do not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import of_vertex, seeded
from portapar.algorithms.transform import fill, iota, transform
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_ROUNDS = 16  #: in which the vertices come first
_LEAST = 4096  #: that come in a round


def maximal_matching(policy: Policy | None, graph: Graph, *, seed: int = 0) -> Any:
    """A maximal matching: with whom each vertex is matched, so that every edge has an end that is matched.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Its weights and loops are not looked at.
    seed : int
        Of the numbers: another seed, another matching.

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
    The same on every executor and in every run. O(n + m) work: a row is gone through once, and a part of the vertices
    that are left is matched in each of O(log n) rounds.

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
    mate, choice, least = part.empty(n, np.int32), part.empty(n, np.int32), part.empty(n, np.int64)
    fill(how, mate, np.int32(-1))
    fill(how, least, np.int64(1))
    rows = graph.offsets, radix.bits(graph.targets)
    waiting = iota(how, part.empty(n, np.int32))
    begin, end, turn = 0, 0, 0
    while begin < n:
        end = min(n, end + max(n // _ROUNDS, _LEAST))
        live, chosen = waiting[begin:end], choice[begin:end]
        for_each(how._dealt(512), end - begin, _choose, turn, seed, live, *rows, mate, chosen, least)
        for_each(how, end - begin, _match, turn, seed, live, chosen, least, mate)
        left = copy_if(how, live, lambda u: u >= 0, stencil=chosen)
        begin, turn = end - len(left), turn + 1
        if len(left):
            transform(how, left, out=waiting[begin:end], op=lambda v: v)
    return mate


# kernels ------------------------------------------------------------------------------------------


def _number(v: Any, turn: Any, seed: Any) -> Any:
    """A vertex's number of a round; no two have the same."""
    return np.int64(of_vertex(v, seed + np.uint32(turn))) - (np.int64(turn + 1) << np.int64(32))


def _choose(
    k: Any, turn: Any, seed: Any, live: Any, offsets: Any, targets: Any, mate: Any, choice: Any, least: Any
) -> None:  # fmt: skip
    v, found = np.uint64(live[k]), np.int64(-1)
    if mate[v] < 0:
        first, last = np.uint64(offsets[v]), np.uint64(offsets[v + np.uint64(1)])
        start = first + ((np.uint64(of_vertex(v, seed)) * (last - first)) >> np.uint64(32))
        found = _free(v, start, last, targets, mate)
        if found < 0:
            found = _free(v, first, start, targets, mate)
        if found >= 0:
            mine = _number(v, turn, seed)
            if mine < least[v]:
                atomic.min(least, v, mine)
            if mine < least[np.uint64(found)]:
                atomic.min(least, np.uint64(found), mine)
    choice[k] = found


def _free(v: Any, first: Any, last: Any, targets: Any, mate: Any) -> Any:
    """The first neighbour in a part of a row that is free, -1 if there is none."""
    for e in range(first, last):
        u = targets[np.uint64(e)]
        if mate[u] < 0 and u != v:
            return np.int64(u)
    return np.int64(-1)


def _match(k: Any, turn: Any, seed: Any, live: Any, choice: Any, least: Any, mate: Any) -> None:
    v, u = np.uint64(live[k]), np.int64(choice[k])
    if u >= 0:
        mine = _number(v, turn, seed)
        if least[v] == mine and least[np.uint64(u)] == mine:
            mate[v], mate[np.uint64(u)] = u, np.int64(v)
            choice[k] = -1
