"""Constants of the kernel forms that every backend shares: they decide the bits of a reduction."""

TILE = 4096
LANES = 32
