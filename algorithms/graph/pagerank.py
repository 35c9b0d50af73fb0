"""pagerank, personalized_pagerank: where a walker is who follows edges at random, and starts anew now and then.

The vertices are cut into blocks, which take turns, so that later ones see the new ranks of earlier ones: a block form
of Gauss and Seidel's iteration, which takes fewer rounds than to change all at once. It is relaxed a little beyond:
D. Young, "Iterative methods for solving partial difference equations of elliptic type", 1954; it converges for factors
below 2 / (1 + damping), since no entry of the matrix is negative. In a block every vertex gathers from its
predecessors, so that no two write to one place, and a sum's order is that of the row. L. Page, S. Brin, R. Motwani,
T. Winograd, "The PageRank citation ranking", 1999.

Where vertices differ in how many edges lead to them, a walker who never starts anew is at each as often as that says,
if every edge goes both ways: ranks begin with what follows from it, which is much nearer to them than equal ones.

On several parts each gathers for its vertices of a block, and is told the new ranks of the others before the next one.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from portapar import arrays, ops
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, on_graph, vertex
from portapar.algorithms.graph.several import check_graph, cuts_of, once, rows_in_blocks
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.transform import fill
from portapar.errors import ArgumentError, one_of
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_BLOCKS = 16
_LEAST = 4096
_ALIKE = 0.01  #: by how much ranks by degree differ from equal ones in all, for them to be worth it


def pagerank(
    policy: Policy | None,
    graph: Graph,
    *,
    damping: float = 0.85,
    tolerance: float = 1e-4,
    iterations: int = 1000,
    dangling: Literal["drop", "spread"] = "drop",
    dtype: Any = np.float32,
) -> Any:
    """The rank of every vertex.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Its weights are not looked at.
    damping : float
        The probability of going on along an edge, in 0 to 1.
    tolerance : float
        It ends when the ranks of an iteration differ from those before by less in all, summed over the vertices.
    iterations : int
        At most.
    dangling : {"drop", "spread"}
        What becomes of the rank of vertices without an edge out: it is lost, as in the GAP benchmark, or every vertex
        gets the same share of it, as in networkx; then the ranks' sum is 1.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    array of `dtype`, (n,)
        With ``policy.task`` a Future of it.

    Notes
    -----
    The same bits on every executor, on several parts too. An iteration reads every edge once.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([3, 3, 3]))
    >>> pp.graph.pagerank(pp.par, g).round(2)
    array([0.17, 0.17, 0.17, 0.48], dtype=float32)
    """
    name = "graph.pagerank"
    return on_graph(name, policy, graph, *_ranks(name, damping, tolerance, iterations, dangling, dtype, None))


def personalized_pagerank(
    policy: Policy | None,
    graph: Graph,
    restart: int | Sequence[int] | Any,
    *,
    damping: float = 0.85,
    tolerance: float = 1e-4,
    iterations: int = 1000,
    dangling: Literal["drop", "spread"] = "spread",
    dtype: Any = np.float32,
) -> Any:
    """The rank of every vertex for a walker who starts anew at some of them only: how near they are to these.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Its weights are not looked at.
    restart : int, sequence of int, or array of floats, (n,)
        The vertices, each of which is chosen with the same probability, or the weight of every vertex.
    damping, tolerance, iterations, dtype
        As for `pagerank`.
    dangling : {"drop", "spread"}
        What becomes of the rank of vertices without an edge out: it is lost, or goes to where the walker starts anew.

    Returns
    -------
    array of `dtype`, (n,)
        With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        A weight is negative or not finite, or all are 0; a vertex of `restart` is none.

    Notes
    -----
    The same bits on every executor, on several parts too. An iteration reads every edge once.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([1, 2, 3]))
    >>> pp.graph.personalized_pagerank(pp.par, g, 0, tolerance=1e-6).round(2)
    array([0.38, 0.4 , 0.16, 0.07], dtype=float32)
    """
    name = "graph.personalized_pagerank"
    given = arrays.asnumpy(restart) if hasattr(restart, "dtype") else np.asarray(restart)

    def share(graph: Graph) -> np.ndarray:
        """The probability of each vertex."""
        n = graph.num_vertices
        if given.dtype.kind != "f":
            chosen = [vertex(name, "a vertex of restart", v, graph) for v in given.reshape(-1).tolist()]
            weights = np.bincount(np.array(chosen, np.int64), minlength=n).astype(np.float64)
        elif given.shape == (n,):
            weights = given.astype(np.float64)
        else:
            raise ArgumentError(f"{name}: restart has shape {given.shape}: must be vertices, or {n} floats")
        wrong = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
        if len(wrong):
            raise ArgumentError(f"{name}: restart[{wrong[0]}] is {weights[wrong[0]]}: must not be negative, and finite")
        if n and not weights.any():
            raise ArgumentError(f"{name}: restart is 0 for every vertex, or empty: must name one at least")
        return weights / weights.sum() if n else weights

    return on_graph(name, policy, graph, *_ranks(name, damping, tolerance, iterations, dangling, dtype, share))


def check_numbers(name: str, damping: float, tolerance: float, dangling: str) -> None:
    """What the user gave says how ranks are made."""
    for told, value in (("damping", damping), ("tolerance", tolerance)):
        if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
            raise ArgumentError(f"{name}: {told} is {value!r}: must be between 0 and 1")
    one_of(f"{name}: dangling", dangling, ("drop", "spread"))


def _ranks(
    name: str, damping: float, tolerance: float, iterations: int, dangling: str, dtype: Any,
    share: Callable[[Graph], np.ndarray] | None,
) -> tuple[Callable[[LocalPart, Graph], Any], Callable[[Parts, Graph], Any]]:  # fmt: skip
    """What both do, where a part lives, and on several; `share` is where a walker starts anew, None for anywhere."""
    check_numbers(name, damping, tolerance, dangling)
    if arrays.dtype_of(name, dtype) not in (np.float32, np.float64):
        raise ArgumentError(f"{name}: dtype is {dtype}: must be float32 or float64")
    iterations = arrays.whole_number(f"{name}: iterations", iterations, error=ArgumentError)
    T = np.dtype(dtype).type
    factor = T(1 + (1 - damping) / 6)

    def give(u: Any, offsets: Any, rank: Any, given: Any) -> None:
        """What each edge of a vertex carries."""
        given[u] = rank[u] / T(max(offsets[u + 1] - offsets[u], 1))

    def begin(part: LocalPart, graph: Graph) -> tuple[Any, Any, Any, Any]:
        """Ranks, what edges carry, how ranks change, and where a walker starts anew."""
        n, how = graph.num_vertices, part.how
        rank, given, changes = (part.empty(n, T) for _ in range(3))
        fill(how, rank, T(1 / n) if n else T(0))
        if share is None and len(graph.targets):
            by_degree(how, part.asarray(graph.reverse.offsets), len(graph.targets), rank)
        for_each(how, n, give, part.asarray(graph.offsets), rank, given)
        return rank, given, changes, None if share is None else part.asarray(share(graph).astype(T))

    def by_degree(how: Policy, into: Any, m: int, rank: Any) -> None:
        """Ranks to begin with, unless equal ones are as good."""
        n = len(rank)
        linked = int(transform_reduce(how, into[1:], into[:-1], transform=_linked)) / n
        base = (1 - damping) / (1 - damping * (1 - linked)) if dangling == "spread" else 1 - damping
        rest = 1 - base if dangling == "spread" else damping * linked
        base, rest, equal = base / n, rest / m, 1 / n

        def apart(end: Any, begin: Any) -> Any:
            return abs(base + rest * (end - begin) - equal)

        if transform_reduce(how, into[1:], into[:-1], transform=apart) >= _ALIKE:
            for_each(how, n, _by_degree, base, rest, into, rank)

    def start(how: Policy, offsets: Any, rank: Any) -> Any:
        """What every vertex gets in an iteration, or every one that a walker starts from."""
        base, lost = 1 - damping, T(0)
        if dangling == "spread":
            lost = transform_reduce(how, offsets[1:], offsets[:-1], rank, transform=_stuck)
        if share is None:
            return T(T(base / len(rank)) + T(damping) * T(lost) / T(len(rank)))
        return T(T(base) + T(damping) * T(lost))

    def blocks(n: int) -> list[tuple[int, int]]:
        count = max(1, min(_BLOCKS, n // _LEAST))
        return [(n * k // count, n * (k + 1) // count) for k in range(count)]

    def ended(how: Policy, changes: Any) -> bool:
        return bool(transform_reduce(how, changes, transform=np.float64, op=ops.plus) < tolerance)

    def alone(part: LocalPart, graph: Graph) -> Any:
        n, how = graph.num_vertices, part.how
        uneven = how._dealt(1024)
        rank, given, changes, where = begin(part, graph)
        into = graph.reverse
        rows = into.offsets, radix.bits(into.targets)
        ranges = [arrays.Range(*block) for block in blocks(n)]
        for _ in range(iterations if n else 0):
            base = start(how, graph.offsets, rank)
            for some in ranges:
                if where is None:
                    for_each(uneven, some, _gather, factor, base, T(damping), *rows, given, rank, changes)
                else:
                    for_each(uneven, some, _gather_at, where, factor, base, T(damping), *rows, given, rank, changes)
                for_each(how, some, give, graph.offsets, rank, given)
            if ended(how, changes):
                break
        return rank

    def several(p: Parts, graph: Graph) -> Any:
        n = graph.num_vertices
        steps, size = len(blocks(n)), n * np.dtype(T).itemsize
        check_graph(p, graph, f"an iteration has {steps} steps: after each, parts tell all others the new ranks of a "
                    f"block of vertices, {size} bytes in all steps")  # fmt: skip
        into = graph.reverse
        held = p.do("begin", lambda part: begin(part, graph))
        out = p.do("degrees", lambda part: part.asarray(graph.offsets))
        cuts = [cuts_of(p.executor, into.offsets, *block) for block in blocks(n)]
        rows = rows_in_blocks(p, into, cuts)
        bases: dict[int, Any] = {}
        told: list[tuple[int, list[np.ndarray]]] = []  #: the first vertex and the new ranks of the block before

        def gather(block: int) -> Callable[[LocalPart], np.ndarray]:
            def new(part: LocalPart) -> np.ndarray:
                (rank, given, _, where), lo = held[part.number], cuts[block][part.number]
                take(part)
                if block == 0:
                    bases[part.number] = start(part.how, out[part.number], rank)
                offsets, sources = rows[part.number][block]
                fresh, uneven, base = part.empty(len(offsets) - 1, T), part.how._dealt(1024), bases[part.number]
                last = rank[lo : lo + len(fresh)]
                known = factor, base, T(damping), offsets, sources, given, last, fresh
                if where is None:
                    for_each(uneven, len(fresh), _new, *known)
                else:
                    for_each(uneven, len(fresh), _new_at, where[lo : lo + len(fresh)], *known)
                return arrays.asnumpy(fresh)

            return new

        def take(part: LocalPart) -> None:
            rank, given, changes, _ = held[part.number]
            for first, ranks in told:
                found = np.concatenate(ranks)
                for_each(part.how, len(found), _take, first, part.asarray(found), rank, changes)
                for_each(part.how, arrays.Range(first, first + len(found)), give, out[part.number], rank, given)

        def change(part: LocalPart) -> bool:
            take(part)
            return part.number > p.own[0].number or ended(part.how, held[part.number][2])

        for _ in range(iterations if n else 0):
            for block, some in enumerate(cuts):
                told = [(some[0], p.each("gather", gather(block)))]
            over, told = p.each("change", change), []
            if all(over):
                break
        return once(p, "ranks", lambda part: arrays.asnumpy(held[part.number][0]))

    return alone, several


# kernels ------------------------------------------------------------------------------------------


def _sum(v: Any, none: Any, offsets: Any, sources: Any, given: Any) -> Any:
    """What the edges of a row carry: four sums take turns, since each addition waits for the one before."""
    a, b, c, d = none, none, none, none
    e, end = np.uint64(offsets[v]), np.uint64(offsets[v + 1])
    while e + np.uint64(4) <= end:
        a += given[sources[e]]
        b += given[sources[e + np.uint64(1)]]
        c += given[sources[e + np.uint64(2)]]
        d += given[sources[e + np.uint64(3)]]
        e += np.uint64(4)
    total = (a + b) + (c + d)
    while e < end:
        total += given[sources[e]]
        e += np.uint64(1)
    return total


def _linked(end: Any, begin: Any) -> Any:
    return np.int64(end > begin)


def _by_degree(v: Any, base: Any, rest: Any, into: Any, rank: Any) -> None:
    rank[v] = base + rest * (into[v + 1] - into[v])


def _gather(
    v: Any, factor: Any, base: Any, damping: Any, offsets: Any, sources: Any, given: Any, rank: Any, changes: Any
) -> None:  # fmt: skip
    new = rank[v] + factor * (base + damping * _sum(v, damping * 0, offsets, sources, given) - rank[v])
    changes[v] = abs(new - rank[v])
    rank[v] = new


def _gather_at(
    v: Any, where: Any, factor: Any, base: Any, damping: Any, offsets: Any, sources: Any, given: Any, rank: Any,
    changes: Any,
) -> None:  # fmt: skip
    _gather(v, factor, where[v] * base, damping, offsets, sources, given, rank, changes)


def _new(
    k: Any, factor: Any, base: Any, damping: Any, offsets: Any, sources: Any, given: Any, last: Any, fresh: Any
) -> None:  # fmt: skip
    fresh[k] = last[k] + factor * (base + damping * _sum(k, damping * 0, offsets, sources, given) - last[k])


def _new_at(
    k: Any, where: Any, factor: Any, base: Any, damping: Any, offsets: Any, sources: Any, given: Any, last: Any,
    fresh: Any,
) -> None:  # fmt: skip
    _new(k, factor, where[k] * base, damping, offsets, sources, given, last, fresh)


def _take(k: Any, first: Any, found: Any, rank: Any, changes: Any) -> None:
    changes[first + k] = abs(found[k] - rank[first + k])
    rank[first + k] = found[k]


def _stuck(end: Any, begin: Any, rank: Any) -> Any:
    return rank if end == begin else rank * 0
