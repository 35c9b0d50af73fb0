"""Trials of the graph kernels by the rules of the GAP benchmark: what ``portapar graph`` runs.

Timed is the kernel alone, with its allocations, and not the making of the graph nor of its reverse. Searches begin at
vertices drawn at random among those with an edge, the same in every run; one trial goes before those that are timed,
since it compiles.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms import graph as kernels
from portapar.policy import Policy

Graph = kernels.Graph

#: Of each kernel: whether it begins at a vertex, and how its result is verified.
KERNELS: dict[str, tuple[Callable[..., Any], bool, Callable[..., Any]]] = {
    "bfs": (kernels.bfs, True, kernels.verify_bfs),
    "sssp": (kernels.sssp, True, kernels.verify_sssp),
    "pr": (kernels.pagerank, False, kernels.verify_pagerank),
    "cc": (kernels.connected_components, False, kernels.verify_components),
    "bc": (lambda policy, g, s: kernels.betweenness_centrality(policy, g, s), True, kernels.verify_betweenness),
    "tc": (kernels.triangle_count, False, kernels.verify_triangles),
}
_BC_SOURCES = 4


@dataclass(frozen=True)
class Trial:
    """One timed run.

    Attributes
    ----------
    seconds : float
    sources : tuple of int
        Where it began.
    """

    seconds: float
    sources: tuple[int, ...]


def trials(kernel: str, graph: Graph, policy: Policy, count: int, verify: bool = False) -> Iterator[Trial]:
    """Run a kernel `count` times, and say of each how long it took.

    Raises
    ------
    AssertionError
        A result was wrong.
    """
    function, starts, check = KERNELS[kernel]
    each = _BC_SOURCES if kernel == "bc" else int(starts)
    begin = _sources(graph, each * (count + 1))
    _ = graph.reverse
    for k in range(count + 1):
        sources = tuple(begin[each * k : each * (k + 1)])
        given: tuple[Any, ...] = (list(sources),) if kernel == "bc" else sources
        start = time.perf_counter()
        result = function(policy, graph, *given)
        if policy.executor is not None:
            policy.executor.synchronize()
        seconds = time.perf_counter() - start
        if verify:
            check(graph, *given, result)
        if k:
            yield Trial(seconds, sources)


def _sources(graph: Graph, count: int) -> list[int]:
    """Vertices with an edge, drawn with replacement."""
    some = np.flatnonzero(np.diff(arrays.asnumpy(graph.offsets)))
    return np.random.default_rng(27491095).choice(some, count).tolist() if len(some) else [0] * count


def summary(found: list[Trial]) -> dict[str, float]:
    """Least, median and mean seconds."""
    seconds = [trial.seconds for trial in found]
    return {"least": min(seconds), "median": statistics.median(seconds), "mean": statistics.fmean(seconds)}
