"""The rank of each element."""

import portapar as pp


def place(rank, order, ranks):
    """The element that comes at this rank."""
    ranks[order[rank]] = rank


def sort_ranks(policy, x, ranks):
    """Write how many elements of x (float32) come before each when sorted to `ranks` (int64); returns it."""
    pp.for_each(policy, len(x), place, pp.argsort(policy, x), ranks)
    return ranks
