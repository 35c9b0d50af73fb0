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
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from portapar import indexed, policy
from portapar.call import resolve
from portapar.executor import DeviceExecutor, Executor, task
from portapar.kernel.front.lift import bound, known
from portapar.kernel.program import REFUSED
from portapar.plan import Plan, make_plan
from portapar.policy import Planning, Policy
from portapar.remembered import MISS, NUMBERS, remember

FEW = 4096  #: elements at most: a tile of scans, a piece of segments

Step = Callable[..., bool]  #: ``step(kernel, *args)``: whether it ran

_steps: dict[Any, Any] = {}  #: launches by what their calls look like
_fixed: dict[int, Any] = {}  #: (kernel, captured values) of functions whose captures never change, by identity
_kept: list[Any] = []  #: these functions

policy.forgets(_steps.clear)


def elements(x: Any = None, *others: Any, least: int = 1) -> int:
    """How many elements plain arrays of one dimension and one length have; 0 if they are something else, or many."""
    if type(x) is not np.ndarray or x.ndim != 1:
        return 0
    n = len(x)
    if not least <= n <= FEW:
        return 0
    for other in others:
        if type(other) is not np.ndarray or other.shape != x.shape:
            return 0
    return n


def plain(x: Any) -> bool:
    """Whether it is a plain array of one dimension, of any length but 0."""
    return type(x) is np.ndarray and x.ndim == 1 and len(x) > 0


def again(how: Policy | None, kernel: Any, *args: Any, out: Any = None, like: Sequence[Any] = ()) -> bool:
    """Run a step that ran before on arguments of these kinds; False if there is none.

    If the user gave an `out`, that is written to, it must lie apart from all other arrays, but may be one of `like`.
    """
    found = _fixed.get(id(kernel)) or known(kernel)
    if found is None:
        return False
    values = (*args, *found[1])
    key = _key(how, found[0], values)
    launch = _steps.get(key) if key is not None else None
    if launch is None or (out is not None and not _apart(out, values, like)):
        return False
    if launch.device.closed:  # the long way opens a new executor, or says that it is closed
        _steps.clear()
        return False
    try:
        return launch(values) is not REFUSED
    except struct.error:  # a whole number beyond 64 bits: the long way says so
        return False


def fixed(kernel: Any) -> Any:
    """Say that what a kernel captures never changes, so that `again` need not look. It is kept for ever."""
    _kept.append(kernel)
    _fixed[id(kernel)] = None
    return kernel


def step(algorithm: str, how: Policy, where: Executor, kernel: Any, *args: Any, **aliases: Any) -> bool:
    """Run a step in any case, on an executor of host memory, and remember it."""
    if again(how, kernel, *args, **aliases):
        return True
    there = how if resolve(how, args, algorithm)[1] is where else how._but(executor=where)
    made = make_plan(indexed.for_each(algorithm, 1, kernel, args), there, where)
    made.execute()
    lifted, _, captured = bound(kernel)
    if id(kernel) in _fixed:
        _fixed[id(kernel)] = lifted, captured
    values = (*args, *captured)
    _remember(_key(there, lifted, values), made, values)
    return True


def _key(how: Policy | None, lifted: Any, values: tuple[Any, ...]) -> Any:
    """What a step looks like; None if it is of a kind that is not remembered."""
    block = policy.current.get()
    if how is None:
        how = block or policy.par
    if type(how) is not Policy or how.asynchronous or isinstance(block, Planning):
        return None
    kinds = _kinds(values)
    return None if kinds is None else (how, block, lifted, *kinds)  # which is then alive as long as the entry is


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
        else:
            return None
    return parts


def _remember(key: Any, plan: Plan, values: tuple[Any, ...]) -> None:
    """Keep a step for the next time, if its program takes the values as they are."""
    (part, *rest), problem = plan.parts, plan.problem
    where = part.executor
    as_given = len(problem.values) == len(values) and all(
        a is b for a, b in zip(problem.values, values, strict=True)
    )
    if key is None or rest or not isinstance(where, DeviceExecutor) or problem.program.form != "map" or not as_given:
        return
    launch = where.device.launch(task(problem, part, plan.policy, (), ()))
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    if launch.guard(written, [getattr(x, "nbytes", 0) for x in values]):
        remember(_steps, key, launch)


def _apart(out: np.ndarray, values: Sequence[Any], like: Sequence[Any]) -> bool:
    """Whether `out`, one of the values, is certainly apart from all others, but for those of `like` that it is."""
    same = 0
    for x in values:
        if x is out:
            same += 1
        elif type(x) is np.ndarray and np.may_share_memory(x, out):
            return False
    return same == 1 + sum(x is out for x in like)


__all__ = ["FEW", "MISS", "Step", "again", "elements", "fixed", "kinds", "plain", "step"]
