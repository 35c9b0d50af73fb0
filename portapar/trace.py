"""`pp.trace` and `pp.profile`: what calls do, when and where: calls, kernels, transfers, messages.

While one is open, calls take the long way, so that all that they do is seen: small ones last longer. Outside of it
nothing is noted, and costs nothing.
"""

from __future__ import annotations

import bisect
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portapar import forks, topology
from portapar.errors import path_of

KINDS = ("call", "plan", "kernel", "transfer", "message")


@dataclass(frozen=True, slots=True)
class Event:
    """What happened from when to when, in seconds of `time.perf_counter`; `where` is an executor.

    `inner` says whether it is a part of a call.
    """

    kind: str
    name: str
    where: str
    begun: float
    ended: float
    thread: int
    more: dict[str, Any]
    inner: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@dataclass(slots=True)
class Record:
    """What was noted: its `events`; ``print`` shows a table by algorithm and executor."""

    begun: float = field(default_factory=time.perf_counter)
    events: list[Event] = field(default_factory=list)

    @property
    def calls(self) -> list[Event]:
        """The calls that the user made, in order: not those that algorithms make."""
        return sorted((x for x in self.events if x.kind == "call" and not x.inner), key=lambda x: x.begun)

    def __str__(self) -> str:
        return _table(self.calls, self.events)


watching: list[Record] = []  #: those that are open: while there are any, no call is remembered
_calling: ContextVar[bool] = ContextVar("portapar_calling", default=False)
_lock = forks.lock()
os.register_at_fork(after_in_child=watching.clear)


class span:
    """Note what happens in a ``with`` block, if anybody wants to know."""

    __slots__ = ("begun", "inner", "kind", "more", "name", "token", "where")

    def __init__(self, kind: str, name: str, where: Any, **more: Any) -> None:
        self.kind, self.name, self.where, self.more = kind, name, where, more

    def __enter__(self) -> span:
        self.begun, self.token = 0.0, None
        if watching:
            self.inner = _calling.get()
            if self.kind == "call" and not self.inner:
                self.token = _calling.set(True)
            self.begun = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.begun:
            return
        ended, thread = time.perf_counter(), threading.get_ident()
        if self.token is not None:
            _calling.reset(self.token)
        event = Event(self.kind, self.name, repr(self.where), self.begun, ended, thread, self.more, self.inner)
        for record in tuple(watching):
            record.events.append(event)


@contextmanager
def profile() -> Iterator[Record]:
    """Note what calls do; at the end of the ``with`` block it prints a table by algorithm and executor.

    Yields
    ------
    Record
        Its `calls` and `events`, and the table as its text.

    Notes
    -----
    Calls of all threads are seen, and what runs of plans and tasks. What an algorithm calls counts to it. Calls take
    the long way meanwhile, some 100 µs more each, and take about 1 KB of memory each.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> with pp.profile() as seen:
    ...     y = pp.transform(pp.unseq, np.ones(1000), op=lambda v: v + 1)  # doctest: +ELLIPSIS
    algorithm ...
    >>> [call.name for call in seen.calls]
    ['transform']
    """
    with _recording() as record:
        yield record
    print(record)


@contextmanager
def trace(file: str | Path) -> Iterator[Record]:
    """Write what calls do in the ``with`` block to a timeline, as JSON that Perfetto and chrome://tracing show.

    Parameters
    ----------
    file : path
        Under MPI rank r above 0 writes to a file of its own, ``name.r.json``.

    Raises
    ------
    OSError
        It cannot be written: before anything runs.

    Notes
    -----
    As `profile`.

    Examples
    --------
    >>> import numpy as np, portapar as pp, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with pp.trace(pathlib.Path(folder) / "timeline.json"):
    ...         y = pp.sort(pp.par, np.arange(9.0))
    """
    rank = _rank()
    path = path_of("trace: file", file)
    path = path.with_suffix(f".{rank}{path.suffix}") if rank else path
    with open(path, "w", encoding="utf-8") as out, _recording() as record:
        try:
            yield record
        finally:
            json.dump({"traceEvents": list(_told(record, rank)), "displayTimeUnit": "ms"}, out)


@contextmanager
def _recording() -> Iterator[Record]:
    record = Record()
    with _lock:
        watching.append(record)
    try:
        yield record
    finally:
        with _lock:
            watching[:] = [one for one in watching if one is not record]


def _rank() -> int:
    """This process's rank, where it is one of a job, whether it has joined that already or not."""
    module = sys.modules.get("mpi4py.MPI")
    if module is not None and module.Is_initialized() and not module.Is_finalized():
        return module.COMM_WORLD.Get_rank()
    return next((int(told) for told in map(os.environ.get, topology.RANK) if told and told.isdigit()), 0)


def _told(record: Record, rank: int) -> Iterator[dict[str, Any]]:
    """Events in the form of Chrome's traces: a line for each thread and executor."""
    yield {"ph": "M", "name": "process_name", "pid": rank, "args": {"name": f"rank {rank}" if rank else "portapar"}}
    lines: dict[tuple[int, str], int] = {}
    for one in sorted(record.events, key=lambda one: one.begun):
        lane = (one.thread, "" if one.kind in ("call", "plan") else one.where)
        if lane not in lines:
            lines[lane] = len(lines)
            name = one.where if lane[1] else "calls"
            yield {
                "ph": "M", "name": "thread_name", "pid": rank, "tid": lines[lane], "args": {"name": name}
            }  # fmt: skip
        yield {
            "ph": "X", "name": one.name, "cat": one.kind, "pid": rank, "tid": lines[lane],
            "ts": (one.begun - record.begun) * 1e6, "dur": one.seconds * 1e6,
            "args": {"executor": one.where, **one.more},
        }  # fmt: skip


def _table(calls: list[Event], events: list[Event]) -> str:
    """By algorithm and executor: calls, seconds, those of kernels, what was moved."""
    rows: dict[tuple[str, str], list[float]] = {}
    events = sorted((x for x in events if x.kind != "call"), key=lambda x: x.begun)
    begins = [x.begun for x in events]
    for one in calls:
        row = rows.setdefault((one.name, one.where), [0.0] * 5)
        near = events[bisect.bisect_left(begins, one.begun) : bisect.bisect_right(begins, one.ended)]
        inside = [x for x in near if x.ended <= one.ended]
        row[0] += 1
        row[1] += one.seconds
        row[2] += sum(x.seconds for x in inside if x.kind == "kernel")
        row[3] += sum(x.more.get("bytes", 0) for x in inside if x.kind == "transfer")
        row[4] += sum(x.kind == "message" for x in inside)
    width = max([len(name) for name, _ in rows] + [9])
    titles = f"{'calls':>6} {'ms':>10} {'in kernels':>10} {'moved MB':>9} {'messages':>8}  executor"
    lines = [f"{'algorithm':{width}} {titles}"]
    for (name, where), row in sorted(rows.items(), key=lambda item: -item[1][1]):
        numbers = f"{row[0]:6.0f} {row[1] * 1e3:10.3f} {row[2] * 1e3:10.3f} {row[3] / 1e6:9.3f} {row[4]:8.0f}"
        lines.append(f"{name:{width}} {numbers}  {where}")
    return "\n".join(lines)
