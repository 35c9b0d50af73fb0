"""Many small dense matrices at once, ``pp.batched``: products, systems of equations, Cholesky factors.

Arrays hold one matrix after the other, (batch, n, n). On CPUs `LANES` neighbouring matrices are done at the same time,
each in a lane of vectors, whichever rows their pivots are in; large ones, and all on other devices, one by one. The
order of operations in a matrix is the same either way, and so are the bits. A. Abdelfattah et al., "A set of batched
basic linear algebra subprograms and LAPACK routines", 2021.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from portapar import arrays, parts, shares
from portapar.algorithms.batched_kernels import LANES, MOST, SOLVED, element, factors, products, solutions
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import copy
from portapar.errors import ArgumentError
from portapar.few import MISS, Step
from portapar.part import Data, LocalPart
from portapar.parts import Parts
from portapar.policy import Policy, policy_first

__all__ = ["cholesky", "matmul", "solve"]


def matmul(policy: Policy | None, a: Any, b: Any, out: Any = None) -> Any:
    """``a[e] @ b[e]`` for every e.

    Parameters
    ----------
    policy : Policy
    a : array, (batch, n, k)
        Of numbers.
    b : array, (batch, k, m)
        ``np.broadcast_to(c, (batch, k, m))`` for one matrix c.
    out : array, (batch, n, m), optional
        Of the dtype of the result; must not overlap what is read.

    Returns
    -------
    array, (batch, n, m)
        `out`, or a new one of the kind of `a`; of NumPy's dtype, ``np.result_type(a, b)``.

    Raises
    ------
    ArgumentError
        Other shapes or dtypes.

    Notes
    -----
    O(batch n k m) work. Sums are added in order: the same bits on every executor. On several parts each has its
    matrices.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.batched.matmul(pp.par, np.array([[[1, 2], [3, 4]], [[0, 1], [1, 0]]]), np.array([[[1], [1]], [[5], [6]]]))
    array([[[3],
            [7]],
    <BLANKLINE>
           [[6],
            [5]]])
    """
    return parts.run(
        "batched.matmul", policy, (a, b, out), lambda p: _matmul(p, a, b, out),
        lambda step: _product_again(step, a, b, out),
    )  # fmt: skip


def solve(policy: Policy | None, a: Any, b: Any, out: Any = None) -> Any:
    """The x with ``a[e] @ x[e] == b[e]`` for every e.

    Parameters
    ----------
    policy : Policy
    a : array, (batch, n, n)
        Of numbers; fastest for n up to 24.
    b : array, (batch, n) or (batch, n, m)
        A vector, or m of them as columns, for each matrix.
    out : array, optional
        Of the shape of `b` and the dtype of the result; must not overlap what is read.

    Returns
    -------
    array of the shape of `b`
        `out`, or a new one of the kind of `a`; of the dtype ``np.result_type(a, b)``, or float64 for integers.

    Raises
    ------
    ArgumentError
        Other shapes or dtypes; a matrix is singular, which is told with the first one that is.

    Notes
    -----
    O(batch n² (n + m)) work: LU factors with partial pivoting. The same bits on every executor. Memory for a copy of
    `a` where n is above 24, on devices, and where `a` is not contiguous.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.batched.solve(pp.par, np.array([[[0.0, 2.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 4.0]]]), np.ones((2, 2)))
    array([[1.  , 0.5 ],
           [0.5 , 0.25]])
    """
    return parts.run(
        "batched.solve", policy, (a, b, out), lambda p: _solve(p, a, b, out),
        lambda step: _solved_again(step, a, b, out),
    )  # fmt: skip


def cholesky(policy: Policy | None, a: Any, out: Any = None) -> Any:
    """The lower triangles l with ``l[e] @ l[e].conj().T == a[e]`` for every e.

    Parameters
    ----------
    policy : Policy
    a : array, (batch, n, n)
        Of symmetric or Hermitian matrices that are positive definite; above their diagonals nothing is looked at.
        Fastest for n up to 32.
    out : array, (batch, n, n), optional
        Of the dtype of the result; must not overlap `a`.

    Returns
    -------
    array, (batch, n, n)
        `out`, or a new one of the kind of `a`, with zeros above the diagonals; of the dtype of `a`, or float64 for
        integers.

    Raises
    ------
    ArgumentError
        Other shapes or dtypes; a matrix is not positive definite, which is told with the first one that is not.

    Notes
    -----
    O(batch n³) work. The same bits on every executor.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.batched.cholesky(pp.par, np.array([[[4.0, 2.0], [2.0, 2.0]]]))
    array([[[2., 0.],
            [1., 1.]]])
    """
    return parts.run(
        "batched.cholesky", policy, (a, out), lambda p: _cholesky(p, a, out),
        lambda step: _factored_again(step, a, out),
    )  # fmt: skip


#: those that take a policy
ALGORITHMS = cholesky, matmul, solve
for _algorithm in ALGORITHMS:
    policy_first(_algorithm, "batched.")


def __dir__() -> list[str]:
    return [*__all__]


# calls --------------------------------------------------------------------------------------------


def _matmul(p: Parts, a: Any, b: Any, out: Any) -> Any:
    a, b = _matrices(p, a, "a"), _matrices(p, b, "b")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise ArgumentError(
            f"{p.algorithm}: a has shape {a.shape} and b shape {b.shape}: must be (batch, n, k) and (batch, k, m)"
        )
    left, right = p.read(a, "a"), p.read(b, "b")
    result = _result(p, out, (*a.shape[:2], b.shape[2]), np.result_type(a.dtype, b.dtype), [("a", a), ("b", b)])
    found = p.few()
    if found is not MISS:
        return found

    def step(part: LocalPart) -> None:
        if result.size:
            _multiply(part, part.run, left[part], right[part], result[part])

    p.each("product", step)
    return p.give(result)


def _solve(p: Parts, a: Any, b: Any, out: Any) -> Any:
    a, b = _squares(p, a), arrays.normal(b, "b")
    arrays.spec_of(b, "b")
    shape: Any = getattr(b, "shape", ())
    if len(shape) not in (2, 3) or shape[:2] != a.shape[:2] or b.dtype.kind not in "biufc":
        raise ArgumentError(
            f"{p.algorithm}: a has shape {a.shape}, b has shape {shape} and dtype {getattr(b, 'dtype', type(b))}: b "
            f"must be numbers of shape {a.shape[:2]} or {(*a.shape[:2], 'm')}"
        )
    left, right = p.read(a, "a"), p.read(b, "b")
    result = _result(p, out, shape, _dtype(a.dtype, b.dtype), [("a", a), ("b", b)])
    found = p.few()
    if found is not MISS:
        return found

    def step(part: LocalPart) -> int:
        x, n, flags = result[part], a.shape[1], part.zeros(1, np.int64)
        if not len(part) or not n:
            return 0
        work = x[:0].reshape(-1) if _by_lanes(part, n) else part.empty(len(part) * n * n, x.dtype)
        m, held = (*shape, 1)[2], (_flat(part, left[part]), _flat(part, right[part]))
        _eliminate(part, part.run, n, m, *held, work, x.reshape(-1), flags)
        return int(arrays.asnumpy(flags)[0])

    _told(p, p.each("solution", step), "singular: must have a solution")
    return p.give(result)


def _cholesky(p: Parts, a: Any, out: Any) -> Any:
    a = _squares(p, a)
    left = p.read(a, "a")
    result = _result(p, out, a.shape, _dtype(a.dtype, a.dtype), [("a", a)])
    found = p.few()
    if found is not MISS:
        return found

    def step(part: LocalPart) -> int:
        x, n, flags = result[part], a.shape[1], part.zeros(1, np.int64)
        if len(part) and n:
            _factorize(part, part.run, n, _flat(part, left[part]), x.reshape(-1), flags)
        return int(arrays.asnumpy(flags)[0])

    _told(p, p.each("factors", step), "not positive definite")
    return p.give(result)


def _matrices(p: Parts, x: Any, name: str) -> Any:
    x = arrays.normal(x, name)
    arrays.spec_of(x, name)
    shape = getattr(x, "shape", ())
    if len(shape) != 3 or x.dtype.kind not in "biufc":
        more = f". Use {name}[None] for one matrix" if len(shape) == 2 else ""
        raise ArgumentError(
            f"{p.algorithm}: {name} has shape {shape} and dtype {getattr(x, 'dtype', type(x))}: must be numbers of "
            f"three dimensions, one matrix after the other{more}"
        )
    return x


def _squares(p: Parts, a: Any) -> Any:
    a = _matrices(p, a, "a")
    if a.shape[1] != a.shape[2]:
        raise ArgumentError(f"{p.algorithm}: a has shape {a.shape}: its matrices must be square")
    return a


def _result(p: Parts, out: Any, shape: tuple[int, ...], dtype: np.dtype, apart: list[tuple[str, Any]]) -> Data:
    if out is None:
        return p.new(shape, dtype)
    out = arrays.normal(out, "out")
    if getattr(out, "shape", None) != shape or out.dtype != dtype:
        told = f"shape {out.shape} and dtype {out.dtype}" if hasattr(out, "shape") else f"type {type(out).__name__}"
        raise ArgumentError(f"{p.algorithm}: out has {told}: must have shape {shape} and dtype {dtype}")
    if not arrays.spec_of(out, "out").contiguous:
        raise ArgumentError(f"{p.algorithm}: out is not contiguous: must be, in C's order")
    return p.write(out, "out", apart=apart)


def _told(p: Parts, found: list[int], what: str) -> None:
    """Raise for the first matrix that is wrong; parts have found how far theirs is from their end, or 0."""
    for (_, hi), back in zip(shares.spans(p.cuts), found, strict=True):
        if back:
            raise ArgumentError(f"{p.algorithm}: a[{hi - back}] is {what}")


@functools.cache
def _dtype(a: np.dtype, b: np.dtype) -> np.dtype:
    found = np.result_type(a, b)
    return found if found.kind in "fc" else np.dtype(np.float64)


def _flat(part: LocalPart, x: Any) -> Any:
    if not arrays.spec_of(x, "a").contiguous:
        x = copy(part.how, x, out=part.empty(x.shape, x.dtype))
    return x.reshape(-1)


# remembered steps ---------------------------------------------------------------------------------


def _ready(*given: Any) -> bool:
    """Whether all are plain arrays of numbers that lie as kernels have them."""
    return all(type(x) is np.ndarray and x.flags.c_contiguous and x.dtype.kind in "biufc" for x in given)


def _room(shape: tuple[int, ...], dtype: np.dtype, out: Any) -> np.ndarray | None:
    if out is None:
        return np.empty(shape, dtype)
    return out if _ready(out) and out.shape == shape and out.dtype == dtype else None


def _product_again(step: Step, a: Any, b: Any, out: Any) -> Any:
    part = step.part
    if part is None or not _ready(a, b) or not a.ndim == b.ndim == 3:
        return MISS
    if len(a) != len(b) or a.shape[2] != b.shape[1] or 0 in a.shape or 0 in b.shape:
        return MISS
    c = _room((*a.shape[:2], b.shape[2]), np.result_type(a.dtype, b.dtype), out)
    return c if c is not None and _multiply(part, step.run, a, b, c, **_given(out)) else MISS


def _solved_again(step: Step, a: Any, b: Any, out: Any) -> Any:
    part = step.part
    if part is None or not _ready(a, b) or a.ndim != 3 or b.ndim not in (2, 3) or 0 in a.shape or 0 in b.shape:
        return MISS
    n = a.shape[1]
    if n != a.shape[2] or a.shape[:2] != b.shape[:2] or not _by_lanes(part, n):
        return MISS
    x = _room(b.shape, _dtype(a.dtype, b.dtype), out)
    if x is None:
        return MISS
    flags, flat = np.zeros(1, np.int64), x.reshape(-1)
    m = b.shape[2] if b.ndim == 3 else 1
    held = a.reshape(-1), b.reshape(-1), flat[:0], flat, flags
    found = _eliminate(part, step.run, n, m, *held, **_given(out if out is None else flat))
    return x if found and not flags[0] else MISS


def _factored_again(step: Step, a: Any, out: Any) -> Any:
    part = step.part
    if part is None or not _ready(a) or a.ndim != 3 or a.shape[1] != a.shape[2] or 0 in a.shape:
        return MISS
    x = _room(a.shape, _dtype(a.dtype, a.dtype), out)
    if x is None:
        return MISS
    flags, flat = np.zeros(1, np.int64), x.reshape(-1)
    found = _factorize(part, step.run, a.shape[1], a.reshape(-1), flat, flags, **_given(out if out is None else flat))
    return x if found and not flags[0] else MISS


def _given(out: Any) -> dict[str, Any]:
    return {} if out is None else {"out": out}


# steps --------------------------------------------------------------------------------------------


def _by_lanes(part: LocalPart, n: int, most: int = SOLVED) -> bool:
    return n <= most and part.executor.device.host_memory


def _multiply(part: LocalPart, run: Any, a: Any, b: Any, c: Any, **aliases: Any) -> bool:
    each = max(1, a.shape[1] * a.shape[2] * b.shape[2])
    if not part.executor.device.host_memory:
        for_each(part.how, c.shape, element(c.dtype), a, b, c)
        return True
    blocks, size = part.blocks(len(a), least=max(1, 4096 // each), each=32)
    return run(blocks, products(c.dtype), size, a, b, c, work=len(a) * each, **aliases)


def _eliminate(
    part: LocalPart, run: Any, n: int, m: int, a: Any, b: Any, work: Any, x: Any, flags: Any, **aliases: Any
) -> bool:
    count, each, (lanes, single) = len(a) // (n * n), n * n * (n + 3 * m), solutions(x.dtype)
    if _by_lanes(part, n):
        blocks, size = part.blocks(-(-count // LANES), least=max(1, 4096 // (LANES * each)), each=32)
        return run(blocks, lanes, size, count, n, m, a, b, x, flags, work=count * each, **aliases)
    blocks, size = part.blocks(count, least=max(1, 4096 // each), each=32)
    return run(blocks, single, size, count, n, m, a, b, work, x, flags, work=count * each, **aliases)


def _factorize(part: LocalPart, run: Any, n: int, a: Any, x: Any, flags: Any, **aliases: Any) -> bool:
    count, each, (lanes, single) = len(a) // (n * n), n * n * (n + 3), factors(x.dtype)
    group = LANES if _by_lanes(part, n, MOST) else 1
    blocks, size = part.blocks(-(-count // group), least=max(1, 4096 // (group * each)), each=32)
    kernel = lanes if group > 1 else single
    return run(blocks, kernel, size, count, n, a, x, flags, work=count * each, **aliases)
