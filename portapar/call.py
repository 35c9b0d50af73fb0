"""The way of a call: find the policy and the executor, plan, execute. Plans are remembered.

A call that looks like an earlier one (same policy, kernels, dtypes, shapes and strides) on the CPU takes
its plan and its native code from memory, which costs a few microseconds; everything else takes the long
way through `portapar.problem` and `portapar.plan`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import types
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import arrays, cache, config, moves, policy
from portapar.devices import DeviceExecutor, cuda, opened, simd
from portapar.errors import PolicyError, PortaparError, PortaparWarning, short
from portapar.executor import Executor
from portapar.executors import default_executor
from portapar.kernel.front.lift import capturing
from portapar.kernel.program import in_order
from portapar.lazy import flat
from portapar.lengths import again, keep, likeness
from portapar.looks import Look, learn, lend
from portapar.partitioned import PartitionedArray
from portapar.plan import Plan, cut, watch
from portapar.policy import Planning, Policy, Recording, choosing, planning, surveying
from portapar.problem import Problem, checking
from portapar.remembered import MISS, ready_calls, remember_loop, repeated, repeats, signature
from portapar.tape import tapes, unseen
from portapar.trace import span

if TYPE_CHECKING:
    from portapar.kernel.front.races import Race


def resolve(how: Policy | None, values: Sequence[Any], algorithm: str) -> tuple[Policy, Executor]:
    """The policy and executor of a call.

    The executor is the policy's own; else the one where the data live; else that of the `using` block;
    else the default.
    """
    block = policy.current.get()
    if isinstance(block, Planning):
        block = block.block
    if how is None:
        how = block or policy.par
    policy.check_policy(how, algorithm)
    if config.check():
        how = how.with_(check=True)
    if how.executor is not None:
        return how, how.executor
    for value in flat(values):
        if type(value) is np.ndarray:  # what most are
            continue
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
    look: Look | None = None,
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
    look : Look, optional
        What `portapar.looks.quick` was asked for, and missed.
    """
    if how is None and not isinstance(block := policy.current.get(), Planning):
        how = block or policy.par
    try:
        undecided = choosing(how)
        if undecided is None and (type(how) is not Policy or how.tune) and (tuned := policy.tuned(how)) is not None:
            where = tuned.executor or resolve(tuned, args, algorithm)[1]
            if not isinstance(where, DeviceExecutor):
                how = tuned._but(tune=0.0)
            else:
                undecided = tuned if tuned.executor is where else tuned._but(executor=where)
        if undecided is not None:
            return _chosen(undecided, algorithm, kernels, args, extra, build, how, look)
        key, values = signature(how, kernels, args, extra)
        if key is not None:
            ready = ready_calls.get(key)
            if ready is not None:
                result = ready(values)
                if result is not MISS:
                    if ready.waits > 0:
                        learn(ready, how, look, kernels, args, values, None)
                    return result
        return _call(algorithm, how, kernels, args, extra, build, key, values, look)
    except PortaparError as error:
        raise short(error, algorithm) from error.__cause__


def _chosen(
    undecided: Policy,
    algorithm: str,
    kernels: tuple[Any, ...],
    args: tuple[Any, ...],
    extra: Any,
    build: Callable[..., tuple[Problem, Any]],
    how: Policy | None = None,
    look: Look | None = None,
) -> Any:
    """A call that finds out where it runs; what has been found out holds for some calls that look like it.

    `how` and `look` are those of a call that native code may know then.
    """
    from portapar import choice

    like, given = signature(undecided, kernels, args, extra)
    held = choice.held(undecided, like) if like is not None else None
    if held is None and like is not None and (places := repeats(given)) is not None:
        like = like, places
        held = choice.held(undecided, like)
    if held is not None:
        result = held[0][0](given)
        if result is not MISS:
            lend(held, how, look, kernels, args, given)
            return result
        choice.hold(undecided, like, None)
    elif like is not None and (ready := ready_calls.get(like)) is not None:  # on what lies there: nothing to choose
        result = ready(given)
        if result is not MISS:
            if ready.waits > 0:
                learn(ready, how, look, kernels, args, given, None)
            return result
    used: Any = None
    built: list[Any] = []  #: the problem that was weighed, which the call may run

    def again(bound: Policy) -> Any:
        if bound.tune and bound is not undecided and isinstance(bound.executor, DeviceExecutor):
            return _chosen(bound, algorithm, kernels, args, extra, build)
        nonlocal used
        key, values = signature(bound, kernels, args, extra)
        first = None if key is None else ready_calls.get(key)
        others = () if key is None else repeated(key, values)
        for one in itertools.chain(() if first is None else ((first, None),), others):
            result = one[0](values)
            if result is not MISS:
                used = one
                return result
        return _call(algorithm, bound, kernels, args, extra, build, key, values, built=built)

    def problem() -> Problem:
        where = default_executor()
        found = build(algorithm, where, kernels, args, extra)
        if _in_host_memory(where):
            built.append(found)
        return found[0]

    def holds(_: Policy) -> None:
        if used is not None and like is not None:
            choice.hold(undecided, like, used)

    space = extra if algorithm == "for_each" else None
    return choice.run(undecided, algorithm, kernels, args, again, problem, space, holds)


def _call(
    algorithm: str,
    how: Policy | None,
    kernels: tuple[Any, ...],
    args: tuple[Any, ...],
    extra: Any,
    build: Callable[..., tuple[Problem, Any]],
    key: Any,
    values: Any,
    look: Look | None = None,
    built: list[Any] | None = None,
) -> Any:
    """The long way of a call, which looks like `key` and works on `values`; `built` is its problem in host memory."""
    alike = None
    if key is not None:
        for ready, same in repeated(key, values):
            result = ready(values)
            if result is not MISS:
                if ready.waits > 0:
                    learn(ready, how, look, kernels, args, values, same)
                return result
        alike = likeness(key, args, values, build)
        if alike is not None:
            result = again(alike, key, values, how, look, kernels, args)
            if result is not MISS:
                return result
    if tapes:
        unseen()
    how, where = resolve(how, args, algorithm)
    block = policy.current.get()
    if type(block) is Recording:
        block.captures += capturing(kernels)
    if how.check:
        asked, result = _checked(build, algorithm, where, kernels, args, extra)
    elif built and _in_host_memory(where):
        asked, result = built.pop()
    else:
        asked, result = build(algorithm, where, kernels, args, extra)
    if how.name == "seq" and asked.carries:
        asked.program = in_order(asked.program)
    if how.deterministic:
        moves.refuse_chance(asked)
    with span("plan", algorithm, where):
        made = cut(asked, how, where)
    if asked.race is not None and asked.race.meets(asked.extent, asked.step):
        _warn(asked.race, how)
    if planning():
        survey = surveying()
        if survey is not None:
            survey.begins(made)
        return dataclasses.replace(made, result=result, watched=watch(asked, list(flat(args)))).plan()
    for move in made.moves if how.transfers == "warn" else ():
        if move.kind in ("gathered", "shared"):
            moves.warn(how, algorithm, str(move))

    def carry_out() -> Any:
        with span("call", algorithm, where):
            return _result(made.execute(), result)

    if how.asynchronous:
        return where.submit(carry_out)
    value = carry_out()
    if key is not None and not how.check:
        ready = remember_loop(key, made, kernels, args, values, result)
        if alike is not None and ready is not None:
            keep(alike, made, ready)
    return value


def _in_host_memory(where: Executor) -> bool:
    return isinstance(where, DeviceExecutor) and where.device.host_memory


_typed: dict[Any, None] = cache.Bounded()  #: programs of checked calls whose own texts have types


def _checked(build: Callable[..., tuple[Problem, Any]], *given: Any) -> tuple[Problem, Any]:
    """The problem of a checked call. What the kernel has no types for is told of its own text."""
    token = checking.set(True)
    try:
        found = build(*given)
    finally:
        checking.reset(token)
    if found[0].program not in _typed:
        from portapar.kernel.jit.check import needs

        needs(build(*given)[0].program)
        _typed[found[0].program] = None
    return found


_warned: set[Any] = set()  #: races that were told


def _warn(race: Race, how: Policy) -> None:
    """Tell of a race, once, at the user's line."""
    if how.name == "seq" or race in _warned:
        return
    does = "update" if race.update else "write"
    others, instead = f"{does} it too", (
        "pp.atomic.add(array, index, value); pp.bincount for counts and weights, pp.reduce for sums"
    )
    if race.read:
        others, instead = f"read it, as {race.read}", (
            "read one array and write another; pp.inclusive_scan for recurrences"
        )
    warnings.warn_explicit(
        f"a race: {race.text} {does}s {race.name!r} where other iterations {others}, and under {how!r} they may "
        f"run at the same time: what comes out is not defined. Instead: {instead}; or pp.seq, which runs them one "
        "after the other",
        PortaparWarning,
        race.file,
        race.line,
    )
    _warned.add(race)


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
    told = "must be an algorithm, with its policy and its arguments behind it: pp.plan(pp.transform, pp.par, x, op=…)"
    if not isinstance(algorithm, (types.FunctionType, types.MethodType, functools.partial)):
        raise PolicyError(f"plan: the first argument is {algorithm!r}: {told}")
    taken = inspect.signature(algorithm)
    try:
        taken.bind(how, *args, **keywords)
    except TypeError as error:
        name = getattr(algorithm, "__name__", repr(algorithm))
        takes = ", ".join(str(p.replace(annotation=p.empty, default=p.empty)) for p in taken.parameters.values())
        raise PolicyError(f"plan: {name}: {error}. It takes {name}({takes})") from None
    block = policy.current.get()
    token = policy.current.set(Planning(block))
    try:
        made = algorithm(how, *args, **keywords)
    finally:
        policy.current.reset(token)
    if made is None:
        raise PolicyError(f"plan: the first argument is {algorithm!r}, which makes no plan: {told}")
    return made


def _result(value: Any, result: Any) -> Any:
    return result if value is None else value


def make_out(where: Executor) -> Callable[..., Any]:
    """How an algorithm makes its output where the user gave none: the kind of array that went in."""

    def make(shape: tuple[int, ...], dtype: np.dtype, inputs: Sequence[Any]) -> Any:
        inputs = list(flat(inputs))
        given = [x for x in inputs if isinstance(x, PartitionedArray)]
        if given:
            alike = [x.cuts for x in given if x.executor is where and x.shape[:1] == shape[:1]]
            return where.empty(shape, dtype, *alike[:1])
        for x in inputs:
            if isinstance(x, np.ndarray):
                return np.empty(shape, dtype)
            if hasattr(x, "dtype") and not isinstance(x, arrays.SCALARS):
                return where.empty(shape, dtype)
        return np.empty(shape, dtype)

    return make
