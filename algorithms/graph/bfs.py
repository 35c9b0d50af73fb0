"""bfs: breadth-first search from one vertex, in the direction that looks at fewer edges; from several, see `many`.

Few vertices of a frontier push: each marks its neighbours. A frontier of many edges is pulled: each vertex that was
not reached looks for a predecessor in it, and stops at the first. S. Beamer, K. Asanović, D. Patterson,
"Direction-optimizing breadth-first search", SC 2012. On CPUs frontiers of few edges, of which a road network has
thousands one after the other, are done by one thread in one step, since to wake the others takes longer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from portapar import arrays
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import home
from portapar.algorithms.graph.graph import Graph, are_several, on_graph, vertices
from portapar.algorithms.graph.many import search_many
from portapar.algorithms.graph.several import check_graph, rows_of_parts
from portapar.algorithms.reduce import reduce
from portapar.algorithms.transform import copy, fill
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_ALPHA, _BETA = 15, 18  #: Beamer's numbers: when to begin to pull, and to push again
_ALONE = 4096  #: edges of a frontier that one thread does faster than several
_BUDGET = 1 << 22  #: edges after which one thread comes back, so that Ctrl-C is heard
_BUFFER: Final = 64  #: vertices that are put into the queue at a time


def bfs(policy: Policy | None, graph: Graph, source: int | Sequence[int]) -> Any:
    """A shortest path from one vertex to every other, as a tree: the vertex before each on its path.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Its weights are not looked at.
    source : int or sequence of int
        Of several sources each has a tree of its own; 64 of them cost little more than a few.

    Returns
    -------
    array of int32, (n,) or (sources, n)
        The vertex before, `source` for itself, and -1 where no path leads. With ``policy.task`` a Future of it.

    Notes
    -----
    Of several shortest paths any may be told, and another one in the next run; how long they are is always the same.
    O(n + m) work, of which most edges are left out in graphs of few steps across. A directed graph is turned around at
    the first call, and keeps that.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 3]), np.array([1, 2, 4]))
    >>> pp.graph.bfs(pp.par, g, 0)
    array([ 0,  0,  1, -1, -1], dtype=int32)
    >>> pp.graph.bfs(pp.par, g, [2, 4])
    array([[ 1,  2,  2, -1, -1],
           [-1, -1, -1,  4,  4]], dtype=int32)
    """

    one = not are_several(source)

    def sources(graph: Graph) -> list[int]:
        return vertices("graph.bfs", source, graph)

    def trees(part: LocalPart, graph: Graph) -> Any:
        given = sources(graph)
        return search(part, graph, given[0], False) if one else search_many(part, graph, given, False)

    def several(p: Parts, graph: Graph) -> Any:
        found = _on_parts(p, graph, sources)
        return found[0] if one else found

    return on_graph("graph.bfs", policy, graph, trees, several)


def search(part: LocalPart, graph: Graph, source: int, depths: bool) -> Any:
    """The vertex before each vertex, or the number of edges on the way to it; -1 where no path leads."""
    n, how = graph.num_vertices, part.how
    uneven = how._dealt(16)
    rows = graph.offsets, radix.bits(graph.targets)
    found, queue = part.empty(n, np.int32), part.empty(n, np.int32)
    state = part.zeros(4, np.int64)  # the frontier's begin and end in the queue, its edges, its depth
    fill(how, found, np.int32(-1))
    for_each(how, 1, _start, source, depths, rows[0], found, queue, state)
    left, alone = len(graph.targets), _ALONE if how.threads else len(graph.targets)
    vertices = 1 if part.wide else _BUFFER
    while True:
        begin, end, edges, depth = arrays.asnumpy(state).tolist()
        if begin == end:
            return found
        if edges > left // _ALPHA and edges > _ALONE:
            _pull(part, graph, depths, left, found, queue, state)
        elif edges <= alone and vertices > 1:
            most = min(alone, max(left // _ALPHA, _ALONE))
            for_each(how, 1, _walk, most, depths, *rows, found, queue, state)
        else:
            for_each(how, 1, _next, depth + 1, state)
            blocks = -(-(end - begin) // vertices)
            value = depth + 1 if depths else -1
            for_each(uneven, blocks, _push, begin, end, vertices, value, *rows, found, queue, state)
        left -= edges


def _pull(part: LocalPart, graph: Graph, depths: bool, left: int, found: Any, queue: Any, state: Any) -> None:
    """Steps of a large frontier, until it is small again; frontiers are bits here."""
    n, how = graph.num_vertices, part.how
    uneven = how._dealt(32)
    rows = graph.reverse.offsets, radix.bits(graph.reverse.targets)
    words = -(-n // 32)
    front, fresh, counts = part.zeros(words, np.uint32), part.empty(words, np.uint32), part.empty(words, np.int32)
    begin, end, _, depth = arrays.asnumpy(state).tolist()
    for_each(how, end - begin, _mark, begin, queue, front)
    awake, before = end - begin, 0
    while awake and (awake >= before or awake > n // _BETA):
        depth, before = depth + 1, awake
        for_each(uneven, words, _look, depth if depths else -1, *rows, found, front, fresh, counts)
        awake = int(reduce(how, counts))
        front, fresh = fresh, front
    for_each(how, 1, _again, depth, state)
    size = 1 if part.wide else _BUFFER
    for_each(how, -(-words // size), _collect, size, graph.offsets, front, queue, state)


def _on_parts(p: Parts, graph: Graph, given: Callable[[Graph], list[int]]) -> np.ndarray:
    """On several parts: each follows the edges of its own vertices of the frontier, or looks for its own ones there.

    Frontiers of few edges are done by every process, in the same order, since messages take longer.
    """
    n = graph.num_vertices
    few = f"; steps of at most {_ALONE} edges are done by every process, without a message"
    told = ("a step for each distance: parts tell all others the vertices that they reached, 8 bytes for each, or of "
            f"many the parents of their own, {4 * n} bytes") + few * (graph.cuts is None)  # fmt: skip
    sources = check_graph(p, graph, told, lambda: given(graph))
    degree = np.diff(graph.offsets)
    rows, into = rows_of_parts(p, graph), rows_of_parts(p, graph.reverse)
    if graph.cuts is None:
        whole, here, queue = (graph.offsets, radix.bits(graph.targets)), home(graph.targets), np.empty(n, np.int32)
    else:
        ends = graph.cuts[1:-1]
    trees = np.full((len(sources), n), -1, np.int32)
    for found, source in zip(trees, sources, strict=True):
        found[source] = source
        front, left = np.array([source], np.int32), len(graph.targets)

        def push(part: LocalPart, front: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            here, tree, tail = rows[part.number], part.asarray(found), part.zeros(1, np.int64)
            mine = front[(front >= here.lo) & (front < here.hi)]
            queue = part.empty(int(degree[mine].sum()), np.int32)
            for_each(part.how._dealt(16), len(mine), _reach, here.lo, part.asarray(mine), *here.held, tree, queue, tail)
            fresh = arrays.asnumpy(queue[: int(arrays.asnumpy(tail)[0])])
            return fresh, arrays.asnumpy(tree)[fresh]

        def pull(part: LocalPart, front: np.ndarray, found: np.ndarray) -> np.ndarray:
            here, tree, awake = into[part.number], part.asarray(found), np.zeros(n, np.uint8)
            awake[front] = 1
            for_each(part.how._dealt(64), here.hi - here.lo, _seek, here.lo, *here.held, part.asarray(awake), tree)
            return arrays.asnumpy(tree[here.lo : here.hi])

        def walk(part: LocalPart, front: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
            here = rows[part.number]
            if not here.lo <= front[0] < here.hi:
                return front[:0], front[:0], 0
            tree, queue, state = part.asarray(found), part.empty(n, np.int32), np.array([0, len(front), 0])
            copy(part.how, part.asarray(front), out=queue[: len(front)])
            state = part.asarray(state)
            for_each(part.how, 1, _walk_own, _ALONE, here.lo, *here.held, tree, queue, state)
            begin, end, _ = arrays.asnumpy(state).tolist()
            fresh = arrays.asnumpy(queue[len(front) : end]).copy()
            return fresh, arrays.asnumpy(tree)[fresh], end - begin

        while len(front):
            edges = int(degree[front].sum())
            if graph.cuts is not None and edges <= _ALONE and len(set(np.searchsorted(ends, front, "right"))) == 1:
                walked = p.each("walk", functools.partial(walk, front=front, found=found))
                fresh, parent, size = max(walked, key=lambda one: len(one[0]))
                found[fresh] = parent
                front = fresh[len(fresh) - size :]
                left = len(graph.targets) - int(degree[found >= 0].sum()) + int(degree[front].sum())
                continue
            if edges <= _ALONE and graph.cuts is None:
                queue[: len(front)] = front
                state = np.array([0, len(front), edges, 0])
                for_each(here, 1, _walk, _ALONE, False, *whole, found, queue, state)
                front = queue[state[0] : state[1]].copy()
                left = len(graph.targets) - int(degree[found >= 0].sum()) + int(degree[front].sum())
                continue
            left -= edges
            if edges > left // _ALPHA:
                new = found < 0
                found[:] = np.concatenate(p.each("pull", functools.partial(pull, front=front, found=found)))
                front = np.flatnonzero(new & (found >= 0)).astype(np.int32)
            else:
                some = p.each("push", functools.partial(push, front=front, found=found))
                for fresh, parent in reversed(some):  # where two reach one vertex the first part counts
                    found[fresh] = parent
                front = np.unique(np.concatenate([fresh for fresh, _ in some]))
    return trees


# kernels ------------------------------------------------------------------------------------------


def _start(_: Any, source: Any, depths: Any, offsets: Any, found: Any, queue: Any, state: Any) -> None:
    found[source] = 0 if depths else source
    queue[0] = source
    state[1], state[2] = 1, offsets[source + 1] - offsets[source]


def _next(_: Any, depth: Any, state: Any) -> None:
    """The next frontier begins where the present one ends."""
    state[0], state[2], state[3] = state[1], 0, depth


def _again(_: Any, depth: Any, state: Any) -> None:
    """The queue begins anew."""
    state[0], state[1], state[2], state[3] = 0, 0, 0, depth


def _push(
    block: Any,
    begin: Any,
    end: Any,
    size: Any,
    value: Any,
    offsets: Any,
    targets: Any,
    found: Any,
    queue: Any,
    state: Any,
) -> None:
    fresh, one = np.empty(_BUFFER, np.int32), np.uint64(1)
    count, edges = 0, 0
    for k in range(begin + block * size, min(begin + (block + 1) * size, end)):
        u = np.uint32(queue[np.uint64(k)])
        for e in range(offsets[u], offsets[np.uint64(u) + one]):
            v = targets[np.uint64(e)]
            if found[v] < 0 and atomic.cas(found, v, -1, u if value < 0 else value) == -1:
                edges += offsets[np.uint64(v) + one] - offsets[v]
                count = _hold(v, count, fresh, queue, state)
    _end(count, edges, fresh, queue, state)


def _reach(
    k: Any, lo: Any, front: Any, offsets: Any, targets: Any, found: Any, queue: Any, tail: Any
) -> None:  # fmt: skip
    u, one = np.uint32(front[k]), np.uint64(1)
    row = np.uint64(u - np.uint32(lo))
    for e in range(offsets[row], offsets[row + one]):
        v = targets[np.uint64(e)]
        if found[v] < 0 and atomic.cas(found, v, -1, u) == -1:
            queue[np.uint64(atomic.add(tail, 0, 1))] = v


def _seek(k: Any, lo: Any, offsets: Any, sources: Any, awake: Any, found: Any) -> None:
    v = lo + k
    if found[v] < 0:
        for e in range(offsets[k], offsets[k + 1]):
            u = sources[np.uint64(e)]
            if awake[u] != 0:
                found[v] = u
                break


def _hold(v: Any, count: Any, fresh: Any, queue: Any, state: Any) -> Any:
    """Keep a vertex for the queue, and put all there when as many are kept as there is room for; how many are kept."""
    fresh[count] = v
    if count + 1 < len(fresh):
        return count + 1
    _put(count + 1, fresh, queue, state)
    return 0


def _end(count: Any, edges: Any, fresh: Any, queue: Any, state: Any) -> None:
    """What is still kept, and the edges of all."""
    _put(count, fresh, queue, state)
    if edges > 0:
        atomic.add(state, 2, edges)


def _put(count: Any, fresh: Any, queue: Any, state: Any) -> None:
    if count > 0:
        place = atomic.add(state, 1, count)
        for k in range(count):
            queue[place + k] = fresh[k]


def _walk(_: Any, most: Any, depths: Any, offsets: Any, targets: Any, found: Any, queue: Any, state: Any) -> None:
    """One thread, one frontier after the other, until one has more than so many edges."""
    begin, end, edges, depth = state[0], state[1], state[2], state[3]
    done, one = 0, np.uint64(1)
    while begin < end and edges <= most and done < _BUDGET:
        depth += 1
        done += edges
        edges, last = 0, end
        for k in range(begin, last):
            u = np.uint32(queue[np.uint64(k)])
            for e in range(offsets[u], offsets[np.uint64(u) + one]):
                v = targets[np.uint64(e)]
                if found[v] < 0:
                    found[v] = depth if depths else u
                    queue[np.uint64(end)] = v
                    end += 1
                    edges += offsets[np.uint64(v) + one] - offsets[v]
        begin = last
    state[0], state[1], state[2], state[3] = begin, end, edges, depth


def _walk_own(_: Any, most: Any, lo: Any, offsets: Any, targets: Any, found: Any, queue: Any, state: Any) -> None:
    """As `_walk`, of the vertices of a part, until a frontier has others."""
    begin, end, edges, done, one = state[0], state[1], 0, 0, np.uint64(1)
    others, rows = 0, len(offsets) - 1
    while begin < end and edges <= most and done < _BUDGET and others == 0:
        done += edges
        edges, last = 0, end
        for k in range(begin, last):
            u = queue[np.uint64(k)]
            row = np.uint64(u - lo)
            for e in range(offsets[row], offsets[row + one]):
                v = targets[np.uint64(e)]
                if found[v] < 0:
                    found[v] = u
                    queue[np.uint64(end)] = v
                    end += 1
                    if lo <= v < lo + rows:
                        edges += offsets[np.uint64(v - lo) + one] - offsets[np.uint64(v - lo)]
                    else:
                        others += 1
        begin = last
    state[0], state[1], state[2] = begin, end, edges


def _mark(k: Any, begin: Any, queue: Any, front: Any) -> None:
    v = np.uint32(queue[np.uint64(begin + k)])
    atomic.or_(front, v >> 5, np.uint32(1) << (v & 31))


def _look(w: Any, value: Any, offsets: Any, sources: Any, found: Any, front: Any, fresh: Any, counts: Any) -> None:
    """Which of 32 vertices have a predecessor in the frontier."""
    word, count = np.uint32(0), 0
    for v in range(32 * w, min(32 * w + 32, len(found))):
        if found[v] < 0:
            for e in range(offsets[v], offsets[v + 1]):
                u = sources[np.uint64(e)]
                if (front[u >> 5] >> (u & 31)) & 1 != 0:
                    found[v] = u if value < 0 else value
                    word |= np.uint32(1) << np.uint32(v & 31)
                    count += 1
                    break
    fresh[w] = word
    counts[w] = count


def _collect(block: Any, size: Any, offsets: Any, front: Any, queue: Any, state: Any) -> None:
    """The vertices whose bits are set, in a queue."""
    fresh = np.empty(_BUFFER, np.int32)
    count, edges = 0, 0
    for w in range(block * size, min((block + 1) * size, len(front))):
        word = front[w]
        for bit in range(32):
            if (word >> np.uint32(bit)) & 1 != 0:
                v = 32 * w + bit
                edges += offsets[v + 1] - offsets[v]
                count = _hold(v, count, fresh, queue, state)
    _end(count, edges, fresh, queue, state)
