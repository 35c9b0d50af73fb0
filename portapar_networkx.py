"""What networkx asks about its backend ``portapar`` when it is imported: nothing of portapar is imported for it."""

from __future__ import annotations

from typing import Any

FUNCTIONS = """
    adamic_adar_index all_pairs_dijkstra_path_length all_pairs_shortest_path_length ancestors average_clustering
    average_neighbor_degree average_shortest_path_length betweenness_centrality bfs_edges bfs_layers
    bfs_predecessors bfs_successors center closeness_centrality clustering connected_components core_number
    degree_centrality descendants descendants_at_distance diameter eccentricity eigenvector_centrality
    floyd_warshall_numpy global_efficiency greedy_color harmonic_centrality has_path in_degree_centrality
    is_bipartite is_connected is_directed_acyclic_graph is_forest is_strongly_connected is_tree is_weakly_connected
    isolates jaccard_coefficient katz_centrality minimum_spanning_edges node_connected_component
    number_connected_components number_of_isolates number_strongly_connected_components
    number_weakly_connected_components out_degree_centrality overall_reciprocity pagerank periphery
    preferential_attachment radius reciprocity resource_allocation_index single_source_dijkstra_path_length
    single_source_shortest_path_length single_target_shortest_path_length strongly_connected_components transitivity
    triangles weakly_connected_components wiener_index
""".split()


def info() -> dict[str, Any]:
    """What `networkx.utils.backends` wants to know."""
    return {
        "backend_name": "portapar",
        "project": "portapar",
        "package": "portapar",
        "short_summary": "Graph algorithms as native code on all threads.",
        "functions": {name: {} for name in FUNCTIONS},
    }
