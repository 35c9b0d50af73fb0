"""Executors: where algorithms run. They carry out plans: place the data, run the parts, merge."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import divided, forks, shares
from portapar.agreement import Loops, agreed
from portapar.errors import BackendUnavailableError, PlacementError
from portapar.future import Chain, Future, waiting
from portapar.kernel.program import REFUSED
from portapar.kernel.tiles import TILE
from portapar.pieces import attempted, combine, fold, fold_tile, fragment_of, run_pieces
from portapar.plan import Loop, Part
from portapar.policy import Policy, forget
from portapar.problem import Problem
from portapar.transport import moved

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Executor:
    """Where an algorithm runs; made by `threads`, `simd`, `cuda`, `opencl`, `hybrid`, `mpi` or `executor`.

    Executors are immutable and may be shared between threads. They are context managers: leaving the
    ``with`` block closes them.

    Attributes
    ----------
    kind : str
        The backend's name.
    threads : int
        CPU threads that it uses; 0 where that has no meaning.
    array_type : type or None
        The class of its arrays, where they are of the device's own.
    group : Group or None
        The ranks that it joins.
    members : tuple of Executor
        Who runs the parts of a call: itself, or the executors that it joins.
    own : range
        Which of them are in this process.
    """

    kind = ""
    threads = 0
    one_thread = False
    array_type: type | None = None
    group: Any = None
    closed = False
    chooses = False  #: each call finds out how it is cut, see `portapar.choice`
    weights: tuple[float, ...] = (1.0,)
    notes: Mapping[int, Loops] = MappingProxyType({})  #: where loops are noted, by threads whose calls ranks compare
    worth = 0.0  #: seconds of work below which a call is not cut

    def __init__(self, text: str) -> None:
        self._text = text
        self.members: tuple[Executor, ...] = (self,)
        self.own = range(1)
        self.firsts: tuple[int, ...] = (0, 1)  #: process r has the members ``firsts[r]`` to ``firsts[r + 1]``
        self.policies: dict[Any, Policy] = {}  #: those that are bound to it, see `portapar.policy`
        self._queue: ThreadPoolExecutor | None = None
        self._takes_tasks = True
        self._chain = Chain()
        self._lock = forks.lock()

    def __repr__(self) -> str:
        return self._text

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def asarray(self, x: Any) -> Any:
        """A copy of `x` as this executor's own kind of array, where its threads or cores reach it fastest."""
        raise NotImplementedError

    def empty(self, shape: int | tuple[int, ...], dtype: Any = np.float64) -> Any:
        """An uninitialised array of this executor's own kind."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait for everything that was given to this executor, tasks included."""
        queue = self._queue
        if queue is not None:
            waiting()
            queue.submit(lambda: None).result()
            self._chain.wait()
        for member in self.members:
            if member is not self:
                member.synchronize()

    def close(self) -> None:
        """Give its threads and devices back, after the tasks. Using it afterwards raises BackendUnavailableError."""
        with self._lock:
            queue, self._queue, self._takes_tasks = self._queue, None, False
        if queue is not None:
            waiting()
            queue.shutdown()
        self.closed = True
        forget(self)

    def __copy__(self) -> Executor:
        return self

    def __deepcopy__(self, memo: Any) -> Executor:
        return self

    def __reduce__(self) -> Any:
        raise PlacementError(
            f"{self!r} cannot be pickled: it joins processes that run already. Make it in the process that uses it"
        )

    def execute(self, loop: Loop) -> Any:
        """Run a loop: all parts at once; returns its result."""
        if self.closed:
            raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
        with moved(loop) as (problem, parts):
            run = functools.partial(run_pieces if problem.program.acc is None else fragment_of, problem)
            others = () if loop.moves or loop.policy.on_failure == "raise" else self.members
            works = [functools.partial(attempted, run, parts[k], loop.policy, others) for k in self.own]
            if problem.program.acc is None:
                self.at_once(works)
                return None
            return self.reduced(problem, [part.lo for part in loop.parts], works)

    def bind(self, loop: Loop) -> Callable[[], Any]:
        """`execute` prepared to be called many times with the same loop.

        What it returns raises for arguments that have changed, or returns REFUSED.
        """

        def run() -> Any:
            loop.check()
            return self.execute(loop)

        return run

    def reduced(self, problem: Problem, begins: Sequence[int], works: Sequence[Callable[[], Any]]) -> Any:
        """The result of a reduction over several parts, which begin at these flat indices.

        `works` give the `Fragments` that this process's members have, or REFUSED: then that is the result, and nothing
        was told.
        """
        program, size = problem.program, problem.size
        acc = program.acc
        assert acc is not None

        def fold_one(values: np.ndarray) -> np.ndarray:
            return fold_tile(program, len(values))((values,))

        def mine() -> Any:
            found = self.at_once(works)
            return REFUSED if any(x is REFUSED for x in found) else divided.merged(found, size, fold_one)

        if len(self.firsts) == 2 or size == 0:  # nobody else has anything
            found = mine()
            return found if found is REFUSED else combine(problem, found.partials)
        layout = divided.layout((*(begins[k] for k in self.firsts[:-1]), size), size)

        def told() -> Any:
            found = mine()
            if found is REFUSED:
                return found
            pieces, first = layout.own[self.group.rank], -(-found.lo // TILE)
            if not pieces and not (len(found.head) and len(found.tail)):
                return found.head if len(found.head) else found.tail
            folds = np.empty(len(pieces), acc)
            for k, (_, lo, hi) in enumerate(pieces):
                folds[k] = fold(program, found.partials[lo - first : hi - first])
            return np.concatenate([found.head, folds, found.tail], dtype=acc)

        call = agreed(problem.algorithm, program, size, repr(problem.init))
        data = self.tell(call, told, layout.counts, acc)
        if data is REFUSED:
            return data
        values = [fold_one(data[lo:hi]) if of_tile else data[lo:hi] for lo, hi, of_tile in layout.runs]
        if len(layout.pieces) == 1:
            return combine(problem, values[0])
        whole = np.empty(1, acc)
        both = itertools.chain(*values)
        whole[0] = shares.combine(layout.pieces, both, lambda x, y: fold(program, np.array([x, y], acc)))
        return combine(problem, whole)

    def number_array(self) -> int:
        """A number for a new array that is cut, where processes have to tell it from others; else 0."""
        return 0

    def tell(self, call: str, work: Callable[[], Any], counts: Sequence[int], dtype: np.dtype) -> Any:
        """What `work` gives in every process, ``counts[r]`` numbers in process r, one after the other.

        REFUSED of it is returned, and not told.
        """
        return work()

    def at_once(self, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run one piece of work on each of this process's members, all at the same time; nobody else is told."""
        return [work() for work in works]

    def each(self, call: str, works: Sequence[Callable[[], Any]]) -> list[Any]:
        """`at_once`, and the results of all members, wherever they are, in order; `call` is for messages."""
        return self.at_once(works)

    def alltoall(self, call: str, works: Sequence[Callable[[], list[Any]]]) -> list[list[Any]]:
        """`each`, of whose results (one per member) the k-th goes to member k; returns this process's."""
        return [list(given) for given in zip(*self.each(call, works), strict=True)]

    def submit(self, call: Callable[[], Any]) -> Future:
        """Run `call` after everything that was submitted before; returns at once."""
        with self._lock:
            if self.closed or not self._takes_tasks:
                raise BackendUnavailableError(f"{self!r} was closed; make a new executor")
            if self._queue is None:
                from concurrent.futures import ThreadPoolExecutor

                self._queue = ThreadPoolExecutor(1, thread_name_prefix=f"portapar-{self.kind}")
                forks.renewed(self, Executor._forget_queue)
            return Future(self._queue.submit(call), self._chain)

    def _forget_queue(self) -> None:
        self._queue, self._chain = None, Chain()

    def transfers(self, problem: Problem, part: Part) -> tuple[int, int]:
        """Bytes that a part moves to the device and back."""
        return (0, 0)

    def streamed(self, problem: Problem, part: Part) -> str:
        """What a plan tells of a part that is streamed through a device in chunks; else nothing."""
        return ""

    def owns(self, x: Any) -> bool:
        """Whether `x` lives here, so that nothing has to be moved."""
        return False


class Work:
    """What a member does of a call, on arguments that are where it runs: calling it does all of it.

    Where it `starts`, `begin` gives it to the device, which goes on by itself; what that returns waits for the end.
    `member` is the place of who does it among this process's members, where others may have nothing to do.
    """

    __slots__ = ("_start", "_values", "member", "starts")

    def __init__(
        self,
        start: Callable[[Any], Callable[[], Any]],
        values: Sequence[Any],
        starts: bool,
        member: int | None = None,
    ) -> None:
        self._start, self._values, self.starts, self.member = start, values, starts, member

    def begin(self) -> Callable[[], Any]:
        return self._start(self._values)

    def __call__(self) -> Any:
        return self._start(self._values)()


