"""Histogram of the pixels of a picture."""

import numpy as np

import portapar as pp


def histogram_pixels(policy, x):
    """How many pixels of x (uint8) have each of the values 0 to 255, as uint64."""
    return pp.bincount(policy, x, minlength=256).astype(np.uint64)
