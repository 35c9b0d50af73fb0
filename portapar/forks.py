"""What a forked process needs: locks that are free, state that no thread was about to change, and threads anew.

A child has of all threads only the one that forked. A lock that another one held would be held for ever, and what it
was changing stay half changed, in LLVM and Numba too. So a fork waits until it has all locks that guard such state,
which are held for as long as a compilation takes, and gives them back on both sides. Objects with threads start anew.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

_PATIENCE = 30.0  #: seconds that a fork waits for locks; then it goes on, and the child makes them anew

_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_busy: weakref.WeakSet[Any] = weakref.WeakSet()
_owners: weakref.WeakKeyDictionary[Any, list[Callable[[Any], None]]] = weakref.WeakKeyDictionary()
_held: list[Any] = []


def lock() -> Any:
    """A lock, which its holder may take again, of state that forked processes share: a fork waits until it is free."""
    made = threading.RLock()
    _locks.add(made)
    return made


def shared(attribute: Any) -> None:
    """The same for the lock of a `functools.cached_property`, which has one before Python 3.12."""
    if hasattr(attribute, "lock"):
        _locks.add(attribute.lock)


def lock_of_runs() -> Any:
    """A lock that is held while something runs, perhaps for hours: no fork waits for it; in the child it is free."""
    made = threading.Lock()
    _busy.add(made)
    return made


def renewed(owner: Any, start: Callable[[Any], None]) -> None:
    """Call ``start(owner)`` in every forked child, as long as the owner lives; besides what was asked before."""
    asked = _owners.setdefault(owner, [])
    if start not in asked:
        asked.append(start)


def _all() -> Iterator[Any]:
    numba = sys.modules.get("numba.core.compiler_lock")
    if numba is not None:
        yield numba.global_compiler_lock
    yield from tuple(_locks)


def _before() -> None:
    """Take all locks, in whatever order: as long as one is not free none is kept, so that nobody waits for us."""
    end = time.monotonic() + _PATIENCE
    while True:
        taken: list[Any] = []
        for each in _all():
            if not _bare(each).acquire(blocking=False):
                break
            taken.append(each)
        else:
            _held.extend(taken)
            return
        for each in reversed(taken):
            _bare(each).release()
        if time.monotonic() > end:
            return
        time.sleep(0.0005)


def _bare(each: Any) -> Any:
    """The lock itself: Numba's is an object around one, whose own way can only wait."""
    return getattr(each, "_lock", each)


def _after() -> None:
    while _held:
        each = _held.pop()
        _bare(each).release()


def _in_child() -> None:
    if _held:
        _after()
    else:
        for each in _all():
            _bare(each)._at_fork_reinit()
    for each in tuple(_busy):
        each._at_fork_reinit()
    for owner, starts in tuple(_owners.items()):
        for start in starts:
            start(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
