"""clustering_coefficient: how many of the pairs of neighbours of a vertex are joined.

The triangles at each vertex, over the pairs of its neighbours. D. Watts, S. Strogatz, "Collective dynamics of
'small-world' networks", 1998.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.graph.graph import Graph, check_undirected, on_graph
from portapar.algorithms.graph.triangles import corners
from portapar.part import LocalPart
from portapar.policy import Policy


def clustering_coefficient(policy: Policy | None, graph: Graph) -> Any:
    """The part of the pairs of neighbours of each vertex that are joined.

    Parameters
    ----------
    policy : Policy
    graph : Graph
        Not directed.

    Returns
    -------
    array of float64, (n,)
        In 0 to 1; 0 for a vertex of less than two neighbours. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        The graph is directed.

    Notes
    -----
    The same bits on every executor. Equal edges count once, and loops not at all. The work of `triangle_count`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> g = pp.graph.Graph.from_edges(pp.par, np.array([0, 1, 2, 2]), np.array([1, 2, 0, 3]))
    >>> pp.graph.clustering_coefficient(pp.par, g)
    array([1.        , 1.        , 0.33333333, 0.        ])
    """
    check_undirected("graph.clustering_coefficient", graph)

    def coefficients(part: LocalPart, graph: Graph) -> Any:
        graph = graph.in_order()
        found, out = corners(part, graph), part.empty(graph.num_vertices, np.float64)
        for_each(part.how._dealt(256), len(out), _divide, graph.offsets, radix.bits(graph.targets), found, out)
        return out

    return on_graph("graph.clustering_coefficient", policy, graph, coefficients)


# kernels ------------------------------------------------------------------------------------------


def _divide(v: Any, offsets: Any, targets: Any, found: Any, out: Any) -> None:
    degree = 0
    for e in range(offsets[v], offsets[v + 1]):
        u = targets[np.uint64(e)]
        degree += u != v and (e == offsets[v] or u != targets[np.uint64(e - 1)])
    pairs = degree * (degree - 1)
    out[v] = 2 * found[v] / pairs if pairs > 0 else 0.0
