"""trisolve: a system of equations with a triangular sparse matrix.

An unknown that needs no other is of level 0, one that needs others is of the level behind theirs: those of one level
are found at the same time. Levels of little work, one after the other, are one thread's. E. Anderson, Y. Saad, "Solving
sparse triangular linear systems on parallel computers", 1989.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.sparse.matrix import FLAGS, Matrix, data_of, fail, matrix, product_dtype, rising, unsound
from portapar.algorithms.sparse.spmv import fits
from portapar.errors import ArgumentError, flags
from portapar.few import MISS, Step, fixed
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_WORK = 1 << 13  #: elements of a level that several threads do faster than one
_WIDE = 1 << 6  #: and that a GPU does
_THREADS = 8  #: of a CPU, that take less time than one
_MOSTLY = 0.9  #: of the elements, in levels of so much work
_STEP = 1 << 15  #: elements for each step, on average


@dataclass(frozen=True, eq=False)
class Levels:
    """In which order the unknowns of a triangular system are found; made by `levels`, for any number of systems.

    Attributes
    ----------
    order : numpy.ndarray, (n,)
        The rows, level by level.
    starts : numpy.ndarray
        Where each level begins in `order`, and where the last one ends.
    lower : bool
    stored : int
        Elements of the matrix.
    work : numpy.ndarray
        Elements of the rows of each level.
    """

    order: np.ndarray
    starts: np.ndarray
    lower: bool
    stored: int
    work: np.ndarray
    _runs: dict[int, list[tuple[int, int, bool]]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.work)

    def __repr__(self) -> str:
        return f"pp.sparse.Levels({len(self)} levels of {len(self.order)} rows)"

    def runs(self, least: int) -> list[tuple[int, int, bool]]:
        """The steps of a solution, (first, behind the last of `order`, whether by all threads)."""
        if least not in self._runs:
            alone = self.work < least
            new = np.flatnonzero(np.append(True, ~(alone[1:] & alone[:-1]))) if len(self) else np.zeros(0, int)
            ends = np.append(new[1:], len(self))[: len(new)]
            ways = (x.tolist() for x in (self.starts[new], self.starts[ends], ~alone[new]))
            self._runs[least] = list(zip(*ways, strict=True))
        return self._runs[least]

    def alone(self, width: int) -> bool:
        """Whether one CPU thread does all of it, in the order of the rows, as soon as so many would.

        In the order of levels memory is read in no order, which takes several times as long.
        """
        if width < _THREADS:
            return True
        wide = self.work[self.work >= _WORK].sum()
        return bool(wide < _MOSTLY * self.work.sum() or wide < _STEP * len(self.runs(_WORK)))


def levels(policy: Policy | None, a: Any, *, lower: bool = True) -> Any:
    """The levels of a triangular matrix, with which `trisolve` uses several threads.

    Parameters
    ----------
    policy : Policy
        An executor of one part.
    a : sparse matrix, (n, n)
        Of SciPy, in the format CSR. Only its pattern counts, and what is on the other side of its diagonal does not.
    lower : bool
        Whether the lower triangle is meant, or the upper one.

    Returns
    -------
    Levels

    Raises
    ------
    ArgumentError
        As for `spmv`.

    Notes
    -----
    O(nnz) work on one thread, as much as a solution takes there, and the sorting of n numbers. They hold for every
    matrix of the same pattern.
    """
    flags("sparse.levels", lower=lower)
    told = "sparse.levels"
    m = _square(told, a)

    def find(p: Parts) -> Levels:
        part, n = p.alone(), m.shape[0]
        here, flags, depth = m.on(p, part), part.zeros(FLAGS, np.int64), part.empty(n, np.int64)
        rows = here.offsets, here.indices
        for_each(part.how, 1, _depths, int(lower), here.stored, *rows, depth, flags)
        if arrays.asnumpy(flags)[0]:
            raise unsound(told, m)
        found, offsets = arrays.asnumpy(depth), arrays.asnumpy(m.offsets)
        starts = np.append(0, np.cumsum(np.bincount(found))) if n else np.zeros(1, np.int64)
        work = np.bincount(found, np.diff(offsets) + 1)
        return Levels(np.argsort(found, kind="stable"), starts, bool(lower), int(offsets[-1]), work)

    return parts.run(told, policy, (m.values, m.indices, m.offsets), find)


def trisolve(
    policy: Policy | None,
    a: Any,
    b: Any,
    *,
    lower: bool = True,
    unit_diagonal: bool = False,
    levels: Levels | None = None,
    out: Any = None,
) -> Any:
    """The x with ``a @ x == b`` for a triangular sparse matrix.

    Parameters
    ----------
    policy : Policy
        An executor of one part.
    a : sparse matrix, (n, n)
        Of SciPy, in the format CSR. What is on the other side of its diagonal is not looked at.
    b : array, (n,)
    lower : bool
        Whether the lower triangle is meant, or the upper one.
    unit_diagonal : bool
        Whether the diagonal is taken to be 1, whatever it is.
    levels : Levels, optional
        Those of this matrix, or of one with the same pattern. Without them one thread does all of it, and with them
        where levels are narrow, or threads few: then it is faster.
    out : array, (n,), optional
        Of the dtype of the result; may be `b`.

    Returns
    -------
    array, (n,)
        `out`, or a new one of the kind of `b`; of the dtype that `spmv` has, or float64 for integers.

    Raises
    ------
    ArgumentError
        As for `spmv`; a number on the diagonal is zero or not there; levels of another matrix.

    Notes
    -----
    O(nnz) work. Every sum is subtracted in the order of the row: the same bits on every executor, with levels and
    without.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> from scipy.sparse import csr_array
    >>> a = csr_array(np.array([[2.0, 0.0], [3.0, 4.0]]))
    >>> known = pp.sparse.levels(pp.par, a)
    >>> known
    pp.sparse.Levels(2 levels of 2 rows)
    >>> pp.sparse.trisolve(pp.par, a, np.array([2.0, 11.0]), levels=known)
    array([1., 2.])
    """
    flags("sparse.trisolve", lower=lower, unit_diagonal=unit_diagonal)
    return parts.run(
        "sparse.trisolve", policy, (b, data_of(a), out),
        lambda p: _solve(p, a, b, lower, unit_diagonal, levels, out),
        lambda step: _remembered(step, a, b, lower, unit_diagonal, levels, out),
    )  # fmt: skip


def _remembered(step: Step, a: Any, b: Any, lower: Any, unit: Any, levels: Any, out: Any) -> Any:
    """By a remembered step, on one thread."""
    if type(b) is not np.ndarray or b.ndim != 1 or getattr(a, "format", None) != "csr":
        return MISS
    offsets, indices, values, n = a.indptr, a.indices, a.data, len(b)
    if levels is not None and not (
        type(levels) is Levels
        and levels.lower == bool(lower)
        and len(levels.order) == n
        and levels.stored == len(indices)
        and (part := step.part) is not None
        and levels.alone(part.width)
    ):
        return MISS
    if not type(offsets) is type(indices) is type(values) is np.ndarray or a.shape != (n, n) or len(offsets) != n + 1:
        return MISS
    dtype = _dtype(values.dtype, b.dtype)
    x = np.empty(n, dtype) if out is None else out
    if type(x) is not np.ndarray or x.shape != (n,) or x.dtype != dtype:
        return MISS
    flags, aliases = np.zeros(FLAGS, np.int64), {} if out is None else {"out": out, "like": (b,)}
    sides = int(bool(lower)), int(bool(unit)), min(len(indices), len(values))
    found = step(_kernels(dtype)[0], *sides, offsets, indices, values, b, x, flags, **aliases)
    return x if found and not flags[0] and not flags[1] else MISS


def _solve(p: Parts, a: Any, b: Any, lower: Any, unit: Any, levels: Levels | None, out: Any) -> Any:
    told = p.algorithm
    p.alone()
    m = _square(told, a)
    n = m.shape[0]
    b = arrays.normal(b, "b")
    arrays.spec_of(b, "b")
    if getattr(b, "shape", ()) != (n,) or b.dtype.kind not in "biufc":
        raise ArgumentError(
            f"{told}: a has shape {m.shape} and b shape {getattr(b, 'shape', ())}: b must be numbers of shape ({n},)"
        )
    if levels is not None and (not isinstance(levels, Levels) or levels.lower != bool(lower)):
        side = "lower" if lower else "upper"
        raise ArgumentError(
            f"{told}: levels is {levels!r}: must be pp.sparse.levels(policy, a), of the {side} triangle"
        )
    dtype = _dtype(m.values.dtype, b.dtype)
    p.recut((n,))
    data = p.replicated(b, "b")
    if out is not None:
        fits(p, out, (n,), dtype)
    result = p.new(n, dtype) if out is None else p.write(out, "out", [("b", b)], m.held)
    found = p.few()
    if found is not MISS:
        return found

    def step(part: LocalPart) -> list[int]:
        here, x, flags = m.on(p, part), result[part], part.zeros(FLAGS, np.int64)
        stored = int(arrays.asnumpy(here.offsets[n:])[0])
        if levels is not None and (len(levels.order), levels.stored) != (n, stored):
            raise ArgumentError(
                f"{told}: levels are those of a matrix with {len(levels.order)} rows and {levels.stored} elements, and "
                f"a has {n} and {stored}"
            )
        sides = int(bool(lower)), int(bool(unit)), here.stored
        held = here.offsets, here.indices, here.values, data[part], x, flags
        alone, some = _kernels(dtype)
        least = _WIDE if part.wide else _WORK
        if levels is None or part.width == 1 or (levels.alone(part.width) and not part.wide):
            part.run(1, alone, *sides, *held)
        else:
            order = part.asarray(levels.order)
            for begin, end, wide in levels.runs(least):
                blocks, size = part.blocks(end - begin, least=16) if wide else (1, end - begin)
                part.run(blocks, some, begin, end, size, order, *sides, *held)
        return arrays.asnumpy(flags).tolist()

    wrong, singular = p.each("solution", step)[0]
    if wrong:
        raise unsound(told, m)
    if singular:
        k = _singular(m)
        raise ArgumentError(
            f"{told}: a[{k}, {k}] is zero, or not there: must be another number. Or pass unit_diagonal=True"
        )
    return p.give(result)


def _square(told: str, a: Any) -> Matrix:
    m = matrix(told, a, ("csr",))
    if m.shape[0] != m.shape[1]:
        raise ArgumentError(f"{told}: a has shape {m.shape}: must be square")
    return m


@functools.cache
def _dtype(a: np.dtype, b: np.dtype) -> np.dtype:
    found = product_dtype(a, b)
    return found if found.kind in "fc" else np.dtype(np.float64)


def _singular(m: Matrix) -> int:
    """The first row whose number on the diagonal is zero."""
    offsets, indices, values = (arrays.asnumpy(x) for x in (m.offsets, m.indices, m.values))
    rows, stored = np.repeat(np.arange(m.shape[0]), np.diff(offsets)), offsets[-1]
    on = indices[:stored] == rows
    diagonal = np.zeros(m.shape[0], np.result_type(values, np.float32))
    np.add.at(diagonal, rows[on], values[:stored][on])
    return int(np.flatnonzero(diagonal == 0)[0])


# kernels ------------------------------------------------------------------------------------------


def _depths(_: Any, lower: Any, most: Any, offsets: Any, indices: Any, depth: Any, flags: Any) -> None:
    n = len(offsets) - 1
    if rising(0, n, most, offsets) == 0:
        fail(flags)
    else:
        for k in range(n):
            i = k if lower == 1 else n - 1 - k
            found = np.int64(0)
            for e in range(offsets[np.uint64(i)], offsets[np.uint64(i + 1)]):
                j = np.int64(indices[np.uint64(e)])
                if j < 0 or j >= n:
                    fail(flags)
                elif (j < i) if lower == 1 else (j > i):
                    found = max(found, depth[np.uint64(j)] + 1)
            depth[np.uint64(i)] = found


@functools.cache
def _kernels(dtype: np.dtype) -> tuple[Any, Any]:
    T = dtype.type

    def row(
        i: Any, n: Any, lower: Any, unit: Any, offsets: Any, indices: Any, values: Any, b: Any, x: Any, flags: Any
    ) -> None:  # fmt: skip
        left, diagonal = T(b[np.uint64(i)]), T(0)
        for e in range(offsets[np.uint64(i)], offsets[np.uint64(i + 1)]):
            j = np.int64(indices[np.uint64(e)])
            if j < 0 or j >= n:
                fail(flags)
            elif j == i:
                diagonal += T(values[np.uint64(e)])
            elif (j < i) if lower == 1 else (j > i):
                left -= T(values[np.uint64(e)]) * x[np.uint64(j)]
        if unit == 0:
            if diagonal == T(0):
                atomic.max(flags, 1, 1)
            left /= diagonal
        x[np.uint64(i)] = left

    def alone(
        _: Any, lower: Any, unit: Any, most: Any, offsets: Any, indices: Any, values: Any, b: Any, x: Any, flags: Any
    ) -> None:  # fmt: skip
        n = len(offsets) - 1
        if rising(0, n, most, offsets) == 0:
            fail(flags)
        else:
            for k in range(n):
                row(k if lower == 1 else n - 1 - k, n, lower, unit, offsets, indices, values, b, x, flags)

    def some(
        block: Any, begin: Any, end: Any, size: Any, order: Any, lower: Any, unit: Any, most: Any, offsets: Any,
        indices: Any, values: Any, b: Any, x: Any, flags: Any,
    ) -> None:  # fmt: skip
        n = len(offsets) - 1
        for k in range(begin + block * size, min(end, begin + block * size + size)):
            i = order[np.uint64(k)]
            if rising(i, i + 1, most, offsets) == 0:
                fail(flags)
            else:
                row(i, n, lower, unit, offsets, indices, values, b, x, flags)

    return fixed(alone), some
