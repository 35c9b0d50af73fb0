"""x²."""

import portapar as pp


def transform_square(policy, x, out):
    """Write x² to `out`, for int32; returns it."""
    return pp.transform(policy, x, out=out, op=lambda v: v * v)
