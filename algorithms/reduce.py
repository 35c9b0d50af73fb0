"""reduce and transform_reduce: combine all elements into one, with the same bits everywhere.

The index range is cut into fixed tiles; each tile is folded in a fixed number of lanes, the lanes and
then the tiles are combined in fixed trees (`portapar.kernel.forms`). So the result does not depend on
the number of threads, on the executor, or on the number of ranks. Method: Demmel, Nguyen, "Fast
reproducible floating-point summation", 2013, motivates it; fixed blocking is the cheap way to it.
"""

from __future__ import annotations

from typing import Any

from portapar import arrays, ops, problem
from portapar.call import call
from portapar.errors import PlacementError
from portapar.executor import Executor
from portapar.policy import Policy
from portapar.problem import Problem


def reduce(policy: Policy | None, x: Any, op: Any = ops.plus, init: Any = None) -> Any:
    """``init op x[0] op x[1] op …``

    Parameters
    ----------
    policy : Policy
    x : array or Range
    op : callable
        A kernel of two values; must be associative and commutative up to rounding.
    init : number, optional
        Needed for empty input only.

    Returns
    -------
    NumPy scalar
        Of the type that `op` settles on: sums of small integers are 64 bits wide.
    """
    return transform_reduce(policy, x, op=op, init=init)


def transform_reduce(
    policy: Policy | None, *inputs: Any, op: Any = ops.plus, transform: Any = None, init: Any = None
) -> Any:
    """``init op f(x[0], y[0], …) op f(x[1], y[1], …) op …`` with f = `transform`.

    Parameters
    ----------
    policy : Policy
    *inputs : array, Range or number
        Of one shape, or shapes that broadcast.
    op : callable
        As for `reduce`.
    transform : callable, optional
        A kernel of one element of each input; the element itself by default.
    init : number, optional
        Needed for empty input only.

    Returns
    -------
    NumPy scalar

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.arange(4.0)
    >>> float(pp.transform_reduce(pp.par, x, x, transform=lambda a, b: a * b))
    14.0
    """
    kernels = (op,) if transform is None else (op, transform)
    if init is not None and not isinstance(init, arrays.SCALARS):
        raise PlacementError(f"reduce: init is {init!r}, a {type(init).__name__}: must be a number")
    start = None if init is None else (type(init), repr(init), init)  # -0.0 is not 0.0
    return call("reduce", policy, kernels, inputs, start, _build)


def _build(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[Problem, None]:
    op, transform = (*kernels, None)[:2]
    return problem.reduce(algorithm, args, op, transform, extra and extra[2]), None
