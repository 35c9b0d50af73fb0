"""Histogram of numbers from 0 to 100 in bins of ten."""

import portapar as pp


def histogram_tens(policy, x):
    """How many of the doubles in x, all in [0, 100), are in [0, 10), [10, 20), …; others are an error."""
    counts = pp.asnumpy(pp.histogram(policy, x, bins=11, range=(0.0, 110.0))[0])
    if counts[:10].sum() < len(x):
        first = pp.find_if(policy, x, lambda v: not 0.0 <= v < 100.0)
        raise ValueError(f"x[{first}] is {float(pp.asnumpy(x)[first])!r}: must be in [0, 100)")
    return counts[:10]
