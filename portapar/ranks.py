"""The executor over ranks: every rank makes the same calls, and does its part of each.

A rank's part is done by its local executor. Calls that only write arrays (`for_each`, `transform`) and read no rows of
others exchange nothing. Those that need all ranks (`reduce`, `asarray`, `empty`, `asnumpy`, `synchronize`)
begin with one small record from each rank, which says what the rank is about to do, whether it failed,
and, if there is room, its part of the result. So a failure or a different call on one rank becomes a
CommunicationError on the others, where they would have waited for ever.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from portapar import arrays, backend, config, divided, shares
from portapar.arrays import PartitionedArray
from portapar.divided import Fragments
from portapar.errors import BackendUnavailableError, CommunicationError, PlacementError
from portapar.executor import (
    DeviceExecutor,
    Executor,
    combine,
    fold,
    fold_tile,
    fold_tiles,
    run_pieces,
    simd,
    task,
    threads,
)
from portapar.future import Chain, Future, leading, waiting
from portapar.hybrid import HybridExecutor
from portapar.kernel.program import REFUSED
from portapar.kernel.tiles import TILE
from portapar.plan import Part, Plan
from portapar.policy import forget
from portapar.problem import Problem
from portapar.transport import moved

_RECORD = 256  #: bytes: one that tells of a failure, a digest of the call, and the rest for results
_HEAD = 16


class _Disagreement(CommunicationError):
    """Another rank failed, or does something else; the ranks know it from each other and can go on."""


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
        self.group: backend.Group = backend.backends()["mpi"].open(None, comm=comm)
        self.records = np.zeros((self.group.size, _RECORD), np.uint8)
        self.executors = 0
        self._lock = threading.Lock()
        self._queue: ThreadPoolExecutor | None = None
        self._chain = Chain(ordered=True)
        self._last: concurrent.futures.Future | None = None
        self._runner = 0
        self._process = os.getpid()
        if self.group.size > 1:
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

    def agree(self, call: str, error: Exception | None = None, head: bytes | None = None) -> None:
        """Tell all ranks what this one does; raise CommunicationError if another one failed or does else.

        `head` is what says it, see `head`, if it is at hand.
        """
        group, table = self.group, self.records
        if group.size == 1:
            return
        head = head or self.head(call, error)
        table[group.rank, :_HEAD] = np.frombuffer(head, np.uint8)
        group.allgather(table.reshape(-1))
        if error is None and table[:, :_HEAD].tobytes() == head * group.size:
            return
        told = group.exchange((call, None if error is None else f"{type(error).__name__}: {error}"))
        if error is not None:
            return
        for rank, (_, trouble) in enumerate(told):
            if trouble:
                raise _Disagreement(f"{call}: rank {rank} of {group.size} failed, {trouble}")
        calls = "; ".join(f"rank {rank}: {theirs}" for rank, (theirs, _) in enumerate(told))
        raise _Disagreement(
            f"{call}: the ranks differ. Every rank must make the same calls in the same order ({calls})"
        )

    def head(self, call: str, error: Exception | None = None) -> bytes:
        """What a record begins with: whether a call failed, and its digest."""
        return bytes([error is not None]) + config.digest(call.encode(), _HEAD - 1)

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
    taken as replicated: kernels may read it, every rank its own copy, but not write it.

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
        self._channel, self.group = channel, channel.group
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
        #: rank r has the members ``_firsts[r]`` to ``_firsts[r + 1]``
        self._firsts = (0, *itertools.accumulate(len(members) for _, members, _ in setup))
        self._own = range(self._firsts[group.rank], self._firsts[group.rank + 1])
        self._closed = False
        self.mine = self._own[0] if len(self._own) == 1 and isinstance(local, DeviceExecutor) else -1

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
            parts = {k: self.members[k].asarray(host[cuts[k] : cuts[k + 1]]) for k in self._own}
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

        def place() -> tuple[str, PartitionedArray]:
            whole = arrays.shape_of("empty", shape)
            if not whole:
                raise PlacementError("empty: shape is (): must have rows")
            ends = cuts or shares.cut_rows(whole[0], self.weights)
            parts = {k: self.members[k].empty((ends[k + 1] - ends[k], *whole[1:]), dtype) for k in self._own}
            found = PartitionedArray(whole, dtype, ends, parts, self)
            return f"empty of shape {whole} and dtype {found.dtype}, cut at {ends}", found

        with self._turn():
            return self._together("empty", place)

    def gather(self, x: PartitionedArray) -> np.ndarray:
        """The whole array, on the host of every rank. Collective."""

        def collect() -> tuple[str, np.ndarray]:
            out = np.empty(x.shape, x.dtype)
            for k in self._own:
                if x.cuts[k + 1] > x.cuts[k]:
                    out[x.cuts[k] : x.cuts[k + 1]] = arrays.asnumpy(x.parts[k])
            return f"asnumpy of {arrays.describe(x)}", out

        with self._turn():
            out = self._together("asnumpy", collect)
            row = out.nbytes // max(x.shape[0], 1)
            if out.nbytes and self.group.size > 1:
                self.group.allgather(out.reshape(-1).view(np.uint8), [row * x.cuts[k] for k in self._firsts])
        return out

    def owns(self, x: Any) -> bool:
        return isinstance(x, PartitionedArray) and x.executor is self

    # calls ----------------------------------------------------------------------------------------

    def execute(self, plan: Plan) -> Any:
        if self._closed:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        with moved(plan) as (problem, parts):
            plan = dataclasses.replace(plan, problem=problem)
            if problem.program.acc is None:
                self._run_own(plan, parts)
                return None
            if self.group.size == 1 or problem.size == 0:
                return combine(problem, self._run_own(plan, parts))
            return self._reduce_few(plan) if few(plan) else self._reduce(plan)

    def _run_own(self, plan: Plan, parts: Sequence[Sequence[Part]]) -> np.ndarray | None:
        own = [parts[k] for k in self._own]
        if isinstance(self.local, HybridExecutor):
            return self.local.run(plan.problem, own, plan.policy)
        assert isinstance(self.local, DeviceExecutor)
        return run_pieces(plan.problem, own[0], plan.policy)

    def _reduce_few(self, plan: Plan) -> Any:
        """Every rank tells the values of all its elements, and all of them fold these."""
        problem, parts = plan.problem, [plan.parts[k] for k in self._own]
        program = problem.program

        def mine() -> tuple[str, np.ndarray]:
            found = [part.executor.values(problem, part, plan.policy) for part in parts]
            return _what(problem), np.concatenate(found)

        with self._turn():
            self._together(problem.algorithm, mine, self._channel.records[self.group.rank, _HEAD:])
            data = self._channel.told(self._counts(plan), program.acc)
        return combine(problem, fold_tile(program, problem.size)((data,)))

    def _counts(self, plan: Plan) -> list[int]:
        """Bytes of the values that each rank has."""
        acc = plan.problem.program.acc
        assert acc is not None
        ends = [*(part.lo for part in plan.parts), plan.problem.size]
        return [(ends[b] - ends[a]) * acc.itemsize for a, b in itertools.pairwise(self._firsts)]

    def prepared(self, plan: Plan, firsts: tuple[int, ...]) -> Callable[[Sequence[Any]], Any] | None:
        """A reduction of few elements prepared to be done again with other arrays, whose own parts it is given.

        It is the same to the other ranks whether one has prepared it or not. None if that cannot be; what it returns
        is REFUSED where arrays are not as they must be, and then nothing has been told.
        """
        problem, part = plan.problem, plan.parts[self.mine]
        program, channel, local = problem.program, self._channel, part.executor
        if self.mine < 0 or self.group.size == 1 or not few(plan) or not local.device.host_memory:
            return None
        asked = dataclasses.replace(task(problem, part, plan.policy, (), ()), program=divided.values_program(program))
        launch = local.device.launch(asked) if part.lo < part.hi else None
        if launch is not None and not launch.guard([len(firsts)], [0] * (len(firsts) + 1)):
            return None
        counts, fold_all, places = self._counts(plan), fold_tile(program, problem.size), (*firsts, part.lo)
        room: Any = channel.records[self.group.rank, _HEAD : _HEAD + counts[self.group.rank]]
        room = room.view(program.acc)
        bare = dataclasses.replace(problem, values=())  # the arrays must not be kept alive
        call = _what(problem) + self._which
        head = channel.head(call)

        def run(values: Sequence[Any]) -> Any:
            with self._turn():
                try:
                    if launch is not None and launch((*values, room), places) is REFUSED:
                        return REFUSED
                except Exception as error:  # whatever it is: the other ranks wait
                    channel.agree(call, error)
                    raise
                channel.agree(call, None, head)
                data = channel.told(counts, program.acc)
            return combine(bare, fold_all((data,)))

        return run

    def _reduce(self, plan: Plan) -> Any:
        """Every rank folds what it has of the tree, and all of them put the same pieces together."""
        problem = plan.problem
        program, rank = problem.program, self.group.rank
        assert program.acc is not None
        size = program.acc.itemsize
        ends = [part.lo for part in plan.parts] + [problem.size]
        between = [ends[k] for k in self._firsts]
        tiles = tuple(divided.tiles_before(place, problem.size) for place in between)
        pieces = shares.subtrees(tiles)
        borders = any(place % TILE and place < problem.size for place in between)
        call = _what(problem)
        parts = [plan.parts[k] for k in self._own]

        def fragments() -> list[Fragments]:
            return self.local.fragments(problem, parts, plan.policy)  # type: ignore[attr-defined]

        def mine() -> tuple[str, np.ndarray]:
            partials = fold_tiles(problem, *told) if borders else fold_tiles(problem, fragments())
            first = tiles[rank]
            found = np.empty(len(pieces[rank]), program.acc)
            for k, (_, lo, end) in enumerate(pieces[rank]):
                found[k] = fold(program, partials[lo - first : end - first])
            return call, found

        with self._turn():
            if borders:  # a tile lies on several ranks: they tell each other what they have of it
                own = self._together(problem.algorithm, lambda: (f"{call}: borders", fragments()))
                empty = np.empty(0, program.acc)
                all_of = self.group.exchange([dataclasses.replace(part, partials=empty) for part in own])
                all_of[rank] = own
                told = list(itertools.chain(*all_of)), [k in self._own for k in range(len(plan.parts))]
            inline = max(map(len, pieces)) * size <= _RECORD - _HEAD
            table = self._channel.records
            found = self._together(problem.algorithm, mine, table[rank, _HEAD:] if inline else None)
            counts = [len(some) * size for some in pieces]
            if inline:
                data = self._channel.told(counts)
            else:
                cuts = (0, *itertools.accumulate(counts))
                data = np.empty(cuts[-1], np.uint8)
                data[cuts[rank] : cuts[rank + 1]] = found.view(np.uint8)
                self.group.allgather(data, cuts)

        def op(x: Any, y: Any) -> Any:
            return fold(program, np.array([x, y], program.acc))

        whole = np.empty(1, program.acc)
        whole[0] = shares.combine(itertools.chain(*pieces), data.view(program.acc), op)
        return combine(problem, whole)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if self._closed:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        with self._channel.turn():
            yield

    def _together(self, name: str, work: Callable[[], tuple[str, Any]], room: np.ndarray | None = None) -> Any:
        """Do this rank's share of a collective call, and agree with the others that all could.

        Parameters
        ----------
        name : str
            The call, in case that `work` fails.
        work : callable
            Returns a description of the call, in which ranks must agree, and the share's result.
        room : bytes, optional
            Where the others will see this rank's result.
        """
        try:
            call, result = work()
            if room is not None:
                room[: result.nbytes] = result.view(np.uint8)
        except Exception as error:  # whatever it is: the other ranks wait
            self._channel.agree(name + self._which, error)
            raise
        self._channel.agree(call + self._which)
        return result

    # steps of algorithms --------------------------------------------------------------------------

    def each(self, call: str, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """Each rank does its own; collective."""
        with self._turn():
            own = self._together(call, lambda: (call, self.local.each(call, works)))
            return list(itertools.chain(*self.group.exchange(own)))

    def alltoall(self, call: str, works: Sequence[Callable[[], list[Any]]]) -> list[list[Any]]:
        with self._turn():
            own = self._together(call, lambda: (call, self.local.each(call, works)))
            sends = [
                [row[first:last] for row in own]
                for first, last in zip(self._firsts[:-1], self._firsts[1:], strict=True)
            ]
            # from each rank: for each of its members, one value for each of ours
            got = [row for rank in self.group.alltoall(sends) for row in rank]
            return [[row[k] for row in got] for k in range(len(self._own))]

    # life -----------------------------------------------------------------------------------------

    def submit(self, call: Callable[[], Any]) -> Future:
        if self._closed:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        return self._channel.submit(call)

    def synchronize(self) -> None:
        """Wait for everything that was given to this executor, tasks included, on all ranks. Collective."""
        with self._turn():
            for k in self._own:
                self.members[k].synchronize()
            self._channel.agree("synchronize" + self._which)

    def close(self) -> None:
        """Using it afterwards raises BackendUnavailableError. The local executor stays open.

        Of a communicator that was passed to `mpi` the duplicate is freed: collective then.
        """
        if self._closed:
            return
        with self._channel.turn():  # behind the tasks that were given to it: the others wait for their parts
            self._closed = self.closed = True
        for key, value in list(_joined.items()):
            if value is self:
                del _joined[key]
        if self._channel not in _world:
            self._channel.close()
        forget(self)


def few(plan: Plan) -> bool:
    """Whether the values of all elements of a reduction fit into a record."""
    acc = plan.problem.program.acc
    return acc is not None and not plan.moves and plan.problem.size * acc.itemsize <= _RECORD - _HEAD


def _what(problem: Problem) -> str:
    """What ranks must agree on in a reduction."""
    program = problem.program
    call = f"{problem.algorithm} of {problem.size} elements to {program.acc}"
    return f"{call} (kernel {program.key[:8]}, init {problem.init})"


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
