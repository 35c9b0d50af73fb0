"""Executors by name, and what this machine has."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import Any

from portapar import backend, policy
from portapar.devices import cuda, opencl, simd, threads
from portapar.devices import device as open_device
from portapar.errors import BackendUnavailableError
from portapar.executor import Executor
from portapar.hybrid import hybrid


def executor(name: str) -> Executor:
    """An executor by name.

    Parameters
    ----------
    name : str
        ``"threads"``, ``"threads:2"``, ``"simd"``, ``"cuda:0"``, ``"opencl:0"``, ``"mpi"``,
        ``"mpi:threads:2"``, ``"hybrid:threads+opencl:0"``.

    Raises
    ------
    BackendUnavailableError
        For an unknown name, or a device that is not there; the message says why and what to do.
    """
    if not isinstance(name, str):
        raise BackendUnavailableError(f"executor({name!r}): must be a name, such as 'threads:2'")
    kind, _, rest = name.partition(":")
    if kind == "hybrid" and rest:
        return hybrid(*(executor(part) for part in rest.split("+")))
    if kind == "mpi":
        return mpi(local=executor(rest) if rest else None)
    makers: dict[str, Callable[..., Executor]] = {"threads": threads, "cuda": cuda, "opencl": opencl}
    if kind == "simd" and not rest:
        return simd()
    if kind in makers:
        if not re.fullmatch(r"\d*", rest):
            raise BackendUnavailableError(f"executor({name!r}): {rest!r} is not a number")
        return makers[kind](int(rest)) if rest else makers[kind]()
    if kind != "simd" and kind in backend.backends() and re.fullmatch(r"\d*", rest):
        return open_device(kind, int(rest) if rest else None, f"pp.executor({name!r})")
    known = "threads, simd, cuda, opencl, mpi, hybrid:A+B"
    raise BackendUnavailableError(f"there is no executor {name!r}; known are {known}")


@functools.cache
def default_name() -> str | None:
    """What PORTAPAR_EXECUTOR says."""
    return os.environ.get("PORTAPAR_EXECUTOR")


def default_executor() -> Executor:
    """PORTAPAR_EXECUTOR, or all CPU threads."""
    name = default_name()
    return executor(name) if name else threads()


def mpi(comm: Any = None, local: Executor | None = None) -> Executor:
    """The ranks of a communicator, each with its part of the data. Collective: all ranks call it.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        ``MPI.COMM_WORLD`` by default.
    local : Executor, optional
        What each rank computes with; by default its share of the node's CPU threads.
    """
    from portapar import ranks

    return ranks.join(comm, local)


def available() -> list[backend.DeviceInfo]:
    """Every device that this machine has, and for what it lacks, why and the remedy."""
    found: list[backend.DeviceInfo] = []
    for module in backend.backends().values():
        found.extend(module.probe())
    return found


policy.by_name = executor
