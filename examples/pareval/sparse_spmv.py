"""y = αAx + βy, A in coordinate form."""

import numpy as np

import portapar as pp


def sparse_spmv(policy, row, column, value, x, y, alpha, beta):
    """Replace y by αAx + βy; entries of A at the same place add up. Returns y."""
    terms = pp.lazy.transform(value, column, lambda v, j: v * x[np.uint32(j)])
    product = pp.bincount(policy, row, weights=terms, minlength=len(y))
    return pp.transform(policy, product, y, alpha, beta, out=y, op=lambda p, old, a, b: a * p + b * old)
