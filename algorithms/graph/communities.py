"""label_propagation: vertices that are joined more with each other than with others.

Every vertex takes the label that most of its neighbours have, and keeps its own if that is one of them. Vertices of one
colour, none of which are joined, do so at once, one colour after the other: so the labels settle, and depend on no
schedule. U. Raghavan, R. Albert, S. Kumara, "Near linear time algorithm to detect community structures in large-scale
networks", 2007; G. Cordasco, L. Gargano, "Community detection via semi-synchronous label propagation algorithms", 2010.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.coloring import colored
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.priorities import of_vertex, seeded
from portapar.algorithms.histogram import bincount
from portapar.algorithms.reduce import reduce
from portapar.algorithms.sort import argsort
from portapar.algorithms.transform import fill, iota, transform
from portapar.errors import ArgumentError
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_SHORT: Final = 24  #: labels that are put in order one by one


def label_propagation(policy: Policy | None, graph: Graph, *, iterations: int = 100, seed: int = 0) -> Any:
    """Communities: the label of every vertex is one that most of its neighbours have.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Its weights and loops are not looked at; equal edges count as often as they are there.
    iterations : int
        At most; it ends when no label changes.
    seed : int
        Of the colours, and of which label is taken of several that are as frequent.

    Returns
    -------
    array of int32, (n,)
        The smallest vertex of its community. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same on every executor and in every run. O(m log d) work for an iteration, d the largest degree; memory for one
    int32 for each edge and direction.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> u, v = np.array([0, 0, 1, 2, 3, 3, 4]), np.array([1, 2, 2, 3, 4, 5, 5])
    >>> pp.graph.label_propagation(pp.par, pp.graph.Graph.from_edges(pp.par, u, v))
    array([0, 0, 0, 3, 3, 3], dtype=int32)
    """
    check_undirected("graph.label_propagation", graph)
    most = arrays.whole_number("graph.label_propagation: iterations", iterations, error=ArgumentError)
    seed = seeded("graph.label_propagation", seed)

    def communities(part: LocalPart, graph: Graph) -> Any:
        n, how = graph.num_vertices, part.how
        label, changed = iota(how, part.empty(n, np.int32)), part.zeros(n, np.int32)
        if n == 0:
            return label
        color = colored(part, graph, seed)
        order = argsort(how, color)
        ends = np.cumsum(arrays.asnumpy(bincount(how, color))).tolist()
        rows, scratch = (graph.offsets, radix.bits(graph.targets)), part.empty(len(graph.targets), np.int32)
        for _ in range(most):
            for begin, end in zip([0, *ends], ends, strict=False):
                for_each(how._dealt(64), end - begin, _take, begin, seed, order, *rows, label, scratch, changed)
            if reduce(how, changed) == 0:
                break
        least = part.empty(n, np.int32)
        fill(how, least, np.int32(n))
        for_each(how, n, _least, label, least)
        return transform(how, label, op=lambda c: least[c])

    return on_graph("graph.label_propagation", policy, graph, communities)


# kernels ------------------------------------------------------------------------------------------


def _take(
    k: Any, first: Any, seed: Any, order: Any, offsets: Any, targets: Any, label: Any, scratch: Any, changed: Any
) -> None:
    v = np.uint64(order[first + k])
    begin, count, mine = offsets[v], 0, label[v]
    for e in range(begin, offsets[v + np.uint64(1)]):
        u = np.uint64(targets[np.uint64(e)])
        if u != v:
            scratch[begin + count] = label[u]
            count += 1
    _sort(begin, count, scratch)
    best, most, run = mine, 0, 0
    for k in range(begin, begin + count):
        run = run + 1 if k > begin and scratch[k] == scratch[k - 1] else 1
        c = scratch[k]
        if k + 1 == begin + count or scratch[k + 1] != c:
            better = run > most or (
                run == most and best != mine and (c == mine or of_vertex(c, seed) > of_vertex(best, seed))
            )
            best, most = c if better else best, max(run, most)
    label[v] = best
    changed[v] = best != mine


def _sort(begin: Any, count: Any, x: Any) -> None:
    """Put `count` elements from `begin` on in order: few by insertion, more by a heap."""
    if count <= _SHORT:
        for k in range(begin + 1, begin + count):
            item, at = x[k], k
            while at > begin and x[at - 1] > item:
                x[at] = x[at - 1]
                at -= 1
            x[at] = item
    else:
        for k in range(count // 2):
            _sink(count // 2 - 1 - k, begin, count, x)
        for k in range(count - 1):
            last = count - 1 - k
            top = x[begin]
            x[begin] = x[begin + last]
            x[begin + last] = top
            _sink(0, begin, last, x)


def _sink(at: Any, begin: Any, count: Any, x: Any) -> None:
    """Let an element of a heap sink below those that are greater."""
    item, child = x[begin + at], 2 * at + 1
    while child < count:
        if child + 1 < count and x[begin + child + 1] > x[begin + child]:
            child += 1
        if x[begin + child] <= item:
            break
        x[begin + at] = x[begin + child]
        at, child = child, 2 * child + 1
    x[begin + at] = item


def _least(v: Any, label: Any, least: Any) -> None:
    c = np.uint64(label[v])
    if v < least[c]:
        atomic.min(least, c, v)
