"""STREAM: the memory bandwidth that six simple kernels reach, as any policy runs them.

Returns the times of Copy, Scale, Add, Triad (McCalpin), Dot and NStream (BabelStream), and a check of
what they computed. Requires three arrays' worth of memory where the policy's executor keeps its arrays.

McCalpin's rules: the kernels take turns, every call is timed by itself, the best time excludes the first
round, arrays are at least four times the last-level cache, and the arrays are compared with the closed
form. On several ranks a call counts from a barrier to its end on the slowest rank. Two things differ.
The scalar and the start values are BabelStream's, with which one round multiplies `a` by 0.96: any number
of rounds stays in range. The check is stricter: an untimed last round looks at every kernel's output, and
at the elements furthest off rather than at an average, so one wrong element counts and the kernel that
wrote it is named.

J. D. McCalpin, "Memory bandwidth and machine balance in current high performance computers", 1995.
T. Deakin et al., "Evaluating attainable memory bandwidth of parallel programming models via
BabelStream", 2018.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portapar import arrays, ops, topology
from portapar.algorithms.reduce import reduce, transform_reduce
from portapar.algorithms.transform import copy, fill, transform
from portapar.call import plan, resolve
from portapar.errors import PlacementError, PolicyError
from portapar.policy import Policy

#: Each kernel, with the number of arrays that it moves.
KERNELS = {"copy": 2, "scale": 2, "add": 3, "triad": 3, "dot": 2, "nstream": 4}
#: The order of a round. NStream, which adds to `a`, runs where Triad overwrites `a` next: so it does not
#: matter how many codes take their turn on the same arrays.
ORDER = ("copy", "scale", "add", "nstream", "triad", "dot")
SCALAR = 0.4
START = (0.1, 0.2, 0.0)

_SHORT = 10e-3  #: seconds; a shorter call is noticeably slowed by threads that another code has sent to sleep
_QUIET = 0.5e-3  #: seconds after which our own threads have stopped spinning


@dataclass(frozen=True)
class Times:
    """How long the calls of one kernel took.

    Attributes
    ----------
    bytes : int
        What one call moves, after McCalpin: every array that it reads or writes, once.
    seconds : tuple of float
        One entry per round; the first is in here but in no statistic.
    """

    bytes: int
    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest time in seconds."""
        return min(self.seconds[1:])

    @property
    def median(self) -> float:
        """The median time in seconds."""
        return statistics.median(self.seconds[1:])

    @property
    def best_rate(self) -> float:
        """GB/s (10^9 bytes) of the shortest time."""
        return self.bytes / self.best / 1e9

    @property
    def median_rate(self) -> float:
        """GB/s (10^9 bytes) of the median time."""
        return self.bytes / self.median / 1e9


@dataclass(frozen=True)
class Check:
    """What a kernel should have computed, and the worst of what it did compute."""

    kernel: str
    expected: float
    found: float
    tolerance: float

    @property
    def error(self) -> float:
        """The relative error."""
        return abs(self.found - self.expected) / abs(self.expected)

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance; NaN is not."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class StreamResult:
    """What `stream` measured.

    Attributes
    ----------
    policy : Policy
    n : int
        Elements of each array.
    dtype : numpy.dtype
    kernels : dict of str to Times
    beside : dict of str to dict
        The same for each code that ran alternately.
    checks : tuple of Check
        One per kernel.
    """

    policy: Policy
    n: int
    dtype: np.dtype
    kernels: dict[str, Times]
    checks: tuple[Check, ...]
    beside: dict[str, dict[str, Times]] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.ok)


class Stream:
    """The kernels, on arrays of the policy's executor: calling one runs it to its end.

    They are planned once, as a code that runs them again and again would do.
    """

    def __init__(self, policy: Policy, where: Any, n: int, dtype: np.dtype) -> None:
        self.policy, self.n, self.dtype = policy, n, dtype
        # Of the arrays' own type: a Python float, which is a double, would promote float32 to float64.
        s = dtype.type(SCALAR)
        self.a, self.b, self.c = a, b, c = [where.empty(n, dtype) for _ in range(3)]
        for x, value in zip((a, b, c), START, strict=True):
            fill(policy, x, dtype.type(value))
        self._copy = plan(copy, policy, a, out=c)
        self._scale = plan(transform, policy, c, out=b, op=lambda c: s * c)
        self._add = plan(transform, policy, a, b, out=c, op=lambda a, b: a + b)
        self._triad = plan(transform, policy, b, c, out=a, op=lambda b, c: b + s * c)
        self._nstream = plan(transform, policy, a, b, c, out=a, op=lambda a, b, c: a + (b + s * c))
        self._dot = plan(transform_reduce, policy, a, b, transform=lambda a, b: a * b)

    def copy(self) -> None:
        """``c = a``"""
        self._copy.run()

    def scale(self) -> None:
        """``b = s * c``"""
        self._scale.run()

    def add(self) -> None:
        """``c = a + b``"""
        self._add.run()

    def triad(self) -> None:
        """``a = b + s * c``"""
        self._triad.run()

    def nstream(self) -> None:
        """``a += b + s * c``"""
        self._nstream.run()

    def dot(self) -> Any:
        """``sum(a * b)``"""
        return self._dot.run()

    def rest(self) -> None:
        """Leave the cores to others."""
        time.sleep(_QUIET)

    def check(self, rounds: int) -> tuple[Check, ...]:
        """Run a last round and compare every kernel's output with the closed form after `rounds` + 1."""
        s, a = self.dtype.type(SCALAR), self.dtype.type(START[0])
        for _ in range(rounds):
            b = s * a
            a = b + s * (a + b)
        # McCalpin's tolerance for ten rounds. Rounding differs where a compiler fuses b + s*c, once a round.
        elements = (1e-13 if self.dtype.itemsize == 8 else 1e-6) * max(1.0, rounds / 10)
        b = s * a
        triad = b + s * (a + b)
        found = []
        for kernel, x, expected in (
            ("copy", self.c, a),
            ("scale", self.b, b),
            ("add", self.c, a + b),
            ("nstream", self.a, a + triad),
            ("triad", self.a, triad),
        ):
            getattr(self, kernel)()
            ends = [float(reduce(self.policy, x, op=op)) for op in (ops.minimum, ops.maximum)]
            # NaN compares as the largest error, whichever end it is.
            worst = max(ends, key=lambda end: np.inf if np.isnan(end) else abs(end - float(expected)))
            found.append(Check(kernel, float(expected), worst, elements))
        dot = float(triad) * float(b) * self.n
        loose = max(float(np.finfo(self.dtype).eps) ** 0.5, 2 * elements)
        found.append(Check("dot", dot, float(self.dot()), loose))
        return tuple(sorted(found, key=lambda check: list(KERNELS).index(check.kernel)))


def stream(
    policy: Policy | None,
    n: int | None = None,
    dtype: Any = np.float64,
    ntimes: int = 10,
    beside: Mapping[str, Callable[[Any, Any, Any, float], Any]] | None = None,
    progress: Callable[[float], Any] | None = None,
) -> StreamResult:
    """Measure the memory bandwidth that a policy reaches.

    Parameters
    ----------
    policy : Policy
        Such as ``pp.par_unseq.on(pp.threads())``.
    n : int, optional
        Elements of each of the three arrays, over all ranks; by default `default_size`.
    dtype : {float64, float32}
    ntimes : int
        Rounds, at least 2: the first does not count.
    beside : mapping of str to callable, optional
        Other codes to time alternately, kernel by kernel, on the same arrays. Each is called with
        ``(a, b, c, scalar)`` and returns an object with the methods of `Stream`.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    StreamResult

    Raises
    ------
    PlacementError
        For a bad `n`, `dtype` or `ntimes`.

    Examples
    --------
    >>> import portapar as pp
    >>> from portapar.algorithms.stream import stream
    >>> result = stream(pp.par_unseq.on(pp.threads()), n=100_000)
    >>> result.failures
    ()
    """
    how, where = resolve(policy, (), "stream")
    if how.asynchronous:
        raise PolicyError(f"stream: {how!r} returns before the work is done: nothing to time. Leave .task away")
    dtype = np.dtype(dtype)
    if dtype not in (np.float64, np.float32):
        raise PlacementError(f"stream: dtype is {dtype}: must be float64 or float32")
    n = default_size(dtype) if n is None else n
    n, ntimes = arrays.whole_number("stream: n", n, 1), arrays.whole_number("stream: ntimes", ntimes, 2)
    ours = Stream(how.on(where), where, n, dtype)
    codes = {"": ours, **{key: bind(ours.a, ours.b, ours.c, SCALAR) for key, bind in (beside or {}).items()}}
    group = where.group
    seconds = _rounds(codes, ntimes, group, progress)
    checks = ours.check(ntimes)
    times = {
        key: {kernel: Times(k * n * dtype.itemsize, seconds[key, kernel]) for kernel, k in KERNELS.items()}
        for key in codes
    }
    return StreamResult(how.on(where), int(n), dtype, times.pop(""), checks, times)


def _rounds(
    codes: Mapping[str, Any], ntimes: int, group: Any, progress: Callable[[float], Any] | None
) -> dict[tuple[str, str], tuple[float, ...]]:
    """The seconds of every kernel of every code, in rounds; the codes take turns kernel by kernel."""
    seconds: dict[tuple[str, str], list[float]] = {(key, kernel): [] for key in codes for kernel in ORDER}
    alone = len(codes) == 1
    for turn in range(ntimes):
        for kernel in ORDER:
            # Each goes first as often as the others, so that none always finds the other's cache lines.
            for key in sorted(codes, reverse=bool(turn % 2)):
                call, taken = getattr(codes[key], kernel), seconds[key, kernel]
                if not alone and taken:
                    _settle(call, _longest(group, taken[-1:])[0])
                if group is not None:
                    group.barrier()
                begin = time.perf_counter()
                call()
                taken.append(time.perf_counter() - begin)
                if not alone:
                    codes[key].rest()
        if progress is not None:
            progress((turn + 1) / ntimes)
    return {what: _longest(group, taken) for what, taken in seconds.items()}


def _settle(call: Callable[[], Any], last: float) -> None:
    """Untimed calls before a short one: the code that ran before has cooled the caches and the threads."""
    if last < _SHORT:
        for _ in range(min(50, 1 + int(1e-3 / max(last, 1e-9)))):
            call()


def _longest(group: Any, taken: Sequence[float]) -> tuple[float, ...]:
    """Of each time the longest on any rank."""
    if group is None:
        return tuple(taken)
    return tuple(max(of_ranks) for of_ranks in zip(*group.exchange(list(taken)), strict=True))


def default_size(dtype: Any = np.float64) -> int:
    """Elements for arrays that no cache holds: at least four times the last-level cache, and 256 MiB.

    At most a tenth of the memory each, so that three of them and the rest of the machine have room.
    """
    known = topology.caches()
    cache = known[max(known)] if known else 32 << 20
    nbytes = min(max(4 * cache, 256 << 20), topology.machine()["memory"] // 10)
    return int(nbytes) // np.dtype(dtype).itemsize
