"""Matrices: what is taken for a sparse matrix, what its products are made of, and what is wrong with one.

A matrix is looked at while it is computed with: kernels test every offset and every index that they read, skip what is
out of range and say so by a flag. So nothing is remembered of a matrix, which may change between two calls; what was
wrong is found out here, once a kernel has said that something is.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from portapar import arrays
from portapar.errors import ArgumentError, PlacementError, of_kind
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts

FLAGS = 2  #: that kernels set: something is out of range; a row has several pieces


class Matrix(NamedTuple):
    """The arrays of a sparse matrix: `offsets` are None in the format COO, where `lines` are the rows of elements.

    Attributes
    ----------
    format : str
        "csr", "csc" or "coo".
    shape : (int, int)
    offsets : array or None
        Where the rows (of CSC the columns) begin, and where the last one ends.
    lines : array or None
        Of COO: the row of each element.
    indices : array
        The column (of CSC the row) of each element.
    values : array
    """

    format: str
    shape: tuple[int, int]
    offsets: Any
    lines: Any
    indices: Any
    values: Any

    @property
    def held(self) -> list[tuple[str, Any]]:
        """Its arrays by their names in messages."""
        names = "a.indptr", "a.row", "a.col" if self.format == "coo" else "a.indices", "a.data"
        return [(name, x) for name, x in zip(names, self[2:], strict=True) if x is not None]

    @property
    def stored(self) -> int:
        """For how many elements there is room, at most as many as are elements of the matrix."""
        return min(self.indices.shape[0], self.values.shape[0])

    @property
    def cut(self) -> bool:
        """Whether some of its arrays are partitioned."""
        return any(isinstance(x, PartitionedArray) for x in self[2:])

    def on(self, p: Parts, part: LocalPart) -> Matrix:
        """The same matrix where a part can use it."""
        offsets, lines, indices, values = (
            None if x is None else p.replicated(x, name)[part] for name, x in zip(
                ("a.indptr", "a.row", "a.indices", "a.data"), self[2:], strict=True
            )
        )  # fmt: skip
        return Matrix(self.format, self.shape, offsets, lines, indices, values)


def matrix(
    told: str, a: Any, formats: tuple[str, ...] = ("csr", "csc", "coo"), name: str = "a", cut: bool = False
) -> Matrix:
    """The arrays of an argument that is a sparse matrix, of a format that is wanted; those of CSR may be `cut`.

    Raises
    ------
    ArgumentError
    """
    found, shape = getattr(a, "format", None), getattr(a, "shape", None)
    wanted = " or ".join(x.upper() for x in formats)
    known = hasattr(a, "data") or hasattr(a, "tocsr")
    if type(found) is not str or not known or type(shape) is not tuple:
        kind = type(a).__name__
        raise ArgumentError(
            f"{told}: {name} is a {kind}: must be a sparse matrix of SciPy in the format {wanted}, such as "
            f"scipy.sparse.csr_array({name})"
        )
    if found not in formats:
        raise ArgumentError(f"{told}: {name} has the format {found.upper()}: must be {wanted}. Pass {name}.tocsr()")
    if len(shape) != 2:
        raise ArgumentError(f"{told}: {name} has shape {shape}: must have two dimensions")
    cut = cut and found == "csr"
    values = vector(told, f"{name}.data", a.data, "biufc", cut)
    if found == "coo":
        line, index = a.coords if hasattr(a, "coords") else (a.row, a.col)
        lines, indices = (vector(told, f"{name}.{k}", x, "iu") for k, x in (("row", line), ("col", index)))
        if not len(lines) == len(indices) == len(values):
            raise ArgumentError(
                f"{told}: {name} has {len(lines)} rows, {len(indices)} columns and {len(values)} values of elements: "
                "must have as many of each"
            )
        return Matrix(found, shape, None, lines, indices, values)
    offsets = vector(told, f"{name}.indptr", a.indptr, "iu", cut)
    indices = vector(told, f"{name}.indices", a.indices, "iu", cut)
    count, what = (shape[0], "rows") if found == "csr" else (shape[1], "columns")
    if offsets.shape[0] != count + 1:
        told += f": {name} has {count} {what} and {offsets.shape[0]} in indptr"
        raise ArgumentError(f"{told}: must have {count + 1}")
    return Matrix(found, shape, offsets, None, indices, values)


def data_of(a: Any) -> Any:
    """The values of a sparse matrix of a format that products take; None of all others, which `matrix` tells of."""
    return getattr(a, "data", None) if getattr(a, "format", None) in ("csr", "csc", "coo") else None


def vector(told: str, name: str, x: Any, kinds: str, cut: bool = False) -> Any:
    """An argument that is an array of one dimension, of numbers of these kinds; partitioned only if it may be `cut`."""
    x = arrays.normal(x, name)
    if isinstance(x, PartitionedArray) and not cut:
        raise PlacementError(
            f"{told}: {name} is a partitioned array, and only rows of a matrix in CSR are cut, in sparse.spmv and "
            f"sparse.spmm. Pass pp.asnumpy({name})"
        )
    if not hasattr(x, "dtype"):
        raise ArgumentError(f"{told}: {name} is {x!r}, {of_kind(x)}: must be an array")
    arrays.spec_of(x, name)
    if len(x.shape) != 1 or x.dtype.kind not in kinds:
        what = "integers" if kinds == "iu" else "numbers"
        raise ArgumentError(
            f"{told}: {name} has shape {x.shape} and dtype {x.dtype}: must be one-dimensional, of {what}"
        )
    return x


@functools.cache
def product_dtype(a: np.dtype, x: np.dtype) -> np.dtype:
    """What products of numbers of two dtypes are, and sums of them: as SciPy has it, no wider than they are."""
    return np.result_type(a, x)


def unsound(told: str, m: Matrix, names: dict[str, str] | None = None) -> ArgumentError:
    """What is wrong with a matrix, with the first place; `names` are those of its arrays in messages, if others."""
    host, called = {name: arrays.asnumpy(x) for name, x in m.held}, {name: name for name, _ in m.held} | (names or {})
    if m.offsets is not None:
        offsets, told = host["a.indptr"], f"{told}: {called['a.indptr']}"
        if offsets[0] != 0:
            return ArgumentError(f"{told} begins with {offsets[0]}: must begin with 0")
        falls = np.flatnonzero(offsets[1:] < offsets[:-1])
        if len(falls):
            k = int(falls[0])
            return ArgumentError(f"{told}[{k + 1}] is {offsets[k + 1]}, after {offsets[k]}: must not fall")
        if offsets[-1] > m.stored:
            return ArgumentError(
                f"{told} ends with {offsets[-1]}, and there are {m.indices.shape[0]} indices and "
                f"{m.values.shape[0]} values: must be as many at least"
            )
        host["a.indices"], told = host["a.indices"][: offsets[-1]], told.partition(":")[0]
    limits = {"a.row": ("row", m.shape[0]), "a.col": ("column", m.shape[1])}
    limits["a.indices"] = limits["a.col" if m.format == "csr" else "a.row"]
    for name in sorted(limits.keys() & host.keys(), reverse=True):
        x, (what, most) = host[name], limits[name]
        wrong = np.flatnonzero((x < 0) | (x >= most))
        if len(wrong):
            k = int(wrong[0])
            there = f"0 to {most - 1}" if most else "and there are none"
            return ArgumentError(f"{told}: {called[name]}[{k}] is {x[k]}: must be a {what}, {there}")
    return ArgumentError(f"{told}: a matrix was changed while it was computed with")


def index_dtype(*sizes: int) -> np.dtype:
    """What indices and offsets of a new matrix are, as SciPy has them: int32 where sizes and elements fit it."""
    return np.dtype(np.int32 if max(sizes) < 2**31 else np.int64)


def room(part: LocalPart, size: int, dtype: Any) -> Any:
    """An uninitialised array for a new matrix. On the host one that is no view: those SciPy copies."""
    return np.empty(size, dtype) if part.executor.device.host_memory else part.empty(size, dtype)


def made(found: str, values: Any, indices: Any, offsets: Any, shape: tuple[int, int], like: Any = None) -> Any:
    """A matrix of SciPy, on the host, whose rows are in order; an old ``spmatrix`` if `like` is one."""
    import scipy.sparse

    kind = "matrix" if scipy.sparse.isspmatrix(like) else "array"
    held = tuple(map(arrays.asnumpy, (values, indices, offsets)))
    whole = getattr(scipy.sparse, f"{found}_{kind}")(held, shape=shape)
    whole.has_sorted_indices = True
    return whole


# kernels ------------------------------------------------------------------------------------------


def fail(flags: Any) -> None:
    """Something is out of range."""
    atomic.max(flags, 0, 1)


def rising(first: Any, last: Any, most: Any, offsets: Any) -> Any:
    """Whether the rows from `first` to `last` lie behind one another within `most` elements, 1 or 0."""
    falls = 0
    for s in range(first, last):
        falls |= 1 if offsets[np.uint64(s + 1)] < offsets[np.uint64(s)] else 0
    here, end = np.int64(offsets[np.uint64(first)]), np.int64(offsets[np.uint64(last)])
    return 0 if falls == 1 or here < 0 or end > most or (first == 0 and here != 0) else 1


def segment(element: Any, count: Any, offsets: Any) -> Any:
    """The first row that ends behind an element."""
    s, n = 0, count
    while n > 0:
        half = n // 2
        if np.int64(offsets[np.uint64(s + half + 1)]) <= element:
            s += half + 1
            n -= half + 1
        else:
            n = half
    return s
