"""The first even number."""

import portapar as pp


def search_first_even(policy, x):
    """The index of the first even number in x (int32), len(x) if there is none."""
    return pp.find_if(policy, x, lambda v: v % 2 == 0)
