"""Is a value among the elements?"""

import portapar as pp


def search_contains(policy, x, v):
    """Whether x contains v, for int32; it stops soon after it was found."""
    return pp.any_of(policy, x, lambda element: element == v)
