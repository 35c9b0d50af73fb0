"""adjacent_difference, inner_product: pairs of elements.

Each is one pass, of which nothing depends on another: O(n) work. On several parts the last element before a part comes
from the one that has it, and `inner_product` is a reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, lazy, ops, parts
from portapar.algorithms.moves import output
from portapar.algorithms.reduce import reduce_as
from portapar.algorithms.transform import copy, transform
from portapar.errors import KernelError, PlacementError
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy


def adjacent_difference(policy: Policy | None, x: Any, op: Any = None, *, out: Any = None) -> Any:
    """``out[0] = x[0]`` and ``out[i] = op(x[i], x[i - 1])``, as in C++.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, of numbers.
    op : callable, optional
        A kernel of an element and the one before it, that returns a number; by default the difference.
    out : array, optional
        As long as `x`; must not overlap it. By default a new array: of the dtype of `x` for differences, so that
        those of unsigned integers wrap around; else of the one that holds both `x` and what `op` returns.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    O(n) work. `inclusive_scan` undoes it, but for rounding.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.adjacent_difference(pp.par, np.array([1, 4, 9, 16]))
    array([1, 3, 5, 7])
    """
    kernels = () if op is None else (ops.monoid(op).py_func,)
    return parts.run(
        "adjacent_difference", policy, (x, out), lambda p: _adjacent_difference(p, x, op, out), whole=(kernels, ())
    )


def _adjacent_difference(p: Parts, x: Any, op: Any, out: Any) -> Any:
    data, n = p.stored(x, "x"), p.length(x, "x")
    if data.dtype.names is not None or (op is None and data.dtype.kind == "b"):
        raise PlacementError(
            f"adjacent_difference: x has dtype {data.dtype}: must be an array of numbers. Of truth values pass op="
        )
    pair = p.function(_minus if op is None else ops.monoid(op).py_func, "op", 2)
    dtype = data.dtype
    if op is not None:
        found = lazy.transform(x, x, pair)
        if found.dtype.names is not None:
            raise KernelError("adjacent_difference: op returns a tuple: must return a number")
        dtype = np.result_type(dtype, found.dtype)
    result = output(p, out, n, dtype, [("x", x)], kernels=[pair])
    before = p.rows("borders", data, lambda k: [(max(p.cuts[k] - 1, 0), p.cuts[k])])

    def differences(part: LocalPart) -> None:
        here, target, (last,) = data[part], result[part], before[part.number]
        if len(last) and len(part):
            transform(part.how, here[:1], last, out=target[:1], op=pair)
        elif len(part):
            copy(part.how, here[:1], out=target[:1])
        if len(part) > 1:
            transform(part.how, here[1:], here[:-1], out=target[1:], op=pair)

    p.each("differences", differences)
    return p.give(result)


def _minus(x: Any, y: Any) -> Any:
    return x - y


def inner_product(
    policy: Policy | None, x: Any, y: Any, op: Any = ops.plus, transform: Any = ops.multiplies, init: Any = None
) -> Any:
    """``init op transform(x[0], y[0]) op transform(x[1], y[1]) op …``; by default the sum of the products.

    Parameters
    ----------
    policy : Policy
    x, y : array
        Of one length. Complex numbers are not conjugated.
    op, init
        As for `reduce`.
    transform : callable
        A kernel of one element of each. The product is one of 64 bits for integers.

    Returns
    -------
    NumPy scalar, or tuple of them
        As `transform_reduce` of the two, with the same bits everywhere.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> int(pp.inner_product(pp.par, np.array([1, 2, 3]), np.array([4, 5, 6])))
    32
    """
    if transform is ops.multiplies:  # the products of small integers are not cut before they are summed up
        kinds = {_kind(x, "x"), _kind(y, "y")}
        if kinds <= {"u", "b"} and "u" in kinds:
            transform = _unsigned_product
        elif kinds <= {"i", "u", "b"}:
            transform = _product
    return reduce_as("inner_product", policy, (x, y), op, transform, init)


def _kind(x: Any, name: str) -> str:
    """The kind of its elements' dtype; a Python number that is not negative has no sign of its own."""
    if type(x) is np.ndarray:
        return x.dtype.kind
    if not hasattr(x, "dtype"):
        if isinstance(x, (arrays.Range, range)):
            return "i"
        x = arrays.normal(x, name)
        if isinstance(x, int):
            return "i" if x < 0 else "b"
    return arrays.spec_of(x, name).dtype.kind if isinstance(x, arrays.SCALARS) else np.dtype(x.dtype).kind


def _product(x: Any, y: Any) -> Any:
    return np.int64(x) * np.int64(y)


def _unsigned_product(x: Any, y: Any) -> Any:
    return np.uint64(x) * np.uint64(y)
