"""max(0, x)."""

import portapar as pp


def transform_relu(policy, x, out):
    """Write max(0, x) to `out`, for doubles; returns it."""
    return pp.transform(policy, x, out=out, op=lambda v: max(0.0, v))
