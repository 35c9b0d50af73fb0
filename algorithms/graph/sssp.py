"""sssp: shortest paths from one vertex over edges with weights.

Delta-stepping: vertices are done in the order of their distance, as in Dijkstra's method, but only to a width of
`delta`; within it all at once, again when they get nearer. U. Meyer, P. Sanders, "Δ-stepping: a parallelizable
shortest path algorithm", 2003. The vertices farther away are one list, of which the next width is taken: A. Davidson
et al., "Work-efficient parallel GPU methods for single-source shortest paths", IPDPS 2014. A list that is full
forgets, and is then made anew of all vertices. On several parts each follows the edges of its own vertices.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from portapar import arrays, ops
from portapar.algorithms import radix
from portapar.algorithms.find import find_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import element, home
from portapar.algorithms.graph.graph import Graph, on_graph, vertex
from portapar.algorithms.graph.several import Rows, check_graph, once, rows_of_parts
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.transform import copy, fill, transform
from portapar.errors import ArgumentError
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_ALONE = 1 << 14  #: edges of the vertices of a list that one thread follows faster than several
_BUDGET = 1 << 20  #: vertices after which one thread comes back, so that Ctrl-C is heard
_FEW = 4096  #: edges that a process follows sooner than it is told of others
_MOST: Final = 1 << 16  #: edges that one thread of a part follows before others are told
_BUFFER: Final = 64  #: vertices that are put into a list at a time


def sssp(policy: Policy | None, graph: Graph, source: int, *, delta: float | None = None) -> Any:
    """The length of the shortest path from one vertex to every other.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        With weights, none of them negative; without, each is 1.
    source : int
    delta : number, optional
        The width of distances that are done at once; it decides the time, not the result. By default eight
        times the mean weight over the mean number of edges of a vertex.

    Returns
    -------
    array, (n,)
        Of int64 for weights that are integers, else of their dtype; the largest number of int64, or infinity, where
        no path leads. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        A weight is negative.

    Notes
    -----
    Exact for integers, and the same in every run and on several parts: for floats, too, each distance is the least of
    all paths' sums, added from `source` on.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> ends = np.array([0, 0, 1]), np.array([1, 2, 2])
    >>> g = pp.graph.Graph.from_edges(pp.par, *ends, np.array([1, 5, 3]), n=4)
    >>> pp.graph.sssp(pp.par, g, 0)
    array([                  0,                   1,                   4,
           9223372036854775807])
    """
    if delta is not None and not (isinstance(delta, numbers.Real) and delta > 0):
        raise ArgumentError(f"graph.sssp: delta is {delta!r}: must be greater than 0")
    name = "graph.sssp"
    return on_graph(
        name, policy, graph, lambda part, g: paths(part, g, vertex(name, "source", source, g), delta),
        lambda p, g: _on_parts(p, g, lambda: vertex(name, "source", source, g), delta),
    )  # fmt: skip


def _widths(how: Policy, graph: Graph, delta: Any) -> tuple[Any, Any, Any]:
    """The width of distances that are done at once, the distance where no path leads to, and the widest width."""
    n, m, weights = graph.num_vertices, len(graph.targets), graph.weights
    least, most, mean = graph.weight_range()
    if least < 0:
        negative = find_if(how, weights, lambda w: w < 0)
        raise ArgumentError(f"graph.sssp: weights[{negative}] is {element(weights, negative)}: must not be negative")
    dtype = np.dtype(np.int64) if weights is None or weights.dtype.kind in "iu" else weights.dtype
    T = dtype.type
    never = T(np.iinfo(dtype).max if dtype.kind == "i" else np.inf)
    width = 8 * mean * n / max(m, 1) if delta is None else delta
    if dtype.kind == "i":
        longest = int(most) * max(n - 1, 0)
        if longest >= int(never) - 1:
            raise ArgumentError("graph.sssp: the sums of weights may exceed 64 bits. Pass weights of float64")
        widest = T(int(never) - 1 - longest)
        return min(T(min(max(width, 1), int(widest))), widest), never, widest
    widest = T(np.finfo(T).max)
    return T(min(width, widest)) if width > 0 else T(1), never, widest


def _lengths(part: LocalPart, weights: Any, count: int) -> Any:
    """The weights of edges, where kernels can add them to distances."""
    if weights is None:
        weights = part.empty(count, np.int32)
        fill(part.how, weights, np.int32(1))
    return transform(part.how, weights, op=np.int64) if weights.dtype == np.uint64 else weights


def paths(part: LocalPart, graph: Graph, source: int, delta: Any) -> Any:
    """The distances from one vertex, where a part lives."""
    how = part.how
    width, never, _ = _widths(how, graph, delta)
    weights = _lengths(part, graph.weights, len(graph.targets))
    far = part.empty(graph.num_vertices, never.dtype)
    fill(how, far, never)
    rows = graph.offsets, radix.bits(graph.targets), weights
    return _Search(part, rows, far, width, never).run(source)


def _on_parts(p: Parts, graph: Graph, given: Callable[[], int], delta: Any) -> np.ndarray:
    """On several parts: all know all distances, and each follows the edges of its own vertices.

    Few edges are followed by every process, since messages take longer. Of a partitioned graph no process has all
    edges: there a part goes on with its own vertices within the width before it tells of them, and the width grows
    while little is done in it.
    """
    few = f"; steps of at most {_FEW} edges are done by every process, without a message"
    told = "a step for each list of vertices: parts tell all others those that got nearer, and their distances"
    source = check_graph(p, graph, told + few * (graph.cuts is None), given)
    if graph.cuts is None:
        width, never, widest = once(p, "weights", lambda part: _widths(home(graph.targets), graph, delta))
    else:
        width, never, widest = _widths(p.how, graph, delta)
    parts_rows = rows_of_parts(p, graph)

    def weighed(part: LocalPart) -> Rows:
        own = parts_rows[part.number]
        return dataclasses.replace(own, weights=_lengths(part, own.weights, len(own.targets)))

    rows = p.do("weights", weighed)
    degree = np.diff(graph.offsets)
    if graph.cuts is None:
        here, lengths = home(graph.targets), graph.weights
        lengths = np.ones(len(graph.targets), np.int32) if lengths is None else lengths
        if lengths.dtype == np.uint64:
            lengths = lengths.astype(np.int64)
        whole = Rows(0, graph.num_vertices, graph.offsets, radix.bits(graph.targets), lengths)
    distance, done = (np.full(graph.num_vertices, never) for _ in range(2))
    distance[source], end = 0, width

    def relax(how: Policy, own: Rows, near: Any, far: Any, held: Callable[[Any], Any]) -> np.ndarray:
        """The vertices that edges from a part's own vertices make nearer."""
        mine = near[(near >= own.lo) & (near < own.hi)]
        queue, tail = held(np.empty(int(degree[mine].sum()), np.int32)), held(np.zeros(1, np.int64))
        given = own.lo, held(mine), held(done[mine]), own.offsets, own.targets, own.weights
        for_each(how._dealt(16), len(mine), _follow, *given, far, queue, tail)
        return np.unique(arrays.asnumpy(queue)[: int(arrays.asnumpy(tail)[0])])

    def share(part: LocalPart, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, far = rows[part.number], part.asarray(distance)
        nearer = relax(part.how, own, near, far, part.asarray)
        return nearer, arrays.asnumpy(far)[nearer]

    room = p.do("room", lambda part: _room(part, rows[part.number], graph)) if graph.cuts is not None else {}

    def settle(part: LocalPart, near: np.ndarray, end: Any) -> tuple[Any, ...]:
        """As `share`, of few edges: and what own vertices that get nearer make nearer; the edges that were followed."""
        own, far, last = rows[part.number], part.asarray(distance), part.asarray(done)
        queue, *lists = room[part.number]
        mine = near[(near >= own.lo) & (near < own.hi)]
        followed = int(degree[mine].sum())
        if followed > _FEW:
            return *share(part, near), done[:0], followed
        if not len(mine):
            return mine, distance[:0], done[:0], 0
        state = part.asarray(np.array([len(mine), 0, 0]))
        copy(part.how, part.asarray(mine), out=queue[: len(mine)])
        given = own.lo, end, never, own.offsets, own.targets, own.weights, far, last, queue, *lists, state
        for_each(part.how, 1, _settle, *given)
        _, count, followed = arrays.asnumpy(state).tolist()
        some = arrays.asnumpy(lists[1][:count]).copy()  # of memory that the next step writes to
        return some, arrays.asnumpy(far)[some], arrays.asnumpy(last)[some], followed

    near, later = np.array([source], np.int32), np.empty(0, np.int32)
    while True:
        followed = 0  # within the width
        while len(near):
            done[near] = distance[near]
            if graph.cuts is not None:
                found = p.each("relax", functools.partial(settle, near=near, end=end))
                for (some, far, last, edges), lo, hi in zip(found, graph.cuts[:-1], graph.cuts[1:], strict=True):
                    followed += edges
                    distance[some] = np.minimum(distance[some], far)
                    own = np.flatnonzero((some >= lo) & (some < hi))[: len(last)]
                    done[some[own]] = last[own]
                nearer = np.unique(np.concatenate([some for some, *_ in found]))
                nearer = nearer[distance[nearer] < done[nearer]]
            elif degree[near].sum() <= _FEW:
                nearer = relax(here, whole, near, distance, lambda x: x)
            else:
                some = p.each("relax", functools.partial(share, near=near))
                for nearer, found in some:
                    distance[nearer] = np.minimum(distance[nearer], found)
                nearer = np.unique(np.concatenate([nearer for nearer, _ in some]))
            within = distance[nearer] < end
            near, later = nearer[within], np.concatenate([later, nearer[~within]])
        later = np.unique(later)
        later = later[distance[later] < done[later]]
        if not len(later):
            return distance
        if graph.cuts is not None and followed <= _FEW and width <= widest // 4:
            width = type(width)(2 * width)
        least = distance[later].min()
        with np.errstate(over="ignore"):
            end = least + width
        within = (distance[later] < end) | (distance[later] == least)
        near, later = later[within], later[~within]


def _room(part: LocalPart, own: Rows, graph: Graph) -> tuple[Any, Any, Any]:
    """Memory for `_settle`: a ring of own vertices, a flag for every vertex, and a list of vertices."""
    n = graph.num_vertices
    return part.empty(own.hi - own.lo, np.int32), part.zeros(n, np.uint8), part.empty(n, np.int32)


class _Search:
    """One search: the list of vertices to be done now, of those farther away, and where the present width ends."""

    def __init__(self, part: LocalPart, rows: tuple[Any, Any, Any], far: Any, width: Any, never: Any) -> None:
        self.part, self.how, self.rows, self.width, self.never = part, part.how, rows, width, never
        n = len(far)
        self.room = max(n, 64)
        self.distance = far  #: the least that is known
        self.done = part.empty(n, far.dtype)  #: the distance at which a vertex's edges were followed last
        fill(self.how, self.done, never)
        self.lists = part.empty((4, self.room), np.int32)  #: near, in turns 0 and 1; farther, in turns 2 and 3
        self.state = part.zeros(4, np.int64)  #: how many are in each of them
        self.end = part.empty(1, far.dtype)
        self.near, self.farther = 0, 2
        self.wide = part.wide

    def run(self, source: int) -> Any:
        known = self.distance, self.done
        alone = 0 if self.wide else self.room
        if alone and self.how.threads:
            alone = _ALONE // max(1, len(self.rows[1]) // len(self.distance))
        for_each(self.how, 1, _start, source, self.width, self.distance, self.lists, self.state, self.end)
        while True:
            counts = arrays.asnumpy(self.state).tolist()
            near, farther = counts[self.near], counts[self.farther]
            if near > self.room or farther > self.room:
                self._anew()
            elif near == farther == 0:
                return self.distance
            elif near <= alone and farther <= 8 * alone:
                turn = self.part.zeros(2, np.int64)
                for_each(self.how, 1, _walk, alone, self.width, self.never, self.near, self.farther, *self.rows, *known,
                         self.lists, self.state, self.end, turn)  # fmt: skip
                self.near, self.farther = arrays.asnumpy(turn).tolist()
            elif near:
                self._blocks(_near, near, self.near, self.near ^ 1, self.farther, *self.rows, *known)
                self._clear(self.near)
                self.near ^= 1
            else:
                least, end = self._least(farther), arrays.asnumpy(self.end)[0]
                if least < self.never:
                    with np.errstate(over="ignore"):
                        limit = least + self.width
                    for_each(self.how, 1, _widen, limit, self.end)
                    self._blocks(_split, farther, self.farther, self.near, end, least, self.distance)
                self._clear(self.farther)
                self.farther ^= 1

    def _least(self, count: int) -> Any:
        """The distance of the nearest vertex that lies farther than the present width, of those in the list."""
        distance, end, never = self.distance, arrays.asnumpy(self.end)[0], self.never

        def valid(v: Any) -> Any:
            return distance[v] if distance[v] >= end else never

        return transform_reduce(self.how, self.lists[self.farther, :count], transform=valid, op=ops.minimum)

    def _blocks(self, kernel: Any, count: int, *args: Any) -> None:
        size = 1 if self.wide else 64
        how = self.how if self.wide else self.how._dealt(1)
        for_each(how, -(-count // size), kernel, size, count, *args, self.lists, self.state, self.end)

    def _clear(self, which: int) -> None:
        for_each(self.how, 1, _none, which, self.state)

    def _anew(self) -> None:
        """The lists, of all vertices whose edges were not followed from where they are now."""
        for which in range(4):
            self._clear(which)
        self._blocks(_unfinished, len(self.distance), self.near, self.farther, self.never, self.distance, self.done)


# kernels ------------------------------------------------------------------------------------------


def _start(_: Any, source: Any, width: Any, distance: Any, lists: Any, state: Any, end: Any) -> None:
    distance[source] = 0
    lists[0, 0] = source
    state[0] = 1
    end[0] = width


def _none(_: Any, which: Any, state: Any) -> None:
    state[which] = 0


def _widen(_: Any, to: Any, end: Any) -> None:
    end[0] = to


def _near(
    block: Any, size: Any, count: Any, now: Any, then: Any, later: Any, offsets: Any, targets: Any, weights: Any,
    distance: Any, done: Any, lists: Any, state: Any, end: Any,
) -> None:  # fmt: skip
    first, last = block * size, min((block + 1) * size, count)
    _relax(False, first, last, now, then, later, offsets, targets, weights, distance, done, lists, state, end[0])


def _relax(
    alone: Any, first: Any, last: Any, now: Any, then: Any, later: Any, offsets: Any, targets: Any, weights: Any,
    distance: Any, done: Any, lists: Any, state: Any, end: Any,
) -> None:  # fmt: skip
    """Follow the edges of the vertices of a list that have got nearer since that was done last."""
    near, far = np.empty(_BUFFER, np.int32), np.empty(_BUFFER, np.int32)
    a, b, one = 0, 0, np.uint64(1)
    for k in range(first, last):
        u = np.uint32(lists[now, k])
        known = distance[u]
        if done[u] != known:
            done[u] = known
            for e in range(offsets[u], offsets[np.uint64(u) + one]):
                v = targets[np.uint64(e)]
                new = known + weights[np.uint64(e)]
                if new < distance[v] and (alone or new < atomic.min(distance, v, new)):
                    if alone:
                        distance[v] = new
                    if new < end:
                        near[a] = v
                        a += 1
                        if a == _BUFFER:
                            a = _put(a, near, then, lists, state)
                    else:
                        far[b] = v
                        b += 1
                        if b == _BUFFER:
                            b = _put(b, far, later, lists, state)
    _put(a, near, then, lists, state)
    _put(b, far, later, lists, state)


def _follow(
    k: Any, lo: Any, near: Any, known: Any, offsets: Any, targets: Any, weights: Any, distance: Any, queue: Any,
    tail: Any,
) -> None:  # fmt: skip
    row = np.uint64(near[k] - lo)
    for e in range(offsets[row], offsets[row + np.uint64(1)]):
        v = targets[np.uint64(e)]
        new = known[k] + weights[np.uint64(e)]
        if new < distance[v] and new < atomic.min(distance, v, new):
            queue[np.uint64(atomic.add(tail, 0, 1))] = v


def _settle(
    _: Any, lo: Any, end: Any, never: Any, offsets: Any, targets: Any, weights: Any, distance: Any, done: Any,
    queue: Any, flags: Any, nearer: Any, state: Any,
) -> None:  # fmt: skip
    """One thread, the edges of own vertices in a ring, until none of those within the width gets nearer.

    A vertex's flag is 1 while it is in the ring, and 2 more when it is in the list of those that got nearer.
    """
    head, count, seen, followed, rows, one = 0, state[0], 0, 0, len(queue), np.uint64(1)
    while count > 0 and followed < _MOST:
        u = queue[head]
        head = head + 1 if head + 1 < rows else 0
        count -= 1
        flags[u] = flags[u] & 2
        known = distance[u]
        done[u] = known
        row = np.uint64(u - lo)
        for e in range(offsets[row], offsets[row + one]):
            v = targets[np.uint64(e)]
            new = known + weights[np.uint64(e)]
            followed += 1
            if new < distance[v] and new < atomic.min(distance, v, new):
                if flags[v] < 2:
                    nearer[seen] = v
                    seen += 1
                    flags[v] = flags[v] + 2
                if flags[v] == 2 and new < end and lo <= v < lo + rows:
                    queue[(head + count) % rows] = v
                    count += 1
                    flags[v] = 3
    for k in range(count):  # those that are left: to be followed in the next step
        u = queue[(head + k) % rows]
        done[u] = never
        if flags[u] < 2:
            nearer[seen] = u
            seen += 1
    for k in range(seen):
        flags[nearer[k]] = 0
    state[1], state[2] = seen, followed


def _put(count: Any, items: Any, which: Any, lists: Any, state: Any) -> Any:
    """Put vertices at the end of a list, as far as it has room; none are left then."""
    if count > 0:
        place = atomic.add(state, which, count)
        for k in range(min(count, lists.shape[1] - place)):
            lists[which, place + k] = items[k]
    return 0


def _walk(
    _: Any, most: Any, width: Any, never: Any, near: Any, later: Any, offsets: Any, targets: Any, weights: Any,
    distance: Any, done: Any, lists: Any, state: Any, end: Any, turn: Any,
) -> None:  # fmt: skip
    """One thread, one list after the other and one width after the other, while they are short."""
    room, seen = min(8 * most, lists.shape[1]), 0
    most = min(most, lists.shape[1])
    while seen < _BUDGET and state[near] <= most and state[later] <= room and state[near] + state[later] > 0:
        count = state[near]
        if count > 0:
            _relax(
                True, 0, count, near, near ^ 1, later, offsets, targets, weights, distance, done, lists, state, end[0]
            )
            state[near] = 0
            near ^= 1
            seen += count
        else:
            count, least, kept, taken = state[later], never, 0, 0
            for k in range(count):
                d = distance[lists[later, k]]
                if end[0] <= d < least:
                    least = d
            limit = least + width if least < never else never
            for k in range(count):
                v = lists[later, k]
                d = distance[v]
                if d >= end[0] and d < never:
                    if d < limit or d == least:
                        lists[near, taken] = v
                        taken += 1
                    else:
                        lists[later, kept] = v
                        kept += 1
            state[near], state[later], end[0] = taken, kept, limit
            seen += count
    turn[0], turn[1] = near, later


def _split(
    block: Any, size: Any, count: Any, now: Any, near: Any, before: Any, least: Any, distance: Any, lists: Any,
    state: Any, end: Any,
) -> None:  # fmt: skip
    """Of the vertices that lie farther those that are within the new width, and the others."""
    for k in range(block * size, min((block + 1) * size, count)):
        v = lists[now, k]
        d = distance[v]
        if d >= before:
            if d < end[0] or d == least:
                _one(v, near, lists, state)
            else:
                _one(v, now ^ 1, lists, state)


def _unfinished(
    block: Any, size: Any, count: Any, near: Any, later: Any, never: Any, distance: Any, done: Any, lists: Any,
    state: Any, end: Any,
) -> None:  # fmt: skip
    for v in range(block * size, min((block + 1) * size, count)):
        if done[v] != distance[v] and distance[v] < never:
            _one(v, near if distance[v] < end[0] else later, lists, state)


def _one(v: Any, which: Any, lists: Any, state: Any) -> None:
    place = atomic.add(state, which, 1)
    if place < lists.shape[1]:
        lists[which, place] = v
