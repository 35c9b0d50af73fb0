"""Executors: where algorithms run. They carry out plans: place the data, run the parts, merge."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import arrays, backend, divided, forks, moves, pipeline, shares
from portapar.agreement import Loops, agreed
from portapar.errors import BackendUnavailableError, DeviceMemoryError, PlacementError, of_kind
from portapar.future import Chain, Future, waiting
from portapar.kernel.jit.check import needs
from portapar.kernel.program import REFUSED
from portapar.kernel.tiles import TILE
from portapar.pieces import (
    attempted,
    combine,
    fold,
    fold_tile,
    fragment_of,
    fragments,
    prepare,
    run_pieces,
    task,
)  # fmt: skip
from portapar.plan import Loop, Part, values_first
from portapar.policy import Policy, forget
from portapar.problem import Problem
from portapar.trace import span
from portapar.transport import Placed, moved

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


class DeviceExecutor(Executor):
    """One device of a backend."""

    def __init__(self, kind: str, index: int | None, text: str, device: backend.Device) -> None:
        super().__init__(text)
        self.kind, self._index = kind, index
        self.device = device
        self.array_type, self.threads = device.array_type, device.threads
        self.one_thread = self.threads == 1

    def asarray(self, x: Any) -> Any:
        if not isinstance(x, np.ndarray) and self.device.owns(x):
            return x
        host = arrays.asnumpy(arrays.normal(x, "x"))
        arrays.spec_of(host, "x")
        return self.device.asarray(np.ascontiguousarray(host))

    def empty(self, shape: int | tuple[int, ...], dtype: Any = np.float64) -> Any:
        return self.device.empty(arrays.shape_of("empty", shape), arrays.dtype_of("empty", dtype))

    def __reduce__(self) -> Any:
        return device, (self.kind, self._index, self._text)

    def synchronize(self) -> None:
        super().synchronize()
        self.device.synchronize()

    def close(self) -> None:
        super().close()
        self.device.close()
        if _opened.get(self._text) is self:  # and not one that was made since it was closed
            del _opened[self._text]

    def owns(self, x: Any) -> bool:
        return self.device.owns(x)

    def execute(self, loop: Loop) -> Any:
        (part,) = loop.parts
        return combine(loop.problem, self.run(loop.problem, part, loop.policy, whole=True))

    def bind(self, loop: Loop) -> Callable[[], Any]:
        problem, (part,) = loop.problem, loop.parts
        values = problem.values
        in_place = part.hi > part.lo and all(self.device.owns(value) for _, value in problem.arrays())
        slow = values_first(problem.program, part.hi - part.lo)
        if slow or not in_place or problem.tests is not None or (self.device.host_memory and not self.device.folds):
            return super().bind(loop)
        self._check(problem)
        prepared = task(problem, part, loop.policy, values, (0,) * len(values))
        acc = problem.program.acc
        if not self.device.folds:
            run = self.device.bind(prepared)
            return run if acc is None else lambda: combine(problem, run())
        bound = self.device.bind(prepared, [(x.array, x.written) for x in loop.watched])
        if acc is None or (problem.init is None and acc.names is None):
            return bound

        def finished() -> Any:
            found = bound()
            return found if found is REFUSED else combine(problem, np.array([found], acc))

        return finished

    def run(self, problem: Problem, part: Part, how: Policy, whole: bool = False) -> np.ndarray | None:
        """Place the arguments of a part, run it, and bring back what it wrote; for `whole` see `Task`."""
        program = problem.program
        self._check(problem)
        if part.lo >= part.hi:
            return None if program.acc is None else np.empty(0, program.acc)
        chunks = pipeline.cut(problem, part.lo, part.hi, self.device)
        if chunks is not None and chunks.refused:
            raise DeviceMemoryError(chunks.refused)
        placed, firsts, back = self._placed(problem, part, () if chunks is None else chunks.passing)
        if chunks is not None:
            with span("kernel", problem.algorithm, self, first=part.lo, end=part.hi, chunks=len(chunks.spans)):
                partials = pipeline.run(self, problem, part, how, chunks, placed, firsts)
        else:
            asked = task(problem, part, how, placed, firsts, whole)
            asked.rows = moves.lengths(problem, (part.lo, part.hi), placed, firsts)
            with span("kernel", problem.algorithm, self, first=part.lo, end=part.hi):
                if values_first(program, part.hi - part.lo):
                    partials = prepare(self.device, asked, backend.Launch)(placed, firsts)
                else:
                    partials = self.device.run(asked)
        self._look(problem, placed)
        for here, home in back:
            with span("transfer", "back", self, bytes=home.nbytes):
                if home.flags.c_contiguous:
                    self.device.asnumpy(here, home)
                else:
                    home[...] = self.device.asnumpy(here)
        return partials

    def fragment(self, problem: Problem, part: Part, how: Policy) -> divided.Fragments:
        """Place the arguments of a part of a reduction, run it, and bring back what it has of the tiles."""
        self._check(problem)
        pieces = pipeline.pieces(problem, part, self.device)
        if len(pieces) > 1:
            head, tail = (self.fragment(problem, piece, how).head for piece, _ in pieces[::2])
            partials = self.run(problem, pieces[1][0], how)
            assert partials is not None
            return divided.Fragments(part.lo, part.hi, head, partials, tail)
        placed, firsts, _ = self._placed(problem, part) if part.lo < part.hi else ((), (), [])
        rows = moves.lengths(problem, (part.lo, part.hi), placed, firsts) if placed else ()
        with span("kernel", problem.algorithm, self, first=part.lo, end=part.hi):
            start, _ = fragments(self.device, problem, part, how, firsts, rows, backend.Launch)
            found = start(placed)()
        self._look(problem, placed)
        return found

    def streamed(self, problem: Problem, part: Part) -> str:
        return pipeline.told(problem, part, self.device)

    def _placed(
        self, problem: Problem, part: Part, without: Collection[int] = ()
    ) -> tuple[tuple[Any, ...], tuple[int, ...], list[tuple[Any, np.ndarray]]]:
        """The arguments of a part where it runs, the index of row 0 of each, and what has to go back to where.

        None in the place of those `without` which it begins.
        """
        placed, firsts, back = [], [], []
        shared = {} if self.device.host_memory else moves.shared(problem)
        first_of = {k: places[0] for places in shared.values() for k in places[1:]}
        for k, value in enumerate(problem.values):
            spec, use = problem.program.specs[k], problem.access[k]
            if use is None:
                placed.append(spec.dtype.type(value))
                firsts.append(0)
                continue
            if k in first_of:
                placed.append(placed[first_of[k]])
                firsts.append(firsts[first_of[k]])
                continue
            if k in without:
                placed.append(None)
                firsts.append(0)
                continue
            if problem.tests is not None and k == problem.tests.place:  # of its own: other parts have theirs
                here, first, home = value if self.device.host_memory else self.device.asarray(value), 0, None
            else:
                here, first, home = self._place(problem, shared.get(k, [k]), value, part)
                if problem.tests is not None and not self.device.host_memory:
                    here = self._with_room(here)
            placed.append(here)
            firsts.append(first)
            if home is not None:
                back.append(home)
        return tuple(placed), tuple(firsts), back

    def _look(self, problem: Problem, placed: Sequence[Any]) -> None:
        """Bring back what a checked call found."""
        tests = problem.tests
        if tests is not None and not self.device.host_memory:
            found = self.device.asnumpy(placed[tests.place])
            if found[0]:
                tests.record[:] = found

    def _with_room(self, x: Any) -> Any:
        """As `portapar.problem.with_room`, for the device's own arrays."""
        if x.size:
            return x
        return self.device.empty(tuple(max(n, 1) for n in x.shape), x.dtype)[tuple(slice(n) for n in x.shape)]

    def _check(self, problem: Problem) -> None:
        """Refuse what the device cannot run."""
        lacks = self.device.lacks
        if lacks and (missing := needs(problem.program) & lacks):
            raise BackendUnavailableError(
                f"{problem.algorithm} on {self!r}: {self.device} has no {', '.join(sorted(missing))}, which this kernel"
                f" needs: use {'float32 arrays and constants, or ' * ('float64' in missing)}another executor"
            )

    def _place(
        self, problem: Problem, places: Sequence[int], value: Any, part: Part
    ) -> tuple[Any, int, tuple[Any, np.ndarray] | None]:
        """(array on the device, global index of its row 0, what has to go back and the host memory where to).

        Of the argument that is given at these places.
        """
        k = places[0]
        uses, name = [use for place in places if (use := problem.access[place])], problem.names[k]
        writes = any(use.writes for use in uses)
        if isinstance(value, Placed):
            buffer = value.at(self, moves.rows_of(problem, part.lo, part.hi))
            if buffer is not None:
                here = buffer.host if self.device.host_memory else self.device.asarray(buffer.host)
                back = None if here is buffer.host or not writes else (here, buffer.host)
                return here, buffer.first, back
            value = value.array
        if isinstance(value, arrays.PartitionedArray):
            return *moves.own_part(problem, k, value, self), None
        if not isinstance(value, np.ndarray):
            if not self.device.owns(value):
                raise PlacementError(
                    f"{problem.algorithm}: argument {name!r} is {of_kind(value)} that does not live on "
                    f"{self!r}. Nothing is copied silently: pass {self!r}.asarray({name}), or run where it lives"
                )
            return value, 0, None
        if self.device.host_memory:
            return value, 0, None
        rows = [moves.host_rows(problem, place, value, (part.lo, part.hi)) for place in places]
        (first, last), (begin, end) = (
            (min(lo for lo, _ in some), max(hi for _, hi in some)) for some in zip(*rows, strict=True)
        )
        local = value[first:last]
        if any(map(moves.fetched, uses)):
            with span("transfer", name, self, bytes=local.nbytes):
                here = self.device.asarray(np.ascontiguousarray(local))
        else:
            here = self.device.empty(local.shape, local.dtype)
        if not writes:
            return here, first, None
        own = here if (begin, end) == (first, last) else here[begin - first : end - first]
        return here, first, (own, value[begin:end])

    def transfers(self, problem: Problem, part: Part) -> tuple[int, int]:
        return pipeline.transfers(problem, part, self.device)


# making executors ---------------------------------------------------------------------------------

_opened: dict[str, Executor] = {}
_open_lock = forks.lock()


def opened() -> list[Executor]:
    """The device executors that are open."""
    return list(_opened.values())


def device(kind: str, index: int | None, text: str) -> Executor:
    found = _opened.get(text)
    if found is not None:
        return found
    with _open_lock:
        if text not in _opened:
            _opened[text] = DeviceExecutor(kind, index, text, backend.open_device(kind, index))
        return _opened[text]


def _index(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < 2**16:
        raise BackendUnavailableError(f"{name}({value!r}): must be a whole number from {least} to {2**16 - 1}")
    return int(value)


def threads(n: int | None = None) -> Executor:
    """`n` CPU threads that share memory; by default one per CPU that this process may use."""
    if n is None:
        return device("threads", None, "pp.threads()")
    return device("threads", _index("threads", n, 1), f"pp.threads({n})")


def simd() -> Executor:
    """The calling thread, with SIMD lanes."""
    return device("simd", None, "pp.simd()")


def cuda(index: int = 0) -> Executor:
    """A CUDA GPU. Arrays are CuPy's."""
    return device("cuda", _index("cuda", index, 0), f"pp.cuda({index})")


def opencl(index: int = 0) -> Executor:
    """An OpenCL device, numbered over all platforms as in `available`. Arrays are PyOpenCL's."""
    return device("opencl", _index("opencl", index, 0), f"pp.opencl({index})")
