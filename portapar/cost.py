"""Seconds for a piece of work: the numbers that plans are made from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from portapar import tuning
from portapar.kernel.program import Program, may_be_slow
from portapar.rates import Rates, moved
from portapar.work import Work

BANDWIDTH = 2e10  #: bytes per second that one CPU thread moves, out of cache
STEP = 1e-9  #: seconds for one iteration at the least
SLOW = 2e-8  #: seconds for one iteration at the least where it may be slow: all that is known


def serial_seconds(program: Program, count: int) -> float:
    """An estimate for `count` iterations on one CPU thread, from the bytes that each touches."""
    touched = sum(spec.dtype.itemsize for spec in program.specs if spec.is_array)
    return count * max(SLOW if may_be_slow(program.text) else STEP, touched / BANDWIDTH)


def seconds(work: Work, rates: Rates, into: Sequence[float] = (), out: Sequence[float] = ()) -> float:
    """A prediction for work on an executor that has these rates, and moves arrays of such sizes to its memory and back.

    Traffic, arithmetic and scattered accesses overlap, so the slowest counts most (a roofline with a round corner, for
    those that take as long do not overlap in full); atomic operations do not. On several CPU threads it takes the time
    to start and to collect them, or one does it, whatever is less.
    """
    busy = _busy(work, rates)
    if rates.threads > 1:
        busy = min(busy * rates.threads, busy + rates.fork)
    if work.alone is not None:
        busy += _busy(work.alone, rates) * max(1, rates.threads)
    busy += work.sorted / rates.sorting(work.sorted) if work.sorted else 0.0
    begins = work.captures * rates.capture
    begins += work.launches * rates.launch + work.steps * rates.step + work.few * rates.few
    return (begins or rates.launch) + busy + moving(rates, into, out)


def _busy(work: Work, rates: Rates) -> float:
    """Seconds of what is done when everything has started."""
    flow = work.traffic / rates.bandwidth(work.traffic)
    if work.touched > work.traffic:  # from the first cache, where what is read again is
        flow = max(flow, work.touched / max(speed for _, speed in rates.streams))
    reads = work.close / rates.close
    if work.scattered:
        reads += work.scattered / rates.scattered(work.spread)
    return math.hypot(flow, _sums(work, rates), reads) + work.atomics / rates.atomics


def _sums(work: Work, rates: Rates) -> float:
    """Seconds of arithmetic."""
    sums = work.doubles / rates.doubles + work.singles / rates.singles + work.special / rates.special
    return sums + work.chained / rates.chained + work.looped / rates.looped


def moving(rates: Rates, into: Sequence[float], out: Sequence[float]) -> float:
    """Seconds for arrays of so many bytes to an executor's memory, and back."""
    ways = (into, rates.into), (out, rates.out)
    return sum(moved(way, size) for sizes, way in ways if way is not None for size in sizes if size)


def bound_by_memory(work: Work, rates: Rates) -> bool:
    """Whether traffic takes longer than arithmetic."""
    moved = work.traffic / rates.bandwidth(work.traffic)
    if work.scattered:
        moved += work.scattered / rates.scattered(work.spread)
    return moved > _sums(work, rates) - work.chained / rates.chained


def fork_join() -> float:
    """Seconds to give work to the threads of a pool and to collect it."""
    return tuning.value("fork_join")


def wake() -> float:
    """Seconds until a sleeping thread is awake."""
    return tuning.value("wake")
