"""Where a call runs, and how it is cut, if the user leaves it open: `pp.auto`, and `pp.hybrid` without weights.

A call is predicted on every candidate: work (`portapar.work`) over rates (`portapar.rates`), moving what lies
elsewhere included. What calls take decides from then on (`portapar.candidates`), and so do the shares of several
executors (`portapar.balance`). Nothing that is decided here changes a result.

What was measured is kept in the cache folder for later processes (`portapar.history`).

Histories that correct a model are those of StarPU (C. Augonnet et al., "StarPU", 2011), which keeps them for each size.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from portapar import arrays, autotune, cache, config, cost, history, moves, observed, pipeline, policy, rates, work
from portapar.balance import rounded
from portapar.candidates import HOPED, SETTLED, Candidate, Choice, time_text
from portapar.counter import Seen
from portapar.devices import DeviceExecutor
from portapar.errors import BackendUnavailableError, KernelError
from portapar.executor import Executor
from portapar.executors import available, default_executor, default_name, executor
from portapar.kernel.front.lift import bound, capturing
from portapar.lazy import flat
from portapar.partitioned import PartitionedArray
from portapar.plan import Part, Plan
from portapar.policy import Planning, Policy, Recording
from portapar.problem import Problem
from portapar.trace import watching
from portapar.work import Work

_LONG = 5e-3  #: seconds from which on it is worth it to look for devices that nobody has measured
_APART = 0.75  #: of the speeds of two executors alone, what must be left together: less, and they are the same cores

_OBSERVING = 2_000_000  #: steps that an algorithm of several steps is observed at the most
_OBSERVED = 60_000  #: the same of one kernel
_HOLDS = 31  #: calls until one is measured again
_QUICK = 1e-3  #: seconds; calls of several executors that take longer are all measured
_held: dict[Any, list[Any]] = cache.Bounded()  #: what decided calls run, and how often that holds
_states: dict[Any, Choice] = cache.Bounded()
_simple: dict[int, Any] = cache.Bounded()  #: codes of kernels that capture nothing, by identity, which keeps them alive

_measured: list[Any] = []  #: of a profile the executors that are here, and which two may share a call

for _kept in _states, _held, _measured:
    policy.forgets(_kept.clear)


def held(undecided: Policy, like: Any) -> list[Any] | None:
    """What calls that look like this one run, and how many of them will; None if that is not decided."""
    known = _decided(undecided)
    found = known.get(like)
    if found is None:
        return None
    found[1] -= 1
    if found[1] < 0:  # one is measured again
        known.pop(like, None)
        return None
    return found


def _decided(undecided: Policy) -> dict[Any, list[Any]]:
    """What decided calls run; that of hybrids goes with them."""
    where = undecided.executor
    return _held if where is None or not where.chooses else where.found


def _searches(how: Policy) -> bool:
    """Whether it is how one executor deals out iterations that is looked for."""
    return bool(how.tune) and how.executor is not None and not how.executor.chooses


def hold(undecided: Policy, like: Any, what: Any) -> None:
    """Have it run by the next calls that look like this one; None: no longer."""
    known = _decided(undecided)
    if what is None:
        known.pop(like, None)
    else:
        known[like] = [what, _HOLDS]


def run(
    how: Policy,
    algorithm: str,
    kernels: Sequence[Any],
    values: Sequence[Any],
    again: Callable[[Policy], Any],
    problem: Callable[[], Problem] | None = None,
    space: Any = None,
    holds: Callable[[Policy], None] | None = None,
) -> Any:
    """A call whose policy leaves open where it runs: ``again(policy)`` makes it, under a policy that does not.

    `problem` gives what the call is, if it is one kernel form; the work of others is counted in their first call.
    `space` is its index space, if it has one of its own. ``holds(policy)`` is called if what was found out will do for
    some calls that are just like this one.
    """
    where = how.executor
    closed = where is not None and (where.closed or any(member.closed for member in where.members))
    found = None if closed else _key(how, algorithm, kernels, values, space)
    if found is None:
        return again(how)
    if where is None and default_name():  # the user has chosen, or says among which
        bound = how._but(executor=default_executor())
        if not bound.executor.chooses:
            return again(how)
        return run(bound, algorithm, kernels, values, again, problem, space, holds)
    key, kept = found
    known = _states if where is None or not where.chooses else where.choices  # which go with it
    choice = known.get(key)
    if choice is None or choice.now.executor.closed:
        name = history.name(algorithm, kernels, key[3:])
        made = problem() if problem is not None else None
        choice = _searched(how, made, name) if _searches(how) else _first(how, made, values, name, kernels)
        known[key] = choice
        choice.kept = kept
    if how.asynchronous or watching or isinstance(policy.current.get(), Planning):
        found = choice.made(how, again, choice.now)
        return _told(found, choice) if type(found) is Plan else found
    loads, one = cache.loads(), choice.now
    if choice.work is None:
        return _counted(how, choice, values, again)
    timed: Any = one.executor if len(one.members) > 1 else None
    if timed is not None:
        timed.took = [0.0] * len(one.members)
    block = policy.current.get()
    token = None if block is None else policy.current.set(None)  # which has said all that it has to say
    try:
        begun = time.perf_counter()
        value = choice.made(how, again, one)
        taken = time.perf_counter() - begun
        present = choice.saw(taken, cache.loads() == loads, one)
    finally:
        if token is not None:
            policy.current.reset(token)
        if timed is not None:
            timed.took = None
    sure = one.steady and (len(one.members) == 1 or one.seen < _QUICK)
    if holds is not None and present and one.calls > SETTLED and sure and choice.before is None:
        holds(one.policy)
    return value


def _told(plan: Plan, choice: Choice) -> Plan:
    """A plan that says what was weighed."""
    plan.candidates, plan.predicted = tuple(map(str, choice.candidates)), choice.now.predicted
    work = "its work is counted when it first runs" if choice.work is None else f"work: {choice.work}"
    plan.facts += [choice.why, work, *plan.candidates]
    return plan


def _counted(how: Policy, choice: Choice, values: Sequence[Any], again: Callable[[Policy], Any]) -> Any:
    """The first call of an algorithm of several steps: its steps are noted, and so its work is known."""
    value, done = counted(lambda: choice.made(how, again, choice.now))
    parts = len(choice.now.members)  # which all start what one alone would start
    choice.work = replace(done, launches=done.launches / parts, steps=done.steps / parts, few=done.few / parts)
    _predict(choice.candidates, choice.work, values, None)
    now = choice.now
    now.calls += 1
    if len(now.members) > 1 and now.seen != now.seen:  # steps that parts tell each other of must be worth it
        best = min((c for c in choice.candidates if len(c.members) == 1), key=lambda c: c.predicted, default=now)
        if now.predicted > HOPED * best.predicted:
            choice.now = best
            told = f"{best.executor!r} alone should take {time_text(best.predicted)}"
            choice.why = f"{told}: no split is faster by the error"
    return value


def counted(call: Callable[[], Any], observing: int = _OBSERVING) -> tuple[Any, Work]:
    """What a call returns, and the work of all that it runs, some of which is observed in so many steps."""
    block = Recording(None)
    tasks: list[tuple[Problem, Part, Seen]] = []
    block.tasks, block.observing = tasks, observing
    token = policy.current.set(block)
    try:
        value = call()
    finally:
        policy.current.reset(token)
    spans: list[tuple[Problem, Part, int, int, Seen]] = []
    for problem, part, seen in tasks:
        if spans and spans[-1][0] is problem and spans[-1][1].executor is part.executor and spans[-1][3] == part.lo:
            spans[-1] = *spans[-1][:3], part.hi, seen  # of chunks the kernel is started once, more or less
        elif part.lo < part.hi:
            spans.append((problem, part, part.lo, part.hi, seen))
    done = sum((work.of(problem, lo, hi, seen) for problem, _, lo, hi, seen in spans), Work(sorted=block.sorted))
    if not block.algorithms:
        done = replace(done, captures=float(block.captures))
    if block.algorithms:
        few = min(block.algorithms, block.few)
        done = replace(done, launches=float(block.few - few), few=float(few), steps=done.launches - block.few)
    return value, done


def _key(how: Policy, algorithm: str, kernels: Sequence[Any], values: Sequence[Any], space: Any) -> Any:
    """What calls look like that are one to a choice, and what must be kept so that no other looks like it.

    That is kernels, kinds of arguments and of what kernels capture, and sizes to a factor of 1.4; None for calls on
    what lies in a certain place.
    """
    kinds: list[Any] = []
    codes: list[Any] = []
    captured: list[Any] = []
    for kernel in kernels:
        code = getattr(kernel, "__code__", None)
        if id(code) not in _simple:
            try:
                lifted, func, more = bound(kernel)
            except KernelError:  # which the call tells of
                return None
            if code is None or not lifted.simple:
                codes.append(lifted)
                captured += (*more, *(func.__defaults__ or ()))
                continue
            _simple[id(code)] = code
        codes.append(code)
    size = 0
    for x in flat((*captured, *values)):
        if type(x) is np.ndarray:
            kinds += (x.dtype, x.ndim)
            size += x.nbytes
        elif isinstance(x, PartitionedArray):
            return None  # where it lives, it is used
        elif hasattr(x, "dtype") and not isinstance(x, arrays.SCALARS):
            if not (_searches(how) and how.executor.owns(x)):
                return None  # likewise
            kinds += (type(x), x.dtype, x.ndim)
            size += x.nbytes
        else:
            kinds.append(type(x))
            size += len(x) if isinstance(x, (range, arrays.Range)) else 0
    if type(space) is tuple:
        space = math.prod(space[0] if type(space[0]) is tuple else space)  # extents, starts and steps
    return (how, algorithm, tuple(map(id, codes)), *kinds, _about(size), _about(space or 0)), codes


def looks(kernels: Iterable[Any], given: Sequence[Any]) -> Iterator[Any]:
    """What is the same of calls on many elements that take about the same: what `held` finds them by, in short."""
    yield from (id(kernel.__code__) for kernel in kernels)
    yield from (getattr(x, name, None) for x in given for name in ("dtype", "shape"))


def _about(size: int) -> int:
    return round(2 * math.log2(size)) if size else 0


def _first(
    how: Policy, problem: Problem | None, values: Sequence[Any], name: str, kernels: Sequence[Any]
) -> Choice:
    known = work.of(problem, seen=observed.once(problem, _OBSERVED)) if problem is not None else None
    if known is not None and (captures := capturing(kernels)):
        known = replace(known, captures=float(captures))
    found = _candidates(how, known)
    members = {id(member): member for one in found for member in one.members}
    full = {key for key, member in members.items() if not _has_room(member, values, problem)}
    found = [one for one in found if not full & set(map(id, one.members))] or found
    speeds = _predict(found, known, values, problem)
    told = {key: repr(member) for key, member in members.items()}
    for one in found:
        one.entry = f"{name} {' '.join(told[id(member)] for member in one.members)}"
        kept = history.of(one.entry)
        if kept is not None and len(kept.shares) == len(one.members):
            one.seen = kept.seconds
            if len(one.members) > 1:
                one.cut(kept.shares)
    seen = [one for one in found if one.seen == one.seen]
    if seen:
        now = min(seen, key=lambda c: c.seen)
        return Choice(found, now, known, "the least time of earlier processes")
    now, why = found[0], "the first candidate, until something is known"
    if known is not None:
        best = min(found, key=lambda c: c.predicted)
        if best.predicted < HOPED * now.predicted:
            now = best
        measured = all(x.rates.measured for x in speeds.values())
        by = "the machine's profile" if measured else "built-in rates (portapar tune measures this machine)"
        why = f"the least time by {by}" if now is best else f"no candidate is faster by more than the error of {by}"
        if len(found) == 1:
            why = f"the only executor that is known; {by}"
        elif len(now.members) == 1 and any(_share_memory(one.members, speeds) for one in found):
            why += "; it is not cut, since memory is its limit, which the executors share"
    return Choice(found, now, known, why)


def _searched(how: Policy, problem: Problem | None, name: str) -> Choice:
    """The ways to deal out iterations: the one that earlier processes found, or a search for it."""
    assert problem is not None
    where = how.executor
    found = [Candidate(one, (where,)) for one in autotune.variants(how, problem.size)]
    for one in found:
        one.entry = f"{name} {where!r} {one.policy.schedule} {one.policy.chunk_size}"
        kept = history.of(one.entry) if len(found) > 1 else None
        one.seen = kept.seconds if kept is not None else math.nan
    seen = [one for one in found if one.seen == one.seen]
    known = work.of(problem)
    if seen:
        return Choice(found, min(seen, key=lambda c: c.seen), known, "the way that an earlier process found")
    if len(found) == 1:
        return Choice(found, found[0], known, "there is one way to deal it out")
    why = "ways to deal it out are tried in turns"
    return Choice(found, found[0], known, why, search=autotune.Search(how.tune))


def _candidates(how: Policy, known: Work | None) -> list[Candidate]:
    where = how.executor
    if where is not None:  # a hybrid without weights: its members together, and each alone
        members = where.members
        equal = (1 / len(members),) * len(members)
        return [Candidate(how, members, equal), *(Candidate(how, (member,)) for member in members)]
    profile = rates.profile()
    if not _measured or _measured[0][0] is not profile:
        here = _here(profile.executors)
        both = [two for two in itertools.combinations(here, 2) if profile.together(two, False) > _APART]
        _measured[:] = [(profile, [*((one,) for one in here.values()), *((here[a], here[b]) for a, b in both)])]
    some = _measured[0][1] or [(one,) for one in _here(_names(known)).values()]
    return [Candidate(how, members, (1 / len(members),) * len(members)) for members in some]


def _here(names: Iterable[str]) -> dict[str, Executor]:
    """Executors by their names: those that are there, which all were when they were measured."""
    found = {}
    for name in names:
        with contextlib.suppress(BackendUnavailableError):
            found[name] = executor(name)
    return found


def _names(known: Work | None) -> list[str]:
    """The executors of a machine without a profile: its threads, and for long calls its GPUs."""
    found = ["threads"]
    if known is not None and cost.seconds(known, rates.built_in("threads", 0)) > _LONG:
        found += [info.name for info in available() if info.available and info.name.startswith("cuda:")]
    return found


def rates_of(where: Executor) -> rates.Rates:
    """What an executor can do."""
    assert isinstance(where, DeviceExecutor)
    return rates.of(_name(where), where.kind, where.threads)


def _name(where: DeviceExecutor) -> str:
    """What its rates are kept under."""
    return "threads" if where.kind == "threads" and where.threads == config.default_threads() else where.device.name


class _Speed(NamedTuple):
    """Of one executor: what its rates are kept under, these, and the seconds that the work takes."""

    name: str
    rates: rates.Rates
    seconds: float
    work: Work

    @property
    def waits(self) -> bool:
        """Whether it waits for memory."""
        return cost.bound_by_memory(self.work, self.rates)


def _predict(
    found: list[Candidate], known: Work | None, values: Sequence[Any], problem: Problem | None
) -> dict[int, _Speed]:
    """What each candidate should take, and the shares of hybrids; by the identity of executors what they are."""
    speeds: dict[int, _Speed] = {}
    if known is None:
        return speeds
    for member in {id(m): m for one in found for m in one.members}.values():
        if isinstance(member, DeviceExecutor):
            name = _name(member)
            its = rates.of(name, member.kind, member.threads)
            taken = cost.seconds(known, its, *(((), ()) if member.device.host_memory else _moved(values, problem)))
            speeds[id(member)] = _Speed(name, its, taken, known)
    for one in found:
        its_own = [speeds[id(member)] for member in one.members if id(member) in speeds]
        if len(its_own) < len(one.members) or not all(0 < x.seconds < math.inf for x in its_own):
            continue
        if len(its_own) == 1:
            one.predicted = its_own[0].seconds
            continue
        left = rates.profile().together(tuple(x.name for x in its_own), its_own[0].waits)
        total = sum(1 / x.seconds for x in its_own)
        one.predicted = 1 / (left * total) + cost.wake()
        if one.seen != one.seen:  # else with the shares that it had
            one.cut(rounded([1 / x.seconds / total for x in its_own]))
    return speeds


def _share_memory(members: Sequence[Executor], speeds: dict[int, _Speed]) -> bool:
    """Whether several executors have nothing from running at once, since all wait for the same memory."""
    some = [speeds[id(member)] for member in members if id(member) in speeds]
    if len(some) < 2 or not all(one.waits for one in some):
        return False
    return rates.profile().together(tuple(one.name for one in some), True) < _APART


def _has_room(member: Executor, values: Sequence[Any], problem: Problem | None) -> bool:
    """Whether a call's arrays may be on a device at once, or be streamed through it in chunks."""
    if not isinstance(member, DeviceExecutor) or member.device.host_memory:
        return True
    device = member.device
    size = sum(x.nbytes for x in flat(values) if isinstance(x, np.ndarray))
    size += 0 if problem is None else sum(x.size * x.dtype.itemsize for _, x in problem.arrays())
    if problem is None or size <= device.memory:
        return not 0 < device.memory < size
    chunks = pipeline.cut(problem, 0, problem.size, device)
    return chunks is None or not chunks.refused


def _moved(values: Sequence[Any], problem: Problem | None) -> tuple[list[float], list[float]]:
    """Bytes of the arrays that go to the memory of a device, and back."""
    if problem is None:
        hosts = [float(x.nbytes) for x in flat(values) if isinstance(x, np.ndarray)]
        return hosts, [max(hosts, default=0.0)]
    into, out = [], []
    for k, x in problem.arrays():
        use = problem.access[k]
        assert use is not None
        size = float(x.size * x.dtype.itemsize)
        into += [size] if moves.fetched(use) else []
        out += [size] if use.writes else []
    return into, out
