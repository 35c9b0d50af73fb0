"""reduce and transform_reduce: combine all elements into one, with the same bits everywhere.

The index range is cut into fixed tiles; each tile is folded in a fixed number of lanes, or, where neighbours are to
be combined first, by a binary tree; the tiles are combined by one (`portapar.kernel.tiles`). So the result does not
depend on the number of threads, on the executor, or on the number of ranks. Method: Demmel, Nguyen, "Fast reproducible
floating-point summation", 2013, motivates it; fixed blocking is the cheap way to it.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from portapar import arrays, ops, reduction
from portapar.call import call
from portapar.errors import PlacementError, of_kind
from portapar.executor import Executor
from portapar.kernel.program import REFUSED
from portapar.looks import Look, lazily, quick
from portapar.ops import Monoid
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy
from portapar.problem import Problem, folded


def reduce(policy: Policy | None, x: Any, op: Any = ops.plus, init: Any = None, *, axis: Any = None) -> Any:
    """``init op x[0] op x[1] op …``

    Parameters
    ----------
    policy : Policy
    x : array or Range
        Of numbers, or of records of numbers: `op` is given the tuple of a record's fields.
    op : callable
        A kernel of two values, numbers or tuples of numbers, that returns one; must be associative, and one of numbers
        commutative, up to rounding, or a `Monoid` that says that it does not commute. One of tuples is taken to commute
        only where its text shows it.
    init : number or tuple, optional
        Needed for empty input only, and if `op` has no identity: else that is the result.
    axis : int or tuple of int, optional
        Reduce along this axis, or these, as NumPy does; negative ones count from the last.

    Returns
    -------
    NumPy scalar, or tuple of them
        Of the type that `op` settles on: sums of small integers are 64 bits wide. With `axis` an array of the other
        axes, of the kind of `x`; of tuples one of records.

    Notes
    -----
    O(n) work; the same bits on every executor: tiles of 4096 elements are folded in a fixed order, and combined in a
    fixed binary tree. Within a tile, lane l of 32 has the elements l, l + 32, …: so it is for sums, and for whatever
    only adds, compares and chooses. Products and other folds of floats, which may overflow if what cancels is far
    apart, and operators that do not commute combine neighbours first, in a binary tree from the elements on: all that
    is ever computed are folds of neighbours.

    Along an axis it is the same with tiles of 256 and 8 lanes, and tiles are combined from left to right: the bits
    depend on the length of the axis alone, whether its elements lie side by side or far apart. On several parts the
    folds of all tiles of the first axis are told to all.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.reduce(pp.par, np.arange(6).reshape(2, 3), axis=0)
    array([3, 5, 7])
    >>> points = np.array([(3, 1.5), (1, 0.5), (2, 2.5)], dtype=[("key", "i8"), ("weight", "f8")])
    >>> key, weight = pp.reduce(pp.par, points, op=lambda p, q: q if q[1] < p[1] else p)
    >>> int(key), float(weight)
    (1, 0.5)
    """
    return reduce_as("reduce", policy, (x,), op, None, init, axis)


def transform_reduce(
    policy: Policy | None, *inputs: Any, op: Any = ops.plus, transform: Any = None, init: Any = None, axis: Any = None
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
        A kernel of one element of each input, that returns a number or a tuple of numbers; the element
        itself by default.
    init : number or tuple, optional
        As for `reduce`.
    axis : int or tuple of int, optional
        As for `reduce`, of the shape of all inputs together.

    Returns
    -------
    NumPy scalar, or tuple of them; with `axis` an array, as of `reduce`

    Notes
    -----
    O(n) work, in the pass that reads the inputs; the same bits on every executor, as `reduce`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.arange(4.0)
    >>> float(pp.transform_reduce(pp.par, x, x, transform=lambda a, b: a * b))
    14.0

    The mean and variance of the elements in one pass, each pass over the data costing as much as reading it:

    >>> def merge(a, b):
    ...     n, d = a[0] + b[0], b[1] - a[1]
    ...     return n, a[1] + d * b[0] / n, a[2] + b[2] + d * d * a[0] * b[0] / n
    >>> n, mean, m2 = pp.transform_reduce(pp.par, x, transform=lambda x: (1, x, 0.0), op=merge)
    >>> int(n), float(mean), float(m2 / n)
    (4, 1.5, 1.25)
    """
    return reduce_as("transform_reduce", policy, inputs, op, transform, init, axis)


def reduce_as(
    name: str, policy: Policy | None, inputs: tuple[Any, ...], op: Any, transform: Any, init: Any, axis: Any = None
) -> Any:
    """`transform_reduce` under the name that the user knows it by."""
    look: Look | None = None
    if type(op) is np.ufunc:
        op = ops.monoid(op)
    if init is None and axis is None:
        if type(op) is Monoid and op.named:
            look = transform, id(op), None
        elif type(op) is FunctionType and op.__defaults__ is None and getattr(op, "commutative", True) is True:
            look = transform, (id(op.__code__), id(op.__globals__)), None
    if look is not None:
        given = inputs
        if inputs and type(inputs[0]) is not np.ndarray and type(inputs[0]) is not PartitionedArray:
            look, given = lazily(look, inputs)
        result = quick(policy, look, given)
        if result is not REFUSED:
            return result
    if axis is not None:
        from portapar.algorithms.axes import axes_of, reduce_axes  # which stands on others that reduce

        inputs, shape, axes = axes_of(name, inputs, axis)
        if len(axes) < len(shape):
            return reduce_axes(name, policy, inputs, op, transform, init, shape, axes)
    op = folded(op)
    kernels = (op,) if transform is None else (op, transform)
    if isinstance(init, np.void):
        init = init.item()
    if init is not None and not all(isinstance(x, arrays.SCALARS) for x in (init if type(init) is tuple else (init,))):
        raise PlacementError(f"{name}: init is {init!r}, {of_kind(init)}: must be a number, or a tuple of them")
    start = None if init is None else (type(init), repr(init))  # -0.0 is not 0.0
    extra = getattr(op, "commutative", True), start, init
    return call(name, policy, kernels, inputs, extra, _build, look)


def _build(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[Problem, None]:
    op, transform = (*kernels, None)[:2]
    return reduction.reduce(algorithm, args, op, transform, extra[2]), None
