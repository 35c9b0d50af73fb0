"""The executor over ranks: every rank makes the same calls, and does its part of each.

A rank's part is done by its local executor. Calls that only write arrays (`for_each`, `transform`) and read no rows of
others exchange nothing. Those that need all ranks (`reduce`, `asarray`, `empty`, `asnumpy`, `synchronize`)
begin with one small record from each rank, which says what the rank is about to do, whether it failed,
and, if there is room, its part of the result. So a failure or a different call on one rank becomes a
CommunicationError on the others, where they would have waited for ever. The record also says which loops the rank ran
since the last one, with which numbers: what those that exchange nothing were given is compared then.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from portapar import arrays, backend, config, shares
from portapar.agreement import Asked, Loops, differ, in_full, in_words
from portapar.devices import DeviceExecutor, simd, threads
from portapar.errors import BackendUnavailableError, CommunicationError, PlacementError
from portapar.executor import Executor
from portapar.future import Chain, Future, leading, waiting
from portapar.hybrid import HybridExecutor
from portapar.kernel.interrupts import held_back
from portapar.kernel.program import REFUSED
from portapar.partitioned import PartitionedArray
from portapar.plan import Loop
from portapar.policy import forget
from portapar.trace import span

_RECORD = 256  #: bytes: one that tells of a failure, digests of the call and the loops before it, the rest for results
_HEAD = 25


@functools.lru_cache(maxsize=1024)
def _digest(call: str) -> bytes:
    return config.digest(call.encode(), 15)


class _Disagreement(CommunicationError):
    """Another rank failed, or does something else; the ranks know it from each other and can go on."""

    told = True


_Disagreement.__name__ = _Disagreement.__qualname__ = CommunicationError.__name__  # as users know it
_Disagreement.__module__ = CommunicationError.__module__


class _OtherRank(Executor):
    """A stand-in for an executor of another rank, so that plans show it."""

    kind = "rank"

    def __init__(self, text: str, threads: int) -> None:
        super().__init__(text)
        self.threads = threads


class _Channel:
    """What the executors over one communicator share: one order of messages, and one queue of tasks."""

    def __init__(self, comm: Any = None) -> None:
        joined = isinstance(comm, backend.Group)
        self.group: backend.Group = comm if joined else backend.backends()["mpi"].open(None, comm=comm)
        self.records = np.zeros((self.group.size, _RECORD), np.uint8)
        self.executors = 0
        self._agreements = 0
        self._lock = threading.Lock()
        self._queue: ThreadPoolExecutor | None = None
        self._chain = Chain(ordered=True)
        self._last: concurrent.futures.Future | None = None
        self._runner = 0
        self._process = os.getpid()
        self.notes: dict[int, Loops] = {}  #: of threads whose calls are in the same order on all ranks
        if self.group.size > 1:
            self.notes[threading.main_thread().ident or 0] = Loops()
            atexit.register(self._farewell)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One thread at a time, tasks before later calls: all ranks must talk in the same order."""
        last = self._last
        if last is not None and not last.done() and threading.get_ident() != self._runner and not leading():
            waiting()
            concurrent.futures.wait([last])
        with self._lock:
            yield

    def submit(self, call: Callable[[], Any]) -> Future:
        if self._queue is None:
            self._queue = ThreadPoolExecutor(1, "portapar-mpi", initializer=self._begin)
        self._last = self._queue.submit(call)
        return Future(self._last, self._chain)

    def _begin(self) -> None:
        self._runner = threading.get_ident()
        self.notes[self._runner] = Loops()

    def loops(self) -> Loops | None:
        """Where the loops of the calling thread are noted, if they are."""
        return self.notes.get(threading.get_ident())

    def agree(self, call: str, error: Exception | None = None) -> None:
        """Tell all ranks what this one does; raise CommunicationError if another one failed or does else.

        A rank that failed by itself in the midst of a call left it: others may wait for it there. It tells them so when
        it agrees next, and agrees once more if they did.
        """
        group, table = self.group, self.records
        if group.size == 1:
            return
        loops = self.loops()
        before, noted = (0, []) if loops is None else loops.end()
        trouble = None if error is None else f"{type(error).__name__}: {error}"
        if error is not None:
            error.told = True  # type: ignore[attr-defined]
        same = _digest(call) + before.to_bytes(8, "little", signed=True)
        left, group.failed = group.failed, ""
        while True:
            self._agreements += 1
            head = bytes([error is not None, left != ""]) + same
            table[group.rank, :_HEAD] = np.frombuffer(head, np.uint8)
            group.allgather(table.reshape(-1))
            if error is None and table[:, :_HEAD].tobytes() == head * group.size:
                return
            if not table[:, 0].any() and table[:, 2:_HEAD].tobytes() == same * group.size:
                return
            for some in self.notes.values():  # what a rank made meanwhile, others perhaps did not
                some.restart(self._agreements)
            told = group.exchange((call, trouble, before, in_full(noted), left))
            if error is not None:
                return
            calls = [theirs for theirs, *_ in told]
            failed = next(((rank, why) for rank, (_, why, *_) in enumerate(told) if why), None)
            if failed is None and left and any(theirs != call and not why for theirs, *_, why in told):
                left = ""
                if loops is not None:
                    loops.end()
                continue
            if failed is None and not left:
                away = ((rank, why) for rank, (theirs, *_, why) in enumerate(told) if why and theirs != call)
                failed = next(away, None)
            break
        if failed is not None:
            raise _Disagreement(f"{call}: rank {failed[0]} of {group.size} failed, {failed[1]}")
        if len(set(calls)) == 1:
            raise _Disagreement(f"{call}: {differ([some for *_, some, _ in told])}")
        all_calls = "; ".join(f"rank {rank}: {theirs}" for rank, theirs in enumerate(calls))
        raise _Disagreement(
            f"{call}: the ranks differ. Every rank must make the same calls in the same order ({all_calls})"
        )

    def told(self, counts: Sequence[int], dtype: Any = np.uint8) -> np.ndarray:
        """What all ranks told in their records, one after the other: so many bytes of each."""
        found = [self.records[r, _HEAD : _HEAD + count] for r, count in enumerate(counts)]
        return np.concatenate(found).view(dtype)

    def close(self) -> None:
        """Give the communicator back. Collective."""
        if self._queue is not None:
            self._queue.shutdown()
        atexit.unregister(self._farewell)
        self.group.close()

    def _farewell(self) -> None:
        """A rank that ends early answers the others until they end, too: they get errors, and do not wait."""
        while os.getpid() == self._process:
            try:
                self.agree("the end of the program")
                return
            except _Disagreement:
                continue
            except CommunicationError:  # MPI has gone
                return


class RanksExecutor(Executor):
    """The ranks of a communicator, each with its part of the rows; made by `portapar.mpi`.

    Its arrays are of the class `PartitionedArray`, which holds this rank's rows. A plain NumPy array is
    taken as replicated: kernels may read it, every rank its own copy, but not write it. Numbers, those that kernels
    capture too, and arrays of at most 1 KiB are compared: if they differ, the next call in which ranks communicate
    raises CommunicationError on all of them. Calls from other threads than the main one, but tasks, are not compared.

    Attributes
    ----------
    group : Group
        What the ranks talk through; ``group.rank`` and ``group.size`` say who this is.
    local : Executor
        What this rank computes with.
    """

    kind = "mpi"

    def __init__(self, channel: _Channel, local: Executor | None = None) -> None:
        """To be called in the channel's turn."""
        self._channel, self.group, self.notes = channel, channel.group, channel.notes
        group, given = self.group, local
        channel.executors += 1
        self.number = channel.executors
        #: told along with every call, so that ranks do not take one executor's call for another's
        self._which = f" on executor {self.number}" if self.number > 1 else ""
        trouble = ""
        if local is not None and not isinstance(local, (DeviceExecutor, HybridExecutor)):
            trouble = f"mpi(local={local!r}): must be an executor of this process, such as pp.threads(2)"
        cpus = group.exchange(_cpus())
        if local is None:
            local = _share([cpus[r] for r in group.node], group.node.index(group.rank))
        mine = () if trouble else tuple((repr(m), m.threads, m.one_thread) for m in local.members)
        shares = () if trouble else tuple(w / sum(local.weights) for w in local.weights)
        setup = group.exchange((trouble, mine, shares))
        for rank, (told, _, _) in enumerate(setup):
            if told:
                raise BackendUnavailableError(told if trouble else f"mpi: on rank {rank}: {told}")
        inside = ", ".join([group.name] * bool(group.name) + [f"local={given!r}"] * (given is not None))
        super().__init__(f"pp.mpi({inside})")
        self.local = local
        everyone: list[Executor] = []
        for rank, (_, members, _) in enumerate(setup):
            if rank == group.rank:
                everyone += local.members
            else:
                everyone += (_OtherRank(f"rank {rank}: {text}", threads) for text, threads, _ in members)
        self.members = tuple(everyone)
        self.weights = tuple(w for _, _, ws in setup for w in ws)
        self.threads = local.threads
        self.one_thread = all(one for _, members, _ in setup for _, _, one in members)
        self.firsts = (0, *itertools.accumulate(len(members) for _, members, _ in setup))
        self.own = range(self.firsts[group.rank], self.firsts[group.rank + 1])

    # arrays ---------------------------------------------------------------------------------------

    def asarray(self, x: Any) -> PartitionedArray:
        """Distribute an array: every rank passes the whole of it, and keeps its own rows. Collective.

        Raises
        ------
        CommunicationError
            The ranks pass arrays of different shapes, dtypes or elements.
        """
        if isinstance(x, PartitionedArray) and x.executor is self:
            return x
        host = np.empty(0)

        def place() -> tuple[str, dict[int, Any]]:
            nonlocal host
            host = arrays.asnumpy(arrays.normal(x, "x"))
            arrays.spec_of(host, "x")
            if host.ndim == 0:
                raise PlacementError("asarray: a zero-dimensional array has no rows to cut")
            cuts = shares.cut_rows(host.shape[0], self.weights)
            parts = {k: self.members[k].asarray(host[cuts[k] : cuts[k + 1]]) for k in self.own}
            return f"asarray of {arrays.describe(host)} whose bytes add up to {_total(host)}", parts

        with self._turn():
            parts = self._together("asarray", place)
        cuts = shares.cut_rows(host.shape[0], self.weights)
        return PartitionedArray(host.shape, host.dtype, cuts, parts, self)

    def empty(
        self, shape: int | tuple[int, ...], dtype: Any = np.float64, cuts: tuple[int, ...] | None = None
    ) -> PartitionedArray:
        """An uninitialised array of that global shape, every rank with its own rows. Collective.

        The parts begin at the rows `cuts`, by default in proportion to the weights.
        """

        def place() -> tuple[str, tuple[Any, ...]]:
            whole = arrays.shape_of("empty", shape)
            if not whole:
                raise PlacementError("empty: shape is (): must have rows")
            if cuts is None:
                ends = shares.cut_rows(whole[0], self.weights)
            else:
                ends = arrays.cuts_of("empty", cuts, whole[0], len(self.members))
            parts = {k: self.members[k].empty((ends[k + 1] - ends[k], *whole[1:]), dtype) for k in self.own}
            kind = np.dtype(dtype)
            return f"empty of shape {whole} and dtype {kind}, cut at {ends}", (whole, kind, ends, parts)

        with self._turn():
            whole, kind, ends, parts = self._together("empty", place)
        return PartitionedArray(whole, kind, ends, parts, self)

    def gather(self, x: PartitionedArray) -> np.ndarray:
        """The whole array, on the host of every rank. Collective."""

        def collect() -> tuple[str, np.ndarray]:
            arrays.check_partitioned("gather", x)
            out = np.empty(x.shape, x.dtype)
            for k in self.own:
                if x.cuts[k + 1] > x.cuts[k]:
                    out[x.cuts[k] : x.cuts[k + 1]] = arrays.asnumpy(x.parts[k])
            return f"asnumpy of {in_words(x)}", out

        def exchange(out: np.ndarray) -> np.ndarray:
            row = out.nbytes // max(x.shape[0], 1)
            if out.nbytes and self.group.size > 1:
                with span("message", "asnumpy", self, bytes=out.nbytes):
                    self.group.allgather(out.reshape(-1).view(np.uint8), [row * x.cuts[k] for k in self.firsts])
            return out

        with self._turn():
            return self._together("asnumpy", collect, exchange)

    def owns(self, x: Any) -> bool:
        return isinstance(x, PartitionedArray) and x.executor is self

    # calls ----------------------------------------------------------------------------------------

    def execute(self, loop: Loop) -> Any:
        loops = self._channel.loops()
        if loops is not None:
            asked = Asked.of(loop.problem)
            loops.note(asked, [loop.problem.values[k] for k in asked.places])
        return super().execute(loop)

    def number_array(self) -> int:
        loops = self._channel.loops()
        return 0 if loops is None else loops.number()

    def at_once(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        return self.local.at_once(works)

    def tell(self, call: str, work: Callable[[], Any], counts: Sequence[int], dtype: np.dtype) -> Any:
        """Few numbers travel in the records by which ranks agree: that is one message."""
        channel, rank, sizes = self._channel, self.group.rank, [count * dtype.itemsize for count in counts]
        inline = max(sizes) <= _RECORD - _HEAD
        with self._turn():
            found = self._works(call, work)
            if found is REFUSED:
                return found
            with held_back():
                if inline:
                    channel.records[rank, _HEAD : _HEAD + sizes[rank]] = found.view(np.uint8)
                channel.agree(call + self._which)
                if inline:
                    return channel.told(sizes, dtype)
                cuts = (0, *itertools.accumulate(sizes))
                data = np.empty(cuts[-1], np.uint8)
                data[cuts[rank] : cuts[rank + 1]] = found.view(np.uint8)
                with span("message", call, self, bytes=data.nbytes):
                    self.group.allgather(data, cuts)
                return data.view(dtype)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if self.closed:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        with self._channel.turn():
            yield

    def _works(self, call: str, work: Callable[[], Any]) -> Any:
        """What `work` gives; the other ranks hear of it if it fails, and of Ctrl-C when this one agrees next."""
        try:
            return work()
        except Exception as error:  # whatever it is: the other ranks wait
            with held_back():
                self._channel.agree(call + self._which, error)
            raise
        except BaseException as error:
            self.group.failed = f"{call}: {type(error).__name__}"
            raise

    def _together(
        self, name: str, work: Callable[[], tuple[str, Any]], then: Callable[[Any], Any] = lambda result: result
    ) -> Any:
        """Do this rank's share of a collective call, and agree with the others that all could.

        From then on Ctrl-C is heard when all messages are through: the next ones would not be understood.

        Parameters
        ----------
        name : str
            The call, in case that `work` fails.
        work : callable
            Returns a description of the call, in which ranks must agree, and the share's result.
        then : callable
            What is sent and got then, from that.
        """
        call, result = self._works(name, work)
        with held_back():
            self._channel.agree(call + self._which)
            return then(result)

    # steps of algorithms --------------------------------------------------------------------------

    def each(self, call: str, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """Each rank does its own; collective."""

        def exchange(own: list[Any]) -> list[Any]:
            with span("message", call, self):
                return list(itertools.chain(*self.group.exchange(own)))

        with self._turn():
            return self._together(call, lambda: (call, self.at_once(works)), exchange)

    def alltoall(self, call: str, works: Sequence[Callable[[], list[Any]]]) -> list[list[Any]]:
        def trade(own: list[list[Any]]) -> list[list[Any]]:
            sends = [
                [row[first:last] for row in own] for first, last in zip(self.firsts[:-1], self.firsts[1:], strict=True)
            ]
            # from each rank: for each of its members, one value for each of ours
            with span("message", call, self):
                got = [row for rank in self.group.alltoall(sends) for row in rank]
            return [[row[k] for row in got] for k in range(len(self.own))]

        with self._turn():
            return self._together(call, lambda: (call, self.at_once(works)), trade)

    # life -----------------------------------------------------------------------------------------

    def submit(self, call: Callable[[], Any]) -> Future:
        if self.closed:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        return self._channel.submit(call)

    def synchronize(self) -> None:
        """Wait for everything that was given to this executor, tasks included, on all ranks. Collective."""
        with self._turn():
            for k in self.own:
                self.members[k].synchronize()
            with held_back():
                self._channel.agree("synchronize" + self._which)

    def close(self) -> None:
        """Using it afterwards raises BackendUnavailableError. The local executor stays open.

        Of a communicator that was passed to `mpi` the duplicate is freed: collective then.
        """
        if self.closed:
            return
        with self._channel.turn():  # behind the tasks that were given to it: the others wait for their parts
            self.closed = True
        for key, value in list(_joined.items()):
            if value is self:
                del _joined[key]
        if self._channel not in _world:
            self._channel.close()
        forget(self)


_joined: dict[int | None, RanksExecutor] = {}
_world: list[_Channel] = []


def join(comm: Any = None, local: Executor | None = None) -> RanksExecutor:
    """The executor over a communicator's ranks; for all ranks and one local executor it is made once."""
    if comm is not None:
        channel = _Channel(comm)
        with channel.turn():
            return RanksExecutor(channel, local)
    key = None if local is None else id(local)  # alive as long as the entry is
    if key is None and key in _joined:
        return _joined[key]
    if not _world:
        _world.append(_Channel())
    (channel,) = _world
    with channel.turn():
        channel.agree("pp.mpi()" if local is None else "pp.mpi(local=…)")
        # ranks may name different local executors: have they all met in just this way before?
        numbers = set(channel.group.exchange(_joined[key].number if key in _joined else 0))
        if len(numbers) > 1 or 0 in numbers:
            _joined[key] = RanksExecutor(channel, local)
    return _joined[key]


def _total(x: np.ndarray) -> int:
    """The sum of an array's bytes, taken eight at a time: at the speed of memory, it tells other contents."""
    flat = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
    words = len(flat) // 8 * 8
    return int(flat[:words].view(np.uint64).sum(dtype=np.uint64)) + int(flat[words:].sum(dtype=np.uint64))


def _cpus() -> frozenset[int]:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _share(node: Sequence[frozenset[int]], mine: int) -> Executor:
    """A rank's share of its node's CPUs, of which the ranks of `node` may use these."""
    if os.environ.get("PORTAPAR_NUM_THREADS"):
        count = config.default_threads()
    else:
        count = len(node[mine]) // sum(not node[mine].isdisjoint(theirs) for theirs in node)
    return threads(count) if count > 1 else simd()
