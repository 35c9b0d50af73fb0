"""The k-th smallest element."""

import portapar as pp


def sort_kth_smallest(policy, x, k):
    """The k-th smallest of the elements of x (int32), k from 1."""
    return pp.kth_smallest(policy, x, k - 1)
