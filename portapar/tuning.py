"""Numbers that are this machine's: from which size on one way is faster than another.

Each begins with a value that was right somewhere. `portapar tune` measures all of them, in some seconds; those that
take milliseconds are measured when they are first needed. They are kept in the cache folder, for this CPU and as many
threads, and change no result.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from portapar import cache, config, forks, topology


@dataclass(frozen=True)
class Number:
    """What it means, in which unit, and what holds until it is measured."""

    meaning: str
    unit: str
    start: Callable[[], float]


def _caches(count: float) -> Callable[[], float]:
    return lambda: count * topology.caches().get("L3", 32 << 20)


NUMBERS = {
    "sort": Number("bytes from which all threads sort, rather than NumPy's sort on one", "bytes", lambda: 1 << 22),
    "sort_alone": Number("the same where one thread is allowed", "bytes", lambda: 1 << 22),
    "stream": Number("bytes, of all arrays, from which results are written past the caches", "bytes", _caches(1.25)),
    "stream_alone": Number("the same where nothing is read", "bytes", _caches(6)),
    "fork_join": Number("seconds to give work to awake threads and to collect it", "seconds", lambda: 2e-6),
    "wake": Number("seconds until sleeping threads work", "seconds", lambda: 5e-5),
}

_known: dict[str, float] = {}
_loaded: list[bool] = []
_lock = forks.lock()


def value(name: str, measure: Callable[[], float] | None = None) -> float:
    """A number; if nobody has measured it yet, `measure` does now, if it is given."""
    if not _loaded:
        _load()
    found = _known.get(name)
    if found is None:
        if measure is None:
            return NUMBERS[name].start()
        with _lock:
            if name not in _known:
                with trying(**{name: NUMBERS[name].start()}):
                    found = measure()
                keep({name: found})
            found = _known[name]
    return found


def measured() -> dict[str, float]:
    """Those that were measured on this machine."""
    if not _loaded:
        _load()
    return dict(_known)


def keep(found: dict[str, float]) -> None:
    """Use these from now on, in later processes too."""
    with _lock:
        _known.update(found)
        cache.store(_file(), json.dumps(_known).encode())


@contextlib.contextmanager
def trying(**numbers: float) -> Iterator[None]:
    """Use these numbers inside of the block, in this process."""
    before = {name: _known.get(name) for name in numbers}
    _known.update(numbers)
    try:
        yield
    finally:
        for name, number in before.items():
            if number is None:
                _known.pop(name, None)
            else:
                _known[name] = number


def crossover(name: str, least: int, most: int, make: Callable[[int], Callable[[], object]]) -> float:
    """From where on the way that the number `name` decides upon is faster, and is so for all that is larger.

    ``make(size)`` gives what does it for that many bytes. Both ways are measured in turns, so that they have the same
    neighbours, from `most` bytes downwards, until the other way is faster twice in a row: once may be chance.
    """
    size, lost = most, 0
    while size >= least:
        runs: dict[float, Callable[[], object]] = {}
        seconds = dict.fromkeys((0.0, math.inf), math.inf)  # always that way, and never
        for first in seconds:
            with trying(**{name: first}):
                runs[first] = make(size)
        for _ in range(9):
            for first, run in runs.items():
                with trying(**{name: first}):
                    begun = time.perf_counter()
                    run()
                    seconds[first] = min(seconds[first], time.perf_counter() - begun)
        lost = lost + 1 if seconds[math.inf] < seconds[0.0] else 0
        if lost == 2:
            break
        size //= 2
    return 4.0 * size if lost else 2.0 * size  # the last that was won


def _load() -> None:
    with _lock:
        if _loaded:
            return
        told = "the numbers of this machine in {} are not used: {}. `portapar tune` measures them anew"
        _known.update(cache.load_json(_file(), _numbers, told) or {})
        _loaded.append(True)


def _numbers(found: Any) -> dict[str, float]:
    known = {name: float(number) for name, number in found.items() if name in NUMBERS}
    for name, number in known.items():
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} is {number!r}: must be a number from 0")
    return known


def _file() -> str:
    about = f"{topology.cpu_description()} {config.default_threads()} {sorted(NUMBERS)}"
    return f"tuning-{config.digest(about.encode(), 8).hex()}"
