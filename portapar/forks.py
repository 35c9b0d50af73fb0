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
    """A lock, which its holder may take again, for what runs perhaps for hours: no fork waits for it.

    In the child it is free, or still held by the thread that forked.
    """
    made = threading.RLock()
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
    """Take all locks, in whatever order: while we wait for one we hold no other, so that nobody waits for us.

    To wait, not to look again and again: who compiles without end leaves a lock free for much less than the time for
    which a thread in Python must wait for its turn, but one that waits in the system is woken at once.
    """
    end, missing = time.monotonic() + _PATIENCE, None
    while True:
        taken: list[Any] = []
        if missing is not None:
            if not missing.acquire(timeout=max(0.0, end - time.monotonic())):
                return
            taken.append(missing)
        for each in map(_bare, _all()):
            if each is missing:
                continue
            if not each.acquire(blocking=False):
                missing = each
                break
            taken.append(each)
        else:
            _held.extend(taken)
            return
        for each in reversed(taken):
            each.release()


def _bare(each: Any) -> Any:
    """The lock itself: Numba's is an object around one, whose own way can only wait."""
    return getattr(each, "_lock", each)


def _after() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    if _held:
        _after()
    else:
        for each in _all():
            _bare(each)._at_fork_reinit()
    for each in tuple(_busy):
        if each.acquire(False):  # it was free, or is this thread's
            each.release()
        else:
            each._at_fork_reinit()
    for owner, starts in tuple(_owners.items()):
        for start in starts:
            start(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
