"""The rows of an array that an iteration reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from portapar.kernel.front.access import NEVER, Access


@dataclass(slots=True)
class Reach:
    """Which rows of an array iteration i uses.

    Attributes
    ----------
    read : bool
    low, high : int
        It reads rows ``i + low`` to ``i + high``, and no others, if it is not `far`.
    far : bool
        It may read any row.
    wraps : int
        So many rows at the end may be read by indices below 0.
    written : bool
        By plain stores.
    lands : bool
        These write row i and no other.
    atomics : frozenset of str
        The atomic operations on it.
    strays : bool
        They may be on other rows than row i.
    claims : bool
        The kernel uses what one of them returns.
    measured : bool
        It reads how many rows there are.
    pushed : frozenset of str
        What `pp.push` does with it: it puts "items" there, or counts them, "tail".
    updated : int
        As in `Access`.
    """

    read: bool = False
    low: int = 0
    high: int = 0
    far: bool = False
    wraps: int = 0
    written: bool = False
    lands: bool = True
    atomics: frozenset[str] = frozenset()
    strays: bool = False
    claims: bool = False
    measured: bool = False
    pushed: frozenset[str] = frozenset()
    updated: int = NEVER

    def add(self, other: Reach) -> None:
        """Take in what another kernel function does with it."""
        if other.read and not other.far:
            self.reads(other.low, other.high, other.wraps)
        self.read |= other.read
        self.far |= other.far
        self.written |= other.written
        self.lands &= other.lands
        self.atomics |= other.atomics
        self.strays |= other.strays
        self.claims |= other.claims
        self.measured |= other.measured
        self.pushed |= other.pushed
        self.updated = min(self.updated, other.updated)

    @property
    def own(self) -> bool:
        """Whether what it reads is row i, and no other."""
        return not self.far and self.low == self.high == 0

    def on(self, dtype: np.dtype, ndim: int) -> Reach:
        """The same for an array of this kind: only now it is known which of its parts are arrays or records."""
        if self.updated == NEVER or not Access(updated=self.updated).on(dtype, ndim).writes:
            return self
        return replace(self, written=True, lands=self.lands and self.own and self.updated >= 2)

    def reads(self, low: int, high: int, wraps: int) -> None:
        """It reads these rows."""
        self.low, self.high = (min(self.low, low), max(self.high, high)) if self.read else (low, high)
        self.read, self.wraps = True, max(self.wraps, wraps)
