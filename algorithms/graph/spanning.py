"""minimum_spanning_forest: the lightest edges that join all that hangs together.

Borůvka's method (1926): every part of the forest takes its lightest edge that leads out. Each vertex keeps its own
lightest one until that leads nowhere new, so that rows are seldom read again, and the largest part is not looked at:
the others join it. Of edges of one weight that between the smaller vertices is the lighter, so that there is one
forest only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.transform import fill, iota
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_SAMPLE = 1024  #: vertices looked at to find the largest part


def minimum_spanning_forest(policy: Policy | None, graph: Graph) -> Any:
    """A tree of least weight for every component of a graph.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Weights may be negative; without, each is 1.

    Returns
    -------
    array of int64, (n - components,)
        Where the edges of the forest stand in ``graph.targets`` and ``graph.weights``, each in the row of one of its
        ends; in no order. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same on every executor and in every run. O((n + m) log n) work at most.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([1, 2, 0]), np.array([5, 1, 2]))
    >>> e = pp.graph.minimum_spanning_forest(pp.par, g)
    >>> int(g.weights[e].sum())
    3
    >>> u, v = np.searchsorted(g.offsets, e, side="right") - 1, g.targets[e]
    >>> sorted(zip(np.minimum(u, v).tolist(), np.maximum(u, v).tolist()))
    [(0, 2), (1, 2)]
    """
    check_undirected("graph.minimum_spanning_forest", graph)
    return on_graph("graph.minimum_spanning_forest", policy, graph, _forest)


def _forest(part: LocalPart, graph: Graph) -> Any:
    n, how = graph.num_vertices, part.how
    weights = graph.weights
    if weights is None:
        weights = part.empty(len(graph.targets), np.int32)
        fill(how, weights, np.int32(1))
    elif weights.dtype.itemsize < 4 or weights.dtype == np.float16:  # atomics have 32 bits or 64
        T: Any = np.float32 if weights.dtype.kind == "f" else np.int32
        weights = part.map(weights, lambda w: T(w))
    T = weights.dtype.type
    heaviest = T(np.inf) if weights.dtype.kind == "f" else T(np.iinfo(T).max)
    rows = graph.offsets, radix.bits(graph.targets), weights
    label = iota(how, part.empty(n, np.int32))
    best, chosen = part.empty(n, np.int64), part.empty(n, np.int64)
    least, key, above = part.empty(n, T), part.empty(n, np.uint64), part.empty(n, np.int32)
    fill(how, best, np.int64(-1))
    fill(how, chosen, np.int64(-1))
    live = everyone = iota(how, part.empty(n, np.int32))
    while len(live):
        fill(how, least, heaviest)
        fill(how, key, np.uint64(2**64 - 1))
        fill(how, above, np.int32(-1))
        for_each(how._dealt(512), len(live), _lightest, live, *rows, label, best, least)
        for_each(how, len(live), _first, live, *rows, label, best, least, key)
        for_each(how, len(live), _hook, live, *rows, label, best, least, key, above, chosen)
        for_each(how, n, _apply, above, label)
        for_each(how, n, _compress, label)
        live = copy_if(how, everyone, _unfinished(label, best, _largest(label)))
    return copy_if(how, chosen, lambda e: e >= 0)


def _largest(label: Any) -> int:
    """The label that most vertices of a sample have; -1 where none stands out."""
    some = arrays.asnumpy(label[:: max(1, len(label) // _SAMPLE)])
    labels, counts = np.unique(some, return_counts=True)
    return int(labels[counts.argmax()])


# kernels ------------------------------------------------------------------------------------------


def _key(u: Any, v: Any) -> Any:
    return (np.uint64(min(u, v)) << np.uint64(32)) | np.uint64(max(u, v))


def _lightest(k: Any, live: Any, offsets: Any, targets: Any, weights: Any, label: Any, best: Any, least: Any) -> None:
    """The lightest edge of a vertex that leads to another part."""
    v = np.uint32(live[k])
    part, at = label[v], best[v]
    if at < 0 or label[targets[np.uint64(at)]] == part:
        at = -2
        for e in range(offsets[v], offsets[np.uint64(v) + np.uint64(1)]):
            u = targets[np.uint64(e)]
            if label[u] != part and (
                at < 0
                or weights[np.uint64(e)] < weights[np.uint64(at)]
                or (weights[np.uint64(e)] == weights[np.uint64(at)] and _key(u, v) < _key(targets[np.uint64(at)], v))
            ):
                at = e
        best[v] = at
    if at >= 0:
        w = weights[np.uint64(at)]
        if w < least[np.uint64(part)]:
            atomic.min(least, np.uint64(part), w)


def _first(
    k: Any, live: Any, offsets: Any, targets: Any, weights: Any, label: Any, best: Any, least: Any, key: Any
) -> None:
    """Of the lightest edges of a part the one between the smallest vertices."""
    v = np.uint32(live[k])
    at, part = best[v], np.uint64(label[v])
    if at >= 0 and weights[np.uint64(at)] == least[part]:
        mine = _key(targets[np.uint64(at)], v)
        if mine < key[part]:
            atomic.min(key, part, mine)


def _hook(
    k: Any, live: Any, offsets: Any, targets: Any, weights: Any, label: Any, best: Any, least: Any, key: Any,
    above: Any, chosen: Any,
) -> None:  # fmt: skip
    """Hang a part below the one that its edge leads to; of two that took the same edge the higher one."""
    v = np.uint32(live[k])
    at, part = best[v], np.uint64(label[v])
    if at >= 0 and weights[np.uint64(at)] == least[part] and _key(targets[np.uint64(at)], v) == key[part]:
        other = np.uint64(label[targets[np.uint64(at)]])
        if key[other] != key[part] or other < part:
            above[part] = other
            chosen[part] = at


def _apply(v: Any, above: Any, label: Any) -> None:
    if above[v] >= 0:
        label[v] = above[v]


def _compress(v: Any, label: Any) -> None:
    root = label[v]
    while root != label[np.uint64(root)]:
        root = label[np.uint64(root)]
    label[v] = root


def _unfinished(label: Any, best: Any, largest: int) -> Any:
    def unfinished(v: Any) -> Any:
        return label[v] != largest and best[v] != -2

    return unfinished
