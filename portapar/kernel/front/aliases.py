"""Sets of the parts of arrays that a value may be, as whole numbers.

A *part* has a root, which is a parameter or the call that makes a private array, and a depth: 2 for every index that
was taken, 1 if a field or a view was, and 2 less for every tuple that it was put into. A set has a lane of bits for
each root, and in it a bit for each depth. So sets are joined by ``|``, and what is taken of all their parts at once is
a shift; a long kernel's names may be a hundred parts each.

Depths have ends. What lies deeper than `DEEPEST` is as deep as that. What is in more tuples than `HIGHEST` says may be
in any number of them: it stays there when an element is taken, and comes out too.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

HIGHEST, DEEPEST = -16, 17
_WIDTH = DEEPEST - HIGHEST + 1


class Aliases:
    """Sets of parts of these roots.

    Attributes
    ----------
    whole : dict
        The set of a root itself.
    wholes, arrays, tuples : int
        All parts of depth 0; of one below 2, which may be arrays or rows; of one below 0.
    """

    def __init__(self, roots: Sequence[Hashable]) -> None:
        self._roots = roots
        lanes = ((1 << len(roots) * _WIDTH) - 1) // ((1 << _WIDTH) - 1)  # the lowest bit of each
        highest, deepest = lanes * 3, lanes * 3 << _WIDTH - 2
        all_parts = lanes * ((1 << _WIDTH) - 1)
        self.whole = {root: 1 << k * _WIDTH - HIGHEST for k, root in enumerate(roots)}
        self.wholes = lanes << -HIGHEST
        self.tuples = self.wholes - lanes
        self.arrays = self.tuples | self.wholes * 3
        self._even = lanes * sum(1 << k for k in range(0, _WIDTH, 2))
        self._odd = self._even << 1
        self._highest, self._ends = highest, highest | deepest
        self._lower, self._upper = all_parts & ~highest, all_parts & ~deepest

    def below(self, parts: int, more: int) -> int:
        """Parts of these parts, deeper by `more`; in tuples if that is less than 0."""
        for _ in range(more >> 1):
            parts = (parts & self._upper) << 2 | parts & self._ends
        for _ in range(-(more >> 1)):
            parts = (parts & self._lower) >> 2 | parts & self._highest
        return self.fields(parts) if more & 1 else parts

    def from_depth(self, root: Hashable, depth: int) -> int:
        """All parts of a root that are as deep as that, or deeper."""
        return self.whole[root] * ((1 << DEEPEST + 1) - (1 << depth))

    def fields(self, parts: int) -> int:
        """Fields or views of them."""
        return parts & self._odd | (parts & self._even) << 1

    def lanes(self, parts: int) -> Iterator[tuple[Hashable, int]]:
        """The roots that are there, in order, and of each its bits: bit 0 is `HIGHEST`."""
        while parts:
            k = ((parts & -parts).bit_length() - 1) // _WIDTH
            bits = parts >> k * _WIDTH & (1 << _WIDTH) - 1
            parts ^= bits << k * _WIDTH
            yield self._roots[k], bits

    def pairs(self, parts: int) -> Iterator[tuple[Hashable, int]]:
        """The roots and depths of parts."""
        for root, bits in self.lanes(parts):
            for k in range(bits.bit_length()):
                if bits >> k & 1:
                    yield root, k + HIGHEST
