"""Number of ones in an adjacency matrix."""

import portapar as pp


def graph_count_edges(policy, a):
    """How many edges a dense graph has: the ones in its adjacency matrix (int32, n×n)."""
    return pp.transform_reduce(policy, a, transform=lambda edge: edge == 1, init=0)
