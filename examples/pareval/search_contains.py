"""Is a value among the elements?"""

import portapar as pp


def search_contains(policy, x, v):
    """Whether x contains v; it stops soon after it was found."""
    return pp.find(policy, x, v) < len(x)
