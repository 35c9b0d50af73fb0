"""The element closest to π."""

import math

import portapar as pp


def search_closest_to_pi(policy, x):
    """The index of the double in x that is closest to π; the lowest one if several are."""
    return pp.min_element(policy, x, key=lambda v: abs(v - math.pi))
