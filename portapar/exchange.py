"""Supersteps: what the parts of a call do at once, and what they tell each other. `portapar.parts` says what for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from portapar import arrays, moves, shares
from portapar.devices import DeviceExecutor
from portapar.errors import BackendUnavailableError, DeviceMemoryError, PlacementError
from portapar.executor import Executor
from portapar.few import MISS, FirstStep
from portapar.hybrid import InTurns, in_turns
from portapar.lazy import Lazy, flat
from portapar.part import Data, LocalPart
from portapar.partitioned import PartitionedArray
from portapar.plan import Plan, Surveyed
from portapar.policy import Policy

T = TypeVar("T")

_SHARE = 8  #: of a device's memory a part that takes its turn has one such share of the arguments, at most


class Exchange:
    """One call of an algorithm, cut into parts.

    Attributes
    ----------
    algorithm : str
        The user's name for it.
    policy : Policy
    executor : Executor
    cuts : tuple of int
        Part k has the rows ``cuts[k]`` to ``cuts[k + 1]``.
    here : bool
        There is one part, in the host's memory, and all arrays are NumPy's: nothing is placed, moved or told, so that
        a superstep costs no more than what it does.
    """

    def __init__(self, algorithm: str, policy: Policy, executor: Executor, values: Sequence[Any]) -> None:
        if executor.closed:
            raise BackendUnavailableError(f"{executor!r} was closed; make a new executor")
        self.algorithm, self.policy, self.executor = algorithm, policy, executor
        self.short: Any = None  #: what does it in remembered steps
        self.values = values
        self.asked = ""  #: what ranks must agree on besides the name of a step
        self.kind = _kind(values)
        self._own: tuple[Any, list[LocalPart]] = (None, [])  #: cuts, and the parts by them
        self._read: dict[int, tuple[Any, Data]] = {}  #: by the identity of arrays, which `Data` keep alive
        self.survey: Plan | None = None  #: the plan that is being made
        self.here = False
        self.in_turns = isinstance(executor, InTurns)
        if self.kind == "partitioned":
            given = [x for x in flat(values) if isinstance(x, PartitionedArray)]
            self.cuts = given[0].cuts
            for x in given:
                self._at_home(x, "an argument")
        else:
            rows = next((x for x in values if getattr(x, "shape", None)), None)
            ranges = [] if rows is not None else [len(x) for x in values if isinstance(x, (arrays.Range, range))]
            count = rows.shape[0] if rows is not None else (*ranges, 0)[0]
            self.cuts = shares.cut_rows(count, executor.weights)

    @property
    def count(self) -> int:
        """The number of parts."""
        return len(self.cuts) - 1

    @property
    def why(self) -> str:
        """What decided how it is cut."""
        if self.count == 1:
            return "one part"
        if self.in_turns:
            device = self.own[0].executor.device
            told = f"its arrays have {needed(self.values)} bytes, those of {device} may have {device.memory}"
            return f"one part after the other, each of which is copied there for each step: {told}"
        by = "where its partitioned arrays are cut" if self.kind == "partitioned" else "by the executor's weights"
        return f"cut {by}"

    @property
    def how(self) -> Policy:
        """The policy bound to its executor: algorithms called with it run on all parts."""
        return self.policy._at(self.executor)

    @property
    def own(self) -> list[LocalPart]:
        """The parts of this process."""
        if self._own[0] is not self.cuts:
            made = [
                LocalPart(k, len(self.cuts) - 1, self.cuts[k], self.cuts[k + 1], self.policy._at(member))
                for k, member in enumerate(self.executor.members)
                if isinstance(member, DeviceExecutor)
            ]
            for part in made if self.in_turns else ():
                part.placed = []
            self._own = self.cuts, made
        return self._own[1]

    def alone(self) -> LocalPart:
        """The only part, for algorithms that cannot be cut.

        Raises
        ------
        PlacementError
            There are several.
        """
        if self.in_turns:
            device = self.own[0].executor.device
            raise DeviceMemoryError(
                f"{self.algorithm}: its arrays have {needed(self.values)} bytes, those of {device} may have "
                f"{device.memory}, and it needs all of them there. Use smaller arrays, or another executor, such as "
                "pp.threads()"
            )
        if self.count != 1:
            raise PlacementError(
                f"{self.algorithm} does not yet run on several parts: {self.executor!r} has {self.count} parts, and "
                "this runs on one device. Use one executor, such as policy.on(pp.threads()), on pp.asnumpy(...) of "
                "what is partitioned"
            )
        return self.own[0]

    def few(self, *kernels: Any) -> Any:
        """What the call's `few` finds, if one part on the host may do it; else MISS.

        `kernels` are the user's functions that run. Not in checked calls, which say which iteration was wrong.
        """
        member, *more = self.executor.members
        if self.short is None or more or self.kind != "numpy" or not isinstance(member, DeviceExecutor):
            return MISS
        if not member.device.host_memory or self.policy.check:
            return MISS
        if any(isinstance(x, Lazy) and x.loops for x in self.values):  # Ctrl-C is heard between steps
            return MISS
        return self.short(FirstStep(self.algorithm, self.policy, self.own[0], kernels))

    def recut(self, shape: tuple[int, ...], by: Any = None) -> None:
        """Cut by rows of that shape from now on (but where arrays are partitioned into several parts already).

        `by` is the argument of that shape, where others may have other lengths: then its cuts count.
        """
        leaves = [x for x in flat((by,)) if isinstance(x, PartitionedArray) and x.shape[0] == shape[0]]
        if leaves:
            self.cuts = leaves[0].cuts
        elif by is not None or self.kind != "partitioned" or self.count == 1:
            self.cuts = shares.cut_rows(shape[0], self.executor.weights)

    # what a plan says ------------------------------------------------------------------------------

    def _surveyed(self, step: str) -> None:
        """While only the plan is wanted: the first step ends it."""
        if self.survey is not None:
            self.survey.first = self.survey.first or step
            raise Surveyed

    def note(self, x: Any, name: str, whole: bool = False, into: bool = True, out: bool = False) -> None:
        """While only the plan is wanted: parts have copies of their rows of a host array, or of all of it."""
        if self.survey is None or not isinstance(x, np.ndarray) or (id(x), out) in self.survey.seen:
            return
        self.survey.seen[id(x), out] = x
        self.survey.facts.append(f"{name}: {arrays.describe(x)} ({'written' if out else 'read'})")
        if out and self.executor.kind == "mpi":  # every rank gets all of it
            self.told(x.nbytes * (len(self.executor.firsts) - 2), most=self.survey.most)
        for k, (lo, hi) in enumerate(shares.spans(self.cuts)):
            if lo < hi:
                size = x.nbytes if whole else -(-len(x) * (hi - lo) // self.cuts[-1]) * x[:1].nbytes
                self.carries(k, size * into, size * out)

    def carries(self, number: int, into: int, out: int) -> None:
        """While only the plan is wanted: bytes to a part's device, and back; none where it is the host."""
        member = self.executor.members[number]
        if self.survey is not None and isinstance(member, DeviceExecutor) and not member.device.host_memory:
            moved = self.survey.moved.setdefault(number, [0, 0])
            moved[0] += into
            moved[1] += out

    def told(self, nbytes: int, most: bool = False) -> None:
        """While only the plan is wanted: what parts give each other, or so much at the `most`."""
        if self.survey is not None:
            self.survey.told += nbytes
            self.survey.bounded |= most

    def settles(self, row: int) -> None:
        """While only the plan is wanted: every row, with so many bytes, goes by the host to a part, perhaps another."""
        if self.survey is None or self.count == 1:
            return
        n = self.cuts[-1]
        for k, (lo, hi) in enumerate(shares.spans(self.cuts)):
            self.carries(k, row * (hi - lo), row * (hi - lo))
        self.told(row * sum(min(hi - lo, n - hi + lo) for lo, hi in shares.spans(self.cuts)), most=True)

    def tells(self, asked: Sequence[Sequence[tuple[int, int]]], row: int, x: Any, instead: bool = False) -> None:
        """While only the plan is wanted: part k gets the rows ``asked[k]`` of `x`, of `row` bytes each, from anywhere.

        `instead`: and uses no others, though they were noted.
        """
        if self.survey is None or self.count == 1:
            return
        spans, told, host = list(shares.spans(self.cuts)), 0, isinstance(x, np.ndarray)
        for k, (own, some) in enumerate(zip(spans, asked, strict=True)):
            got = sum(hi - lo for lo, hi in some if lo < hi)
            told += got - sum(shares.common(own, one) for one in some)
            given = 0 if host else sum(shares.common(own, one) for theirs in asked for one in theirs)
            self.carries(k, row * (got - (own[1] - own[0] if host and instead else 0)), row * given)
        self.told(0 if host else told * row)

    def expects(self, rows: int, dtype: Any) -> None:
        """A new result will have so many rows at most, which parts find and put together: for the plan."""
        if self.survey is None:
            return
        self.survey.most = True
        size = np.dtype(dtype).itemsize
        if self.kind == "numpy":
            self.note(np.broadcast_to(np.empty((), dtype), (rows,)), "the result", into=False, out=True)  # no memory
        elif self.count > 1:
            ends = shares.cut_rows(rows, self.executor.weights)
            gets = [min(hi - lo + 1, rows) for lo, hi in shares.spans(ends)]
            gives = [min(hi - lo, rows) for lo, hi in shares.spans(self.cuts)]
            for k, (got, given) in enumerate(zip(gets, gives, strict=True)):
                self.carries(k, size * got, size * given)
                self.told(size * min(got, sum(gives) - given), most=True)

    @property
    def near(self) -> bool:
        """Whether its parts work in the host's memory; ranks, which need not be alike, are taken to."""
        return self.executor.kind == "mpi" or moves.shares_memory(self.executor)

    def there(
        self, algorithm: Callable[..., Any], arguments: dict[str, Any], *results: tuple[int, Any], **more: Any
    ) -> Any:
        """The call on copies of NumPy arrays on devices, so that what one step leaves for the next stays there.

        MISS where they are at hand already.

        Parameters
        ----------
        algorithm : callable
            The user's, which is called with `arguments`, arrays by their names, and `more`.
        *results : (int, dtype)
            How many elements each has at most: for the plan.
        """
        if self.survey is not None and self.count > 1 and (self.near or self.kind == "partitioned"):
            for rows, dtype in results:
                self.expects(rows, dtype)
        if self.near or self.in_turns or self.kind != "numpy":
            return MISS
        if not all(isinstance(x, np.ndarray) for x in arguments.values()):
            return MISS
        for name, x in arguments.items():
            self.note(x, name)
        for rows, dtype in results:
            self.expects(rows, dtype)
        if self.survey is not None and self.count > 1:
            self.survey.first = "copies"
            algorithm(self.how, **{name: self._unplaced(x) for name, x in arguments.items()}, **more)
        self._surveyed("copies")
        placed = {id(x): self.executor.asarray(x) for x in arguments.values()}
        found = algorithm(self.how, **{name: placed[id(x)] for name, x in arguments.items()}, **more)
        if isinstance(found, arrays.SCALARS):
            return found
        return tuple(map(arrays.asnumpy, found)) if isinstance(found, tuple) else arrays.asnumpy(found)

    def _unplaced(self, x: np.ndarray) -> PartitionedArray:
        """While only the plan is wanted: an array as it will lie on the parts, without memory."""
        ends, nothing = shares.cut_rows(len(x), self.executor.weights), np.empty((), x.dtype)
        rows = {part.number: ends[part.number + 1] - ends[part.number] for part in self.own}
        parts = {k: np.broadcast_to(nothing, (count, *x.shape[1:])) for k, count in rows.items()}
        return PartitionedArray(x.shape, x.dtype, ends, parts, self.executor)

    # supersteps -----------------------------------------------------------------------------------

    def each(self, step: str, work: Callable[[LocalPart], T]) -> list[T]:
        """Run a step on all parts at once; returns its results of all parts, in order, everywhere.

        Results travel between ranks: they should be small.
        """
        if self.here:
            return [work(self.own[0])]
        self._surveyed(step)
        pieces = self.own
        works = [lambda part=part: self._step(work, part) for part in pieces]
        return self.executor.each(f"{self.algorithm}{self.asked}: {step}", works)

    def _step(self, work: Callable[[LocalPart], T], part: LocalPart) -> T:
        found = work(part)
        if self.in_turns:
            part.leave()
        return found

    def do(self, step: str, work: Callable[[LocalPart], T]) -> dict[int, T]:
        """Run a step on all parts at once; its results stay where they are: {number: result} of own parts."""
        if self.here:
            return {0: work(self.own[0])}
        found: dict[int, T] = {}

        def keep(part: LocalPart) -> None:
            found[part.number] = work(part)

        self.each(step, keep)
        return found

    def make(self, work: Callable[[LocalPart], T]) -> dict[int, T]:
        """What `work` makes of each own part, as `do`, of work that is too little for threads and messages of its own.

        Ranks whose work fails tell the others when they agree next.
        """
        return {part.number: self._step(work, part) for part in self.own}

    def alltoall(
        self, step: str, work: Callable[[LocalPart], Sequence[Any]], brief: bool = False
    ) -> dict[int, list[Any]]:
        """Every part gives one (host) value to each part; returns what each own part was given, in order.

        `brief` work is too little for threads of its own.
        """
        self._surveyed(step)
        pieces = self.own
        if brief and len(self.executor.firsts) == 2:
            given = list(self.make(work).values())
            return {part.number: [some[k] for some in given] for k, part in enumerate(pieces)}
        works = [lambda part=part: list(self._step(work, part)) for part in pieces]
        found = self.executor.alltoall(f"{self.algorithm}{self.asked}: {step}", works)
        return dict(zip((part.number for part in pieces), found, strict=True))

    def rows(
        self, step: str, data: Data, wanted: Callable[[int], Sequence[tuple[int, int]]], instead: bool = False,
        views: bool = False,
    ) -> dict[int, list[Any]]:  # fmt: skip
        """Rows that parts need, wherever they are: {number: arrays that live where that own part does}.

        Parameters
        ----------
        step : str
        data : Data
            An input or output, stored (not lazy), cut as the call is.
        wanted : callable
            ``wanted(number)``: the ranges of rows [lo, hi) of the whole that a part asks for.
        instead : bool
            It uses no others, not its own either: for the plan.
        views : bool
            Rows that are all its own are not copied: nobody writes to them meanwhile.
        """
        if self.survey is not None and self.count > 1:
            row = data.dtype.itemsize * math.prod(data.shape[1:])
            self.tells([wanted(k) for k in range(self.count)], row, data.value, instead)
        self._surveyed(step)
        pieces = self.own

        def some(part: LocalPart, lo: int, hi: int) -> Any:
            if hi <= lo:
                return part.empty((0, *data.shape[1:]), data.dtype)
            return part.asarray((data[part] if self.count == 1 else data.value)[lo:hi])

        if self.in_turns and isinstance(data.value, np.ndarray):  # each call that uses them moves them
            return {p.number: [data.value[lo:hi] for lo, hi in wanted(p.number)] for p in pieces}
        if self.count == 1 or isinstance(data.value, np.ndarray):
            return {p.number: [some(p, lo, hi) for lo, hi in wanted(p.number)] for p in pieces}

        def stays(part: LocalPart, k: int, lo: int, hi: int) -> bool:
            return views and k == part.number and part.lo <= lo < hi <= part.hi

        def send(part: LocalPart) -> list[list[np.ndarray]]:
            def own(k: int, lo: int, hi: int) -> np.ndarray:
                first, last = max(lo, part.lo), min(hi, part.hi)
                if last <= first or stays(part, k, lo, hi):
                    return np.empty((0, *data.shape[1:]), data.dtype)
                return arrays.asnumpy(data[part][first - part.lo : last - part.lo])

            return [[own(k, lo, hi) for lo, hi in wanted(k)] for k in range(self.count)]

        got = self.alltoall(step, send)

        def placed(part: LocalPart, some: Sequence[np.ndarray], lo: int, hi: int) -> Any:
            if stays(part, part.number, lo, hi):
                return data[part][lo - part.lo : hi - part.lo]
            return part.asarray(np.concatenate(some))

        return {
            part.number: [
                placed(part, some, *span)
                for some, span in zip(zip(*got[part.number], strict=True), wanted(part.number), strict=True)
            ]
            for part in pieces
        }

    def _at_home(self, x: PartitionedArray, name: str) -> None:
        if x.executor is not self.executor:
            raise PlacementError(
                f"{self.algorithm}: {name} lives on {x.executor!r}, not on {self.executor!r}. "
                f"Use policy.on({x.executor!r})"
            )


def _kind(values: Sequence[Any]) -> str:
    """What went in, and so must come out: "numpy", "device" or "partitioned"."""
    found = "numpy"
    for x in flat(values):
        if type(x) is np.ndarray:
            continue
        if isinstance(x, PartitionedArray):
            return "partitioned"
        if not isinstance(x, (np.ndarray, *arrays.SCALARS)) and hasattr(x, "dtype") and hasattr(x, "strides"):
            found = "device"
    return found


def roomy(where: Executor, values: Sequence[Any]) -> Executor:
    """Where a call on NumPy arrays runs: on a device that has no room for them and what is made of them, in turns."""
    if not isinstance(where, DeviceExecutor) or where.device.host_memory or not where.device.memory:
        return where
    need, room = needed(values), where.device.memory
    if 2 * need <= room or _kind(values) != "numpy":
        return where
    return in_turns(where, 1 << (-(-_SHARE * need // room) - 1).bit_length())


def needed(values: Sequence[Any]) -> int:
    """Bytes of NumPy arrays among the arguments of a call."""
    return sum(x.nbytes for x in {id(x): x for x in flat(values) if isinstance(x, np.ndarray)}.values())

