"""Largest out-degree of a dense graph."""

import numpy as np

import portapar as pp


def degree(i, a, degrees):
    """The ones in row i."""
    count = np.int32(0)
    for j in range(a.shape[1]):
        count += np.int32(a[i, j] == 1)
    degrees[i] = count


def graph_largest_degree(policy, a):
    """The largest number of edges that leave a vertex, from the adjacency matrix (int32, n×n)."""
    degrees = pp.empty_like(policy, a, a.shape[0])
    pp.for_each(policy, a.shape[0], degree, a, degrees)
    return pp.reduce(policy, degrees, op=pp.maximum, init=0)
