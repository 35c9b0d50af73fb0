"""Constants of the kernel forms that every backend shares: they decide the bits of a reduction."""

from __future__ import annotations

TILE = 4096
LANES = 32
BLOCK = 512  #: elements of a tile that a binary tree over neighbours works on at a time: they stay in the first cache
