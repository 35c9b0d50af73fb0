"""transform: apply a function to every element, and its simple kin: fill, copy, iota."""

from __future__ import annotations

from typing import Any

from portapar import executor, problem
from portapar.policy import Policy
from portapar.problem import Range


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
    """
    return _apply("transform", policy, inputs, out, op)


def _apply(algorithm: str, policy: Policy | None, inputs: tuple[Any, ...], out: Any, op: Any) -> Any:
    how, where = executor.resolve(policy, (*inputs, out), algorithm)
    made: list[Any] = [out]

    def make_out(*shape_dtype_inputs: Any) -> Any:
        made[0] = executor.make_out(where)(*shape_dtype_inputs)
        return made[0]

    asked = problem.transform(algorithm, inputs, out, op, make_out)
    return executor.run(asked, how, where, made[0])


def fill(policy: Policy | None, out: Any, value: Any) -> Any:
    """``out[i] = value`` for every i; returns `out`."""
    return _apply("fill", policy, (value,), out, problem.identity)


def copy(policy: Policy | None, x: Any, out: Any = None) -> Any:
    """``out[i] = x[i]`` for every i, converted to the dtype of `out`; returns `out`."""
    return _apply("copy", policy, (x,), out, problem.identity)


def iota(policy: Policy | None, out: Any, start: Any = 0, step: Any = 1) -> Any:
    """``out[i] = start + step * i`` for every i of a one-dimensional array; returns `out`."""
    return _apply("iota", policy, (Range(len(out)), start, step), out, _line)


def _line(i: Any, start: Any, step: Any) -> Any:
    return start + step * i
