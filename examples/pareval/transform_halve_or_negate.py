"""Even numbers halved, odd ones negated."""

import numpy as np

import portapar as pp


def transform_halve_or_negate(policy, x, out):
    """Write x/2 for even x and -x for odd x to `out`, for int32; returns it."""
    return pp.transform(policy, x, out=out, op=lambda v: np.int32(v // 2 if v % 2 == 0 else -v))
