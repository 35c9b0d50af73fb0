"""The ranks of an MPI communicator as a `portapar.backend.Group`."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
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
        (mine,) = self._packed([value])
        sizes = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([len(mine)]), sizes)
        cuts = [0, *np.cumsum(sizes).tolist()]
        data = np.empty(cuts[-1], np.uint8)
        data[cuts[self.rank] : cuts[self.rank + 1]] = mine
        self.allgather(data, cuts)
        return _unpacked(data[lo:hi] for lo, hi in zip(cuts[:-1], cuts[1:], strict=True))

    @_told
    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        sends = self._packed(values)
        sizes = np.array([[len(data), max(map(len, sends))] for data in sends])
        given = np.empty_like(sizes)
        self._comm.Alltoall(sizes, given)
        got = [np.empty(n, np.uint8) for n in given[:, 0]]
        most = max(1, _BLOCK // self.size)  # bytes for each rank at a time: counts and places must fit in 32 bits
        for first in range(0, max(1, int(given[:, 1].max())), most):
            here = [[x[first : first + most] for x in side] for side in (sends, got)]
            (out, outs), (into, intos) = ((np.concatenate(side), [len(x) for x in side]) for side in here)
            self._comm.Alltoallv([out, outs, MPI.BYTE], [into, intos, MPI.BYTE])
            for x, piece in zip(here[1], np.split(into, np.cumsum(intos)[:-1]), strict=True):
                x[:] = piece
        return _unpacked(got)

    def _packed(self, values: Sequence[Any]) -> list[np.ndarray]:
        """Values as bytes. Where that fails all are told so in their place: they wait for a message, whatever it is."""
        try:
            found = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values]
        except Exception as error:  # noqa: BLE001 - what an object does as it is pickled is its own business
            why = f"rank {self.rank} of {self.size} cannot send its results, {type(error).__name__}: {error}"
            found = [pickle.dumps(_Unsent(why))] * len(values)
        return [np.frombuffer(data, np.uint8) for data in found]

    @_told
    def barrier(self) -> None:
        self._comm.Barrier()

    def close(self) -> None:
        if not MPI.Is_finalized():
            self._comm.Free()


@dataclasses.dataclass
class _Unsent:
    """What stands in the place of values that a rank could not send."""

    why: str


def _unpacked(received: Iterable[np.ndarray]) -> list[Any]:
    """Values from bytes; raises CommunicationError, on every rank, if one could not send its own."""
    found = [pickle.loads(data.data) for data in received]
    for value in found:
        if isinstance(value, _Unsent):
            raise CommunicationError(f"{value.why}. What kernels and operators return must pickle")
    return found


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
