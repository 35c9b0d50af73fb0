"""random_walks: walkers who follow edges at random.

Step t of walk k of a seed is a function of the three (`portapar.algorithms.random`), so that walks are the same on
every executor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.algorithms import radix, random
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.build import check_vertices, checked_length
from portapar.algorithms.graph.graph import Graph, on_graph
from portapar.errors import ArgumentError
from portapar.part import LocalPart
from portapar.policy import Policy


def random_walks(policy: Policy | None, graph: Graph, starts: Any, length: int, *, seed: int = 0) -> Any:
    """Walks from given vertices, of which every edge out of a vertex is taken with the same probability.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Its weights are not looked at.
    starts : array of integers, (k,)
        Where each walk begins; a vertex may be there several times.
    length : int
        Edges of a walk.
    seed : int

    Returns
    -------
    array of int32, (k, length + 1)
        The vertices of each walk; -1 after a vertex that no edge leaves. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        A start is no vertex; the message gives the first one.

    Notes
    -----
    The same on every executor. O(k length) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2]), np.array([1, 2, 3]), directed=True)
    >>> pp.graph.random_walks(pp.par, g, np.array([0, 2]), 3)
    array([[ 0,  1,  2,  3],
           [ 2,  3, -1, -1]], dtype=int32)
    """
    length = arrays.whole_number("graph.random_walks: length", length, error=ArgumentError)
    seed = arrays.whole_number("graph.random_walks: seed", seed, -(2**63), error=ArgumentError)
    given = starts if hasattr(starts, "dtype") else np.asarray(starts)
    count = checked_length("graph.random_walks", "starts", given, "iu")

    def walks(part: LocalPart, graph: Graph) -> Any:
        first = part.asarray(given if given.dtype.kind in "iu" else np.zeros(0, np.int64))
        check_vertices(part.how, "graph.random_walks: starts", first, graph.num_vertices)
        out = part.empty((count, length + 1), np.int32)
        for_each(part.how._dealt(64), count, _walk, seed, graph.offsets, radix.bits(graph.targets), first, out)
        return out

    return on_graph("graph.random_walks", policy, graph, walks)


# kernels ------------------------------------------------------------------------------------------


def _walk(k: Any, seed: Any, offsets: Any, targets: Any, starts: Any, out: Any) -> None:
    length = out.shape[1] - 1
    v: Any = np.int64(starts[k])
    out[k, 0] = v
    for step in range(length):
        if v >= 0:
            first = offsets[v]
            degree = offsets[v + 1] - first
            v = np.int64(targets[first + random.integers(seed, k * length + step, 0, degree)]) if degree > 0 else -1
        out[k, step + 1] = v
