"""The ways to run calls that look alike, what is known of each, and which of them is taken next.

What calls take is measured, and from then on that counts; what is not known yet is corrected by how wrong predictions
for the others were. Another candidate is tried if it should be faster by more than the error: `SURE` if it was
measured, `HOPED` if it is predicted. Also, once in a while, if it may be faster and would cost little beside what was
spent: predictions may be wrong, and what was measured long ago, too. After some calls the one before comes back, if it
is about as fast. Calls that compile, the first on an executor, and single outliers are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portapar import autotune, forks, history
from portapar.balance import Balance
from portapar.devices import DeviceExecutor
from portapar.errors import KernelError, PlacementError, PortaparError
from portapar.executor import Executor
from portapar.hybrid import hybrid
from portapar.pieces import can_go_elsewhere, tell_rerouted
from portapar.policy import Policy
from portapar.work import Work

SURE, HOPED = 0.9, 0.7  #: of the present time, what another candidate must take at most
_BETTER = 0.95  #: of the time before, what one that was tried must take at most to stay
_LAST = 4  #: calls whose least time counts when another one was tried
_TRIAL, _WORSE = 2, 1.5  #: calls of a trial; times the time before, after which it is over at once
SETTLED, _DRIFT = 8, 1.2  #: after so many calls the others are weighed again where the time changes by this factor
_MAYBE, _OFTEN = 2.0, 16.0  #: times longer it may be predicted to take then, and so much less than all calls so far
_AGAIN = 64  #: times what it took, that must be spent until it is tried again; twice as much after each time
_ALL = 0.9  #: of the work, what an executor does of it when it may as well do all
_SPENT = 0.02  #: seconds in calls of a kind from which on it is worth it to try what may be faster
_DECAY = 0.3  #: weight of the last call
_OUTLIER = 3.0  #: times what was measured: once, it is not counted

_lock = forks.lock()  #: held while what a call took changes what is known


@dataclass(slots=True)
class Candidate:
    """One way to run a call.

    Attributes
    ----------
    how : Policy
        What the call allows.
    members : tuple of Executor
    shares : tuple of float
        Of each member; they add to 1.
    predicted : float
        Seconds, before anything was measured; NaN if the work is not known.
    seen : float
        Seconds, measured; NaN if it was not.
    why : str
    """

    how: Policy
    members: tuple[Executor, ...]
    shares: tuple[float, ...] = (1.0,)
    predicted: float = math.nan
    seen: float = math.nan
    calls: int = 0
    odd: bool = False  #: the last call was an outlier
    last: tuple[float, ...] = ()  #: what the last calls took
    balance: Balance | None = None  #: how the shares of several are found
    looked: float = math.nan  #: what it took when the others were last weighed
    tried: int = 0  #: times that it was tried and not kept
    left: float = 0.0  #: seconds that calls had taken when it was last left
    entry: str = ""  #: what history keeps it under
    bound: Policy | None = None  #: `policy`, once somebody has asked

    @property
    def policy(self) -> Policy:
        """That of its calls, which says where they run; most candidates never run, and need none."""
        if self.bound is None:
            where = self.members[0] if len(self.members) == 1 else hybrid(*self.members, weights=self.shares)
            self.bound = self.how._but(executor=where)
        return self.bound

    @property
    def executor(self) -> Executor:
        return self.policy.executor

    @property
    def settled(self) -> bool:
        """Its shares no longer change."""
        return len(self.members) == 1 or (self.balance is not None and self.balance.settled)

    @property
    def steady(self) -> bool:
        """And no member was late in the last call."""
        return self.settled and (self.balance is None or not self.balance.late)

    def cut(self, shares: tuple[float, ...]) -> None:
        """Give its members these shares from now on."""
        self.shares, self.bound = shares, None

    def follow(self) -> bool:
        """Cut anew by what the members took in the last call; whether shares are others now."""
        if len(self.members) == 1:
            return False
        if self.balance is None:
            self.balance = Balance(self.shares)
        if not self.balance.after(getattr(self.executor, "took", ())):
            return False
        self.cut(self.balance.shares)
        self.seen, self.odd, self.last = math.nan, False, ()
        return True

    def noted(self, taken: float) -> float:
        """The least time of the last calls, this one included."""
        self.last = (*self.last[1 - _LAST :], taken)
        return min(self.last)

    def __str__(self) -> str:
        known = ("predicted", self.predicted), ("measured", self.seen)
        told = [f"{what} {time_text(x)}" for what, x in known if x == x]
        dealt = f", chunk_size={self.policy.chunk_size}" if self.policy.chunk_size else ""
        return f"{self.executor!r}{dealt}: {', '.join(told) or 'not known yet'}"


@dataclass(slots=True)
class Choice:
    """What is known of calls that look alike and are about as large."""

    candidates: list[Candidate]
    now: Candidate
    work: Work | None
    why: str
    kept: Any = field(default=None, repr=False)  #: what the key names by its place in memory
    search: autotune.Search | None = None  #: while ways to deal out iterations are tried
    before: Candidate | None = None  #: what comes back if the present one, which is tried, is no faster
    spent: float = 0.0  #: seconds in all calls that count

    def bias(self, of: Candidate | None = None) -> float:
        """How wrong predictions for all others were: the mean ratio of what was measured to it."""
        others = [c for c in self.candidates if c is not of]
        found = [c.seen / c.predicted for c in others if c.seen == c.seen and c.predicted > 0]
        return math.exp(sum(map(math.log, found)) / len(found)) if found else 1.0

    def made(self, how: Policy, again: Callable[[Policy], Any], one: Candidate) -> Any:
        """The call, by the present candidate; where that cannot do it, by another one, from now on."""
        try:
            return again(one.policy)
        except PortaparError as error:
            others = [other for other in self.candidates if other is not one and not other.executor.closed]
            others.sort(key=lambda other: other.seen if other.seen == other.seen else other.predicted)
            for other in others if _untouched(how, one, error) else ():
                try:
                    value = again(other.policy)
                except PortaparError as another:
                    if not _untouched(how, other, another):
                        raise
                    continue
                self.candidates, self.now, self.before = others, other, None
                self.why = f"{one.executor!r} cannot do it: {str(error).splitlines()[0]}"
                if how.on_failure == "reroute" and not isinstance(error, PlacementError):
                    tell_rerouted("a call", one.executor, other.executor, error)
                return value
            raise

    def saw(self, taken: float, warm: bool, one: Candidate | None = None) -> bool:
        """A call of `one`, by default the present candidate, took so long; `warm` if nothing was compiled.

        It is not counted if another thread has chosen another one meanwhile. Whether `one` is the present one now.
        """
        with _lock:
            one = one or self.now
            if one is self.now:
                self._saw(one, taken, warm)
            return one is self.now

    def _saw(self, one: Candidate, taken: float, warm: bool) -> None:
        if self.search is not None:
            self.now = self.search.after(self.candidates, one, taken, warm)
            if self.search.over:
                self.search, one = None, self.now
                self.why = "the fastest way to deal it out that was found"
                if one.seen == one.seen:
                    history.note(one.entry, one.seen, one.shares)
            return
        one.calls += 1
        if not warm or one.calls == 1 or not 0 < taken < math.inf:  # by a clock that was set, perhaps
            return
        self.spent += taken
        if one.follow():
            return
        least = one.noted(taken)
        if self.before is not None:
            self._tried(one, least)
            return
        if one.seen != one.seen or taken * _OUTLIER < one.seen:  # nothing makes a call too short
            one.seen = taken
        elif taken > _OUTLIER * one.seen and not one.odd:
            one.odd = True
            return
        else:
            one.seen = taken if one.odd else (1 - _DECAY) * one.seen + _DECAY * taken
        one.odd = False
        if len(one.last) < _TRIAL:  # the first one may have waited for others
            return
        rare = one.calls & (one.calls - 1) == 0
        if one.calls > SETTLED and not rare and 1 / _DRIFT < one.seen / one.looked < _DRIFT:
            return
        history.note(one.entry, one.seen, one.shares)
        one.looked = one.seen
        self._look()

    def _try(self, one: Candidate, why: str) -> None:
        """Run another candidate for some calls, and see."""
        self.before, self.now, self.why = self.now, one, why
        one.seen, one.last = math.nan, ()

    def _tried(self, one: Candidate, least: float) -> None:
        """The candidate that is tried took so long: it stays if it beats the one before by more than chance."""
        before, one.seen = self.before, least
        assert before is not None
        if len(one.last) < _TRIAL and least < _WORSE * before.seen:
            return
        self.before, one.looked = None, one.seen
        if len(one.last) >= _TRIAL:  # else it may have waited for others
            history.note(one.entry, one.seen, one.shares)
        if least < _BETTER * min(before.last, default=before.seen):
            before.left = self.spent
            return
        self.now, one.left = before, self.spent
        one.tried += 1
        self.why = f"{before.executor!r} took less than {one.executor!r}, {time_text(one.seen)}"

    def _look(self) -> None:
        """Leave the present candidate for the best one, if that is better by more than the error."""
        bias, present = self.bias(), self.now

        def expected(one: Candidate) -> float:
            """Seconds, with the doubt added that there is."""
            if one is present:
                return one.seen
            found = one.seen / SURE if one.seen == one.seen else one.predicted * bias / HOPED
            return found if found == found else math.inf

        best = min(self.candidates, key=expected)
        if best is not present:
            known = "took" if best.seen == best.seen else "should take"
            self._try(best, f"{best.executor!r} {known} less than {present.executor!r}, {time_text(present.seen)}")
            return
        hopeful = [one for one in self.candidates if one is not present and self._is_hopeful(one)]
        if hopeful and present.settled:
            best = min(hopeful, key=lambda c: c.seen if c.seen == c.seen else c.predicted)
            self._try(best, f"{best.executor!r} is tried, {present.executor!r} takes {time_text(present.seen)}")

    def _is_hopeful(self, one: Candidate) -> bool:
        """Whether a candidate may be faster, and would cost little beside what was spent.

        Predictions may be wrong, most of all of what parts tell each other, and what was measured may be so no more.
        """
        known = one.seen if one.seen == one.seen else one.predicted
        hoped = min(known, one.predicted * self.bias(one)) if one.predicted == one.predicted else known
        if len(one.members) == 1 and dict(zip(map(id, self.now.members), self.now.shares, strict=True)).get(
            id(one.members[0]), 0.0
        ) > _ALL:
            hoped = min(hoped, self.now.seen)  # it does so much of it now
        if not hoped < _MAYBE * self.now.seen:
            return False
        if one.calls:
            return self.spent - one.left > (_AGAIN << one.tried) * known
        met = {id(member) for c in self.candidates if c.calls for member in c.members}  # which have compiled it
        return all(id(member) in met for member in one.members) and self.spent > max(_SPENT, _OFTEN * hoped, known)


def _untouched(how: Policy, one: Candidate, error: PortaparError) -> bool:
    """Whether nothing was written in a call that failed with this error, and another candidate may do it.

    What parts cannot do is found before they begin, and what a device cannot compile before it runs. What failed
    otherwise, as for lack of memory, is done by another one if the policy says so.
    """
    if isinstance(error, PlacementError):
        return True
    if len(one.members) > 1 or not isinstance(one.executor, DeviceExecutor):
        return False
    asked = how.on_failure == "reroute" or isinstance(error, KernelError)
    return asked and can_go_elsewhere(one.executor, error)


def time_text(seconds: float) -> str:
    """Seconds in words."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
