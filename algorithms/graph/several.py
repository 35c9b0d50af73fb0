"""Graphs on several parts: every part has the rows of some vertices, about as many edges each, and all that is known.

The graph lies in host memory, on every rank the same one. In each superstep a part follows the edges of its own
vertices, and tells all others what it found; L. G. Valiant, "A bridging model for parallel computation", 1990.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import config, shares
from portapar.algorithms import radix
from portapar.errors import CommunicationError, PlacementError
from portapar.part import LocalPart
from portapar.parts import Parts

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


def cuts_of(p: Parts, offsets: np.ndarray, lo: int = 0, hi: int | None = None) -> list[int]:
    """Where the vertices `lo` to `hi` are cut, so that the parts have edges and vertices by their weights."""
    hi = len(offsets) - 1 if hi is None else hi
    work = shares.cut_rows(int(offsets[hi] - offsets[lo]) + hi - lo, p.executor.weights)
    done = offsets[lo : hi + 1] - offsets[lo] + np.arange(hi - lo + 1)
    return [lo + int(k) for k in np.searchsorted(done, work)]


def check_graph(p: Parts, graph: Any) -> None:
    """A graph lies in host memory, and ranks have the same one.

    Raises
    ------
    PlacementError
    CommunicationError
    """
    if not isinstance(graph.targets, np.ndarray):
        raise PlacementError(
            f"{p.algorithm}: the graph lies on one device, and {p.executor!r} has {p.count} parts: must be in host "
            "memory. Use graph.place(pp.threads())"
        )
    held = [graph.offsets, graph.targets, *([] if graph.weights is None else [graph.weights])]
    seen = [(len(x), config.digest(x[:: max(1, len(x) // _SEEN)].tobytes(), 8)) for x in held]
    if any(other != seen for other in p.each("graph", lambda part: seen)):
        raise CommunicationError(f"{p.algorithm}: ranks have different graphs: must have the same one on each")


def rows_of_parts(p: Parts, graph: Any) -> dict[int, Rows]:
    """The rows of every own part, by its number."""
    return p.do("rows", _rows(graph, cuts_of(p, graph.offsets)))


def _rows(graph: Any, cuts: list[int]) -> Callable[[LocalPart], Rows]:
    def rows(part: LocalPart) -> Rows:
        lo, hi = cuts[part.number : part.number + 2]
        some = slice(int(graph.offsets[lo]), int(graph.offsets[hi]))
        targets = part.asarray(graph.targets[some])
        weights = None if graph.weights is None else part.asarray(graph.weights[some])
        return Rows(lo, hi, part.asarray(graph.offsets[lo : hi + 1] - some.start), radix.bits(targets), weights)

    return rows


def once(p: Parts, step: str, work: Callable[[LocalPart], Any]) -> Any:
    """What is the same on all parts, from the first one of this process."""
    first = p.own[0].number
    return p.do(step, lambda part: work(part) if part.number == first else None)[first]
