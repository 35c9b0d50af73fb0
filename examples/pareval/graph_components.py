"""Number of connected components of a dense graph: union-find by compare-and-swap.

S. V. Jayanti, R. E. Tarjan, "Concurrent disjoint set union", 2021.
"""

import numpy as np

import portapar as pp


def join_row(i, a, parent):
    """Join vertex i with its neighbours j > i; blocks of a row without any are passed over."""
    n = a.shape[1]
    for first in range(i + 1, n, 64):
        last = min(first + 64, n)
        neighbours = 0
        for j in range(first, last):
            neighbours |= a[np.uint64(i), np.uint64(j)]
        if neighbours != 0:
            for j in range(first, last):
                if a[i, j] != 0:
                    join(i, j, parent)


def join(u, v, parent):
    """Join the sets of two vertices; a root is always the smallest vertex that is known of its set."""
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
