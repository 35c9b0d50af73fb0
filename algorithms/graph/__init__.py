"""Graphs, ``pp.graph``: what users call, and where it is.

==============  ========================================================================================================
`graph`         Graph
`files`         load, save
`generators`    kronecker, uniform, grid
`bfs`           bfs
`sssp`          sssp
`components`    connected_components
`pagerank`      pagerank
`betweenness`   betweenness_centrality
`triangles`     triangle_count
`mis`           mis
`matching`      maximal_matching
`spanning`      minimum_spanning_forest
`cores`         k_core
`coloring`      coloring
`verify`        verify_bfs, verify_sssp, verify_components, verify_pagerank, verify_betweenness, verify_triangles
==============  ========================================================================================================

The six kernels are those of the GAP benchmark suite (S. Beamer, K. Asanović, D. Patterson, "The GAP benchmark suite",
2015), with its rules. Each is one source for every executor, in a file of its own. `build` makes rows of
edges, and looks at what is given; `priorities` is the order at random of `mis`, `matching` and `coloring`.
"""

from portapar.algorithms.graph.betweenness import betweenness_centrality
from portapar.algorithms.graph.bfs import bfs
from portapar.algorithms.graph.coloring import coloring
from portapar.algorithms.graph.components import connected_components
from portapar.algorithms.graph.cores import k_core
from portapar.algorithms.graph.files import load, save
from portapar.algorithms.graph.generators import grid, kronecker, uniform
from portapar.algorithms.graph.graph import Graph
from portapar.algorithms.graph.matching import maximal_matching
from portapar.algorithms.graph.mis import mis
from portapar.algorithms.graph.pagerank import pagerank
from portapar.algorithms.graph.spanning import minimum_spanning_forest
from portapar.algorithms.graph.sssp import sssp
from portapar.algorithms.graph.triangles import triangle_count
from portapar.algorithms.graph.verify import (
    verify_betweenness,
    verify_bfs,
    verify_components,
    verify_pagerank,
    verify_sssp,
    verify_triangles,
)

__all__ = [
    "Graph",
    "betweenness_centrality",
    "bfs",
    "coloring",
    "connected_components",
    "grid",
    "k_core",
    "kronecker",
    "load",
    "maximal_matching",
    "minimum_spanning_forest",
    "mis",
    "pagerank",
    "save",
    "sssp",
    "triangle_count",
    "uniform",
    "verify_betweenness",
    "verify_bfs",
    "verify_components",
    "verify_pagerank",
    "verify_sssp",
    "verify_triangles",
]

#: those that take a policy
ALGORITHMS = (
    betweenness_centrality, bfs, coloring, connected_components, grid, k_core, kronecker, load, maximal_matching,
    minimum_spanning_forest, mis, pagerank, sssp, triangle_count, uniform
)  # fmt: skip


def __dir__() -> list[str]:
    return [*__all__]
