"""Several executors of one machine on one call."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextvars import copy_context
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from portapar import arrays, cache, cost, forks, shares
from portapar.devices import DeviceExecutor
from portapar.errors import BackendUnavailableError, PlacementError
from portapar.executor import Executor, Work
from portapar.kernel.interrupts import stop as stopped
from portapar.partitioned import PartitionedArray
from portapar.policy import forgets

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class HybridExecutor(Executor):
    """Several executors that share one call and run their parts at the same time."""

    kind = "hybrid"

    def __init__(self, members: tuple[Executor, ...], weights: tuple[float, ...] | None) -> None:
        names = ", ".join(map(repr, members))
        told = f", weights={[round(w, 4) for w in weights]}" if weights else ""
        super().__init__(f"pp.hybrid({names}{told})")
        self.members = members
        self.own, self.firsts = range(len(members)), (0, len(members))
        self.chooses = weights is None
        self.weights = weights or (1.0,) * len(members)
        self.choices: dict[Any, Any] = cache.Bounded()  #: what `portapar.choice` knows of calls on it
        self.found: dict[Any, list[Any]] = cache.Bounded()  #: what decided calls on it run, and how often that holds
        self.looks = cache.Bounded(), cache.Bounded()  #: what `portapar.looks` knows, and has learned, of calls on it
        self._times = threading.local()
        self.worth = cost.wake()
        self._runners: ThreadPoolExecutor | None = None
        self._start()
        forks.renewed(self, HybridExecutor._start)

    def _start(self) -> None:
        """Its threads: at first, and in a forked child, which has none of them."""
        if self.closed:
            return
        from concurrent.futures import ThreadPoolExecutor

        self._runners = ThreadPoolExecutor(len(self.members), thread_name_prefix="portapar-hybrid")

    @property
    def took(self) -> list[float]:
        """Seconds that each member worked in calls of this thread since it set them to 0; None ends that."""
        return getattr(self._times, "took", None) or [0.0] * len(self.members)

    @took.setter
    def took(self, took: list[float] | None) -> None:
        self._times.took = took

    def __reduce__(self) -> Any:
        return _restored, (self.members, None if self.chooses else self.weights)

    def asarray(self, x: Any) -> PartitionedArray:
        host = arrays.asnumpy(arrays.normal(x, "x"))
        if host.ndim == 0:
            raise PlacementError("asarray: a zero-dimensional array has no rows to cut")
        cuts = shares.cut_rows(host.shape[0], self.weights)
        spans = zip(self.members, cuts[:-1], cuts[1:], strict=True)
        parts = {k: member.asarray(host[lo:hi]) for k, (member, lo, hi) in enumerate(spans)}
        return PartitionedArray(host.shape, host.dtype, cuts, parts, self)

    def empty(
        self, shape: int | tuple[int, ...], dtype: Any = np.float64, cuts: tuple[int, ...] | None = None
    ) -> PartitionedArray:
        """An uninitialised array; its parts begin at the rows `cuts`, by default in proportion to the weights."""
        shape = arrays.shape_of("empty", shape)
        if not shape:
            raise PlacementError("empty: shape is (): must have rows")
        if cuts is None:
            cuts = shares.cut_rows(shape[0], self.weights)
        else:
            cuts = arrays.cuts_of("empty", cuts, shape[0], len(self.members))
        spans = zip(self.members, cuts[:-1], cuts[1:], strict=True)
        parts = {k: member.empty((hi - lo, *shape[1:]), dtype) for k, (member, lo, hi) in enumerate(spans)}
        return PartitionedArray(shape, dtype, cuts, parts, self)

    def gather(self, x: PartitionedArray) -> np.ndarray:
        """The whole array on the host."""
        arrays.check_partitioned("gather", x)
        out = np.empty(x.shape, x.dtype)
        for k, (lo, hi) in enumerate(x.partition):
            if hi > lo:
                out[lo:hi] = arrays.asnumpy(x.parts[k])
        return out

    def at_once(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """The first on the calling thread, the others on threads of their own.

        Devices that go on by themselves are given their work before; the calling thread waits for them after its own.
        """
        if self._runners is None:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        took = getattr(self._times, "took", None)
        own: list[tuple[int, Callable[[], Any]]] = []
        ends: list[tuple[int, Callable[[], Any]]] = []
        found: list[Any] = [None] * len(works)
        errors: list[BaseException] = []
        try:
            for k, work in enumerate(works):
                goes_on = isinstance(work, Work) and work.starts
                begun = time.perf_counter() if goes_on and took is not None else None
                run = work.begin() if goes_on else work  # type: ignore[attr-defined]
                if took is not None:
                    member = getattr(work, "member", None)
                    run = functools.partial(_timed, took, k if member is None else member, run, begun)
                (ends if goes_on else own).append((k, run))
            if took is not None:  # when a device is done is seen only by who waits for it meanwhile
                own, ends = own + ends, []
            values = [own[0][1]()] if len(own) == 1 else self._on_threads([run for _, run in own]) if own else ()
            for (k, _), value in zip(own, values, strict=True):
                found[k] = value
        except BaseException as error:  # noqa: BLE001 - raised again below, when no part runs any more
            errors.append(error)
        for k, end in ends:
            try:
                found[k] = end()
            except BaseException as error:  # noqa: BLE001 - as above
                errors.append(error)
        if errors:
            raise errors[0]
        return found

    def _on_threads(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        assert self._runners is not None
        first, *rest = works
        stop = threading.Event()
        futures = [self._runners.submit(copy_context().run, _until, stop, work) for work in rest]
        errors: list[BaseException] = []
        found: list[Any] = []
        try:
            found.append(first())
        except BaseException as error:  # noqa: BLE001 - raised again below, when no part runs any more
            errors.append(error)
            stop.set()
        for future in futures:
            while True:
                try:
                    found.append(future.result())
                except BaseException as error:  # noqa: BLE001 - as above
                    errors.append(error)
                    stop.set()
                    if not future.done():  # the waiting was interrupted
                        continue
                break
        if errors:
            raise errors[0]
        return found

    def close(self) -> None:
        """Ends its own threads; its members stay open."""
        super().close()
        self.found.clear()
        if self._runners is not None:
            self._runners.shutdown()
            self._runners = None


class InTurns(HybridExecutor):
    """One device that does a call's parts one after the other, since all of it has no room there.

    What a part needs is on the device while it runs a step, and no longer.
    """

    def __init__(self, device: DeviceExecutor, count: int) -> None:
        super().__init__((device,) * count, (1.0,) * count)
        self._text = repr(device)

    def at_once(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        return [work() for work in works]


@functools.lru_cache(maxsize=16)
def in_turns(device: DeviceExecutor, count: int) -> InTurns:
    """The device in so many parts."""
    return InTurns(device, count)


def _restored(members: tuple[Executor, ...], weights: tuple[float, ...] | None) -> Executor:
    """The hybrid that was pickled: in one process equal ones are one, so that arrays still live on it."""
    return hybrid(*members, weights=weights)


def _timed(took: list[float], k: int, work: Callable[[], Any], begun: float | None) -> Any:
    """Run a member's work, or wait for what was begun before."""
    begun = time.perf_counter() if begun is None else begun
    try:
        return work()
    finally:
        took[k] += time.perf_counter() - begun


def _until(stop: threading.Event, run: Callable[..., Any], *args: Any) -> Any:
    """Run a part on a thread of its own, until `stop` is set: Ctrl-C reaches only the main thread."""
    token = stopped.set(stop)
    try:
        return run(*args)
    finally:
        stopped.reset(token)


def hybrid(*executors: Executor, weights: Sequence[float] | None = None) -> Executor:
    """Several executors on one call, each with its share of the rows; of equal members and weights one and the same.

    Parameters
    ----------
    *executors : Executor
        At least one; of a hybrid its members, which share what it gets by its weights.
    weights : sequence of float, optional
        Relative shares, by which rows of arrays and calls are cut. By default each call on NumPy arrays is cut so that
        all members end at the same time, or given to one of them, by what its work should take and by what earlier
        calls took; arrays that the executor holds are then cut evenly.
    """
    if not executors:
        raise BackendUnavailableError("hybrid(): give it at least one executor")
    for member in executors:
        if not isinstance(member, (DeviceExecutor, HybridExecutor)):
            raise BackendUnavailableError(
                f"hybrid: {member!r} is not an executor of this process, such as pp.threads() or pp.hybrid(...)"
            )
    try:
        if isinstance(weights, (Mapping, Set, str, bytes)):  # which have no order, or are no numbers
            raise TypeError
        shares = tuple(float(w) for w in weights) if weights is not None else (1.0,) * len(executors)
    except OverflowError:
        raise BackendUnavailableError("hybrid: weights: one of them is no finite number of 64 bits") from None
    except (TypeError, ValueError):
        raise BackendUnavailableError(f"hybrid: weights={weights!r}: must be a number for each executor") from None
    if len(shares) != len(executors):
        raise BackendUnavailableError(f"hybrid: {len(executors)} executors and {len(shares)} weights: give one each")
    if any(w < 0 or not np.isfinite(w) for w in shares) or sum(shares) <= 0:
        raise BackendUnavailableError(f"hybrid: weights={list(shares)}: must be finite, not negative, not all 0")
    if not np.isfinite(sum(shares)):
        shares = tuple(w / max(shares) for w in shares)
    members: list[Executor] = []
    parts: list[float] = []
    for member, share in zip(executors, shares, strict=True):
        if member.closed:
            raise BackendUnavailableError(f"hybrid: {member!r} was closed; make a new executor")
        members += member.members
        parts += (share * w / sum(member.weights) for w in member.weights)
    if len(set(map(id, members))) < len(members):
        raise BackendUnavailableError("hybrid: the same executor is given twice; it would wait for itself")
    if len(members) > len(executors) and not all(x.chooses for x in executors if x.kind == "hybrid"):
        weights = parts  # which those that were given may decide
    executors, shares = tuple(members), tuple(parts)
    given = None if weights is None else tuple(w / sum(shares) for w in shares)
    key = (tuple(map(id, executors)), given)  # alive as long as the hybrid is
    with _making:
        found = _made.get(key)
        if found is None or found.closed:
            found = _made[key] = HybridExecutor(tuple(executors), None if weights is None else shares)
    return found


_made: WeakValueDictionary[Any, HybridExecutor] = WeakValueDictionary()
_making = forks.lock()


def _forget_looks() -> None:
    """Native code knows no calls on hybrids any more: a member was closed, or threads are those of a parent."""
    for where in list(_made.values()):
        for table in where.looks:
            table.clear()


forgets(_forget_looks)
os.register_at_fork(after_in_child=_forget_looks)
