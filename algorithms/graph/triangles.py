"""triangle_count: how many three vertices there are that are all joined.

Every vertex keeps its neighbours of higher rank alone, where vertices of many edges rank high: then none keeps more
than about the root of all edges. For each vertex these are marked in a row of bits, and what its neighbours keep is
looked up there. N. Chiba, T. Nishizeki, "Arboricity and subgraph listing algorithms", 1985; T. Schank, D. Wagner,
"Finding, counting and listing all triangles in large graphs", 2005. On a GPU, where there is no room for so many rows
of bits, two sorted rows are merged; so they are, as they stand, where no vertex has many edges, as in grids.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, lazy, ops
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import bits_of, pack_row, unpack
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.reduce import reduce, transform_reduce
from portapar.algorithms.scan import inclusive_scan
from portapar.algorithms.sort import argsort, sort
from portapar.algorithms.transform import transform
from portapar.errors import flags
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.policy import Policy

_BLOCKS = 8  #: rows of bits for each thread
_BYTES = 1 << 28  #: of all of them, or what one row for each thread takes
_SHORT = 16  #: edges of a vertex at most, for rows to be merged as they stand


def triangle_count(policy: Policy | None, graph: Graph, *, each: bool = False) -> Any:
    """How many triangles a graph has, or how many each vertex is in.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed.
    each : bool
        Whether they are counted for every vertex.

    Returns
    -------
    int, or array of int64, (n,)
        With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    Equal edges count once, and loops not at all. O(m sqrt(m)) work at most, and the sorting of the edges
    by their ends' ranks.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 0, 0, 1, 1, 2]), np.array([1, 2, 3, 2, 3, 3]))
    >>> pp.graph.triangle_count(pp.par, g)
    4
    >>> pp.graph.triangle_count(pp.par, g, each=True)
    array([3, 3, 3, 3])
    """
    flags("graph.triangle_count", each=each)
    check_undirected("graph.triangle_count", graph)
    return on_graph("graph.triangle_count", policy, graph, corners if each else _count)


def corners(part: LocalPart, graph: Graph) -> Any:
    """How many triangles each vertex is in, where a part lives."""
    n, how = graph.num_vertices, part.how
    found, out = part.zeros(n, np.int64), part.empty(n, np.int64)
    if n > 0:
        rank, offsets, targets = _higher(part, graph)
        if part.wide:
            for_each(how, n, _meet_at, offsets, targets, found)
        else:
            blocks, marks = _marks(part, n)
            part.run(blocks, _look_up_at, blocks, offsets, targets, marks, found)
        for_each(how, n, _gather, rank, found, out)
    return out


def _count(part: LocalPart, graph: Graph) -> int:
    n, how = graph.num_vertices, part.how
    if n == 0:
        return 0
    degree = transform_reduce(how, graph.offsets[1:], graph.offsets[:-1], transform=_length, op=ops.maximum)
    if degree <= _SHORT:
        graph = graph.in_order()
        blocks, size = part.blocks(n)
        counts = part.empty(blocks, np.int64)
        part.run(blocks, _meet_below, size, graph.offsets, radix.bits(graph.targets), counts)
        return int(reduce(how, counts))
    _, offsets, targets = _higher(part, graph)
    if part.wide:
        return int(transform_reduce(how, lazy.iota(n), transform=_meeting(offsets, targets)))
    blocks, marks = _marks(part, n)
    counts = part.empty(blocks, np.int64)
    part.run(blocks, _look_up, blocks, offsets, targets, marks, counts)
    return int(reduce(how, counts))


def _higher(part: LocalPart, graph: Graph) -> tuple[Any, Any, Any]:
    """The rank of each vertex, and of each rank the neighbours of higher rank."""
    graph = graph.in_order()
    n, how = graph.num_vertices, part.how
    order = argsort(how, graph.degrees(how))
    rank, kept = part.empty(n, np.uint32), part.zeros(n + 1, np.int64)
    for_each(how, n, _rank, order, rank)
    rows = graph.offsets, radix.bits(graph.targets)
    uneven = how._dealt(256)
    for_each(uneven, n, _keep, order, *rows, rank, kept)
    offsets = inclusive_scan(how, kept)
    targets = part.empty(int(arrays.asnumpy(offsets[n:])[0]), np.uint32)
    for_each(uneven, n, _fill, order, *rows, rank, offsets, targets)
    if part.wide:
        shift, keys = bits_of(n), part.empty(len(targets), np.uint64)
        for_each(how, n, pack_row, shift, offsets, targets, keys)
        transform(how, sort(how, keys, out=keys), out=targets, op=lambda key: unpack(key, shift))
    return rank, offsets, targets


def _marks(part: LocalPart, n: int) -> tuple[int, Any]:
    """How many blocks, and a row of bits for each."""
    blocks = min(n, max(part.width, min(_BLOCKS * part.width, _BYTES * 8 // n)))
    words = max(-(-n // 32), 17)  # for short rows there would be code for each length
    return blocks, part.zeros(blocks * words, np.uint32).reshape(blocks, -1)


# kernels ------------------------------------------------------------------------------------------


def _rank(k: Any, order: Any, rank: Any) -> None:
    rank[np.uint64(order[k])] = k


def _keep(k: Any, order: Any, offsets: Any, targets: Any, rank: Any, kept: Any) -> None:
    """How many neighbours of higher rank the vertex of rank k has."""
    u, count = np.uint64(order[k]), 0
    for e in range(offsets[u], offsets[u + np.uint64(1)]):
        count += rank[targets[np.uint64(e)]] > k and not _again(e, offsets[u], targets)
    kept[k + 1] = count


def _again(e: Any, first: Any, targets: Any) -> Any:
    """Whether an edge is the one before it once more."""
    return e > first and targets[np.uint64(e)] == targets[np.uint64(e - 1)]


def _fill(k: Any, order: Any, offsets: Any, targets: Any, rank: Any, begin: Any, higher: Any) -> None:
    u, place = np.uint64(order[k]), begin[k]
    for e in range(offsets[u], offsets[u + np.uint64(1)]):
        r = rank[targets[np.uint64(e)]]
        if r > k and not _again(e, offsets[u], targets):
            higher[np.uint64(place)] = r
            place += 1


def _look_up(block: Any, blocks: Any, offsets: Any, targets: Any, marks: Any, counts: Any) -> None:
    """Every so-manieth vertex; the rows of bits are clear before and afterwards."""
    found: Any = 0
    for u in range(block, len(offsets) - 1, blocks):
        first, last = offsets[u], offsets[u + 1]
        if last - first > 1:
            for e in range(first, last):
                marks[block, targets[np.uint64(e)] >> 5] |= np.uint32(1) << (targets[np.uint64(e)] & 31)
            for e in range(first, last):
                v = targets[np.uint64(e)]
                for f in range(offsets[v], offsets[np.uint64(v) + np.uint64(1)]):
                    w = targets[np.uint64(f)]
                    found += np.int64((marks[block, w >> 5] >> (w & 31)) & 1)
            for e in range(first, last):
                marks[block, targets[np.uint64(e)] >> 5] = 0
    counts[block] = found


def _meeting(offsets: Any, targets: Any) -> Any:
    def meet(u: Any) -> Any:
        """Of rows in order, the elements that two have."""
        found = 0
        for e in range(offsets[u], offsets[u + 1]):
            a, b = e + 1, offsets[targets[e]]
            while a < offsets[u + 1] and b < offsets[targets[e] + 1]:
                x, y = targets[a], targets[b]
                found += x == y
                a, b = a + (x <= y), b + (y <= x)
        return found

    return meet


def _length(end: Any, begin: Any) -> Any:
    return end - begin


def _meet_below(block: Any, size: Any, offsets: Any, targets: Any, counts: Any) -> None:
    """Of rows with all neighbours, in order, those that two have and that are below both; equal ones once."""
    n, found = len(offsets) - 1, np.int64(0)
    for u in range(block * size, min(n, block * size + size)):
        e, last = np.uint64(offsets[np.uint64(u)]), np.uint64(offsets[np.uint64(u + 1)])
        first, v = e, np.uint32(n)
        while e < last and targets[e] < u:
            if targets[e] != v:
                v, a, before = targets[e], first, np.uint32(n)
                f, end = np.uint64(offsets[v]), np.uint64(offsets[np.uint64(v) + np.uint64(1)])
                while f < end:
                    w = targets[f]
                    if w >= v:
                        break
                    while targets[a] < w:  # at v, in this row, at the latest it ends
                        a += np.uint64(1)
                    found += targets[a] == w and w != before
                    before = w
                    f += np.uint64(1)
            e += np.uint64(1)
    counts[block] = found


# how many each vertex is in


def _look_up_at(block: Any, blocks: Any, offsets: Any, targets: Any, marks: Any, found: Any) -> None:
    for u in range(block, len(offsets) - 1, blocks):
        first, last = offsets[u], offsets[u + 1]
        if last - first > 1:
            here = 0
            for e in range(first, last):
                marks[block, targets[np.uint64(e)] >> 5] |= np.uint32(1) << (targets[np.uint64(e)] & 31)
            for e in range(first, last):
                v, there = targets[np.uint64(e)], 0
                for f in range(offsets[v], offsets[np.uint64(v) + np.uint64(1)]):
                    w = targets[np.uint64(f)]
                    if (marks[block, w >> 5] >> (w & 31)) & 1 != 0:
                        atomic.add(found, w, 1)
                        there += 1
                if there > 0:
                    atomic.add(found, v, there)
                here += there
            if here > 0:
                atomic.add(found, u, here)
            for e in range(first, last):
                marks[block, targets[np.uint64(e)] >> 5] = 0


def _meet_at(u: Any, offsets: Any, targets: Any, found: Any) -> None:
    for e in range(offsets[u], offsets[u + 1]):
        v = targets[e]
        a, b = e + 1, offsets[v]
        while a < offsets[u + 1] and b < offsets[v + 1]:
            x, y = targets[a], targets[b]
            if x == y:
                atomic.add(found, u, 1)
                atomic.add(found, v, 1)
                atomic.add(found, x, 1)
            a, b = a + (x <= y), b + (y <= x)


def _gather(v: Any, rank: Any, found: Any, out: Any) -> None:
    out[v] = found[np.uint64(rank[v])]
