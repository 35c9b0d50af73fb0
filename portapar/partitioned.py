"""Partitioned arrays, whose rows live in parts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from portapar.errors import PlacementError


class PartitionedArray:
    """A global array whose rows live in parts: on several executors, or on the ranks of a communicator.

    Make one with ``executor.asarray(x)`` or ``executor.empty(shape, dtype)`` of a `hybrid` or an `mpi`
    executor. Algorithms run each part where it lives.

    Attributes
    ----------
    shape : tuple of int
        The global shape.
    dtype : numpy.dtype
    cuts : tuple of int
        Part k holds the rows ``cuts[k]`` to ``cuts[k + 1]``.
    parts : mapping of int to array
        The parts at hand: all of them on a hybrid executor, this rank's own on MPI.
    executor : Executor
        Where it lives.
    """

    __array_priority__ = 1000
    __slots__ = ("__weakref__", "cuts", "dtype", "executor", "held", "number", "parts", "replica", "shape")

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, cuts: tuple[int, ...], parts: Mapping[int, Any], executor: Any
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.cuts = _one(tuple(cuts))
        self.parts: Mapping[int, Any] = MappingProxyType(dict(parts))
        self.held = tuple(parts[k] for k in sorted(parts))  #: the same in order, for native code
        self.executor = executor
        self.number: int = executor.number_array()  #: among those of its executor, the same on all ranks; or 0
        #: while parts run by themselves: the whole of it, on the host; or True where they use their own rows alone
        self.replica: np.ndarray | bool = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def local(self) -> Any:
        """The part of this rank, as an array of the rank's own executor."""
        if len(self.parts) != 1:
            raise PlacementError(f"{self!r} has {len(self.parts)} parts here: use parts[k]")
        return next(iter(self.parts.values()))

    @property
    def partition(self) -> tuple[tuple[int, int], ...]:
        """The rows (begin, end) of every part."""
        return tuple(zip(self.cuts[:-1], self.cuts[1:], strict=True))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a PartitionedArray has no memory of its own to share: a copy is needed")
        if len(self.parts) < len(self.cuts) - 1:
            raise PlacementError(
                f"{self!r} lies on several ranks, and NumPy asks for the whole of it on this one, which would wait for "
                "the others. Call pp.asnumpy(...) on every rank, or what you need of it by name, such as pp.reduce(...)"
            )
        return np.asarray(self.executor.gather(self), dtype=dtype)

    def __reduce__(self) -> Any:
        for part in self.parts.values():
            if not isinstance(part, np.ndarray):
                raise PlacementError(
                    f"{self!r} cannot be pickled or copied: it has parts in the memory of a device. Pickle "
                    "pp.asnumpy(...) of it, and place that with executor.asarray(...)"
                )
        return PartitionedArray, (self.shape, self.dtype, self.cuts, dict(self.parts), self.executor)

    def _refused(self, *_: Any) -> Any:
        """What NumPy's arrays have and these do not."""
        raise PlacementError(
            f"{self!r} is cut into parts, and has no operators, elements or slices of its own. Use algorithms, such as "
            "pp.transform(pp.par, x, op=lambda v: v + 1), pp.reduce(pp.par, x) or pp.lazy.reverse(x); or "
            "pp.asnumpy(x), a copy on the host"
        )

    __getitem__ = __setitem__ = __iter__ = __contains__ = __float__ = __int__ = _refused
    __neg__ = __pos__ = __abs__ = __invert__ = __lt__ = __le__ = __gt__ = __ge__ = _refused
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = _refused
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _refused
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refused

    def __repr__(self) -> str:
        return f"PartitionedArray(shape={self.shape}, dtype={self.dtype}, parts={self.partition}, on={self.executor!r})"


@functools.lru_cache(maxsize=1024)
def _one(cuts: tuple[int, ...]) -> tuple[int, ...]:
    """One object for equal cuts: native code compares where they are."""
    return cuts
