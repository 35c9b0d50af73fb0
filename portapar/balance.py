"""The shares of several executors on one kind of call, so that all end together: learned from what their parts took.

What is estimated is what each place of the call's range costs each member, since work need not be even. After each call
that is corrected by the seconds that the members took for their parts: a Gaussian process over `_CELLS` cells of the
range, updated as a Kalman filter does. Before anything is known places are alike, neighbours more than others, and what
one member finds of a place holds for the others in part. Then the cut is where all should end at once.

Shares stay when the members ended at about the same time, until one was late twice in a row: once is chance. What has
become slower then is the member, not the place. A member that got nothing is asked again after a while, with the least
share, and after twice as many calls if it still gets nothing.

C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", 2006.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEPS = 256  #: shares are multiples of one over this
TRIES = 32  #: calls after which shares are as good as they get
_EVEN, _LATE = 1.03, 1.08  #: times what it would take if all members ended at once: it is well cut; a member is late
_CELLS = 32
_NEAR = 0.3  #: of the range, how far places are alike
_ALIKE = 0.9  #: correlation of what two members take for the same place, beside their speeds
_UNEVEN, _SPEED = 1.0, 0.5  #: deviations of places from even work, and of a member's speed, before anything is known
_NOISE, _DRIFT, _CHANGE = 0.02, 0.01, 1.5  #: those of measured seconds, of speeds from call to call, if one has changed
_LEAST = 0.02  #: of a member's mean, now or before, what a place costs at least
_IDLE = 16  #: calls until a member that got nothing is asked again for the first time
_KNOTS = np.linspace(0.0, 1.0, _CELLS + 1)


class Balance:
    """The shares of the members, and what they are found with.

    Attributes
    ----------
    shares : tuple of float
        Of each member; they add to 1.
    settled : bool
        They no longer change.
    late : bool
        A member was late in the last call.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self.shares = tuple(shares)
        self.settled = self.late = False
        self._work = self.shares  #: of all work, what each member has
        self._calls = 0  #: since nothing was known
        self._unknown = 0  #: calls of which it is not known what the members took
        self._idle, self._patience = 0, _IDLE  #: calls in which a member had nothing, and until it is asked again
        self._unit = np.full(len(shares), np.nan)  #: seconds that a member took for all of it, when it first had some
        self._cost = np.ones(len(shares) * _CELLS)  #: of each member's places, in these units
        self._doubt = _first(len(shares))  #: its covariance

    def after(self, took: Sequence[float]) -> bool:
        """The members took so many seconds in a call with these shares; whether they are others now."""
        if len(took) != len(self.shares) or not all(t > 0 for t, s in zip(took, self.shares, strict=True) if s):
            self._unknown += 1
            self.settled |= self._unknown >= TRIES  # it is not known whether these are good
            return False
        wasted = max(took) * sum(work / t for work, t in zip(self._work, took, strict=True) if work)
        again, self.late = self.late and wasted > _LATE, wasted > _LATE
        if not all(self.shares) and self._asked():
            return True
        if self.settled and not again:
            return False
        drift = _DRIFT
        if self.settled:
            self._calls, drift = 0, _CHANGE
        self._calls += 1
        self._learn(took, drift)
        self.settled = wasted < _EVEN or self._calls >= TRIES
        before, self._idle = self.shares, 0
        if not self.settled:
            self.shares = self._best()
            self.settled = self.shares == before
        return self.shares != before

    def _asked(self) -> bool:
        """Give the members that had nothing for long the least share, and see."""
        self._idle += 1
        if self._idle < self._patience:
            return False
        self._idle, self._patience = 0, 2 * self._patience
        self._unit[np.array(self.shares) == 0] = np.nan  # what it was has no say
        self.shares = self._work = rounded([max(s, 1 / STEPS) for s in self.shares])
        self.settled, self._calls = False, 0
        return True

    def _learn(self, took: Sequence[float], drift: float) -> None:
        """Correct what places cost by what the members took for theirs; it stays more than nothing."""
        each = self._cost.reshape(-1, _CELLS)
        means = each.mean(1, keepdims=True)
        ends = np.cumsum([0.0, *self.shares])
        for k, (share, seconds) in enumerate(zip(self.shares, took, strict=True)):
            if not share:
                continue
            own, here = slice(k * _CELLS, (k + 1) * _CELLS), np.zeros(self._cost.size)
            here[own] = np.diff(np.clip(_KNOTS, ends[k], ends[k + 1]))  # what of the range lies in each cell
            if np.isnan(self._unit[k]):
                self._unit[k] = seconds / max(here @ self._cost, _LEAST * here.sum())
            self._doubt[own, own] += np.outer(self._cost[own], self._cost[own]) * drift**2
            seen, shared = seconds / self._unit[k], self._doubt @ here
            gain = shared / (shared @ here + (_NOISE * seen) ** 2)
            self._cost += gain * (seen - here @ self._cost)
            self._doubt -= np.outer(gain, shared)
        np.maximum(each, _LEAST * np.maximum(each.mean(1, keepdims=True), means), out=each)

    def _best(self) -> tuple[float, ...]:
        """The shares with which all should end at once."""
        known = np.isfinite(self._unit)
        seconds = self._cost.reshape(-1, _CELLS)[known] * (self._unit[known, None] / _CELLS)
        sums = np.pad(np.cumsum(seconds, 1), ((0, 0), (1, 0)))
        low, high = 0.0, sums[:, -1].min()
        for _ in range(2):  # the time that all take, by finer steps
            times = np.linspace(low, high, 65)
            ends = [np.zeros(65)]
            for one in sums:
                ends.append(np.interp(np.interp(ends[-1], _KNOTS, one) + times, one, _KNOTS))
            at = min(max(int(np.searchsorted(ends[-1], 1.0 - 1e-12)), 1), 64)
            low, high = times[at - 1], times[at]
        found = np.zeros(len(known))
        found[known] = np.diff([end[at] for end in ends])
        shares = rounded(found.tolist())
        bounds = np.cumsum([0.0, *np.array(shares)[known]])  # of what they are given: it may be nothing
        work = [np.diff(np.interp(bounds[k : k + 2], _KNOTS, one))[0] / one[-1] for k, one in enumerate(sums)]
        found[known] = np.array(work) / sum(work)
        self._work = tuple(found.tolist())
        return shares


def _first(count: int) -> np.ndarray:
    """The covariance of what places cost, before anything is known."""
    middle = (_KNOTS[1:] + _KNOTS[:-1]) / 2
    places = _UNEVEN**2 * np.exp(-np.abs(middle[:, None] - middle) / _NEAR)
    members = _ALIKE + (1 - _ALIKE) * np.eye(count)
    return np.kron(members, places) + np.kron(np.eye(count), np.full((_CELLS, _CELLS), _SPEED**2))


def rounded(shares: Sequence[float]) -> tuple[float, ...]:
    """Shares in multiples of one over `STEPS`; what is next to nothing is nothing."""
    found = [max(1, round(share * STEPS)) if share > 0.25 / STEPS else 0 for share in shares]
    return tuple(share / sum(found) for share in found)
