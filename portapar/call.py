"""The way of a call: find the policy and the executor, plan, execute. Plans are remembered.

A call that looks like an earlier one (same policy, kernels, dtypes, shapes and strides) on the CPU takes
its plan and its native code from memory, which costs a few microseconds; everything else takes the long
way through `portapar.problem` and `portapar.plan`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from portapar import arrays, policy, problem
from portapar.arrays import PartitionedArray
from portapar.errors import PlacementError
from portapar.executor import DeviceExecutor, Executor, cuda, finish, opened, simd, task, threads
from portapar.executors import executor
from portapar.kernel import source
from portapar.kernel.program import OVERLAP
from portapar.lazy import Lazy, flat
from portapar.plan import Plan, make_plan
from portapar.policy import Policy
from portapar.problem import Problem, Range

T = TypeVar("T")

_REMEMBERED = 4096  #: calls to remember; beyond, start afresh


class _Planning:
    """What stands in the place of the `using` block's policy while `plan` only wants the plan."""

    def __init__(self, block: Policy | None) -> None:
        self.block = block


def planning() -> bool:
    """Whether this call is made by `plan`, which wants no result."""
    return isinstance(policy.current.get(), _Planning)


@functools.cache
def _default_name() -> str | None:
    return os.environ.get("PORTAPAR_EXECUTOR")


def default_executor() -> Executor:
    """PORTAPAR_EXECUTOR, or all CPU threads."""
    name = _default_name()
    return executor(name) if name else threads()


def resolve(how: Policy | None, values: Sequence[Any], algorithm: str) -> tuple[Policy, Executor]:
    """The policy and executor of a call.

    The executor is the policy's own; else the one where the data live; else that of the `using` block;
    else the default.
    """
    block = policy.current.get()
    if isinstance(block, _Planning):
        block = block.block
    if how is None:
        how = block or policy.par
    if not isinstance(how, Policy):
        raise PlacementError(
            f"{algorithm}: the first argument is {how!r}, a {type(how).__name__}: must be a policy such as pp.par"
        )
    if how.executor is not None:
        return how, how.executor
    for value in flat(values):
        if isinstance(value, PartitionedArray):
            return how, value.executor
        if not isinstance(value, (np.ndarray, *arrays.SCALARS)) and hasattr(value, "dtype"):
            for candidate in opened():
                if candidate.owns(value):
                    return how, candidate
            if hasattr(value, "__cuda_array_interface__"):
                return how, cuda(value.device.id)
    if not how.threads:
        return how, simd()
    if block is not None and block.executor is not None:
        return how, block.executor
    return how, default_executor()


def call(
    algorithm: str,
    how: Policy | None,
    kernels: tuple[Any, ...],
    args: tuple[Any, ...],
    extra: Any,
    build: Callable[..., tuple[Problem, Any]],
) -> Any:
    """Run one call of an algorithm.

    Parameters
    ----------
    algorithm : str
        Its name.
    how : Policy or None
    kernels : tuple of callable
        The user's functions.
    args : tuple
        Its arrays and numbers, the output last if there is one.
    extra : hashable
        What else the plan depends on.
    build : callable
        The long way: ``build(algorithm, executor, kernels, args, extra)`` makes the problem, and what the
        call returns if the form itself returns nothing.
    """
    key, values = seen(how, kernels, args, extra)
    if key is not None:
        ready = _ready.get(key)
        if ready is not None:
            result = ready(values)
            if result is not _MISS:
                return result
        result = _repeated(key, values)
        if result is not _MISS:
            return result
    how, where = resolve(how, args, algorithm)
    asked, result = build(algorithm, where, kernels, args, extra)
    made = make_plan(asked, how, where)
    if planning():
        return dataclasses.replace(made, result=result)
    if how.asynchronous:
        return where.submit(lambda: _result(where.execute(made), result))
    value = _result(where.execute(made), result)
    if key is not None:
        _remember(key, made, values, result)
    return value


def plan(algorithm: Callable[..., Any], how: Policy | None, *args: Any, **keywords: Any) -> Plan:
    """The plan of a call, without running it.

    Parameters
    ----------
    algorithm : callable
        Such as `pp.transform`.
    how, *args, **keywords
        As for the algorithm itself.

    Returns
    -------
    Plan
        ``print(plan)`` explains it; ``plan.run()`` runs it, any number of times, on these arguments.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x, y = np.arange(4.0), np.zeros(4)
    >>> step = pp.plan(pp.transform, pp.par, x, y, out=y, op=lambda a, b: a + 2 * b)
    >>> for _ in range(3):
    ...     step.run()
    array([0., 1., 2., 3.])
    array([0., 3., 6., 9.])
    array([ 0.,  7., 14., 21.])
    """
    block = policy.current.get()
    token = policy.current.set(_Planning(block))
    try:
        return algorithm(how, *args, **keywords)
    finally:
        policy.current.reset(token)


class Inspection(dict[str, str]):
    """Generated code by its name; ``print`` shows all of it."""

    def __str__(self) -> str:
        return "\n".join(f"===== {name}\n{text.rstrip()}\n" for name, text in self.items())


def inspect(kernel: Callable[..., Any], where: Executor, *args: Any) -> Inspection:
    """The code that an executor generates for a kernel, and whether its loop was vectorized.

    Parameters
    ----------
    kernel : callable
        As for `for_each` (an index for every argument that `args` lacks), or, if it takes exactly
        `args`, as for `transform`.
    where : Executor
    *args : array or number

    Returns
    -------
    Inspection
        A dict: ``"Numba"``, ``"LLVM"``, ``"assembly"`` and ``"vectorized"`` on CPUs, ``"OpenCL C"``,
        ``"CUDA C"``, ``"PTX"``, … elsewhere.
    """
    lifted, _ = source.lift(kernel)
    indices = len(lifted.params) - len(args)
    if indices > 0:
        asked = problem.for_each("inspect", (1,) * indices, kernel, args)
    else:
        asked = problem.transform("inspect", args, None, kernel, lambda shape, dtype, _: np.empty(shape, dtype))
    (member, *_) = where.members
    if not isinstance(member, DeviceExecutor):
        raise PlacementError(f"inspect: {where!r} runs no kernels itself; inspect the executor that it uses")
    return Inspection(member.device.inspect(asked.program))


def _result(value: Any, result: Any) -> Any:
    return result if value is None else value


def make_out(where: Executor) -> Callable[..., Any]:
    """How an algorithm makes its output where the user gave none: the kind of array that went in."""

    def make(shape: tuple[int, ...], dtype: np.dtype, inputs: Sequence[Any]) -> Any:
        inputs = list(flat(inputs))
        if any(isinstance(x, PartitionedArray) for x in inputs):
            return where.empty(shape, dtype)
        for x in inputs:
            if isinstance(x, np.ndarray):
                return np.empty(shape, dtype)
            if hasattr(x, "dtype") and not isinstance(x, arrays.SCALARS):
                return where.empty(shape, dtype)
        return np.empty(shape, dtype)

    return make


# remembered calls ---------------------------------------------------------------------------------

_MISS = object()
_NUMBERS = {bool, int, float, complex, *(np.dtype(code).type for code in "?bhilqBHILQfdFD")}
_ready: dict[Any, _Ready] = {}
_simple: dict[int, Any] = {}  #: codes of kernels that capture nothing, by identity; kept alive here


def seen(how: Policy | None, kernels: tuple[Any, ...], args: tuple[Any, ...], extra: Any) -> tuple[Any, Any]:
    """(what a call looks like, what it works on: captured values, then the arguments, as `_spread` gives them).

    The first is None if the call is of a kind that is not remembered.
    """
    block = policy.current.get()
    if type(how) is not Policy or how.asynchronous or type(block) is _Planning:
        return None, args
    parts: list[Any] = [how, extra, block]
    try:
        for kernel in kernels:
            code = kernel.__code__
            if id(code) not in _simple:
                lifted, _, captured = source.bound(kernel)
                if lifted.simple:
                    _simple[id(code)] = code
                else:
                    parts.append(id(lifted))  # alive as long as the process is
                    args = (*captured, *args)
                    continue
            parts.append(id(code))
    except AttributeError:
        return None, args
    spread = False
    for x in args:
        kind = type(x)
        if kind is np.ndarray:
            parts += (x.dtype, x.shape, x.strides)
        elif kind in _NUMBERS or x is None:
            parts.append(kind)
        elif kind is Range or kind is range:
            spread = True
            parts += (kind, len(x))
        elif isinstance(x, Lazy):
            spread = True
            parts += (x.form, x.shape)
            for leaf in x.values:
                if type(leaf) is not np.ndarray and type(leaf) not in _NUMBERS:
                    return None, args
                parts += (leaf.dtype, leaf.shape, leaf.strides) if type(leaf) is np.ndarray else (type(leaf),)
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


def _repeated(key: Any, args: tuple[Any, ...]) -> Any:
    """Run a remembered call in which one array has several places, or return _MISS."""
    repeats = _repeats(args)
    ready = None if repeats is None else _ready.get((key, repeats))
    return _MISS if ready is None else ready(args)


def _repeats(args: tuple[Any, ...]) -> tuple[int, ...] | None:
    """Which arguments are one and the same array; None if all differ."""
    numbers = [id(x) for x in args]
    if len(set(numbers)) == len(numbers):
        return None
    return tuple(numbers.index(number) for number in numbers)


class _Ready:
    """A plan of one part on one device, with its native code: what a remembered call runs."""

    __slots__ = ("device", "gives", "launch", "places", "problem", "shape")

    def __init__(self, problem: Problem, launch: Any, places: Any, shape: Any, gives: bool) -> None:
        self.problem, self.launch, self.shape, self.gives = problem, launch, shape, gives
        self.device = launch.device
        self.places = places

    def __call__(self, args: tuple[Any, ...]) -> Any:
        if self.device.closed:  # the long way opens a new executor, or says that it is closed
            _ready.clear()
            return _MISS
        if self.shape is not None:
            make = np.empty if self.device.host_memory else self.device.empty
            args = (*args[:-1], make(*self.shape))
        try:
            partials = self.launch(args if self.places is None else [args[k] for k in self.places])
        except struct.error:  # a whole number beyond 64 bits: the long way says so
            return _MISS
        if partials is None:
            return args[-1] if self.gives else None
        if partials is OVERLAP:
            return _MISS
        return finish(self.problem, partials)


def _remember(key: Any, plan: Plan, args: tuple[Any, ...], result: Any) -> None:
    """Keep a call for the next time, if it is simple enough: one part, on data that live where it runs."""
    (part, *rest), problem = plan.parts, plan.problem
    where = part.executor
    if rest or where is not plan.executor or not isinstance(where, DeviceExecutor):
        return
    device = where.device
    if not hasattr(device, "launch") or not all(device.owns(value) for _, value in problem.arrays()):
        return
    shape = None
    if problem.program.form == "transform" and args[-1] is None:
        if result is None:
            return
        shape, args = (result.shape, result.dtype), (*args[:-1], result)
    places = tuple(_place(value, args) for value in problem.values)
    if -1 in places or part.hi <= part.lo or _merged(places, args):
        return
    launch = device.launch(task(problem, part, plan.policy, (), ()))
    # whether an array may be written is looked at in every call
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    if written and not launch.guard(written, [getattr(value, "nbytes", 0) for value in problem.values]):
        return
    repeats = _repeats(args)
    if repeats is not None:
        key = (key, repeats)
    bare = dataclasses.replace(problem, values=())  # a remembered call must not keep the arrays alive
    in_order = places == tuple(range(len(args)))
    remember(_ready, key, _Ready(bare, launch, None if in_order else places, shape, result is not None))


def remember(known: dict[Any, Any], key: Any, what: Any) -> None:
    """Keep something that calls find out by what `seen` says of them."""
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = what


def once(
    known: dict[Any, T], how: Policy, kernels: tuple[Any, ...], args: tuple[Any, ...], extra: Any, find: Callable[[], T]
) -> T:
    """What ``find()`` finds out, kept in `known` for all calls that look like this one."""
    key, _ = seen(how, kernels, args, extra)
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
    """Whether they are the same elements, whatever their shapes."""
    same = value.size == x.size and value.dtype == x.dtype and value.ctypes.data == x.ctypes.data
    return same and x.flags.c_contiguous and value.flags.c_contiguous
