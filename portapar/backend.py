"""The contract between the core and a backend, and how backends are found.

A backend is one package below ``portapar.backends`` (or one entry point of the group
``portapar.backends``) that offers two functions::

    probe() -> list[DeviceInfo]      what is here, and for what is not: why, and the remedy
    open(index, **options) -> Device one device, ready to run; or a Group of ranks

A device owns one kind of memory and runs kernel forms over ranges of an index space. That is all a
backend knows: cutting work up, moving data, merging results and talking to the user is the core's.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn, Protocol

import numpy as np

from portapar.errors import BackendUnavailableError
from portapar.kernel.program import Program, Task

__all__ = ["Device", "DeviceInfo", "Group", "Program", "Task", "backends", "open_device", "require"]


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device of this machine, present or missing.

    Attributes
    ----------
    name : str
        What `pp.executor` takes: ``"threads"``, ``"opencl:0"``.
    available : bool
    description : str
        For the reader: the model, the number of cores, the memory.
    reason, remedy : str
        For a missing device: why, and what to do about it.
    """

    name: str
    available: bool
    description: str = ""
    reason: str = ""
    remedy: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


class Device(Protocol):
    """What an executor drives.

    It may have more than these: an attribute ``can_wait = True`` says that an iteration may wait for one that
    has begun (they make progress independently, and an atomic update publishes what was written before it).

    Also a method ``sort(x)``, which sorts signed integers in place; in host memory on the calling thread.

    Also a method ``argsort(x)``: the places of unsigned integers in a stable order, as an int64 array.

    Also a method ``bind(task)``, for a task that is run many times: calling what it returns runs it; and a
    method ``launch(task)`` with an attribute ``array_type``, the class of its arrays: see
    `portapar.kernel.cpu.launch.Launch`.
    """

    name: str
    host_memory: bool  #: its arrays are NumPy arrays: nothing needs to be moved
    width: int  #: iterations that it runs at the same time

    def owns(self, x: Any) -> bool:
        """Whether `x` is an array of this device's own kind, in its memory."""

    def asarray(self, x: np.ndarray) -> Any:
        """A copy of `x` (C-contiguous) in this device's memory."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""

    def asnumpy(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The elements of an array of this device, on the host; into `out` if it is given."""

    def check(self, program: Program) -> str | None:
        """Why this device cannot run the program (such as: no float64), or None."""

    def run(self, task: Task) -> np.ndarray | None:
        """Run a task to its end. A reduction returns one partial per tile of [lo, hi), in order (see `Task.whole`)."""

    def inspect(self, program: Program) -> dict[str, str]:
        """The generated code, by its name: ``{"OpenCL C": "..."}``."""

    def synchronize(self) -> None:
        """Wait until all work that was given to this device is done."""

    def close(self) -> None:
        """Give the device back; using it afterwards raises BackendUnavailableError."""


class Group(Protocol):
    """The second half of the contract: what moves data between ranks, for a backend that joins processes.

    A group runs nothing. Every method but `abort` is collective: all ranks call it, in the same order,
    one thread at a time. Failures raise CommunicationError.
    """

    name: str  #: what the user joined, as he would type it; empty for all ranks
    rank: int
    size: int
    node: tuple[int, ...]  #: the ranks that share this rank's memory, itself among them

    def allgather(self, data: np.ndarray, cuts: Sequence[int] | None = None) -> None:
        """Fill `data`, flat bytes, on all ranks: rank r holds those from ``cuts[r]`` to ``cuts[r + 1]``.

        Without `cuts` every rank holds as many.
        """

    def exchange(self, value: Any) -> list[Any]:
        """Any (small) Python value of every rank, in the order of ranks."""

    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        """One Python value for every rank; returns what every rank had for this one."""

    def barrier(self) -> None:
        """Wait until all ranks are here."""

    def abort(self, code: int = 1) -> NoReturn:
        """End all ranks at once."""


@cache
def backends() -> dict[str, Any]:
    """Every backend by name: the folders of `portapar.backends`, then the entry points."""
    import pkgutil

    found: dict[str, Any] = {}
    folder = importlib.import_module("portapar.backends")
    for module in pkgutil.iter_modules(folder.__path__):
        if module.ispkg:
            found[module.name] = importlib.import_module(f"portapar.backends.{module.name}")
    from importlib.metadata import entry_points

    for entry in entry_points(group="portapar.backends"):
        found.setdefault(entry.name, entry.load())
    return found


def open_device(name: str, index: int | None = None, **options: Any) -> Device:
    """Open a device of the backend `name`; the error names the remedy when it is not there."""
    backend = backends().get(name)
    if backend is None:
        raise BackendUnavailableError(f"there is no backend {name!r}; known are {', '.join(sorted(backends()))}")
    return backend.open(index, **options)


def require(info: DeviceInfo) -> None:
    """Raise BackendUnavailableError with the reason and the remedy if the device is missing."""
    if not info.available:
        raise BackendUnavailableError(f"{info.name} is not available: {info.reason}. {info.remedy}")
