"""connected_components: which vertices hang together, whatever the direction of the edges.

Afforest: the first edges of each vertex join most of a graph; what then has the largest part's label, found by a
sample, needs no further look at its edges. M. Sutton, T. Ben-Nun, A. Barak, "Optimizing parallel graph connectivity
computation via subgraph sampling", IPDPS 2018.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.algorithms.transform import iota
from portapar.kernel.front import atomic
from portapar.part import LocalPart
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
    The same on every executor and in every run. O(n + m) work; most edges of the largest component are not looked at.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([4, 0, 2]), np.array([3, 1, 3]))
    >>> pp.graph.connected_components(pp.par, g)
    array([0, 0, 2, 2, 2], dtype=int32)
    """
    return on_graph("graph.connected_components", policy, graph, components)


def components(part: LocalPart, graph: Graph) -> Any:
    """The components, where a part lives."""
    n, how = graph.num_vertices, part.how
    uneven = how._dealt(1024)
    rows = graph.offsets, radix.bits(graph.targets)
    label = iota(how, part.empty(n, graph.targets.dtype))
    for k in range(_FIRST):
        for_each(how, n, _join_one, k, *rows, label)
        for_each(how, n, _compress, label)
    largest = _frequent(label)
    for_each(uneven, n, _join_rest, _FIRST, largest, *rows, label)
    if graph.directed:  # an edge into the largest component from a vertex of another one is known to that one alone
        for_each(uneven, n, _join_rest, 0, largest, graph.reverse.offsets, radix.bits(graph.reverse.targets), label)
    for_each(how, n, _compress, label)
    return label


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
