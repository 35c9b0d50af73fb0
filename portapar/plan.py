"""Plans: who does which part of a call, and what moves for that. Pure: nothing runs, nothing moves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from portapar import arrays, cost, divided, moves
from portapar.errors import ArgumentError, BackendUnavailableError, PlacementError
from portapar.kernel.front.access import Access
from portapar.kernel.program import REFUSED, Program, has_loop, may_be_slow
from portapar.kernel.tiles import TILE
from portapar.moves import Move
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy
from portapar.problem import Problem, Tests
from portapar.trace import span, watching

SLOW_TILES = 64  #: a reduction of more tiles keeps enough threads busy, whatever an element takes


@dataclass(frozen=True, slots=True)
class Part:
    """The flat indices [lo, hi) of a problem, for one executor.

    `wakes` says whether the work outweighs waking threads that sleep, `alone` that one thread begins, and others join
    if the rest outweighs it.
    """

    executor: Any
    lo: int
    hi: int
    threads: int
    wakes: bool = True
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """An array that a plan works on, and what it was like when the plan was made."""

    array: np.ndarray
    name: str
    written: bool
    state: tuple[Any, ...]

    def change(self) -> str:
        """What is not as it was; empty if nothing is."""
        for what, before, now in zip(("shape", "strides", "dtype"), self.state, _state(self.array), strict=False):
            if before != now:
                return f"its {what} was {before} and is {now}"
        if self.state != _state(self.array):
            return "its memory is another one"
        if not self.array.flags.aligned:
            return "it is no longer aligned to its dtype"
        return "it is read-only now" if self.written and not arrays.writeable(self.array) else ""


def _state(x: np.ndarray) -> tuple[Any, ...]:
    return x.shape, x.strides, x.dtype, x.__array_interface__["data"][0]


def watch(problem: Problem, given: Sequence[Any]) -> tuple[Watched, ...]:
    """The arrays of a call on the host: those that the user gave, and the views that the problem has of them."""
    found: dict[int, Watched] = {}
    own = [(k, v) for k, x in problem.arrays() for v in _hosts(x)]
    for x in [v for y in given for v in _hosts(y)] + [v for _, v in own]:
        uses = [k for k, v in own if v is x or np.may_share_memory(v, x)]
        written = arrays.writeable(x) and any(use.writes for k in uses if (use := problem.access[k]) is not None)
        name = problem.names[uses[0]] if uses else "x"
        found.setdefault(id(x), Watched(x, name, written, _state(x)))
    return tuple(found.values())


def _hosts(x: Any) -> list[np.ndarray]:
    parts = x.parts.values() if isinstance(x, PartitionedArray) else (x,)
    return [part for part in parts if isinstance(part, np.ndarray)]


@dataclass(frozen=True, slots=True)
class Loop:
    """One kernel form, cut into parts: what executors run.

    Attributes
    ----------
    problem : Problem
    policy : Policy
    executor : Executor
        Who runs it: for several parts a hybrid or an MPI executor.
    parts : tuple of Part
        In order; together they cover the whole index space.
    why : str
        What decided.
    result : object
        What the call returns if its form returns nothing.
    watched : tuple of Watched
        The arrays that must not change between runs but in their elements.
    moves : tuple of Move
        What parts tell each other, or keep a copy of.
    """

    problem: Problem
    policy: Policy
    executor: Any
    parts: tuple[Part, ...]
    why: str
    result: Any = None
    watched: tuple[Watched, ...] = field(default=(), repr=False, compare=False)
    moves: tuple[Move, ...] = ()
    _bound: list[Any] = field(default_factory=list, repr=False, compare=False)

    def run(self) -> Any:
        """Run it again and again on its arguments, see `Plan.run`."""
        if not self._bound:
            self.check()
            self._bound.append(self.executor.bind(self))
        if self.executor.closed:
            raise BackendUnavailableError(f"{self.executor!r} was closed; make a new executor, and a new plan")
        for copy in self.problem.copies:
            copy.make()
        value = REFUSED if watching else self._bound[0]()
        if value is REFUSED:
            self.check()
            with span("call", self.problem.algorithm, self.executor):
                value = self.executor.execute(self)  # nothing that matters has changed
        if self.problem.tests is not None:
            self._look(self.problem.tests)
        return self.result if value is None else value

    def execute(self) -> Any:
        """Run it once; returns what its executor does."""
        for copy in self.problem.copies:
            copy.make()
        value = self.executor.execute(self)
        if self.problem.tests is not None:
            self._look(self.problem.tests)
        return value

    def _look(self, tests: Tests) -> None:
        """Raise what a checked call found, on all ranks alike."""
        record = tests.record.copy()
        tests.record[:] = 0
        for found in self.executor.each(f"{self.problem.algorithm}: bounds", [lambda: record]):
            if found[0]:
                raise tests.error(self.problem, found)

    def check(self) -> None:
        """Refuse arguments that are not as they were when the plan was made."""
        for x in self.watched:
            change = x.change()
            if change:
                raise PlacementError(
                    f"{self.problem.algorithm}: argument {x.name!r} has changed since the plan was made: {change}. "
                    "Make a new plan"
                )

    def plan(self) -> Plan:
        """The plan of a call that is this loop."""
        p = self.problem
        space = "×".join(str(n) for n in p.extent)
        made = Plan(p.algorithm, self.policy, self.executor, self.run, p.size, f"{space} indices", self.parts, self.why)
        made.loop = self
        made.facts += [f"{name}: {told}, computed where it is read" for name, told in p.lazy]
        if p.tests is not None:
            made.facts.append(f"every index at {len(p.tests.sites)} places of the kernel is tested")
        made.facts += self.arguments()
        made.facts += [f"{c.name}: strided, copied when it runs, {c.place.nbytes} bytes" for c in p.copies]
        made.facts += map(str, self.moves)
        made.facts += [told for part in self.parts if (told := part.executor.streamed(p, part))]
        if p.program.form == "reduce":
            made.facts.append(
                f"tiles of {TILE} elements, combined in a fixed tree: the same bits wherever it is cut"
            )
            if told := self.told():
                made.facts.append(f"what parts tell each other: {told} bytes")
        made.moved = dict(enumerate(map(self.bytes, self.parts)))
        return made

    def told(self) -> int:
        """Bytes of a reduction that processes give each other."""
        p, ends = self.problem, self.executor.firsts
        if p.program.acc is None or len(ends) < 3 or not p.size:
            return 0
        counts = divided.layout((*(self.parts[k].lo for k in ends[:-1]), p.size), p.size).counts
        return sum(counts) * p.program.acc.itemsize * (len(ends) - 2)

    def bytes(self, part: Part) -> list[int]:
        """Bytes that a part moves to its device, and back."""
        into, out = part.executor.transfers(self.problem, part)
        device = getattr(part.executor, "device", None)
        if self.moves and device is not None and not device.host_memory:
            spans = [(one.lo, one.hi) for one in self.parts]
            more = moves.traffic(self.problem, self.moves, spans, self.parts.index(part))
            into, out = into + more[0], out + more[1]
        return [into, out]

    def arguments(self) -> list[str]:
        """A line for each argument: what it is, and how the kernel uses it."""
        p, lines = self.problem, []
        for k, (name, value, use) in enumerate(zip(p.names, p.values, p.access, strict=True)):
            if p.tests is None or k != p.tests.place:
                lines.append(f"{name}: {arrays.describe(value)}{self._use(k, use)}")
        return lines

    def _use(self, k: int, use: Access | None) -> str:
        """How the kernel uses an argument."""
        if use is None:
            return ""
        words = " ".join(word for word, holds in (("read", use.reads), ("written", use.writes)) if holds)
        if not words:
            return " (not used)"
        where = "at its own index" if use.pointwise else "anywhere"
        if not use.pointwise:
            reach = self.problem.reaches()[k]
            if reach is not None and not reach.far and not reach.strays and reach.lands:
                around = f"rows i{reach.low:+d} to i{reach.high:+d}".replace("i+0", "i").replace("i-0", "i")
                where = "at its own row" if reach.own else around
        return f" ({words}, {where})"


def cut(problem: Problem, policy: Policy, executor: Any) -> Loop:
    """Decide who does which part of a problem.

    Parameters
    ----------
    executor : Executor
        One device, or a `hybrid` or `mpi` executor: then the rows are cut by its weights, or where the
        partitioned arguments are cut already.
    """
    members = executor.members
    if len(members) == 1:
        moves.refuse_copies(problem, executor)
        problem = moves.at_hand(problem, executor)
        part = _part(problem, policy, members[0], *(problem.span or (0, problem.size)))
        return Loop(problem, policy, executor, (part,), _reason(part))
    spans, why, moved = moves.decide(problem, policy, executor)
    parts = [_part(problem, policy, member, *span) for member, span in zip(members, spans, strict=True)]
    if len(executor.own) > 1:  # threads that are awake for a moment wait for those of other members, on the same CPUs
        parts = [part if part.wakes else replace(part, threads=min(part.threads, 1)) for part in parts]
    return Loop(problem, policy, executor, tuple(parts), why, moves=moved)


def _part(problem: Problem, policy: Policy, executor: Any, lo: int, hi: int) -> Part:
    """What one executor does: on one thread where the policy or the size of the work says so."""
    return Part(executor, lo, hi, *threads_for(problem.program, policy, executor, hi - lo))


def threads_for(program: Program, policy: Policy, executor: Any, count: int) -> tuple[int, bool, bool]:
    """How many threads do so many iterations, whether those that sleep are woken, and whether one begins alone."""
    available = executor.threads
    if available <= 1 or not policy.threads:
        return min(available, 1), True, False
    if policy.schedule != "static":  # few heavy iterations, perhaps
        return available, True, False
    seconds, wakes = cost.serial_seconds(program, count), cost.wake()
    of_elements = program.form != "reduce" or values_first(program, count)
    if of_elements and seconds <= 2 * wakes and count > 1 and may_be_slow(program.text):
        return available, True, True
    return available if seconds > 2 * cost.fork_join() else 1, seconds > wakes, False


def values_first(program: Program, count: int) -> bool:
    """Whether a reduction of so many elements first finds their values, and folds them then: they have a loop.

    A tile is folded by one thread or one group, so that some thousand slow elements would keep few busy. It does not
    depend on the device: the first step is another kernel, and the last bits of functions of mathematics may differ.
    """
    return program.form == "reduce" and 1 < count <= SLOW_TILES * TILE and has_loop(program.text)


def _reason(part: Part) -> str:
    if part.alone:
        return "one part, begun by one thread: others join as soon as the clock says that the rest is worth it"
    if part.executor.threads > part.threads == 1:
        return "one part, one thread: the policy or the size of the work asks for no more"
    return "one part"


class Surveyed(Exception):
    """All that is known before the first step of an algorithm is known."""


@dataclass(slots=True)
class Plan:
    """How one call will run. ``print(plan)`` explains it, ``plan.run()`` does it.

    Attributes
    ----------
    algorithm : str
    policy : Policy
    executor : Executor
        Who runs it.
    parts : tuple of Part
        In order: who does which indices, or of an algorithm of several steps which rows.
    why : str
        What decided.
    facts : list of str
        A line for each argument, and for what is copied or told to others.
    moved : dict
        Bytes to the device of a part, by its number, and back.
    loop : Loop or None
        What runs, where that is one kernel form.
    """

    algorithm: str
    policy: Policy
    executor: Any
    call: Callable[[], Any] = field(repr=False)
    size: int = 0
    over: str = ""
    parts: tuple[Part, ...] = ()
    why: str = ""
    facts: list[str] = field(default_factory=list)
    moved: dict[int, list[int]] = field(default_factory=dict)
    loop: Loop | None = None
    candidates: tuple[str, ...] = ()
    predicted: float = math.nan
    measured: float = math.nan
    first: str = ""  #: of several steps the first one
    told: int = 0  #: bytes of rows that their parts get from each other,
    bounded: bool = False  #: or as many at most
    most: bool = False  #: how long a result will be is not known: no more bytes than these come back
    seen: dict[Any, Any] = field(default_factory=dict, repr=False)  #: the arrays that were told, kept alive

    def __reduce__(self) -> Any:
        raise ArgumentError("a plan cannot be pickled or copied: it is of this process's arrays. Make it where it runs")

    def run(self) -> Any:
        """Run the plan on the arguments that it was made for; returns what the algorithm returns.

        A call that is made again and again with the same arrays is cheapest this way: all that can be
        prepared is prepared in the first run.

        Raises
        ------
        PlacementError
            An argument is no longer the array that it was: its shape, dtype, strides or memory changed, or it cannot be
            written any more. Nothing is written then. Algorithms of several steps
            look at their arguments as in any call.
        """
        begun = time.perf_counter()
        value = self.call()
        self.measured = time.perf_counter() - begun
        return value

    def begins(self, loop: Loop) -> None:
        """A loop is the first of several steps, and says what moves."""
        for k, part in enumerate(loop.parts):
            moved = self.moved.setdefault(k, [0, 0])
            for side, size in enumerate(part.executor.transfers(loop.problem, part)):
                moved[side] = max(moved[side], size)
        self.facts += loop.arguments()
        self.told += loop.told()
        self.first = self.first or loop.problem.algorithm
        raise Surveyed

    def cut(self, cuts: Sequence[int], why: str) -> None:
        """Part k does the rows ``cuts[k]`` to ``cuts[k + 1]``, in several steps."""
        first = f", the first of which is {self.first!r}" if self.first else ""
        self.size, self.over, self.why = cuts[-1], f"{cuts[-1]} rows in several steps{first}", why
        self.parts = tuple(
            Part(member, lo, hi, member.threads if self.policy.threads else min(member.threads, 1))
            for member, lo, hi in zip(self.executor.members, cuts[:-1], cuts[1:], strict=True)
        )
        if self.told:
            most = "at most " * self.bounded
            self.facts.append(f"rows that parts get from each other: {most}{self.told} bytes")
        if not moves.shares_memory(self.executor):
            self.facts.append("what its steps find out moves besides: few bytes")

    def __str__(self) -> str:
        lines = [f"{self.algorithm} over {self.over}, {self.policy!r}", *(f"  {x}" for x in (self.why, *self.facts))]
        for k, part in enumerate(self.parts):
            share = 100 * (part.hi - part.lo) / max(self.size, 1)
            threads = f", {part.threads} thread{'s' * (part.threads != 1)}" if part.threads else ""
            into, out = self.moved.get(k, (0, 0))
            most = ", at most" * self.most
            moved = f", moves {into} bytes in and {out} bytes out{most}" if into or out else ""
            lines.append(f"  [{part.lo}, {part.hi}) {share:.0f} % on {part.executor!r}{threads}{moved}")
        for what, seconds in (("predicted", self.predicted), ("measured", self.measured)):
            if seconds == seconds:
                lines.append(f"  {what}: {seconds * 1e3:.4g} ms")
        return "\n".join(lines)
