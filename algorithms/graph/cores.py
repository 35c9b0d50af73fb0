"""k_core: how deep in a graph each vertex lies.

Peeling: vertices of the least degree go first, and take an edge from each of their neighbours, which go with them when
they have no more than these. S. Seidman, "Network structure and minimum degree", 1983; H. Kabir, K. Madduri, "Parallel
k-core decomposition on multicore platforms", IPDPS workshops 2017. A few vertices, of which a path has one step after
the other, are done by one thread in one step.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays, ops
from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.transform import copy, iota, transform
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_ALONE = 128  #: vertices that one thread does faster than several
_BUDGET = 1 << 20  #: edges after which one thread comes back, so that Ctrl-C is heard
_BUFFER: Final = 64  #: vertices that are put into the queue at a time
_FEW = 8  #: of so many vertices one goes in a level before those that are left are listed anew


def k_core(policy: Policy | None, graph: Graph) -> Any:
    """The core number of every vertex: the largest k so that it lies in a subgraph in which all degrees are k at least.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed. Equal edges count as often as they are there, and a loop once.

    Returns
    -------
    array of int32, (n,)
        The vertices of the k-core are those of `k` and more. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same on every executor and in every run. O(n + m) work, and a look at what is left of the vertices for each
    core number that occurs.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2, 2]), np.array([1, 2, 0, 3]))
    >>> pp.graph.k_core(pp.par, g)
    array([2, 2, 2, 1], dtype=int32)
    """
    check_undirected("graph.k_core", graph)
    return on_graph("graph.k_core", policy, graph, _cores)


def _cores(part: LocalPart, graph: Graph) -> Any:
    n, how = graph.num_vertices, part.how
    degree = transform(how, graph.degrees(how), op=lambda d: np.int32(d))
    rows = graph.offsets, radix.bits(graph.targets)
    live, queue = iota(how, part.empty(n, np.int32)), part.empty(n, np.int32)
    state = part.zeros(2, np.int64)  # the frontier's begin and end in the queue
    alone = 0 if part.wide else _ALONE if how.threads else n
    level, done = -1, 0
    while done < n:
        level = int(transform_reduce(how, live, transform=_above(degree, level), op=ops.minimum))
        first = copy_if(how, live, _equal(degree, level))
        copy(how, first, out=queue[done : done + len(first)])
        begin, end = done, done + len(first)
        for_each(how, 1, _set, begin, end, state)
        while begin < end:
            if end - begin <= alone:
                for_each(how, 1, _walk, level, alone, *rows, degree, queue, state)
            else:
                size = 1 if part.wide else _BUFFER
                blocks = -(-(end - begin) // size)
                for_each(how._dealt(1), blocks, _peel, size, begin, end, level, *rows, degree, queue, state)
                for_each(how, 1, _next, end, state)
            begin, end = arrays.asnumpy(state).tolist()
        if _FEW * (end - done) > len(live):
            live = copy_if(how, live, _left(degree, level))
        done = end
    return degree


# kernels ------------------------------------------------------------------------------------------


def _above(degree: Any, level: int) -> Any:
    most = np.int32(2**31 - 1)

    def above(v: Any) -> Any:
        return degree[v] if degree[v] > level else most

    return above


def _equal(degree: Any, level: int) -> Any:
    def equal(v: Any) -> Any:
        return degree[v] == level

    return equal


def _left(degree: Any, level: int) -> Any:
    def left(v: Any) -> Any:
        return degree[v] > level

    return left


def _set(_: Any, begin: Any, end: Any, state: Any) -> None:
    state[0], state[1] = begin, end


def _next(_: Any, begin: Any, state: Any) -> None:
    state[0] = begin


def _peel(
    block: Any, size: Any, begin: Any, end: Any, level: Any, offsets: Any, targets: Any, degree: Any, queue: Any,
    state: Any,
) -> None:  # fmt: skip
    fresh = np.empty(_BUFFER, np.int32)
    count = 0
    for k in range(begin + block * size, min(begin + (block + 1) * size, end)):
        u = np.uint64(queue[np.uint64(k)])
        for e in range(offsets[u], offsets[u + np.uint64(1)]):
            v = targets[np.uint64(e)]
            if degree[v] > level:
                before = atomic.sub(degree, v, 1)
                if before <= level:  # another one was faster
                    atomic.add(degree, v, 1)
                elif before == level + 1:
                    fresh[count] = v
                    count += 1
                    if count == _BUFFER:
                        count = _put(count, fresh, queue, state)
    _put(count, fresh, queue, state)


def _put(count: Any, fresh: Any, queue: Any, state: Any) -> Any:
    if count > 0:
        place = atomic.add(state, 1, count)
        for k in range(count):
            queue[place + k] = fresh[k]
    return 0


def _walk(_: Any, level: Any, most: Any, offsets: Any, targets: Any, degree: Any, queue: Any, state: Any) -> None:
    """One thread, one frontier after the other, while they are small."""
    begin, end, seen = state[0], state[1], 0
    while begin < end and end - begin <= most and seen < _BUDGET:
        last = end
        for k in range(begin, last):
            u = np.uint64(queue[np.uint64(k)])
            seen += offsets[u + np.uint64(1)] - offsets[u]
            for e in range(offsets[u], offsets[u + np.uint64(1)]):
                v = targets[np.uint64(e)]
                if degree[v] > level:
                    degree[v] -= 1
                    if degree[v] == level:
                        queue[np.uint64(end)] = v
                        end += 1
        begin = last
    state[0], state[1] = begin, end
