"""Ctrl-C: long calls look into Python for it, and what must not be cut in two is done before it is heard."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

SLICE = 0.1  #: a long call looks into Python after so many seconds
stop: ContextVar[threading.Event | None] = ContextVar("portapar_stop", default=None)


def go_on() -> None:
    """Raise if the call that this is a part of was interrupted on another thread."""
    event = stop.get()
    if event is not None and event.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C is heard when this is done, unless it is pressed twice.

    For what compilers do: LLVM calls Python back, from where an exception does not come out, and Numba is of no use any
    more if it was half imported.
    """
    before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(before):  # it ends the process, is ignored, or heard by another thread
        yield
        return
    caught: list[Any] = []

    def note(*given: Any) -> None:
        caught.append(given)
        if len(caught) > 1:
            before(*given)

    try:
        signal.signal(signal.SIGINT, note)
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if len(caught) == 1:
            before(*caught[0])
