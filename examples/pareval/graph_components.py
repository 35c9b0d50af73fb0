"""Number of connected components of a dense graph: union-find by compare-and-swap.

S. V. Jayanti, R. E. Tarjan, "Concurrent disjoint set union", 2021.
"""

import portapar as pp


def join_row(i, a, parent):
    """Join vertex i with its neighbours j > i; a root is always the smallest vertex that is known of its set."""
    for j in range(i + 1, a.shape[0]):
        if a[i, j] != 0:
            u, v = i, j
            while u != v:
                while parent[u] != u:
                    u = parent[u]
                while parent[v] != v:
                    parent[v] = parent[parent[v]]
                    v = parent[v]
                if u != v:
                    low, high = min(u, v), max(u, v)
                    if pp.atomic.cas(parent, high, high, low) == high:
                        u = v


def graph_components(policy, a):
    """How many connected components an undirected dense graph has (adjacency matrix, int32, n×n)."""
    n = a.shape[0]
    parent = pp.iota(policy, pp.empty_like(policy, a, n))
    pp.for_each(policy.with_(schedule="dynamic", chunk_size=64), n, join_row, a, parent)
    return pp.transform_reduce(policy, parent, pp.range(n), transform=lambda p, v: p == v, init=0)
