"""The result of a call that runs in the background."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import concurrent.futures


class Future:
    """What an algorithm with ``policy.task`` returns; also awaitable.

    Calls on one executor run in the order in which they were made.
    """

    def __init__(self, inner: concurrent.futures.Future) -> None:
        self._inner = inner

    def result(self, timeout: float | None = None) -> Any:
        """Wait (at most `timeout` seconds) for the result; raises what the call raised."""
        return self._inner.result(timeout)

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._inner.done()

    def then(self, function: Callable[[Any], Any]) -> Future:
        """A future of ``function(result)``; it fails as this one does."""
        import concurrent.futures

        following: concurrent.futures.Future = concurrent.futures.Future()

        def follow(done: concurrent.futures.Future) -> None:
            error = done.exception()
            if error is not None:
                following.set_exception(error)
                return
            try:
                following.set_result(function(done.result()))
            except BaseException as raised:  # noqa: BLE001 - handed to whoever asks for the result
                following.set_exception(raised)

        self._inner.add_done_callback(follow)
        return Future(following)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        return asyncio.wrap_future(self._inner).__await__()

    def __repr__(self) -> str:
        return f"<pp.Future {'done' if self.done() else 'running'}>"
