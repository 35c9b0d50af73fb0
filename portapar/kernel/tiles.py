"""Constants of the kernel forms that every backend shares: they decide the bits of a reduction."""

from __future__ import annotations

TILE = 4096
LANES = 32
RUN = TILE // LANES  #: elements of a lane


def strides(ordered: bool) -> tuple[int, int]:
    """How far apart in a tile two neighbouring lanes are, and two neighbouring elements of a lane.

    Lanes side by side are read at full speed, but take the elements out of order; lanes that are runs of
    elements keep the order, which an operator that does not commute needs.
    """
    return (RUN, 1) if ordered else (1, LANES)
