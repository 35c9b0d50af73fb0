"""transform: apply a function to every element, and its simple kin: fill, copy, iota."""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import elementwise
from portapar.arrays import Range, normal
from portapar.call import call, make_out
from portapar.errors import PlacementError
from portapar.executor import Executor
from portapar.kernel.program import REFUSED
from portapar.lazy import flat
from portapar.looks import Look, lazily, quick
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy
from portapar.problem import Problem


def transform(policy: Policy | None, *inputs: Any, out: Any = None, op: Any) -> Any:
    """``out[i] = op(x[i], y[i], …)`` for every i.

    Parameters
    ----------
    policy : Policy
    *inputs : array, Range or number
        Of one shape, or shapes that broadcast to the shape of `out`.
    out : array, optional
        May be one of the inputs, but not overlap one partly. By default a new array of the kind of
        the inputs, with the dtype that `op` returns.
    op : callable
        A kernel of one element of each input.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    O(n) work.
    """
    return _run("transform", policy, op, (*inputs, out))


def _run(algorithm: str, policy: Policy | None, op: Any, args: tuple[Any, ...], extra: Any = None) -> Any:
    """Its arguments are those of `op`, and the output."""
    look: Look = (op, (args[-1] is None, extra), None)
    given = args
    if type(args[0]) is not np.ndarray and type(args[0]) is not PartitionedArray:
        look, given = lazily(look, args)
    result = quick(policy, look, given)
    return call(algorithm, policy, (op,), args, extra, _build, look) if result is REFUSED else result


def _build(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[Problem, Any]:
    *inputs, out = args
    if out is None and getattr(where, "group", None) is not None and where.group.size > 1:
        _refuse_copies(algorithm, where, inputs)
    made = [out]

    def make(*how: Any) -> Any:
        made[0] = make_out(where)(*how)
        return made[0]

    return elementwise.transform(algorithm, tuple(inputs), out, kernels[0], make), made[0]


def _refuse_copies(algorithm: str, where: Executor, inputs: list[Any]) -> None:
    """On ranks nothing says where the result of plain arrays is to lie."""
    if not any(isinstance(x, PartitionedArray) for x in flat(inputs)):
        raise PlacementError(
            f"{algorithm}: the inputs are plain arrays, of which every rank has a copy, and the result would have its "
            f"rows on all of them. Pass {where!r}.asarray(...) of an input, or out={where!r}.empty(shape, dtype)"
        )


def fill(policy: Policy | None, out: Any, value: Any) -> Any:
    """``out[i] = value`` for every i; returns `out`."""
    fits = elementwise.fits(value, getattr(out, "dtype", None))  # in every call: of others alike, one may
    return _run("fill", policy, elementwise.constant, (value, out), fits)


def copy(policy: Policy | None, x: Any, out: Any = None) -> Any:
    """``out[i] = x[i]`` for every i, converted to the dtype of `out`; returns `out`."""
    return _run("copy", policy, elementwise.identity, (x, out))


def iota(policy: Policy | None, out: Any, start: Any = 0, step: Any = 1) -> Any:
    """``out[i] = start + step * i`` for every i of a one-dimensional array; returns `out`."""
    out = out if hasattr(out, "shape") else normal(out, "out")
    shape = getattr(out, "shape", (0,))
    if len(shape) != 1:
        instead = "pass out.reshape(-1), a view of it if it is contiguous" if shape else "pass an array of one element"
        raise PlacementError(f"iota: out has shape {shape}: must have one dimension; {instead}")
    n = shape[0]
    return call("iota", policy, (_line,), (Range(n), start, step, out), None, _build)


def _line(i: Any, start: Any, step: Any) -> Any:
    return start + step * i
