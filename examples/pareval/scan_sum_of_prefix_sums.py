"""Sum of all prefix sums."""

import numpy as np

import portapar as pp


def scan_sum_of_prefix_sums(policy, x):
    """The sum of all n prefix sums of a vector of doubles: x[i] is in n - i of them."""
    n = len(x)
    return pp.transform_reduce(policy, x, pp.range(n, 0, -1), transform=lambda v, times: v * np.int32(times), init=0.0)
