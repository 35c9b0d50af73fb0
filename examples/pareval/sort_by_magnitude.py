"""Complex numbers in the order of their magnitude."""

import portapar as pp


def sort_by_magnitude(policy, x):
    """Sort x (complex128) by magnitude, in place; returns it."""
    return pp.sort(policy, x, key=lambda v: abs(v), out=x)
