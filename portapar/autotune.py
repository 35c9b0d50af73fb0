"""Searching the few numbers that decide how a kernel's iterations are dealt out: `policy.with_(tune=True)`.

No call is made twice: each of the first calls tries another way, in turns, so that all have the same neighbours, until
each was measured a few times or the seconds are spent. Then the fastest is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from portapar.devices import DeviceExecutor
from portapar.policy import Policy

_LEAST, _MOST = 4, 33  #: calls of each way; the first one prepares it, and is not counted
_ENOUGH = 0.01  #: seconds in calls of a way, after which the fewest will do
_SURE = 0.9  #: of the time without tuning, what another way must take at most


class Way(Protocol):
    """One way to run a call: how often it was tried, and its least time, NaN if none was measured."""

    calls: int
    seen: float


W = TypeVar("W", bound=Way)


def variants(how: Policy, count: int) -> list[Policy]:
    """The ways to deal out so many iterations on a policy's executor, the one without tuning first."""
    where, plain = how.executor, how._but(tune=0.0)
    assert isinstance(where, DeviceExecutor)
    if how.schedule != "static" or how.chunk_size is not None or not how.threads:  # the user has said it
        return [plain]
    return [plain, *(plain._dealt(chunk) for chunk in where.device.chunks(count))]


class Search:
    """What is left of a search that may take so many seconds of calls."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.over = False

    def after(self, ways: Sequence[W], one: W, taken: float, warm: bool) -> W:
        """The way of the next call, after `one` took so long; `warm` if nothing was compiled. The first is plain."""
        one.calls += 1
        if warm:
            self.left -= taken
            if one.calls > 1:
                one.seen = taken if math.isnan(one.seen) else min(taken, one.seen)
        wanted = [way for way in ways if _is_wanted(way)]
        if self.left > 0 and wanted:
            return min(wanted, key=lambda way: way.calls)
        self.over = True
        return best(ways)


def _is_wanted(way: Way) -> bool:
    """Whether it is to be tried again: short calls vary most, and are tried most."""
    return way.calls < _LEAST or (way.calls < _MOST and not way.calls * way.seen > _ENOUGH)


def best(ways: Sequence[W]) -> W:
    """The fastest, if it is faster than the first one by more than chance."""
    plain, least = ways[0], min((way for way in ways if way.seen == way.seen), key=lambda way: way.seen, default=None)
    if least is None or not least.seen < _SURE * plain.seen:
        return plain
    return least
