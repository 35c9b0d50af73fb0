"""Remembered calls: a call that was made before goes straight to its prepared launch."""

from __future__ import annotations

import dataclasses
import math
import operator
import struct
from collections.abc import Callable, Iterator, Sequence
from types import NoneType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from portapar import arrays, policy
from portapar.agreement import Asked
from portapar.arrays import PartitionedArray, Range
from portapar.executor import DeviceExecutor, Work
from portapar.expression import Expression
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.lift import bound
from portapar.kernel.program import INDICES, REFUSED, Task
from portapar.lazy import Lazy
from portapar.pieces import combine, prepare, task
from portapar.plan import Loop, threads_for, values_first
from portapar.policy import Planning, Policy, forgets
from portapar.problem import Problem
from portapar.tape import made, seen, tapes, unseen
from portapar.trace import watching

T = TypeVar("T")

_REMEMBERED = 4096  #: calls to remember; beyond, start afresh

MISS = object()
NUMBERS = {bool, int, float, complex, *(np.dtype(code).type for code in "?bhilqBHILQfdFD")}
ready_calls: dict[Any, _Ready] = {}
_simple: dict[int, _Code] = {}  #: of kernels that capture nothing, by the identity of their codes


class _Code:
    """Stands for a code in keys, and keeps it alive: no other code has its place in memory as long as a key is kept."""

    __slots__ = ("_code",)

    def __init__(self, code: Any) -> None:
        self._code = code


forgets(ready_calls.clear)


def signature(how: Policy | None, kernels: tuple[Any, ...], args: tuple[Any, ...], extra: Any) -> tuple[Any, Any]:
    """(what a call looks like, what it works on: captured values, defaults, then the arguments as `_spread` has them).

    The first is None if the call is of a kind that is not remembered.
    """
    block = policy.current.get()
    if type(how) is not Policy or how.asynchronous or isinstance(block, Planning) or watching:
        return None, args
    parts: list[Any] = [how, extra, block]
    for kernel in kernels:
        code = getattr(kernel, "__code__", None)
        simple = _simple.get(id(code))
        if simple is None:
            lifted, func, captured = bound(kernel)
            if code is None or not lifted.simple:
                defaults = func.__defaults__ or ()  # which are arguments too
                parts += (lifted, len(defaults))
                args = (*captured, *defaults, *args)
                continue
            if len(_simple) >= _REMEMBERED:
                ready_calls.clear()  # their keys are found no more
                _alike.clear()
                _simple.clear()
            simple = _simple[id(code)] = _Code(code)
        parts.append(simple)
    spread, plain = False, np.ndarray
    for x in args:
        kind = type(x)
        if kind is plain:
            parts += (x.dtype, x.shape, x.strides)
        elif kind in NUMBERS or x is None:
            parts.append(kind)
        elif kind is Range or kind is range:
            spread = True
            parts += (kind, len(x))
        elif isinstance(x, Lazy):
            spread = True
            parts += (x.expression, x.shape)
            for leaf in x.values:
                if type(leaf) is not np.ndarray and type(leaf) not in NUMBERS:
                    return None, args
                parts += (leaf.dtype, leaf.shape, leaf.strides) if type(leaf) is np.ndarray else (type(leaf),)
        elif kind is PartitionedArray and how.executor in (None, x.executor):
            parts += (x.executor, x.dtype, x.shape, x.cuts)
            for local in x.parts.values():
                parts += (type(local), local.dtype, local.shape, local.strides)
        elif how.executor is not None and kind is how.executor.array_type:
            parts += (kind, x.dtype, x.shape, x.strides)
        else:
            return None, args
    return tuple(parts), tuple(_spread(args)) if spread else args


def _spread(args: tuple[Any, ...]) -> Iterator[Any]:
    """Arguments as programs have them: the leaves of lazy inputs, of ranges where they start and how they step."""
    for x in args:
        if isinstance(x, (Range, range)):
            yield x.start
            yield x.step
        elif isinstance(x, Lazy):
            yield from x.values
        else:
            yield x


def repeated(key: Any, args: tuple[Any, ...]) -> Any:
    """Run a remembered call in which one array, or perhaps number, has several places, or return MISS."""
    for numbers in (True, False):
        places = repeats(args, numbers)
        if places is None:  # nor are there any among arrays alone
            return MISS
        ready = ready_calls.get((key, places))
        if ready is not None:
            return ready(args)
    return MISS


class Alike(NamedTuple):
    """What a call looks like but for lengths, and these."""

    key: Any
    extent: tuple[int, ...]  #: of its index space, or of its elements
    start: tuple[int, ...] | None  #: None of 0, 1, 2, … along all axes
    step: tuple[int, ...] | None


_alike: dict[Any, _Ready] = {}  #: loops by what their calls look like but for lengths, with policies and spaces
_met: set[int] = set()  #: of calls that ran so, the hashes of what they look like with lengths
_LONG = 16  #: the length of a short last axis may be a constant of the code

forgets(_alike.clear)


def likeness(key: Any, given: tuple[Any, ...], args: tuple[Any, ...], build: Any) -> Alike | None:
    """What a call looks like but for its lengths: all that code for it depends on.

    `key` and `args` are from `signature`, `given` the arguments of the call. None if it says too little.
    """
    extra, known = key[1], 3
    while known < len(key) and type(key[known]) in _KERNELS:
        known += 1
    parts: list[Any] = [build, key[0], *key[2:known]]
    extent: Any = None
    start = step = tops = None
    own = 0  #: from which argument on arrays are of one element for each index
    if type(extra) is int:
        extent = (extra,)
    elif type(extra) is tuple and extra and type(extra[0]) is int:
        extent = extra
    elif type(extra) is tuple and len(extra) == 3 and type(extra[0]) is tuple:
        extent, start, step = extra
        if start.count(0) == len(start) and step.count(1) == len(step):
            start = step = None
    if extent is None:
        parts.append(extra)
        own = len(args) - sum(map(_leaves, given))
        first = next((x for x in given if getattr(x, "shape", ()) or type(x) in (Range, range)), None)
        if first is None:
            return None
        shape = extent = first.shape if hasattr(first, "shape") else (len(first),)
        if any(type(x) is int and x for x in key[3:known]):  # perhaps they are defaults, which are of elements, too
            own = 0
    else:
        tops = extent
        if start is not None and step is not None:
            tops, signed = [], False
            for n, low, s in zip(extent, start, step, strict=True):
                high = low + s * (n - 1) if n else low
                if high < low:
                    low, high = high, low
                signed |= low < 0
                tops.append(high + 1)
            parts += (step, signed)
        parts.append(len(extent))
    size = math.prod(extent)
    if not (tops is None) <= size < 2**52 or min(extent) < 0:
        return None
    rest, values, at, leaves = iter(key[known:]), iter(args), 0, 0
    for part in rest:
        kind = type(part)
        if isinstance(part, np.dtype):
            found, strides = next(rest), next(rest)
            x = next(values)
            contiguous = x.flags.c_contiguous if type(x) is np.ndarray else arrays.contiguous(x)
            parts += (part, len(found), contiguous)
            if tops is not None:
                parts += (found == extent, *map(operator.ge, found, tops))
                if contiguous and len(found) > len(extent):
                    parts += [n if n <= _LONG else 0 for n in found[len(extent) :]]
            elif at >= own and not leaves and found != shape:
                return None
            elif not contiguous and len(found) == 1:
                parts.append(strides)
            at, leaves = at + 1, max(leaves - 1, 0)
        elif kind is Expression:
            found = next(rest)
            leaves = len(part.roles)
            parts += (part, len(found))
            if tops is None and at >= own and found != shape:
                return None
        elif part is Range or part is range:
            found = (next(rest),)
            if tops is None and at >= own and found != shape:
                return None
            parts.append(part)
            next(values), next(values)
            at += 2
        elif kind is type and (part in NUMBERS or part is NoneType):
            parts.append(part)
            next(values)
            at, leaves = at + 1, max(leaves - 1, 0)
        elif kind is type and not issubclass(part, PartitionedArray):  # of a device's own arrays
            parts.append(part)
        else:
            return None
    return Alike(tuple(parts), extent, start, step)


_KERNELS = {_Code, Kernel, int}
_ORIGIN, _ONE = (0,) * len(INDICES), (1,) * len(INDICES)


def _leaves(x: Any) -> int:
    """How many arguments of a program an argument of a call is."""
    return len(x.values) if isinstance(x, Lazy) else 2 if isinstance(x, (Range, range)) else 1


def again(alike: Alike, key: Any, args: tuple[Any, ...]) -> Any:
    """Run a loop that ran over other lengths, or return MISS."""
    known = _alike.get(alike.key)
    if known is None:
        return MISS
    ready = known.over(alike)
    result = ready(args)
    if result is not MISS and len(ready_calls) < _REMEMBERED // 2:
        met = hash(key)
        if met in _met:  # not what is never seen again
            remember(ready_calls, key, ready)
        elif len(_met) < _REMEMBERED:
            _met.add(met)
        else:
            _met.clear()
    return result


def _remember_alike(alike: Alike, loop: Loop, ready: _Ready) -> None:
    """Keep a loop for calls over other lengths."""
    problem, how = loop.problem, loop.policy
    special = problem.tiles or problem.copies or problem.held or how.deterministic
    if special or values_first(problem.program, 2) or problem.span is not None or problem.race is not None:
        return
    form = problem.program.form
    if form != "map" and len(problem.extent) > 1 and alike.start is None:
        out = problem.program.out
        if form != "transform" or not problem.program.specs[out].contiguous:  # whose elements may share places
            return
    ready.loop = loop.executor, how, len(problem.extent)
    remember(_alike, alike.key, ready)


def repeats(args: tuple[Any, ...], numbers: bool = True) -> tuple[int, ...] | None:
    """Which arguments are one and the same array, or number if that matters; None if all differ."""
    places = [id(x) if numbers or type(x) not in NUMBERS else -k for k, x in enumerate(args)]
    if len(set(places)) == len(places):
        return None
    return tuple(map(places.index, places))


class _Ready:
    """A plan of one part on one device, with its native code: what a remembered call runs."""

    __slots__ = ("device", "gives", "launch", "loop", "places", "problem", "shape")

    loop: tuple[Any, Policy, int]  #: executor, policy, dimensions

    def __init__(self, problem: Problem, launch: Any, places: Any, shape: Any, gives: bool) -> None:
        self.problem, self.launch, self.shape, self.gives = problem, launch, shape, gives
        self.device = launch.device
        self.places = places

    def over(self, alike: Alike) -> _Ready:
        """The same over another index space, or for other lengths."""
        extent, start, step = alike.extent, alike.start, alike.step
        executor, how, ndim = self.loop
        if ndim != len(extent):
            extent = (math.prod(extent),)
        if start is None or step is None:
            start, step = _ORIGIN[:ndim], _ONE[:ndim]
        program, size = self.problem.program, math.prod(extent)
        threads, wakes, alone = threads_for(program, how, executor, size)
        chunk = how.chunk_size or 0
        asked = Task(program, (), (), extent, start, step, 0, size, threads, how.schedule, chunk, True, wakes, alone)
        launch = self.launch.over(asked)
        shape = self.shape and (alike.extent, self.shape[1])
        return _Ready(self.problem, launch, self.places, shape, self.gives)

    def __call__(self, args: tuple[Any, ...]) -> Any:
        if self.device.closed:  # the long way opens a new executor, or says that it is closed
            ready_calls.clear()
            return MISS
        if self.shape is not None:
            make = np.empty if self.device.host_memory else self.device.empty
            args = (*args[:-1], make(*self.shape))
            if tapes:
                made(args[-1], make)
        given = args if self.places is None else [args[k] for k in self.places]
        try:
            partials = self.launch(given)
        except struct.error:  # a whole number beyond 64 bits: the long way says so
            return MISS
        if tapes:
            seen(self.launch, given, partials)
        if partials is None:
            return args[-1] if self.gives else None
        if partials is REFUSED:
            return MISS
        return combine(self.problem, partials)


class _ReadyParts:
    """The parts of a loop that are this process's, each with its native code; nothing is moved between parts."""

    __slots__ = (
        "alone", "asked", "begins", "executor", "gives", "members", "places", "problem", "repeats", "runs", "written",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, places: tuple[int, ...], runs: Sequence[tuple[int, Any]], gives: bool, repeats: Any
    ) -> None:
        self.repeats = repeats
        self.written = [k for k, use in enumerate(loop.problem.access) if use is not None and use.writes]
        self.executor, self.places, self.runs, self.gives = loop.executor, places, runs, gives
        self.problem = dataclasses.replace(loop.problem, values=())  # the arrays must not be kept alive
        self.begins = [part.lo for part in loop.parts]
        #: it is this rank's only part, and tells nothing
        self.alone = len(loop.executor.firsts) > 2 and len(runs) == 1 and loop.problem.program.acc is None
        self.members = [loop.executor.members[number] for number in loop.executor.own]
        self.asked = Asked.of(loop.problem) if len(loop.executor.firsts) > 2 else None  # of several processes

    def __call__(self, args: tuple[Any, ...]) -> Any:
        where = self.executor
        closed = where.closed
        for member in self.members:
            closed = closed or member.closed
        if closed:
            ready_calls.clear()
            return MISS
        if repeats(args) != self.repeats:  # code for arrays that are apart is not for one that is read and written
            return MISS
        if tapes:
            unseen()
        given = [args[k] for k in self.places]
        works = []
        for number, (start, starts) in self.runs:
            values = [x.parts[number] if type(x) is PartitionedArray else x for x in given]
            if len(self.runs) > 1 and not _sound(values, self.written):  # before any of them has written
                return MISS
            if not self.alone:
                works.append(Work(start, values, starts, number - where.own.start))
        asked = self.asked
        noted = None if asked is None else where.note(asked, [given[k] for k in asked.places])
        try:
            if self.problem.program.acc is not None:
                found = where.reduced(self.problem, self.begins, works)
                if found is not REFUSED:
                    return found
            elif self.alone:
                if start(values)() is not REFUSED:
                    return args[-1] if self.gives else None
            elif not any(found is REFUSED for found in where.at_once(works)):
                return args[-1] if self.gives else None
        except struct.error:
            pass
        if noted is not None:  # the long way runs it, and notes that
            noted.drop()
        return MISS


def _sound(values: Sequence[Any], written: Sequence[int]) -> bool:
    """Whether arrays on the host are aligned, those that are written writable and apart from all others."""
    hosts = [x for x in values if type(x) is np.ndarray]
    if not all(x.flags.aligned for x in hosts):
        return False
    for k in written:
        out = values[k]
        if type(out) is np.ndarray and not (
            out.flags.writeable and not any(x is not out and np.may_share_memory(x, out) for x in hosts)
        ):
            return False
    return True


def _remember_parts(key: Any, loop: Loop, args: tuple[Any, ...], result: Any) -> None:
    """Keep a call of several parts, each with its own rows, so that nothing has to be moved."""
    where, problem = loop.executor, loop.problem
    places = tuple(_place(value, args) for value in problem.values)
    used = [args[k] for k in places]
    parted = [{id(x) for x in some if type(x) is PartitionedArray} for some in (args, used)]
    if parted[0] != parted[1] or -1 in places or loop.moves or problem.tiles or problem.copies:
        return
    if _merged(places, args):
        return
    if problem.program.form == "transform" and args[-1] is None:
        return
    if any(
        type(x) is PartitionedArray and (use is None or not use.pointwise)
        for x, use in zip(used, problem.access, strict=True)
    ):
        return
    runs = [(number, _prepared(loop, number, used)) for number in where.own]
    if all(run is not None for _, run in runs):
        shared = repeats(args)
        runs = [run for run in runs if run[1] != _NOTHING]
        ready = _ReadyParts(loop, places, runs, result is not None, shared)
        remember(ready_calls, key if shared is None else (key, shared), ready)


_NOTHING = None, False  #: the work of a part that has none


def _prepared(loop: Loop, number: int, used: Sequence[Any]) -> Any:
    """What begins a part of a loop on the arguments that it is given there, and whether the device goes on by itself.

    See `Work`. None if that cannot be prepared.
    """
    problem, part, member = loop.problem, loop.parts[number], loop.executor.members[number]
    reduces, firsts = problem.program.acc is not None, []
    for x, spec, use in zip(used, problem.program.specs, problem.access, strict=True):
        mine = x.parts[number] if type(x) is PartitionedArray else x
        fits = use is None or (member.device.owns(mine) and len(mine.shape) == spec.ndim)
        if part.lo < part.hi and not fits:
            return None
        firsts.append(x.cuts[number] if type(x) is PartitionedArray else 0)
    if reduces:
        return member.fragments(problem, part, loop.policy, tuple(firsts))
    if part.lo >= part.hi:
        return _NOTHING
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    launch = member.device.launch(task(problem, part, loop.policy, (), ()))
    first = tuple(firsts)
    if not launch.guard(written, problem.held == "memory"):
        return None
    if launch.starts:
        return lambda values: launch.start(values, first), True
    return lambda values: lambda: launch(values, first), False


def remember_loop(
    key: Any,
    loop: Loop,
    kernels: tuple[Any, ...],
    given: tuple[Any, ...],
    args: tuple[Any, ...],
    result: Any,
    alike: Alike | None = None,
) -> None:
    """Keep a call for the next time, if it is simple enough: on data that live where it runs.

    `kernels` and `given` are those of the call, `args` what `signature` made of them, `alike` what `likeness` did.
    """
    (part, *rest), problem = loop.parts, loop.problem
    where = part.executor
    if loop.policy.on_failure != "raise":
        return
    if rest or where is not loop.executor:
        _remember_parts(key, loop, args, result)
    if where is not loop.executor or not isinstance(where, DeviceExecutor):
        return
    device = where.device
    if not all(device.owns(value) for _, value in problem.arrays()):
        return
    shape = None
    if problem.program.form == "transform" and args[-1] is None:
        if result is None:
            return
        shape, args = (result.shape, result.dtype), (*args[:-1], result)
    # Programs have captured values behind the arguments, so where all are as given it is known which number is which.
    if problem.program.form != "map":
        given = tuple(leaf for x in given for leaf in ((x.start, x.step) if isinstance(x, (Range, range)) else (x,)))
    captured = len(args) - len(given)
    places = (*range(captured, len(args)), *range(captured))
    as_given = (
        len(places) == len(problem.values)
        and (captured == 0 or (len(kernels) == 1 and not getattr(kernels[0], "__defaults__", None)))
        and not any(isinstance(x, (Range, range, Lazy)) for x in given)
        and all(value is args[k] for value, k in zip(problem.values, places, strict=True))
    )
    if not as_given:
        places = tuple(_place(value, args) for value in problem.values)
    if -1 in places or part.hi <= part.lo or _merged(places, args):
        return
    launch = prepare(device, task(problem, part, loop.policy, (), ()))
    # what a key does not say of arrays is looked at in every call
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    if not launch.guard(written, problem.held == "memory"):
        return
    shared = repeats(args, not as_given)
    if shared is not None:
        key = (key, shared)
    bare = dataclasses.replace(problem, values=())  # a remembered call must not keep the arrays alive
    in_order = places == tuple(range(len(args)))
    ready = _Ready(bare, launch, None if in_order else places, shape, result is not None)
    remember(ready_calls, key, ready)
    if alike is not None and shared is None:
        _remember_alike(alike, loop, ready)


def remember(known: dict[Any, Any], key: Any, what: Any) -> None:
    """Keep something that calls find out by what `signature` says of them."""
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = what


def memoize(
    known: dict[Any, T], how: Policy, kernels: tuple[Any, ...], args: tuple[Any, ...], extra: Any, find: Callable[[], T]
) -> T:
    """What ``find()`` finds out, kept in `known` for all calls that look like this one."""
    key, _ = signature(how, kernels, args, extra)
    key = key and (key[1], *key[3:])  # wherever it runs
    found = known.get(key) if key is not None else None
    if found is None:
        found = find()
        if key is not None:
            remember(known, key, found)
    return found


def _place(value: Any, args: tuple[Any, ...]) -> int:
    """Which of the call's arguments a program's argument is (or is a flat view of); -1 if that is not certain."""
    for k, x in enumerate(args):
        if x is value:
            return k
    if not isinstance(value, np.ndarray) or value.base is None:
        return -1
    found = [k for k, x in enumerate(args) if isinstance(x, np.ndarray) and _flat(value, x)]
    # of two arrays at one place, either might lie elsewhere in the next call
    return found[0] if found and all(args[k] is args[found[0]] for k in found) else -1


def _merged(places: tuple[int, ...], args: tuple[Any, ...]) -> bool:
    """Whether the program takes two of the call's arrays for one, which they need not be in the next call."""
    used = [args[k] for k in places if isinstance(args[k], np.ndarray)]
    left = [x for x in args if isinstance(x, np.ndarray) and not any(x is y for y in used)]
    return any(np.may_share_memory(x, y) for x in left for y in used)


def _flat(value: np.ndarray, x: np.ndarray) -> bool:
    """Whether they are the same elements, whatever their shapes; native code reads the first of `x`'s dimensions."""
    same = x.ndim > 0 and value.size == x.size and value.dtype == x.dtype and value.ctypes.data == x.ctypes.data
    return same and x.flags.c_contiguous and value.flags.c_contiguous
