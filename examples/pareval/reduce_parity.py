"""Exclusive or of all elements."""

import portapar as pp


def reduce_parity(policy, x):
    """Whether an odd number of the booleans in x are true."""
    return pp.reduce(policy, x, op=pp.bit_xor, init=False)
