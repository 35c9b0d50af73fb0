"""How many fractional parts are in each quarter."""

import numpy as np

import portapar as pp


def histogram_quartiles(policy, x):
    """How many of the doubles in x have a fractional part in [0, ¼), [¼, ½), [½, ¾), [¾, 1)."""
    counts, _ = pp.histogram(policy, x, bins=4, range=(0.0, 1.0), key=lambda v: v - np.floor(v))
    return counts
