"""The ranks of an MPI communicator as a `portapar.backend.Group`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI

from portapar.backend import Group
from portapar.errors import BackendUnavailableError, CommunicationError

_BLOCK = 1 << 30  #: bytes of one message; counts of MPI-3 are 32 bits wide

Result = TypeVar("Result")


def _told(method: Callable[..., Result]) -> Callable[..., Result]:
    """Turns MPI's errors into portapar's."""

    @functools.wraps(method)
    def wrapped(self: MPIGroup, *args: Any, **keywords: Any) -> Result:
        if MPI.Is_finalized():
            raise CommunicationError("MPI was finalized: ranks cannot talk any more")
        try:
            return method(self, *args, **keywords)
        except MPI.Exception as error:
            raise CommunicationError(f"MPI failed on rank {self.rank} of {self.size}: {error}") from error

    return wrapped


class MPIGroup(Group):
    """See `portapar.backend.Group`. Messages go over a duplicate, apart from the user's own."""

    def __init__(self, comm: Any = None) -> None:
        if not MPI.Is_initialized() or MPI.Is_finalized():
            raise BackendUnavailableError(
                "mpi is not available: MPI is not running in this process. Call MPI.Init() first, or leave "
                "mpi4py.rc.initialize at True"
            )
        if comm is None:
            comm = MPI.COMM_WORLD
        if not isinstance(comm, MPI.Intracomm) or comm == MPI.COMM_NULL:
            raise BackendUnavailableError(
                f"mpi(comm={comm!r}): must be an intracommunicator of mpi4py that this rank belongs to"
            )
        self.name = "" if comm == MPI.COMM_WORLD else "MPI.COMM_SELF" if comm == MPI.COMM_SELF else "comm"
        self._comm = comm.Dup()
        self.rank, self.size = self._comm.rank, self._comm.size
        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.node = tuple(node.allgather(self.rank))
        node.Free()
        if self.size > 1:
            _abort_on_error()

    @_told
    def allgather(self, data: np.ndarray, cuts: Sequence[int] | None = None) -> None:
        comm = self._comm
        if cuts is None:
            comm.Allgather(MPI.IN_PLACE, [data, MPI.BYTE])
        elif len(data) < _BLOCK:
            counts = [hi - lo for lo, hi in zip(cuts[:-1], cuts[1:], strict=True)]
            comm.Allgatherv(MPI.IN_PLACE, [data, counts, list(cuts[:-1]), MPI.BYTE])
        else:
            for root, (lo, hi) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
                for first in range(lo, hi, _BLOCK):
                    comm.Bcast([data[first : min(first + _BLOCK, hi)], MPI.BYTE], root)

    @_told
    def exchange(self, value: Any) -> list[Any]:
        return self._comm.allgather(value)

    @_told
    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        return self._comm.alltoall(values)

    @_told
    def barrier(self) -> None:
        self._comm.Barrier()


@functools.cache
def _abort_on_error() -> None:
    """From now on an exception that nobody catches ends all ranks, instead of leaving the others to wait.

    It is printed as always first. Interactive sessions keep running, as they should.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        before(kind, error, trace)
        if not hasattr(sys, "ps1") and not MPI.Is_finalized():
            sys.stdout.flush()
            sys.stderr.flush()
            MPI.COMM_WORLD.Abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook
