"""The result of a call that runs in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from portapar.errors import ArgumentError

if TYPE_CHECKING:
    import concurrent.futures


class Future:
    """What an algorithm with ``policy.task`` returns; also awaitable.

    Calls on one executor run in the order in which they were made.

    Parameters
    ----------
    inner : concurrent.futures.Future
    chain : Chain
        What follows calls of its executor.
    """

    def __init__(self, inner: concurrent.futures.Future, chain: Chain) -> None:
        self._inner, self._chain = inner, chain

    def result(self, timeout: float | None = None) -> Any:
        """Wait (at most `timeout` seconds) for the result; raises what the call raised."""
        if not self._inner.done():
            waiting()
        return self._inner.result(timeout)

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._inner.done()

    def then(self, function: Callable[[Any], Any]) -> Future:
        """A future of ``function(result)``; it fails as this one does.

        The function runs on a thread of its own: it may make calls, wait for others, and synchronize the executor.
        """
        import concurrent.futures

        following: concurrent.futures.Future = concurrent.futures.Future()

        def follow(done: concurrent.futures.Future) -> None:
            self._chain.run(lambda: finish(done), following)

        def finish(done: concurrent.futures.Future) -> None:
            error = done.exception()
            if error is not None:
                following.set_exception(error)
                return
            try:
                following.set_result(function(done.result()))
            except BaseException as raised:  # noqa: BLE001 - handed to whoever asks for the result
                following.set_exception(raised)

        self._inner.add_done_callback(follow)
        return Future(following, self._chain)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        if not self._inner.done():
            waiting()
        return asyncio.wrap_future(self._inner).__await__()

    def __reduce__(self) -> Any:
        raise ArgumentError("a Future cannot be pickled or copied: its call runs in this process. Pass its result()")

    def __repr__(self) -> str:
        return f"<pp.Future {'done' if self.done() else 'running'}>"


class Chain:
    """The functions that follow calls of an executor, each on a thread of its own: they may wait for later calls.

    Parameters
    ----------
    ordered : bool
        The calls behind wait until a function has ended, or waits itself: all ranks then make their calls in one order.
    """

    def __init__(self, ordered: bool = False) -> None:
        self._ordered = ordered
        self._open: set[concurrent.futures.Future] = set()

    def run(self, work: Callable[[], None], following: concurrent.futures.Future) -> None:
        """Start `work`, which gives `following` its result."""
        self._open.add(following)
        following.add_done_callback(self._open.discard)
        free = threading.Event()

        def alone() -> None:
            _follower.free = free
            try:
                work()
            finally:
                free.set()

        threading.Thread(target=alone, name="portapar-then").start()
        if self._ordered:
            free.wait()

    def wait(self) -> None:
        """Wait for all that have begun; from one of them for none."""
        import concurrent.futures

        if getattr(_follower, "free", None) is None:
            concurrent.futures.wait(tuple(self._open))


_follower = threading.local()


def leading() -> bool:
    """Whether the calls behind wait for this thread."""
    free = getattr(_follower, "free", None)
    return free is not None and not free.is_set()


def waiting() -> None:
    """To be called before waiting for another call: those behind need not wait for this thread."""
    free = getattr(_follower, "free", None)
    if free is not None:
        free.set()
