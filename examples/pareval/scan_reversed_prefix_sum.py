"""Prefix sums of the reversed sequence."""

import portapar as pp


def scan_reversed_prefix_sum(policy, x, out):
    """Write the prefix sums of x read backwards (int32) to `out`; returns it."""
    return pp.inclusive_scan(policy, x[::-1], out=out)
