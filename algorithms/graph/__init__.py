"""Graphs, ``pp.graph``: what users call, and where it is.

==============  ========================================================================================================
`graph`         Graph
`files`         load, save
`generators`    kronecker, rmat, uniform, random_local, watts_strogatz, grid
`bfs`           bfs
`sssp`          sssp
`components`    connected_components
`pagerank`      pagerank, personalized_pagerank
`betweenness`   betweenness_centrality
`triangles`     triangle_count
`mis`           mis
`matching`      maximal_matching
`spanning`      minimum_spanning_forest
`cores`         k_core
`coloring`      coloring
`strong`        strongly_connected_components
`clustering`    clustering_coefficient
`jaccard`       jaccard
`walks`         random_walks
`distances`     all_pairs, diameter
`communities`   label_propagation
`verify`        verify_bfs, verify_sssp, verify_components, verify_pagerank, verify_betweenness, verify_triangles
==============  ========================================================================================================

The six kernels are those of the GAP benchmark suite (S. Beamer, K. Asanović, D. Patterson, "The GAP benchmark suite",
2015), with its rules. Each algorithm is one source for every executor, in a file of its own. `build` makes rows of
edges, and looks at what is given; `priorities` has the order at random that independent sets, matchings and colours
are made in; `many` searches from several sources at once; `several` cuts graphs for executors of several parts.
"""

from portapar.algorithms.graph.betweenness import betweenness_centrality
from portapar.algorithms.graph.bfs import bfs
from portapar.algorithms.graph.clustering import clustering_coefficient
from portapar.algorithms.graph.coloring import coloring
from portapar.algorithms.graph.communities import label_propagation
from portapar.algorithms.graph.components import connected_components
from portapar.algorithms.graph.cores import k_core
from portapar.algorithms.graph.distances import all_pairs, diameter
from portapar.algorithms.graph.files import load, save
from portapar.algorithms.graph.generators import grid, kronecker, random_local, rmat, uniform, watts_strogatz
from portapar.algorithms.graph.graph import Graph
from portapar.algorithms.graph.jaccard import jaccard
from portapar.algorithms.graph.matching import maximal_matching
from portapar.algorithms.graph.mis import mis
from portapar.algorithms.graph.pagerank import pagerank, personalized_pagerank
from portapar.algorithms.graph.spanning import minimum_spanning_forest
from portapar.algorithms.graph.sssp import sssp
from portapar.algorithms.graph.strong import strongly_connected_components
from portapar.algorithms.graph.triangles import triangle_count
from portapar.algorithms.graph.verify import (
    verify_betweenness,
    verify_bfs,
    verify_components,
    verify_pagerank,
    verify_sssp,
    verify_triangles,
)
from portapar.algorithms.graph.walks import random_walks
from portapar.policy import policy_first

__all__ = [
    "Graph",
    "all_pairs",
    "betweenness_centrality",
    "bfs",
    "clustering_coefficient",
    "coloring",
    "connected_components",
    "diameter",
    "grid",
    "jaccard",
    "k_core",
    "kronecker",
    "label_propagation",
    "load",
    "maximal_matching",
    "minimum_spanning_forest",
    "mis",
    "pagerank",
    "personalized_pagerank",
    "random_local",
    "random_walks",
    "rmat",
    "save",
    "sssp",
    "strongly_connected_components",
    "triangle_count",
    "uniform",
    "verify_betweenness",
    "verify_bfs",
    "verify_components",
    "verify_pagerank",
    "verify_sssp",
    "verify_triangles",
    "watts_strogatz",
]

#: those that take a policy
ALGORITHMS = (
    all_pairs, betweenness_centrality, bfs, clustering_coefficient, coloring, connected_components, diameter,
    grid, jaccard, k_core, kronecker, label_propagation, load, maximal_matching, minimum_spanning_forest, mis,
    pagerank, personalized_pagerank, random_local, random_walks, rmat, sssp, strongly_connected_components,
    triangle_count, uniform, watts_strogatz
)  # fmt: skip
for _algorithm in ALGORITHMS:
    policy_first(_algorithm, "graph.")


def __dir__() -> list[str]:
    return [*__all__]
