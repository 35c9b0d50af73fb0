"""Mean of all elements."""

import portapar as pp


def reduce_mean(policy, x):
    """The mean of a vector of doubles, which must not be empty."""
    return pp.reduce(policy, x) / len(x)
