"""``portapar tune``: measures the numbers of `portapar.tuning` on this machine, in some seconds."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

import numpy as np

import portapar as pp
from portapar import config, topology, tuning
from portapar.algorithms import radix

_NEVER = float("inf")
_ARRAYS = {"stream": 2, "stream_alone": 1}


def tune() -> Iterator[tuple[str, float]]:
    """Measure everything, and keep it; yields the name and the number of each as soon as it is known."""
    for name, measure in _measures():
        found = measure()
        tuning.keep({name: found})
        yield name, found


def _measures() -> Iterator[tuple[str, Callable[[], float]]]:
    threads = config.default_threads()
    if threads > 1:
        yield "fork_join", _fork_join
        yield "wake", _wake
        yield "sort", lambda: radix.measured("sort", lambda x, out: pp.sort(pp.par.on(pp.threads()), x, out=out))
    yield "sort_alone", lambda: radix.measured("sort_alone", lambda x, out: pp.sort(pp.unseq, x, out=out))
    for name in _ARRAYS:
        yield name, functools.partial(_stream, name)


def _best(times: int, run: Callable[[], object], pause: float = 0.0) -> float:
    """The least seconds of several runs, each after a pause."""
    best = _NEVER
    for _ in range(times):
        time.sleep(pause)
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    return best


def _plans() -> tuple[Callable[[], object], Callable[[], object]]:
    """A small call on one thread, and on all, awake or not."""
    x = np.zeros(1 << 12)
    with tuning.trying(fork_join=_NEVER):
        alone = pp.plan(pp.fill, pp.par.on(pp.threads()), x, 1.0)
    with tuning.trying(fork_join=-1.0, wake=-1.0):
        together = pp.plan(pp.fill, pp.par.on(pp.threads()), x, 1.0)
    alone.run(), together.run()
    return alone.run, together.run


def _fork_join() -> float:
    alone, together = _plans()
    return max(1e-7, _best(2000, together) - _best(2000, alone))


def _wake() -> float:
    """Seconds until all threads have done something, after a pause in which they went to sleep."""
    alone, together = _plans()
    return max(1e-6, _best(20, together, 0.02) - _best(20, alone, 0.02))


def _stream(name: str) -> float:
    """From where on it is faster to write past the caches."""
    arrays = _ARRAYS[name]
    how = pp.par.on(pp.threads())
    cache = topology.caches().get("L3", 32 << 20)
    most = min(8 * cache, 512 << 20, topology.machine()["memory"] // 16)
    x, y = (pp.threads().empty(most // 8 // arrays, np.float64) for _ in range(2))
    x.fill(1.0)

    def make(size: int) -> Callable[[], object]:
        n = size // 8 // arrays
        if arrays == 1:
            return pp.plan(pp.fill, how, y[:n], 1.0).run
        return pp.plan(pp.transform, how, x[:n], out=y[:n], op=_same).run

    return tuning.crossover(name, cache // 4, most, make)


def _same(v: float) -> float:
    return v
