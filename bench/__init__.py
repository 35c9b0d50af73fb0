"""Measurements against native code. `beside` finds the opponents of an executor."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from portapar import PartitionedArray

from .native import KERNELS, BuildError, Native, opponents

#: The native codes that use the same hardware as an executor of that kind.
OPPONENTS = {
    "threads": ("openmp", "streaming"),
    "simd": ("serial",),
    "opencl": ("opencl",),
    "cuda": ("cuda",),
    "mpi": ("mpi",),
}


def beside(executor: Any, keys: tuple[str, ...] | None = None) -> dict[str, Native]:
    """Return the opponents of an executor by key, present or not, with as many threads as it has.

    Parameters
    ----------
    executor : portapar.Executor
    keys : tuple of str, optional
        Which; by default those of `OPPONENTS`.
    """
    keys = OPPONENTS.get(executor.kind, ()) if keys is None else keys
    found = {native.key: native for native in opponents(executor.threads or None)}
    found["mpi"].threads = executor.threads or 1  # of each rank
    return {key: found[key] for key in keys}


def binder(native: Native) -> Callable[[Any, Any, Any, float], Any]:
    """Return what `portapar.algorithms.stream.stream` takes as an opponent that runs beside it."""

    def bind(a: Any, b: Any, c: Any, s: float) -> Any:
        here = [x.local if isinstance(x, PartitionedArray) else x for x in (a, b, c)]
        bound = native.bind(here[0], here[1], here[2], s)
        return SimpleNamespace(**{kernel: getattr(bound, kernel) for kernel in KERNELS}, rest=native.rest)

    return bind


__all__ = ["OPPONENTS", "BuildError", "beside", "binder", "opponents"]
