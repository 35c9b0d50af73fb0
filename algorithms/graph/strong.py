"""strongly_connected_components: which vertices of a directed graph can reach each other.

Vertices that no edge enters, or none leaves, are components by themselves; what a vertex of many edges can reach, and
what can reach it, is the largest component in most graphs (L. Fleischer, B. Hendrickson, A. Pınar, "On identifying
strongly connected components in parallel", 2000; G. Slota, S. Rajamanickam, K. Madduri, "BFS and coloring-based
parallel algorithms for strongly connected components and related problems", IPDPS 2014). What is left then, mostly
little, is done by one thread: R. Tarjan, "Depth-first search and linear graph algorithms", 1972.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays, lazy, ops
from portapar.algorithms import radix
from portapar.algorithms.extrema import max_element
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.bfs import search
from portapar.algorithms.graph.components import components
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.transform import fill, transform
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_TRIMS = 3  #: looks for vertices that no edge enters, or none leaves
_BUDGET = 1 << 22  #: edges after which one thread comes back, so that Ctrl-C is heard
_FREE: Final = -1  #: no component is known


def strongly_connected_components(policy: Policy | None, graph: Graph) -> Any:
    """The strong component of every vertex.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        If it is not directed, the components of `connected_components`.

    Returns
    -------
    array of int32, (n,)
        The smallest vertex of its component. With ``policy.task`` a Future of it.

    Notes
    -----
    The same on every executor and in every run. O(n + m) work. What does not belong to the largest component is done
    by one thread but for vertices without a way in or out, which on a GPU takes long where it is much.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([1, 2, 3, 0]), np.array([2, 3, 1, 1]), directed=True)
    >>> pp.graph.strongly_connected_components(pp.par, g)
    array([0, 1, 1, 1], dtype=int32)
    """
    return on_graph("graph.strongly_connected_components", policy, graph, _strong)


def _strong(part: LocalPart, graph: Graph) -> Any:
    if not graph.directed:
        return components(part, graph)
    n, how = graph.num_vertices, part.how
    label = part.empty(n, np.int32)
    fill(how, label, np.int32(_FREE))
    if n == 0:
        return label
    forth, back = ((g.offsets, radix.bits(g.targets)) for g in (graph, graph.reverse))
    for _ in range(_TRIMS):
        for_each(how._dealt(512), n, _trim, *forth, *back, label)
    edges = part.empty(n, np.int64)
    for_each(how, n, _product, forth[0], back[0], label, edges)
    middle = max_element(how, edges)
    if int(arrays.asnumpy(edges[middle : middle + 1])[0]) > 0:
        after, before = (search(part, g, middle, True) for g in (graph, graph.reverse))
        least = transform_reduce(how, lazy.iota(n), after, before, transform=_in_both, op=ops.minimum)
        for_each(how, n, _name, np.int32(least), after, before, label)
        for _ in range(_TRIMS):
            for_each(how._dealt(512), n, _trim, *forth, *back, label)
    _rest(part, n, forth, label)
    least = part.empty(n, np.int32)
    fill(how, least, np.int32(n))
    for_each(how, n, _least, label, least)
    for_each(how, n, _renamed, least, label)
    return label


def closing_order(part: LocalPart, graph: Graph) -> Any:
    """The number of each vertex's component, in the order in which one depth-first search is done with them."""
    label = part.empty(graph.num_vertices, np.int32)
    fill(part.how, label, np.int32(_FREE))
    _rest(part, graph.num_vertices, (graph.offsets, radix.bits(graph.targets)), label)
    return transform(part.how, label, op=lambda c: -2 - c)


def _rest(part: LocalPart, n: int, rows: tuple[Any, Any], label: Any) -> None:
    """Tarjan's method, on what has no component yet; component k gets the label -2 - k."""
    how = part.how
    left = int(transform_reduce(how, label, transform=_free)) if n else 0
    if left == 0:
        return
    low = part.zeros(n, np.int32)  # the least number that is reached; 0: not seen
    at = part.empty(n, np.int64)  # the edge to be looked at next
    path, open_ = part.empty(left, np.int32), part.empty(left, np.int32)
    state = part.zeros(5, np.int64)  # how many are on the path and open, where the next path begins, components; done
    while not int(arrays.asnumpy(state[4:])[0]):
        for_each(how, 1, _tarjan, _BUDGET, *rows, label, low, at, path, open_, state)


# kernels ------------------------------------------------------------------------------------------


def _trim(v: Any, offsets: Any, targets: Any, into: Any, sources: Any, label: Any) -> None:
    if label[v] == _FREE and not (_any(v, offsets, targets, label) and _any(v, into, sources, label)):
        label[v] = v


def _any(v: Any, offsets: Any, targets: Any, label: Any) -> Any:
    """Whether an edge leads to another vertex without a component."""
    found = False
    for e in range(offsets[v], offsets[v + 1]):
        u = targets[np.uint64(e)]
        if u != v and label[u] == _FREE:
            found = True
            break
    return found


def _product(v: Any, offsets: Any, into: Any, label: Any, edges: Any) -> None:
    edges[v] = (offsets[v + 1] - offsets[v]) * (into[v + 1] - into[v]) if label[v] == _FREE else 0


def _in_both(v: Any, after: Any, before: Any) -> Any:
    return v if after >= 0 and before >= 0 else np.int64(2**31 - 1)


def _name(v: Any, least: Any, after: Any, before: Any, label: Any) -> None:
    if after[v] >= 0 and before[v] >= 0:
        label[v] = least


def _free(c: Any) -> Any:
    return np.int64(c == _FREE)


def _tarjan(
    _: Any, budget: Any, offsets: Any, targets: Any, label: Any, low: Any, at: Any, path: Any, open_: Any, state: Any
) -> None:
    """Depth-first search. Numbers are places among the open vertices."""
    one, depth, waiting, root, closed, work = np.uint64(1), state[0], state[1], state[2], state[3], 0
    while work < budget and (depth > 0 or root < len(label)):
        work += 1
        if depth == 0:
            if label[root] == _FREE:
                path[0] = root
                waiting = _open(root, waiting, offsets, low, at, open_)
                depth = 1
            root += 1
        else:
            v = np.uint64(path[depth - 1])
            e, end, down = at[v], offsets[v + one], False
            while e < end and not down:
                u = np.uint64(targets[np.uint64(e)])
                if label[u] == _FREE and low[u] == 0:
                    path[depth] = u
                    waiting = _open(u, waiting, offsets, low, at, open_)
                    depth += 1
                    down = True  # when that is done, the edge is looked at once more
                else:
                    if label[u] == _FREE:
                        low[v] = min(low[v], low[u])
                    e += 1
                work += 1
            at[v] = e
            if not down:
                depth -= 1
                if np.uint64(open_[low[v] - 1]) == v:
                    first = low[v] - 1
                    for k in range(first, waiting):
                        label[open_[k]] = -2 - closed
                    waiting, closed = first, closed + 1
    state[0], state[1], state[2], state[3] = depth, waiting, root, closed
    state[4] = 1 if depth == 0 and root >= len(label) else 0


def _open(v: Any, waiting: Any, offsets: Any, low: Any, at: Any, open_: Any) -> Any:
    """Begin with a vertex; how many are open then."""
    low[v], at[v], open_[waiting] = waiting + 1, offsets[v], v
    return waiting + 1


def _least(v: Any, label: Any, least: Any) -> None:
    if label[v] < _FREE and v < least[-2 - label[v]]:
        atomic.min(least, -2 - label[v], v)


def _renamed(v: Any, least: Any, label: Any) -> None:
    if label[v] < _FREE:
        label[v] = least[-2 - label[v]]
