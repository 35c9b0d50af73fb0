"""connected_components: which vertices hang together, whatever the direction of the edges.

Afforest: the first edges of each vertex join most of a graph; what then has the largest part's label, found by a
sample, needs no further look at its edges. M. Sutton, T. Ben-Nun, A. Barak, "Optimizing parallel graph connectivity
computation via subgraph sampling", IPDPS 2018. On several parts each joins what its own edges join, and what all found
is joined then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.algorithms.graph.several import check_graph, once, rows_of_parts
from portapar.algorithms.transform import iota
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_FIRST = 2  #: edges of each vertex that are followed before the sample
_SAMPLE = 1024  #: vertices looked at to find the largest component


def connected_components(policy: Policy | None, graph: Graph) -> Any:
    """The component of every vertex; of a directed graph the weak ones.

    Parameters
    ----------
    policy : Policy
    graph : Graph

    Returns
    -------
    array of int32, (n,)
        The smallest vertex of its component. With ``policy.task`` a Future of it.

    Notes
    -----
    The same on every executor, on several parts too, and in every run. O(n + m) work; most edges of the largest
    component are not looked at, unless the graph is directed.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([4, 0, 2]), np.array([3, 1, 3]))
    >>> pp.graph.connected_components(pp.par, g)
    array([0, 0, 2, 2, 2], dtype=int32)
    """
    return on_graph("graph.connected_components", policy, graph, components, _on_parts)


def components(part: LocalPart, graph: Graph) -> Any:
    """The components, where a part lives."""
    n, how = graph.num_vertices, part.how
    uneven = how._dealt(1024)
    rows = graph.offsets, radix.bits(graph.targets)
    label = iota(how, part.empty(n, graph.targets.dtype))
    for k in range(_FIRST):
        for_each(how, n, _join_one, k, *rows, label)
        for_each(how, n, _compress, label)
    # an edge out of the largest component is not known to its other end if the graph is directed; to look at all edges
    # takes less than to turn it around
    largest = -1 if graph.directed else _frequent(label)
    for_each(uneven, n, _join_rest, _FIRST, largest, *rows, label)
    for_each(how, n, _compress, label)
    return label


def _on_parts(p: Parts, graph: Graph) -> Any:
    n = graph.num_vertices
    check_graph(p, graph, f"one step: each part tells all others a forest of what its edges join, {4 * n} bytes")
    rows = rows_of_parts(p, graph)

    def forest(part: LocalPart) -> np.ndarray:
        here, label = rows[part.number], iota(part.how, part.empty(n, np.int32))
        for_each(part.how._dealt(1024), here.hi - here.lo, _join_row, here.lo, *here.held, label)
        for_each(part.how, n, _compress, label)
        return arrays.asnumpy(label)

    forests = p.each("forests", forest)

    def join(part: LocalPart) -> np.ndarray:
        label = iota(part.how, part.empty(n, np.int32))
        for found in forests:
            for_each(part.how, n, _join_found, part.asarray(found), label)
        for_each(part.how, n, _compress, label)
        return arrays.asnumpy(label)

    return once(p, "join", join)


def _frequent(label: Any) -> int:
    """The label that most vertices of a sample have; -1 where there are no vertices."""
    if not len(label):
        return -1
    some = arrays.asnumpy(label[:: max(1, len(label) // _SAMPLE)])
    labels, counts = np.unique(some, return_counts=True)
    return int(labels[counts.argmax()])


# kernels ------------------------------------------------------------------------------------------


def _join_one(u: Any, k: Any, offsets: Any, targets: Any, label: Any) -> None:
    if offsets[u] + k < offsets[u + 1]:
        _join(u, targets[np.uint64(offsets[u] + k)], label)


def _join_rest(u: Any, first: Any, largest: Any, offsets: Any, targets: Any, label: Any) -> None:
    if label[u] != largest:
        for e in range(offsets[u] + first, offsets[u + 1]):
            _join(u, targets[np.uint64(e)], label)


def _join_row(k: Any, lo: Any, offsets: Any, targets: Any, label: Any) -> None:
    for e in range(offsets[k], offsets[k + 1]):
        _join(lo + k, targets[np.uint64(e)], label)


def _join_found(u: Any, found: Any, label: Any) -> None:
    _join(u, found[u], label)


def _join(u: Any, v: Any, label: Any) -> None:
    """Hang the root of one of two vertices below a vertex of the other's, always the higher below the lower."""
    a, b = label[np.uint64(u)], label[np.uint64(v)]
    while a != b:
        high, low = max(a, b), min(a, b)
        at = label[np.uint64(high)]
        if at == low or (at == high and atomic.cas(label, np.uint64(high), high, low) == high):
            break
        a, b = label[np.uint64(label[np.uint64(high)])], label[np.uint64(low)]


def _compress(u: Any, label: Any) -> None:
    root = label[u]
    while root != label[np.uint64(root)]:
        root = label[np.uint64(root)]
    label[u] = root
