"""Is a value among the elements?"""

import numpy as np

import portapar as pp


def search_contains(policy, x, v):
    """Whether x contains v, for int32; it stops soon after it was found."""
    value = np.int32(v)
    return pp.any_of(policy, x, lambda element: element == value)
