"""Graphs on several parts: every part has the rows of some vertices, about as many edges each, and all that is known.

The graph lies in host memory, on every rank the same one; or it is partitioned: all know where rows begin, and each
part has the targets and weights of its own vertices alone. In each superstep a part follows the edges of its own
vertices, and tells all others what it found; L. G. Valiant, "A bridging model for parallel computation", 1990.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import arrays, config, parts, shares
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import bits_of, count_rows, counted, merged, packed, turn, unpack
from portapar.algorithms.sort import sort, sort_by_key
from portapar.algorithms.transform import transform
from portapar.errors import CommunicationError, PlacementError
from portapar.executor import Executor
from portapar.part import Data, LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts
from portapar.policy import Policy

_SEEN = 1024  #: elements of each array that ranks compare


@dataclass(frozen=True)
class Rows:
    """A part's vertices, `lo` to `hi`, and their rows where it lives; offsets begin with 0."""

    lo: int
    hi: int
    offsets: Any
    targets: Any
    weights: Any

    @property
    def held(self) -> tuple[Any, Any]:
        return self.offsets, self.targets


def cuts_of(executor: Executor, offsets: np.ndarray, lo: int = 0, hi: int | None = None) -> list[int]:
    """Where the vertices `lo` to `hi` are cut, so that the parts have edges and vertices by their weights."""
    hi = len(offsets) - 1 if hi is None else hi
    work = shares.cut_rows(int(offsets[hi] - offsets[lo]) + hi - lo, executor.weights)
    done = offsets[lo : hi + 1] - offsets[lo] + np.arange(hi - lo + 1)
    return [lo + int(k) for k in np.searchsorted(done, work)]


def spread(executor: Executor, offsets: np.ndarray, targets: Any, weights: Any) -> tuple[Any, Any, list[int]]:
    """Targets and weights of a graph in host memory, partitioned, and where its vertices are cut; collective."""
    cuts, held = cuts_of(executor, offsets), [x for x in (targets, weights) if x is not None]
    ends = [int(offsets[v]) for v in cuts]
    found: dict[int, list[Any]] = {}

    def place(k: int) -> None:
        found[k] = [executor.members[k].asarray(x[ends[k] : ends[k + 1]]) for x in held]

    told = [f"{arrays.describe(x)} {config.digest(x.tobytes(), 8).hex()}" for x in (offsets, *held)]
    executor.each(f"Graph.place of {', '.join(told)}", [functools.partial(place, k) for k in executor.own])
    spread_out = [
        PartitionedArray(x.shape, x.dtype, tuple(ends), {k: rows[j] for k, rows in found.items()}, executor)
        for j, x in enumerate(held)
    ]
    return spread_out[0], (*spread_out, None)[1], cuts


def built_on_parts(p: Parts, given: list[Any], n: int | None, directed: bool) -> tuple[Any, Any, Any, list[int]]:
    """Offsets, targets, weights and cuts of edges in any order: partitioned sources, targets and weights if any."""
    n, m = counted(p.how, given[:2], (*given, None)[2], n), len(given[0])
    data = [p.read(x, "edges") for x in given]

    def pack(part: LocalPart) -> tuple[Any, Any]:
        u, v, *weights = ((x[part] if m else part.empty(0, np.int32)) for x in data)
        return packed(part, [u, v], weights[0] if weights else None, n, directed)

    found, cuts = p.do("pack", pack), tuple(k * (2 - directed) for k in p.cuts)

    def whole(j: int, dtype: Any) -> PartitionedArray:
        return PartitionedArray((cuts[-1],), dtype, cuts, {k: pair[j] for k, pair in found.items()}, p.executor)

    keys, weights = merged(p.how, whole(0, np.uint64), whole(1, given[2].dtype) if len(given) > 2 else None)
    return rows_of_keys(p.how, keys, weights, n, bits_of(n))


def turned(how: Policy, graph: Any) -> tuple[Any, Any, Any, list[int]]:
    """Offsets, targets, weights and cuts of a partitioned graph with all edges turned around."""
    targets, shift = graph.targets, bits_of(graph.num_vertices)

    def keys(p: Parts) -> PartitionedArray:
        rows = rows_of_parts(p, graph)

        def pack(part: LocalPart) -> Any:
            own = rows[part.number]
            out = part.empty(len(own.targets), np.uint64)
            for_each(part.how, own.hi - own.lo, turn, own.lo, shift, own.offsets, own.targets, out)
            return out

        return PartitionedArray(targets.shape, np.uint64, targets.cuts, p.do("pack", pack), p.executor)

    packed_edges = parts.run("Graph.reverse", how, (targets,), keys)
    if graph.weights is None:
        return rows_of_keys(how, sort(how, packed_edges), None, graph.num_vertices, shift)
    return rows_of_keys(how, *sort_by_key(how, packed_edges, graph.weights), graph.num_vertices, shift)


def rows_of_keys(
    how: Policy, keys: PartitionedArray, weights: Any, n: int, shift: int
) -> tuple[Any, Any, Any, list[int]]:
    """Offsets, targets, weights and cuts of sorted edges, partitioned anywhere, as rows that are not divided.

    Edges of the vertex `n`, which come last, are left out.
    """

    def rows(p: Parts) -> tuple[Any, Any, Any, list[int]]:
        given = p.read(keys, "keys")

        def count(part: LocalPart) -> tuple[int, np.ndarray]:
            mine = given[part]
            if not len(mine):
                return 0, np.zeros(0, np.int64)
            first, last = (int(arrays.asnumpy(mine[k : k + 1])[0]) >> shift for k in (0, len(mine) - 1))
            offsets = part.empty(last - first + 2, np.int64)
            for_each(part.how, len(mine) + 1, count_rows, shift, first, last - first + 1, mine, offsets)
            return first, np.diff(arrays.asnumpy(offsets))

        def targets_of(part: LocalPart) -> Any:
            mine = given[part]
            out = part.empty(len(mine), np.int32)
            return transform(part.how, mine, out=out, op=lambda key: unpack(key, shift))

        offsets = np.zeros(n + 2, np.int64)
        for first, counts in p.each("rows", count):
            offsets[first + 1 : first + 1 + len(counts)] += counts
        offsets = np.cumsum(offsets)[: n + 1]
        cuts = cuts_of(p.executor, offsets)
        ends = tuple(int(offsets[v]) for v in cuts)
        targets = PartitionedArray(keys.shape, np.int32, keys.cuts, p.do("targets", targets_of), p.executor)

        def move(x: Any) -> PartitionedArray:
            got = p.rows("move", p.read(x, "edges"), lambda k: [(ends[k], ends[k + 1])])
            return PartitionedArray((ends[-1],), x.dtype, ends, {k: x for k, (x,) in got.items()}, p.executor)

        return offsets, move(targets), None if weights is None else move(weights), cuts

    return parts.run("Graph", how, (keys, weights), rows)


def results(p: Parts, graph: Any, found: Any) -> Any:
    """What all parts know as the user gets it: of a partitioned graph each keeps its rows."""
    if graph.cuts is None:
        return found
    cuts = graph.cuts if len(found) == graph.num_vertices else shares.cut_rows(len(found), p.executor.weights)

    def own(part: LocalPart) -> Any:
        return part.executor.asarray(found[cuts[part.number] : cuts[part.number + 1]])

    return PartitionedArray(found.shape, found.dtype, tuple(cuts), p.do("results", own), p.executor)


def check_graph(p: Parts, graph: Any, moves: str, look: Callable[[], Any] = lambda: None) -> Any:
    """A graph lies in host memory, or is partitioned, and ranks have the same one.

    `moves` tells a plan of messages. What `look` finds is given back: where it fails on one rank, all are told.

    Raises
    ------
    PlacementError
    CommunicationError
    """
    if p.survey is not None and isinstance(graph.offsets, np.ndarray):
        p.cuts = tuple(graph.cuts or cuts_of(p.executor, graph.offsets))
        edges = ", ".join(str(graph.offsets[hi] - graph.offsets[lo]) for lo, hi in shares.spans(p.cuts))
        p.survey.facts += [f"each part follows the edges of its own vertices: {edges}", moves]
    found = []

    def facts(part: LocalPart) -> tuple[Any, ...]:
        found.append(look())
        held = [graph.offsets, graph.targets, *([] if graph.weights is None else [graph.weights])]
        if graph.cuts is not None:
            return graph.cuts, *map(arrays.describe, held)
        if all(isinstance(x, np.ndarray) for x in held):
            return tuple((len(x), config.digest(x[:: max(1, len(x) // _SEEN)].tobytes(), 8)) for x in held)
        raise PlacementError(
            f"{p.algorithm}: the graph lies on one device, and {p.executor!r} has {p.count} parts: must be in host "
            f"memory, or partitioned. Use graph.place({p.executor!r})"
        )

    first, *others = p.each("graph", facts)
    if any(other != first for other in others):
        raise CommunicationError(f"{p.algorithm}: ranks have different graphs: must have the same one on each")
    return found[0]


def kept(graph: Any, name: str, make: Callable[[], Any]) -> Any:
    """What is made for parts: of a partitioned graph once, else anew in every call."""
    if graph.cuts is None:
        return make()
    if name not in graph.made:
        graph.made[name] = make()
    return graph.made[name]


def rows_of_parts(p: Parts, graph: Any) -> dict[int, Rows]:
    """The rows of every own part, by its number."""
    cuts = graph.cuts or cuts_of(p.executor, graph.offsets)
    return kept(graph, "rows", lambda: p.do("rows", _rows(graph, cuts)))


def _rows(graph: Any, cuts: Sequence[int]) -> Callable[[LocalPart], Rows]:
    def rows(part: LocalPart) -> Rows:
        lo, hi = cuts[part.number : part.number + 2]
        some = slice(int(graph.offsets[lo]), int(graph.offsets[hi]))

        def own(x: Any) -> Any:
            return x.parts[part.number] if isinstance(x, PartitionedArray) else part.asarray(x[some])

        weights = None if graph.weights is None else own(graph.weights)
        offsets = part.asarray(graph.offsets[lo : hi + 1] - some.start)
        return Rows(lo, hi, offsets, radix.bits(own(graph.targets)), weights)

    return rows


def rows_in_blocks(p: Parts, graph: Any, cuts: Sequence[Sequence[int]]) -> dict[int, list[tuple[Any, Any]]]:
    """Offsets, which begin with 0, and targets of a part's vertices of several blocks, each cut by itself."""

    def ends(k: int) -> list[tuple[int, int]]:
        return [(int(graph.offsets[some[k]]), int(graph.offsets[some[k + 1]])) for some in cuts]

    def make() -> dict[int, list[tuple[Any, Any]]]:
        x, before = graph.targets, p.cuts
        if isinstance(x, PartitionedArray):
            p.cuts = x.cuts
            data = p.read(x, "targets")
        else:
            data = Data(x, x.shape, x.dtype, lambda part: part.asarray(x))
        targets = p.rows("rows", data, ends)
        p.cuts = before

        def offsets(part: LocalPart) -> list[Any]:
            spans = [some[part.number : part.number + 2] for some in cuts]
            return [part.asarray(graph.offsets[lo : hi + 1] - graph.offsets[lo]) for lo, hi in spans]

        return {
            k: list(zip(found, map(radix.bits, targets[k]), strict=True)) for k, found in p.do("rows", offsets).items()
        }

    return kept(graph, "blocks", make)


def once(p: Parts, step: str, work: Callable[[LocalPart], Any]) -> Any:
    """What is the same on all parts, from the first one of this process."""
    first = p.own[0].number
    return p.do(step, lambda part: work(part) if part.number == first else None)[first]
