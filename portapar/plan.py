"""The plan step: from a problem, a policy and an executor to a plan. Pure: nothing runs, nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portapar import arrays, cost, moves
from portapar.errors import BackendUnavailableError, PlacementError
from portapar.kernel.front.access import Access
from portapar.kernel.program import REFUSED
from portapar.kernel.tiles import TILE
from portapar.moves import Move
from portapar.policy import Policy
from portapar.problem import Problem, Tests


@dataclass(frozen=True, slots=True)
class Part:
    """The flat indices [lo, hi) of a problem, for one executor.

    `wakes` says whether the work outweighs waking threads that sleep.
    """

    executor: Any
    lo: int
    hi: int
    threads: int
    wakes: bool = True


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
    parts = x.parts.values() if isinstance(x, arrays.PartitionedArray) else (x,)
    return [part for part in parts if isinstance(part, np.ndarray)]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call will run. ``print(plan)`` explains it, ``plan.run()`` does it.

    Attributes
    ----------
    problem : Problem
    policy : Policy
    executor : Executor
        Who runs the plan: for several parts a hybrid or an MPI executor.
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
        """Run the plan on the arguments that it was made for; returns what the algorithm returns.

        A call that is made again and again with the same arrays is cheapest this way: all that can be
        prepared is prepared in the first run.

        Raises
        ------
        PlacementError
            An argument is no longer the array that it was: its shape, dtype, strides or memory changed, or it cannot be
            written any more. Nothing is written then.
        """
        if not self._bound:
            self.check()
            self._bound.append(self.executor.bind(self))
        if self.executor.closed:
            raise BackendUnavailableError(f"{self.executor!r} was closed; make a new executor, and a new plan")
        for copy in self.problem.copies:
            copy.make()
        value = self._bound[0]()
        if value is REFUSED:
            self.check()
            value = self.executor.execute(self)  # nothing that matters has changed
        if self.problem.tests is not None:
            self._look(self.problem.tests)
        return self.result if value is None else value

    def execute(self) -> Any:
        """Run the plan once; returns what its executor does."""
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

    def __str__(self) -> str:
        p = self.problem
        space = "×".join(str(n) for n in p.extent)
        lines = [f"{p.algorithm} over {space} indices, {self.policy!r}", f"  {self.why}"]
        lines += [f"  {name}: {told}, computed where it is read" for name, told in p.lazy]
        if p.tests is not None:
            lines.append(f"  every index at {len(p.tests.sites)} places of the kernel is tested")
        lines += [f"  {line}" for line in self.arguments()]
        lines += [f"  {c.name}: strided, copied when it runs, {c.place.nbytes} bytes" for c in p.copies]
        lines += [f"  {move}" for move in self.moves]
        for part in self.parts:
            share = 100 * (part.hi - part.lo) / max(p.size, 1)
            threads = f", {part.threads} thread{'s' * (part.threads != 1)}" if part.threads else ""
            moved = self.bytes(part)
            lines.append(
                f"  [{part.lo}, {part.hi}) {share:.0f} % on {part.executor!r}{threads}"
                + (f", moves {moved[0]} bytes in and {moved[1]} bytes out" if any(moved) else "")
            )
        if p.program.form == "reduce":
            lines.append(f"  tiles of {TILE} elements, combined in a fixed tree: the same bits wherever it is cut")
        return "\n".join(lines)


    def bytes(self, part: Part) -> tuple[int, int]:
        """Bytes that a part moves to its device, and back."""
        into, out = part.executor.transfers(self.problem, part)
        device = getattr(part.executor, "device", None)
        if self.moves and device is not None and not device.host_memory:
            spans = [(one.lo, one.hi) for one in self.parts]
            more = moves.traffic(self.problem, self.moves, spans, self.parts.index(part))
            into, out = into + more[0], out + more[1]
        return into, out

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


def make_plan(problem: Problem, policy: Policy, executor: Any) -> Plan:
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
        return Plan(problem, policy, executor, (part,), _reason(part))
    spans, why, moved = moves.decide(problem, policy, executor)
    parts = tuple(_part(problem, policy, member, *span) for member, span in zip(members, spans, strict=True))
    return Plan(problem, policy, executor, parts, why, moves=moved)


def _part(problem: Problem, policy: Policy, executor: Any, lo: int, hi: int) -> Part:
    """On one thread where the policy or the size of the work says so."""
    available = executor.threads
    if available <= 1 or not policy.threads:
        return Part(executor, lo, hi, min(available, 1))
    if policy.schedule != "static":  # few heavy iterations, perhaps
        return Part(executor, lo, hi, available)
    seconds = cost.serial_seconds(problem.program, hi - lo)
    return Part(executor, lo, hi, available if seconds > 2 * cost.fork_join() else 1, seconds > cost.wake())


def _reason(part: Part) -> str:
    if part.executor.threads > part.threads == 1:
        return "one part, one thread: the policy or the size of the work asks for no more"
    return "one part"


class Surveyed(Exception):
    """All that is known before the first step of an algorithm is known."""


@dataclass
class Survey:
    """What an algorithm of several steps says of its data before the first step.

    Attributes
    ----------
    arrays : list of str
        A line for each.
    moved : dict
        Bytes to the device of a part, by its number, and back.
    first : str
        The first step.
    most : bool
        How long a result will be is not known: no more bytes than these come back.
    """

    arrays: list[str] = field(default_factory=list)
    moved: dict[int, list[int]] = field(default_factory=dict)
    first: str = ""
    seen: set[Any] = field(default_factory=set)
    most: bool = False

    def ends(self, made: Plan) -> None:
        """A loop is the first step, and its plan says what moves."""
        for k, part in enumerate(made.parts):
            moved = self.moved.setdefault(k, [0, 0])
            for side, size in enumerate(part.executor.transfers(made.problem, part)):
                moved[side] = max(moved[side], size)
        self.arrays += made.arguments()
        self.first = self.first or made.problem.algorithm
        raise Surveyed


@dataclass(frozen=True)
class Steps:
    """The plan of an algorithm of several steps; ``print`` shows who does which part, `run` runs it."""

    algorithm: str
    policy: Policy
    executor: Any
    cuts: tuple[int, ...]
    call: Callable[[], Any] = field(repr=False)
    survey: Survey = field(default_factory=Survey, repr=False)

    @property
    def parts(self) -> tuple[tuple[Any, int, int], ...]:
        return tuple(zip(self.executor.members, self.cuts[:-1], self.cuts[1:], strict=True))

    def run(self) -> Any:
        """Run it; returns what the algorithm returns."""
        return self.call()

    def __str__(self) -> str:
        total = max(self.cuts[-1], 1)
        first = f", the first of which is {self.survey.first!r}" if self.survey.first else ""
        lines = [f"{self.algorithm} over {self.cuts[-1]} rows in several steps{first}, {self.policy!r}"]
        lines += [f"  {line}" for line in self.survey.arrays]
        for k, (who, lo, hi) in enumerate(self.parts):
            moved = self.survey.moved.get(k, (0, 0))
            most = ", at most" * self.survey.most
            told = f", moves {moved[0]} bytes in and {moved[1]} bytes out{most}" if any(moved) else ""
            lines.append(f"  [{lo}, {hi}) {100 * (hi - lo) / total:.0f} % on {who!r}{told}")
        return "\n".join(lines)
