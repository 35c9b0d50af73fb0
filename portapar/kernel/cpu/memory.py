"""Large blocks of memory that were given back, kept for the next array that is about as large."""

from __future__ import annotations

import mmap
import os

HUGE = 2 << 20
LINE = 64


class Kept:
    """Large blocks of memory that were given back, for the next array that is about as large.

    Pages that a process touches for the first time are slow, most of all on virtual machines, which give free ones
    back to their host: sorting would spend more time on its scratch space than on sorting. Where memory gets short
    the system takes pages from here (MADV_FREE).
    """

    def __init__(self, most: int) -> None:
        self.most = most  #: bytes
        self._blocks: list[mmap.mmap] = []  # the longest unused first; changed by atomic steps only

    def take(self, size: int) -> mmap.mmap | None:
        """A block of at least `size` bytes, and less than twice as many."""
        fit = [block for block in tuple(self._blocks) if size <= len(block) < 2 * size]
        for block in sorted(fit, key=len):
            try:
                self._blocks.remove(block)
            except ValueError:  # another thread was faster
                continue
            return block
        return None

    def give(self, block: mmap.mmap) -> None:
        if hasattr(mmap, "MADV_FREE"):
            block.madvise(mmap.MADV_FREE)
        self._blocks.append(block)
        while sum(map(len, tuple(self._blocks))) > self.most:
            try:
                self._blocks.pop(0)
            except IndexError:
                break


kept = Kept(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8 if hasattr(os, "sysconf") else 0)
