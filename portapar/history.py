"""What calls took, kept for later processes: by algorithm, kernels, kinds and size of the arguments, and executors.

A process writes what it measured when it ends, beside what others have written by then; the oldest entries go.
"""

from __future__ import annotations

import atexit
import functools
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from portapar import cache, config, forks, rates

_MOST = 4096  #: entries

_loaded: list[dict[str, Any]] = []
_noted: dict[str, tuple[float, Sequence[float]]] = cache.Bounded(_MOST)  #: by this process
_lock = forks.lock()
os.register_at_fork(after_in_child=_noted.clear)


@dataclass(frozen=True, slots=True)
class Kept:
    """Seconds of a call, and the shares that the executors had."""

    seconds: float
    shares: tuple[float, ...]


def name(algorithm: str, kernels: Sequence[Any], kinds: Sequence[Any]) -> str:
    """A kind of call, in words that hold in other processes too."""
    functions = [getattr(kernel, "py_func", kernel) for kernel in kernels]
    told = [_code(getattr(x, "__code__", None)) or getattr(x, "__name__", type(x).__name__) for x in functions]
    return config.digest(repr((algorithm, told, list(map(str, kinds)))).encode(), 12).hex()


def of(entry: str) -> Kept | None:
    """What earlier processes measured, if any did."""
    found = _entries().get(entry)
    try:
        seconds, *shares = map(float, found or ())
    except (TypeError, ValueError, OverflowError):
        return None
    right = 0 < seconds < math.inf and all(0 <= x <= 1 for x in shares) and abs(sum(shares) - 1) < 1e-6
    return Kept(seconds, tuple(shares)) if right else None


def note(entry: str, seconds: float, shares: Sequence[float]) -> None:
    """Keep what a call takes."""
    if not _noted:
        atexit.unregister(_write)
        atexit.register(_write)
    _noted[entry] = seconds, shares


def _entries() -> dict[str, Any]:
    if not _loaded:
        with _lock:
            if not _loaded:
                told = "what earlier processes measured is not used: {1}. It is written anew in {0}"
                _loaded.append(cache.load_json(_file(), _object, told) or {})
    return _loaded[0]


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _write() -> None:
    """Add what this process knows to what is there, if the folder still is."""
    place = cache.folder()
    if place is None or not place.is_dir():
        return
    with cache.alone(_file()):
        found = cache.load_json(_file(), _object, None) or {}
        for entry, (seconds, shares) in list(_noted.items()):
            found.pop(entry, None)  # the newest are last
            found[entry] = [float(f"{seconds:.4g}"), *shares]
        cache.store(_file(), json.dumps(dict(list(found.items())[-_MOST:])).encode())


@functools.lru_cache(maxsize=1024)
def _code(code: CodeType | None) -> str:
    """What a function's code is, without its places in memory."""
    if code is None:
        return ""
    constants = [_code(x) if isinstance(x, CodeType) else repr(x) for x in code.co_consts]
    return repr((code.co_code.hex(), constants, code.co_names))


def _file() -> str:
    return f"history-{rates.digest()}"
