"""Seconds of algorithms from small to large sizes: where the next size costs an element much more is a cliff."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import portapar as pp
from portapar.algorithms.stream import default_size

from . import EXECUTORS, QUICK, Measured, executor


def _sizes(end: int) -> list[str]:
    found, n = [], 10.0
    while n <= end:
        found.append(str(round(n)))
        n *= 2.5 if QUICK else 1.5
    return found


def _triad(b: float, c: float) -> float:
    return b + 3.0 * c


def _calls(policy: Any, x: Any, y: Any, out: Any) -> dict[str, Callable[[], Any]]:
    return {
        "copy": lambda: pp.copy(policy, x, out=out),
        "triad": lambda: pp.transform(policy, x, y, out=out, op=_triad),
        "reduce": lambda: pp.reduce(policy, x),
        "inclusive_scan": lambda: pp.inclusive_scan(policy, x, out=out),
        "sort": lambda: pp.sort(policy, x, out=out),
    }


class Sizes(Measured):
    """Least seconds of a call."""

    params = [EXECUTORS, list(_calls(None, None, None, None)), _sizes(100_000 if QUICK else 3 * default_size())]
    param_names = ["executor", "algorithm", "elements"]
    seconds = 0.002 if QUICK else 0.05

    def setup_cache(self) -> dict[Any, Any]:
        """Seconds for every executor, algorithm and size."""
        found: dict[Any, Any] = {}
        for name in EXECUTORS:
            where = executor(name)
            for n in self.params[2] if where is not None else ():
                x, y = (where.asarray(np.random.default_rng(k).random(int(n))) for k in (1, 2))
                for algorithm, call in _calls(pp.par_unseq.on(where), x, y, where.empty(int(n))).items():
                    if algorithm == "sort" and int(n) > 20_000_000:
                        continue  # seconds a call, and no longer in any cache
                    found[name, algorithm, n] = _least(call, self.seconds)
        return found

    def track_seconds(self, found: dict[Any, Any], executor: str, algorithm: str, elements: str) -> float:
        return self.of(found, executor, algorithm, elements)


def _least(call: Callable[[], Any], seconds: float) -> float:
    call()
    least, turns, end = float("inf"), 0, time.perf_counter() + seconds
    while turns < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - begin)
        turns += 1
    return least
