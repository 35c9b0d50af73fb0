"""Breadth-first search from many sources at once: what `bfs` does with several sources.

Up to 64 searches go along together, each a bit of a word for every vertex, so that an edge is looked at once for all of
them. Frontiers of many edges are pulled: each vertex gathers the bits of its neighbours. Smaller ones push. M. Then et
al., "The more the merrier: efficient multi-source graph traversal", VLDB 2014. On CPUs one thread does steps of few
edges, one after the other.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays
from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.transform import fill, iota
from portapar.kernel.front import atomic
from portapar.part import LocalPart

WIDTH: Final = 64  #: searches that go along together
_ALONE = 2048  #: edges of a frontier that one thread does faster than several
_BUDGET = 1 << 20  #: edges after which one thread comes back, so that Ctrl-C is heard
_PULL = 8  #: a frontier of more than this part of all edges is pulled


def search_many(part: LocalPart, graph: Graph, sources: list[int], depths: bool) -> Any:
    """The vertex before each, or its depth, for every source: (k, n) of int32, -1 where no path leads."""
    n, how = graph.num_vertices, part.how
    found = part.empty((len(sources), n), np.int32)
    fill(how, found.reshape(-1), np.int32(-1))
    if not sources:
        return found
    some = _Searches(part, graph, depths)
    for first in range(0, len(sources), WIDTH):
        some.run(sources[first : first + WIDTH], found[first : first + WIDTH])
    return found


class _Searches:
    """What several searches need: bits of those that have reached a vertex, and of those whose frontier it is in."""

    def __init__(self, part: LocalPart, graph: Graph, depths: bool) -> None:
        self.part, self.how, self.depths, self.graph = part, part.how, depths, graph
        n = graph.num_vertices
        self.seen, self.front, self.fresh = (part.zeros(n, np.uint64) for _ in range(3))
        self.everyone = iota(self.how, part.empty(n, np.int32))
        self.queue = part.empty((2, n), np.int32)
        self.state = part.zeros(4, np.int64)  # which queue, how many are in it, their edges, the depth
        self.alone = 0 if part.wide else _ALONE if self.how.threads else len(graph.targets)

    def run(self, sources: list[int], found: Any) -> None:
        how, graph, part = self.how, self.graph, self.part
        rows = graph.offsets, radix.bits(graph.targets)
        for words in (self.seen, self.front, self.fresh):
            fill(how, words, np.uint64(0))
        chosen = part.asarray(np.array(sources, np.int64))
        begun = self.seen, self.front, self.queue, found, self.state
        for_each(how, 1, _start, self.depths, chosen, graph.offsets, *begun)
        while True:
            shared = self.seen, self.front, self.fresh, self.queue, found, self.state
            which, count, edges, depth = arrays.asnumpy(self.state).tolist()
            if count == 0:
                return
            if edges <= self.alone:
                for_each(how, 1, _walk, self.alone, self.depths, *rows, *shared)
            elif edges > len(graph.targets) // _PULL:
                self._pull(depth, np.uint64(2 ** len(sources) - 1), found)
            else:
                for_each(how, 1, _next, 1 - which, depth + 1, self.state)
                for_each(how._dealt(1 if part.wide else 64), count, _push, which, depth + 1 if self.depths else -1,
                         *rows, *shared)  # fmt: skip
                for_each(how, count, _leave, which, self.queue, self.front)
                count = int(arrays.asnumpy(self.state[1:2])[0])
                for_each(how, count, _arrive, 1 - which, *shared[:4])

    def _pull(self, depth: int, full: Any, found: Any) -> None:
        """Steps of large frontiers, until one is small again."""
        how, graph = self.how, self.graph
        back = graph.reverse.offsets, radix.bits(graph.reverse.targets)
        front, fresh, edges = self.front, self.fresh, len(graph.targets)
        while edges > len(graph.targets) // _PULL:
            depth += 1
            value = depth if self.depths else -1
            for_each(how._dealt(256), len(front), _gather, value, full, *back, self.seen, front, fresh, found)
            front, fresh = fresh, front
            edges = int(transform_reduce(how, front, graph.offsets[1:], graph.offsets[:-1], transform=_edges))
        fill(how, fresh, np.uint64(0))
        self.front, self.fresh = front, fresh
        some = copy_if(how, self.everyone, _awake(front))
        for_each(how, max(len(some), 1), _again, depth, len(some), edges, some, self.queue, self.state)


# kernels ------------------------------------------------------------------------------------------


def _start(
    _: Any, depths: Any, sources: Any, offsets: Any, seen: Any, front: Any, queue: Any, found: Any, state: Any
) -> None:
    count, edges = 0, 0
    for s in range(len(sources)):
        v = sources[s]
        if front[v] == 0:
            queue[0, count] = v
            count += 1
            edges += offsets[v + 1] - offsets[v]
        front[v] |= np.uint64(1) << np.uint64(s)
        seen[v] = front[v]
        found[s, v] = 0 if depths else v
    state[0], state[1], state[2], state[3] = 0, count, edges, 0


def _next(_: Any, which: Any, depth: Any, state: Any) -> None:
    state[0], state[1], state[2], state[3] = which, 0, 0, depth


def _tell(bits: Any, v: Any, value: Any, found: Any) -> None:
    """The searches of these bits come to a vertex."""
    s = 0
    while bits != 0:
        while bits & np.uint64(0xFF) == 0:
            bits >>= np.uint64(8)
            s += 8
        if bits & np.uint64(1) != 0:
            found[s, v] = value
        bits >>= np.uint64(1)
        s += 1


def _push(
    k: Any, which: Any, depth: Any, offsets: Any, targets: Any, seen: Any, front: Any, fresh: Any, queue: Any,
    found: Any, state: Any,
) -> None:  # fmt: skip
    u = np.uint64(queue[which, k])
    mine = front[u]
    for e in range(offsets[u], offsets[u + np.uint64(1)]):
        v = np.uint64(targets[np.uint64(e)])
        new = mine & ~(seen[v] | fresh[v])
        if new != 0:
            before = atomic.or_(fresh, v, new)
            if before == 0:
                queue[1 - which, atomic.add(state, 1, 1)] = v
                atomic.add(state, 2, offsets[v + np.uint64(1)] - offsets[v])
            _tell(new & ~before, v, np.int64(u) if depth < 0 else depth, found)


def _leave(k: Any, which: Any, queue: Any, front: Any) -> None:
    front[np.uint64(queue[which, k])] = 0


def _arrive(k: Any, which: Any, seen: Any, front: Any, fresh: Any, queue: Any) -> None:
    v = np.uint64(queue[which, k])
    front[v] = fresh[v]
    seen[v] |= fresh[v]
    fresh[v] = 0


def _walk(
    _: Any, most: Any, depths: Any, offsets: Any, targets: Any, seen: Any, front: Any, fresh: Any, queue: Any,
    found: Any, state: Any,
) -> None:  # fmt: skip
    """One thread, one frontier after the other, until one has more than so many edges."""
    which, count, edges, depth, done = state[0], state[1], state[2], state[3], 0
    while count > 0 and edges <= most and done < _BUDGET:
        depth += 1
        done += edges + 1
        edges, last, count = 0, count, 0
        for k in range(last):
            u = np.uint64(queue[which, k])
            for e in range(offsets[u], offsets[u + np.uint64(1)]):
                v = np.uint64(targets[np.uint64(e)])
                new = front[u] & ~(seen[v] | fresh[v])
                if new != 0:
                    if fresh[v] == 0:
                        queue[1 - which, count] = v
                        count += 1
                        edges += offsets[v + np.uint64(1)] - offsets[v]
                    fresh[v] |= new
                    _tell(new, v, depth if depths else np.int64(u), found)
        for k in range(last):
            front[np.uint64(queue[which, k])] = 0
        which = 1 - which
        for k in range(count):
            _arrive(k, which, seen, front, fresh, queue)
    state[0], state[1], state[2], state[3] = which, count, edges, depth


def _gather(
    v: Any, depth: Any, full: Any, offsets: Any, sources: Any, seen: Any, front: Any, fresh: Any, found: Any
) -> None:
    """The searches that come to a vertex from one of those before it."""
    known = seen[v]
    new = known & np.uint64(0)
    for e in range(offsets[v], offsets[v + 1]):
        if known | new == full:
            break
        u = sources[np.uint64(e)]
        more = front[u] & ~(known | new)
        if more != 0:
            new |= more
            _tell(more, v, np.int64(u) if depth < 0 else depth, found)
    fresh[v] = new
    seen[v] = known | new


def _edges(bits: Any, end: Any, begin: Any) -> Any:
    return end - begin if bits != 0 else end * 0


def _awake(front: Any) -> Any:
    def awake(v: Any) -> Any:
        return front[v] != 0

    return awake


def _again(k: Any, depth: Any, count: Any, edges: Any, some: Any, queue: Any, state: Any) -> None:
    if k == 0:
        state[0], state[1], state[2], state[3] = 0, count, edges, depth
    if k < count:
        queue[0, k] = some[k]
