"""Calls of few elements: one step on the calling thread, which is remembered whatever the lengths of its arrays are.

What algorithms of several steps do for many elements (blocks, totals, temporaries) does not pay for some hundred of
them. There one step does all of it: ``kernel(0, *args)``, a kernel of the algorithm's own that captures the user's
functions and loops over plain arrays. An algorithm says so in a function ``few(step)``, which returns MISS if the call
is none of few elements::

    def few(step):
        found = np.empty(1, np.int64)
        return int(found[0]) if elements(x) and step(counter(predicate), x, found) else MISS

`portapar.parts.run` calls it before it looks at anything: then `step` runs what ran before and nothing else, so that
it takes a few microseconds. Where that misses the algorithm looks at its arguments, and asks `few` once more by
`Parts.few`: this `step` compiles what is new. So what makes arguments right must follow from a step's key (types,
dtypes, strides, functions), or be looked at in `few` too: lengths, and what overlaps.

Of many elements a step is one of blocks, which run on all threads: ``step.run(blocks, kernel, *args, work=n)`` calls
``kernel(block, *args)`` for each, as `LocalPart.run` does, but is remembered in the same way; `step.part` is where.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any

import numpy as np

from portapar import cost, indexed, policy
from portapar.cache import Bounded
from portapar.call import resolve
from portapar.devices import DeviceExecutor
from portapar.kernel.front.lift import bound, known, loops
from portapar.kernel.program import REFUSED
from portapar.lazy import Lazy, flat
from portapar.looks import LOOKS, OFTEN
from portapar.part import LocalPart
from portapar.pieces import task
from portapar.plan import Loop, cut
from portapar.policy import Planning, Policy, Recording
from portapar.remembered import MISS, NUMBERS
from portapar.tape import seen, tapes, unseen
from portapar.trace import watching

FEW = 4096  #: elements at most: a tile of scans, a piece of segments

MANY = sys.maxsize  #: and as many, where steps of blocks follow

_steps = Bounded()  #: launches by what their calls look like
_parts = Bounded()  #: where steps ran, by policies
_fixed: dict[int, Any] = {}  #: (kernel, captured values) of functions whose captures never change, by identity
_kept: list[Any] = []  #: these functions
_steady: dict[Any, Any] = {}  #: those that are known by a name

_quick = Bounded()  #: native code that runs them, by all but what its arguments look like
_ran = Bounded()  #: how often they ran without

policy.forgets(_steps.clear)
policy.forgets(_quick.clear)
os.register_at_fork(after_in_child=_quick.clear)  # it knows the threads and locks of the parent
policy.forgets(_parts.clear)


class Step:
    """Runs steps that ran before under a policy.

    Attributes
    ----------
    part : LocalPart or None
        Where steps ran under the policy, if any did. Only its executor is that of the call.
    """

    __slots__ = ("how",)

    def __init__(self, how: Policy | None) -> None:
        self.how = how

    def __call__(self, kernel: Any, *args: Any, out: Any = None, like: Sequence[Any] = ()) -> bool:
        """``kernel(0, *args)`` on the calling thread; False if it did not run.

        If the user gave an `out`, that is written to, it must lie apart from all other arrays, but may be one of
        `like`.
        """
        return _again(self.how, None, kernel, args, out, like)

    def run(
        self, blocks: int, kernel: Any, *args: Any, work: int, out: Any = None, like: Sequence[Any] = ()
    ) -> bool:
        """``kernel(block, *args)`` for every block, on all threads; False if it did not run.

        `work` is how many elements they have together: a few do not outweigh waking threads that sleep.
        """
        return _again(self.how, (blocks, work * cost.STEP > cost.wake()), kernel, args, out, like)

    @property
    def part(self) -> LocalPart | None:
        block = policy.current.get()
        found = _parts.get((self.how or block or policy.par, block))
        return None if found is None or found.executor.closed or watching else found


class FirstStep(Step):
    """Runs steps in any case, on an executor of host memory, and remembers them.

    But not where one of the user's `kernels` has a loop: Ctrl-C is heard between steps.
    """

    __slots__ = ("_algorithm", "_here", "_kernels")

    def __init__(self, algorithm: str, how: Policy, here: LocalPart, kernels: Sequence[Any]) -> None:
        super().__init__(how)
        self._algorithm, self._here, self._kernels = algorithm, here, kernels

    def __call__(self, kernel: Any, *args: Any, out: Any = None, like: Sequence[Any] = ()) -> bool:
        return super().__call__(kernel, *args, out=out, like=like) or self._first(None, kernel, args)

    def run(
        self, blocks: int, kernel: Any, *args: Any, work: int, out: Any = None, like: Sequence[Any] = ()
    ) -> bool:
        found = super().run(blocks, kernel, *args, work=work, out=out, like=like)
        return found or self._first((blocks, work * cost.STEP > cost.wake()), kernel, args)

    @property
    def part(self) -> LocalPart | None:
        if any(map(loops, self._kernels)):
            return None
        _parts[self._there(), policy.current.get()] = self._here
        return self._here

    def _there(self) -> Policy:
        """The policy of the call, bound to where it runs if it would not run there by itself."""
        here, how = self._here, self.how
        assert how is not None
        return how if resolve(how, (), self._algorithm)[1] is here.executor else here.how

    def _first(self, blocks: tuple[int, bool] | None, kernel: Any, args: tuple[Any, ...]) -> bool:
        if any(map(loops, self._kernels)):
            return False
        if tapes:
            unseen()
        here, there = self._here, self._there()
        count, wakes = blocks or (1, True)
        dealt = there._dealt(1) if count > 1 else there
        asked = indexed.for_each(self._algorithm, count, kernel, args, once=blocks is None)
        made = cut(asked, dealt, here.executor)
        made.execute()
        block = policy.current.get()
        if type(block) is Recording:
            block.few += 1
        lifted, _, captured = bound(kernel)
        if id(kernel) in _fixed:
            _fixed[id(kernel)] = lifted, captured
        values = (*args, *captured)
        _remember(_key(there, blocks, lifted, values), made, tuple(flat(values)), wakes)
        return True


def elements(x: Any = None, *others: Any, least: int = 1, most: int = FEW, lazy: bool = False) -> int:
    """How many elements plain arrays of one dimension and one length have; 0 if they are something else, or more.

    They may be lazy inputs of numbers if that is said: kernels read them as arrays.
    """
    if (type(x) is not np.ndarray and not (lazy and numbers(x))) or x.ndim != 1:
        return 0
    n = len(x)
    if not least <= n <= most:
        return 0
    for other in others:
        if (type(other) is not np.ndarray and not (lazy and numbers(other))) or other.shape != x.shape:
            return 0
    return n


def numbers(x: Any) -> bool:
    """Whether it is a lazy input whose elements are numbers that do not take long."""
    return type(x) is Lazy and not x.expression.loops and x.dtype.names is None


def plain(x: Any) -> bool:
    """Whether it is a plain array of one dimension, of any length but 0."""
    return type(x) is np.ndarray and x.ndim == 1 and len(x) > 0


def _again(
    how: Policy | None, blocks: Any, kernel: Any, args: tuple[Any, ...], out: Any, like: Sequence[Any]
) -> bool:
    """Run a step that ran before on arguments of these kinds; False if there is none."""
    found = _fixed.get(id(kernel)) or known(kernel)
    if found is None:
        return False
    values: tuple[Any, ...] = (*args, *found[1])
    place = how, policy.current.get(), blocks, found[0]
    if not tapes and not watching:
        for run, device in _quick.get(place, ()):
            if device.closed:
                break
            if out is not None and not _apart(out, values, like):
                return False
            if run(None, values) is not REFUSED:
                return True
    key = _key(how, blocks, found[0], values)
    launch = _steps.get(key) or _steps.recalled(key) if key is not None else None
    lazy = Lazy in map(type, values)
    if lazy:
        values = tuple(flat(values))
    if launch is None or (out is not None and not _apart(out, values, like)):
        return False
    if launch.device.closed:  # the long way opens a new executor, or says that it is closed
        _steps.clear()
        _parts.clear()
        return False
    try:
        result = launch(values)
        if tapes:
            seen(launch, values, result)
        elif result is not REFUSED and not lazy:  # native code would take arrays for what is computed of them
            _learn(place, key, launch, values)
        return result is not REFUSED
    except struct.error:  # a whole number beyond 64 bits: the long way says so
        return False


def _learn(place: Any, key: Any, launch: Any, values: tuple[Any, ...]) -> None:
    """Let native code know a step that ran several times, as `portapar.looks.learn` does of calls."""
    _ran[key] = _ran.get(key, 0) + 1
    if _ran[key] == OFTEN:
        run = launch.caller(None, values, range(len(values)), None, False, None, True)
        if run is not None:
            _quick[place] = (run, launch.device), *_quick.get(place, ())[: LOOKS - 1]


def fixed(kernel: Any) -> Any:
    """Say that what a kernel captures never changes, so that nobody need look. It is kept for ever."""
    _kept.append(kernel)
    _fixed[id(kernel)] = None
    return kernel


def steady(name: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """The kernel that `make` makes, made once: its name says all that it captures."""
    found = _steady.get(name)
    if found is None:
        found = _steady[name] = fixed(make())
    return found


def _key(how: Policy | None, blocks: Any, lifted: Any, values: tuple[Any, ...]) -> Any:
    """What a step looks like; None if it is of a kind that is not remembered."""
    block = policy.current.get()
    if how is None:
        how = block or policy.par
    if type(how) is not Policy or how.asynchronous or isinstance(block, Planning) or watching:
        return None
    kinds = _kinds(values)
    # the kernel is then alive as long as the entry is
    return None if kinds is None else (how, block, blocks, lifted, *kinds)


def kinds(kernels: Sequence[Any], args: Sequence[Any]) -> tuple[Any, ...] | None:
    """What says the types of everything in a call of `kernels` that ran before; None if that is not certain."""
    parts, values = [], list(args)
    for kernel in kernels:
        found = known(kernel) if type(kernel) is FunctionType and not kernel.__defaults__ else None
        if found is None:
            return None
        parts.append(found[0])
        values += found[1]
    told = _kinds(values)
    return None if told is None else (*parts, *told)


def _kinds(values: Sequence[Any]) -> list[Any] | None:
    """What code for these values depends on: not on the lengths of arrays of one dimension."""
    parts: list[Any] = []
    for x in values:
        kind = type(x)
        if kind is np.ndarray:
            # code is the same for any length, but a single element is contiguous whatever the stride
            parts += (x.dtype, x.strides) if x.ndim == 1 and len(x) > 1 else (x.dtype, x.strides, x.shape)
        elif kind in NUMBERS:
            parts.append(kind)
        elif kind is Lazy and len(x.shape) == 1:
            leaves = _kinds(x.values)
            if leaves is None:
                return None
            parts += (x.expression, *leaves)
        else:
            return None
    return parts


def _remember(key: Any, loop: Loop, values: tuple[Any, ...], wakes: bool) -> None:
    """Keep a step for the next time, if its program takes the values as they are."""
    (part, *rest), problem = loop.parts, loop.problem
    where = part.executor
    as_given = len(problem.values) == len(values) and all(
        a is b for a, b in zip(problem.values, values, strict=True)
    )
    if key is None or rest or not isinstance(where, DeviceExecutor) or problem.program.form != "map" or not as_given:
        return
    launch = where.device.launch(task(problem, replace(part, wakes=wakes), loop.policy, (), ()))
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    if launch.guard(written, problem.held == "memory"):
        _steps[key] = launch


def _apart(out: np.ndarray, values: Sequence[Any], like: Sequence[Any]) -> bool:
    """Whether `out`, one of the values, is certainly apart from all others, but for those of `like` that it is."""
    same = 0
    for x in values:
        if x is out:
            same += 1
        elif type(x) is np.ndarray and np.may_share_memory(x, out):
            return False
    return same == 1 + sum(x is out for x in like)


__all__ = ["FEW", "MANY", "MISS", "FirstStep", "Step", "elements", "fixed", "kinds", "numbers", "plain", "steady"]
