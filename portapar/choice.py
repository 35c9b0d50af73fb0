"""Where a call runs, and how it is cut, if the user leaves it open: `pp.auto`, and `pp.hybrid` without weights.

A call is predicted on every candidate: work (`portapar.work`) over rates (`portapar.rates`), moving what lies
elsewhere included. What calls take is measured, and from then on that counts; what is not known yet is corrected by how
wrong predictions for the other candidates were. The candidate that runs is left only for one that is faster by more
than the error: `_SURE` if that was measured too, `_HOPED` if it is predicted. Calls that compile, the first on an
executor, and single outliers are not counted. A hybrid's shares follow the speeds that its members had in the last
calls, so that all end together. Nothing that is decided here changes a result.

What was measured is kept in the cache folder for later processes (`portapar.history`).

Histories that correct a model are those of StarPU (C. Augonnet et al., "StarPU", 2011), which keeps them for each size.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portapar import arrays, cache, config, cost, forks, history, policy, rates, work
from portapar.arrays import PartitionedArray
from portapar.errors import PortaparError
from portapar.executor import DeviceExecutor, Executor
from portapar.executors import available, default_name, executor
from portapar.hybrid import hybrid
from portapar.lazy import flat
from portapar.pieces import can_go_elsewhere, tell_rerouted
from portapar.plan import Plan
from portapar.policy import Planning, Policy, Recording
from portapar.problem import Problem
from portapar.work import Work

_SURE, _HOPED = 0.9, 0.7  #: of the present time, what another candidate must take at most
_SETTLED, _DRIFT = 8, 1.2  #: after so many calls the others are weighed again where the time changes by this factor
_STEPS = 64  #: shares are multiples of one over this
_DECAY = 0.3  #: weight of the last call
_OUTLIER = 3.0  #: times what was measured: once, it is not counted
_LONG = 5e-3  #: seconds from which on it is worth it to look for devices that nobody has measured
_APART = 0.75  #: of the speeds of two executors alone, what must be left together: less, and they are the same cores
_KNOWN = 4096  #: kinds of calls

_states: dict[Any, _Choice] = {}
_lock = forks.lock()

policy.forgets(_states.clear)


@dataclass(slots=True)
class Candidate:
    """One way to run a call.

    Attributes
    ----------
    policy : Policy
    members : tuple of Executor
    shares : tuple of float
        Of each member; they add to 1.
    predicted : float
        Seconds, before anything was measured; NaN if the work is not known.
    seen : float
        Seconds, measured; NaN if it was not.
    why : str
    """

    policy: Policy
    members: tuple[Executor, ...]
    shares: tuple[float, ...] = (1.0,)
    predicted: float = math.nan
    seen: float = math.nan
    calls: int = 0
    odd: bool = False  #: the last call was an outlier
    settled: bool = False  #: its shares no longer change
    looked: float = math.nan  #: what it took when the others were last weighed
    entry: str = ""  #: what history keeps it under

    @property
    def executor(self) -> Executor:
        return self.policy.executor

    def __str__(self) -> str:
        told = [f"{what} {_time(x)}" for what, x in (("predicted", self.predicted), ("measured", self.seen)) if x == x]
        return f"{self.executor!r}: {', '.join(told) or 'not known yet'}"


@dataclass(slots=True)
class _Choice:
    """What is known of calls that look alike and are about as large."""

    candidates: list[Candidate]
    now: Candidate
    work: Work | None
    why: str
    kept: Any = field(default=None, repr=False)  #: what the key names by its place in memory

    def bias(self) -> float:
        """How wrong predictions were: the mean ratio of what was measured to it."""
        found = [c.seen / c.predicted for c in self.candidates if c.seen == c.seen and c.predicted > 0]
        return math.exp(sum(map(math.log, found)) / len(found)) if found else 1.0

    def saw(self, taken: float, warm: bool) -> None:
        """A call of the present candidate took so long; `warm` if nothing was compiled."""
        one = self.now
        one.calls += 1
        if not warm or one.calls == 1:
            return
        if one.seen != one.seen:
            one.seen = taken
        elif taken > _OUTLIER * one.seen and not one.odd:
            one.odd = True
            return
        else:
            one.seen = taken if one.odd else (1 - _DECAY) * one.seen + _DECAY * taken
        one.odd = False
        if len(one.members) > 1:
            _follow(one)
        if one.calls > _SETTLED and 1 / _DRIFT < one.seen / one.looked < _DRIFT:
            return
        if one.seen == one.seen:
            history.note(one.entry, one.seen, one.shares)
        one.looked = one.seen
        self._look()

    def _look(self) -> None:
        """Leave the present candidate for the best one, if that is better by more than the error."""
        bias, present = self.bias(), self.now
        if present.seen != present.seen:  # its shares have just changed
            return

        def expected(one: Candidate) -> float:
            """Seconds, with the doubt added that there is."""
            if one is present:
                return one.seen
            found = one.seen / _SURE if one.seen == one.seen else one.predicted * bias / _HOPED
            return found if found == found else math.inf

        best = min(self.candidates, key=expected)
        if best is not present:
            self.now = best
            known = "took" if best.seen == best.seen else "should take"
            self.why = f"{best.executor!r} {known} less than {present.executor!r}, {_time(present.seen)}"


def _follow(one: Candidate) -> None:
    """Shares in proportion to the speeds that the members had in the last call."""
    took = getattr(one.executor, "took", ())
    if len(took) != len(one.members) or not all(t > 0 for t, s in zip(took, one.shares, strict=True) if s):
        one.settled = True
        return
    speeds = [share / t if share else 0.0 for share, t in zip(one.shares, took, strict=True)]
    wanted = [speed / sum(speeds) for speed in speeds]
    shares = _rounded([(a + b) / 2 if one.calls > 4 else b for a, b in zip(one.shares, wanted, strict=True)])
    one.settled = max(abs(a - b) for a, b in zip(shares, one.shares, strict=True)) < 2 / _STEPS
    if not one.settled and one.calls < 32:
        one.shares = shares
        one.policy = one.policy._but(executor=hybrid(*one.members, weights=shares))
        one.seen = math.nan


def _rounded(shares: Sequence[float]) -> tuple[float, ...]:
    found = [max(1, round(share * _STEPS)) if share > 0.25 / _STEPS else 0 for share in shares]
    return tuple(share / sum(found) for share in found)


def run(
    how: Policy,
    algorithm: str,
    kernels: Sequence[Any],
    values: Sequence[Any],
    again: Callable[[Policy], Any],
    problem: Callable[[], Problem] | None = None,
) -> Any:
    """A call whose policy leaves open where it runs: ``again(policy)`` makes it, under a policy that does not.

    `problem` gives what the call is, if it is one kernel form; the work of others is counted in their first call.
    """
    closed = how.executor is not None and how.executor.closed
    key = None if closed else _key(how, algorithm, kernels, values)
    if key is None:
        return again(how)
    known = _states if how.executor is None else how.executor.choices  # which go with it
    choice = known.get(key)
    if choice is None:
        name = history.name(algorithm, kernels, key[3:])
        choice = _first(how, problem() if problem is not None else None, values, name)
        choice.kept = kernels
        with _lock:
            if len(known) >= _KNOWN:
                known.clear()
            choice = known.setdefault(key, choice)
    if how.asynchronous or isinstance(policy.current.get(), Planning):
        found = again(choice.now.policy)
        return _told(found, choice) if type(found) is Plan else found
    loads, one = cache.loads(), choice.now
    if len(one.members) > 1:
        one.executor.took = [0.0] * len(one.members)  # type: ignore[union-attr]
    if choice.work is None:
        return _counted(choice, values, again)
    block = policy.current.get()
    token = None if block is None else policy.current.set(None)  # which has said all that it has to say
    try:
        begun = time.perf_counter()
        value = again(one.policy) if how.on_failure == "raise" else _somewhere(choice, again)
        taken = time.perf_counter() - begun
    finally:
        if token is not None:
            policy.current.reset(token)
    if one is choice.now:
        choice.saw(taken, cache.loads() == loads)
    return value


def _somewhere(choice: _Choice, again: Callable[[Policy], Any]) -> Any:
    """The call by the present candidate; if that cannot, it is one no longer, and the next one does it."""
    while True:
        one = choice.now
        try:
            return again(one.policy)
        except PortaparError as error:
            left = [other for other in choice.candidates if other is not one and not other.executor.closed]
            alone = len(one.members) == 1 and isinstance(one.executor, DeviceExecutor)
            if not left or not alone or not can_go_elsewhere(one.executor, error):
                raise
            choice.candidates = left
            choice.now = min(left, key=lambda other: other.seen if other.seen == other.seen else other.predicted)
            choice.why = f"{one.executor!r} failed"
            tell_rerouted("a call", one.executor, choice.now.executor, error)


def _told(plan: Plan, choice: _Choice) -> Plan:
    """A plan that says what was weighed."""
    plan.candidates, plan.predicted = tuple(map(str, choice.candidates)), choice.now.predicted
    work = "its work is counted when it first runs" if choice.work is None else f"work: {choice.work}"
    plan.facts += [choice.why, work, *plan.candidates]
    return plan


def _counted(choice: _Choice, values: Sequence[Any], again: Callable[[Policy], Any]) -> Any:
    """The first call of an algorithm of several steps: its steps are noted, and so its work is known."""
    block = Recording(None)
    tasks: list[tuple[Problem, int, int]] = []
    block.tasks = tasks
    token = policy.current.set(block)
    try:
        value = again(choice.now.policy)
    finally:
        policy.current.reset(token)
    found = Work()
    for problem, lo, hi in tasks:
        found = found + work.of(problem, lo, hi)
    choice.work = found
    _predict(choice.candidates, found, values, None)
    return value


def _key(how: Policy, algorithm: str, kernels: Sequence[Any], values: Sequence[Any]) -> Any:
    """What calls look like that are one to a choice: kernels, kinds of arguments, and their size to a factor of 1.4."""
    kinds: list[Any] = []
    size = 0
    for x in flat(values):
        if type(x) is np.ndarray:
            kinds += (x.dtype, x.ndim)
            size += x.nbytes
        elif isinstance(x, PartitionedArray) or (hasattr(x, "dtype") and not isinstance(x, arrays.SCALARS)):
            return None  # where it lives, it is used
        else:
            kinds.append(type(x))
            size += len(x) if isinstance(x, (range, arrays.Range)) else 0
    about = round(2 * math.log2(size)) if size else 0
    codes = tuple(id(getattr(kernel, "__code__", kernel)) for kernel in kernels)
    return how, algorithm, codes, *kinds, about


def _first(how: Policy, problem: Problem | None, values: Sequence[Any], name: str) -> _Choice:
    known = work.of(problem) if problem is not None else None
    found = _candidates(how, known)
    _predict(found, known, values, problem)
    for one in found:
        one.entry = f"{name} {' '.join(map(repr, one.members))}"
        kept = history.of(one.entry)
        if kept is not None and len(kept.shares) == len(one.members):
            one.seen, one.shares = kept.seconds, kept.shares
            if len(one.members) > 1:
                one.policy = one.policy._but(executor=hybrid(*one.members, weights=one.shares))
    seen = [one for one in found if one.seen == one.seen]
    if seen:
        now = min(seen, key=lambda c: c.seen)
        return _Choice(found, now, known, "the least time of earlier processes")
    now, why = found[0], "the first candidate, until something is known"
    if known is not None:
        best = min(found, key=lambda c: c.predicted)
        if best.predicted < _HOPED * now.predicted:
            now = best
        measured = all(rates_of(m).measured for c in found for m in c.members)
        by = "the machine's profile" if measured else "built-in rates (portapar tune measures this machine)"
        why = f"the least time by {by}" if now is best else f"no candidate is faster by more than the error of {by}"
        if len(found) == 1:
            why = f"the only executor that is known; {by}"
    return _Choice(found, now, known, why)


def _candidates(how: Policy, known: Work | None) -> list[Candidate]:
    where = how.executor
    if where is not None:  # a hybrid without weights: its members together, and each alone
        members = where.members
        equal = (1 / len(members),) * len(members)
        both = Candidate(how._but(executor=hybrid(*members, weights=equal)), members, equal)
        return [both, *(Candidate(how._but(executor=member), (member,)) for member in members)]
    only = default_name()  # the user has chosen
    if only:
        return [Candidate(how._but(executor=executor(only)), (executor(only),))]
    names = list(rates.profile().executors) or _names(known)
    alone = [executor(name) for name in names]
    found = [Candidate(how._but(executor=where), (where,)) for where in alone]
    halves = 0.5, 0.5
    for (one, a), (other, b) in itertools.combinations(zip(names, alone, strict=True), 2):
        if rates.profile().together((one, other), False) > _APART:
            found.append(Candidate(how._but(executor=hybrid(a, b, weights=halves)), (a, b), halves))
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


def _predict(found: list[Candidate], known: Work | None, values: Sequence[Any], problem: Problem | None) -> None:
    """What each candidate should take, and the shares of hybrids."""
    if known is None:
        return
    into, out = _moved(values, problem)
    for one in found:
        if not all(isinstance(member, DeviceExecutor) for member in one.members):
            continue
        alone = []
        for member in one.members:
            assert isinstance(member, DeviceExecutor)
            here = member.device.host_memory
            alone.append(cost.seconds(known, rates_of(member), *((0.0, 0.0) if here else (into, out))))
        if len(alone) == 1:
            one.predicted = alone[0]
            continue
        names = tuple(_name(m) for m in one.members if isinstance(m, DeviceExecutor))
        left = rates.profile().together(names, cost.bound_by_memory(known, rates_of(one.members[0])))
        one.predicted = 1 / (left * sum(1 / x for x in alone)) + cost.wake()
        one.shares = _rounded([1 / x / sum(1 / y for y in alone) for x in alone])
        one.policy = one.policy._but(executor=hybrid(*one.members, weights=one.shares))


def _moved(values: Sequence[Any], problem: Problem | None) -> tuple[float, float]:
    """Bytes to the memory of a device, and back."""
    if problem is None:
        hosts = [float(x.nbytes) for x in flat(values) if isinstance(x, np.ndarray)]
        return sum(hosts), max(hosts, default=0.0)
    into = out = 0.0
    for k, x in problem.arrays():
        use = problem.access[k]
        assert use is not None
        size = float(x.size * x.dtype.itemsize)
        into += size if use.reads or not (use.covers and use.pointwise) else 0.0
        out += size if use.writes else 0.0
    return into, out


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
