"""Seconds for a piece of work: the numbers that plans are made from."""

from __future__ import annotations

from portapar import tuning
from portapar.kernel.program import Program, has_loop

BANDWIDTH = 2e10  #: bytes per second that one CPU thread moves, out of cache
STEP = 1e-9  #: seconds for one iteration at the least
LOOP = 2e-7  #: seconds for one iteration at the least where the kernel has a loop of its own


def serial_seconds(program: Program, count: int) -> float:
    """An estimate for `count` iterations on one CPU thread, from the bytes that each touches."""
    touched = sum(spec.dtype.itemsize for spec in program.specs if spec.is_array)
    return count * max(LOOP if has_loop(program.text) else STEP, touched / BANDWIDTH)


def fork_join() -> float:
    """Seconds to give work to the threads of a pool and to collect it."""
    return tuning.value("fork_join")


def wake() -> float:
    """Seconds until a sleeping thread is awake."""
    return tuning.value("wake")
