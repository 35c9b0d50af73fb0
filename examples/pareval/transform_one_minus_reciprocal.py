"""1 - 1/x."""

import portapar as pp


def transform_one_minus_reciprocal(policy, x, out):
    """Write 1 - 1/x to `out`, for doubles; returns it."""
    return pp.transform(policy, x, out=out, op=lambda v: 1.0 - 1.0 / v)
