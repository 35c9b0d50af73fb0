"""``portapar tune --validate``: predictions held against measurements, on algorithms that rates were not measured with.

Each case runs on each executor of the profile, at sizes from 100 elements on. What its work should take by rates alone
is compared with the least of several warm calls on data of the host; the error is the larger of the two over the
smaller, less 1.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import portapar as pp
from portapar import choice, cost, rates, topology, whatif
from portapar.executor import Executor
from portapar.whatif import Made
from portapar.work import Work

SIZES = (100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_BUDGET = 0.1  #: seconds for the calls of a case
_LONGEST = 2.0  #: seconds of a call, more or less, that is still made
_TIMES = 7  #: of a call of ranks


@dataclass(frozen=True, slots=True)
class Case:
    """One call, predicted and measured, in seconds."""

    name: str
    size: int
    executor: str
    predicted: float
    measured: float
    work: Work

    @property
    def error(self) -> float:
        return max(self.predicted, self.measured) / min(self.predicted, self.measured) - 1


def cases(
    sizes: tuple[int, ...] = SIZES, names: tuple[str, ...] = (), threads: int | None = None, only: Sequence[str] = ()
) -> Iterator[Case]:
    """Run everything, or `only` some; yields each case as soon as it is measured.

    Left out is what takes more than a quarter of the memory, or calls of more than some seconds, by the size before.
    With `threads` on so many of this machine's, as `portapar plan` predicts it from what all of them do.
    """
    fewer = None if threads is None else rates.profile().fewer(threads).executors["threads"]
    places = {name: pp.executor(name) if threads is None else pp.threads(threads)
              for name in names or tuple(rates.profile().executors) or ("threads",)}  # fmt: skip
    for name in only or CASES:
        make = CASES[name]
        before, held = dict.fromkeys(places, 0.0), 0.0  # what an element took, and its bytes
        for n in sizes:
            if held * n > topology.machine()["memory"] / 4:
                break
            some = [executor for executor in places if before[executor] * n < _LONGEST]
            if not some:
                break
            made, values = make(n)
            held = sum(getattr(x, "nbytes", 0) for x in values) / n
            for executor in some:
                where = places[executor]
                call = functools.partial(made, pp.par.on(where), *values)
                taken, done = _measured(where, call)
                before[executor] = taken / n
                known = cost.seconds(done, fewer or choice.rates_of(where), *_moved(where, values))
                yield Case(name, n, executor, known, taken, done)


def _measured(where: Executor, call: Callable[[], object]) -> tuple[float, Work]:
    """The least seconds of some warm calls, and the work of one."""
    _, done = choice.counted(call)
    call()
    taken, spent = float("inf"), 0.0
    while spent < _BUDGET:
        begun = time.perf_counter()
        call()
        where.synchronize()
        once = time.perf_counter() - begun
        taken, spent = min(taken, once), spent + once + 1e-4
    return taken, done


def cases_of_ranks(sizes: tuple[int, ...] = SIZES) -> Iterator[Case]:
    """The same on the ranks of this job, which share this machine, as `portapar plan` predicts it. Collective."""
    if "threads" not in rates.profile().executors:
        raise pp.ArgumentError(
            "nothing is known of a machine with the CPUs that a rank has: run `portapar tune` first, and start ranks "
            "that may use all of them, as by mpirun --bind-to none"
        )
    where = pp.mpi()
    group, network = where.group, _network(where.group)
    for name, make in CASES.items():
        one = whatif.WhatIf(make, rates.profile())
        for n in sizes:
            made, values = make(n)
            mine = [where.asarray(x) if isinstance(x, np.ndarray) else x for x in values]
            call, taken = functools.partial(made, pp.par.on(where), *mine), float("inf")
            call(), call()
            for _ in range(_TIMES):
                group.barrier()
                begun = time.perf_counter()
                call()
                taken = min(taken, max(group.exchange(time.perf_counter() - begun)))
            if group.rank == 0:  # the others wait
                found = one.on("threads", n, group.size, network, len(group.node))
                yield Case(name, n, f"{group.size} ranks", found.seconds, taken, found.work)
            group.barrier()


def _network(group: Any) -> tuple[float, float]:
    """Latency and bandwidth between ranks."""
    found = []
    for size in (1 << 8, 1 << 23):
        data, taken = np.zeros(size * group.size, np.uint8), float("inf")
        for _ in range(20):
            group.barrier()
            begun = time.perf_counter()
            group.allgather(data)
            taken = min(taken, max(group.exchange(time.perf_counter() - begun)))
        found.append(taken)
    hops = math.ceil(math.log2(max(group.size, 2)))
    return found[0] / hops, max(group.size - 1, 1) * (1 << 23) / max(found[1] - found[0], 1e-9)


def _moved(where: Executor, values: tuple[Any, ...]) -> tuple[list[float], list[float]]:
    """Bytes of the arrays that a call on NumPy arrays moves to a device, and back: the last one is the result."""
    if isinstance(where.empty(1), np.ndarray):
        return [], []
    *given, out = (float(getattr(x, "nbytes", 0)) for x in values)
    return given, [out]


def _polynomial(flops: int) -> Callable[[int], Made]:
    rounds = flops // 2

    def op(v: Any) -> Any:
        s = v
        for _ in range(rounds):
            s = s * v + 0.5
        return s

    def make(n: int) -> Made:
        x, y = _uniform(n), np.zeros(n)
        return lambda how, x, y: pp.transform(how, x, out=y, op=op), (x, y)

    return make


def _uniform(n: int) -> np.ndarray:
    return np.random.default_rng(n).random(n)


def _heavy(v: Any) -> Any:
    return np.exp(np.sin(v)) + np.log(v + 1.0)


def _mean(x: Any, i: int, j: int) -> Any:
    return 0.25 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1])


def _row(i: int, start: Any, column: Any, value: Any, x: Any, y: Any) -> None:
    s = 0.0
    for k in range(start[i], start[i + 1]):
        s += value[k] * x[column[k]]
    y[i] = s


def _special(n: int) -> Made:
    x, y = _uniform(n), np.zeros(n)
    return lambda how, x, y: pp.transform(how, x, out=y, op=_heavy), (x, y)


def _reduce(n: int) -> Made:
    x = _uniform(n)
    return lambda how, x, _: pp.reduce(how, x), (x, None)


def _scan(n: int) -> Made:
    x, y = _uniform(n), np.zeros(n)
    return lambda how, x, y: pp.inclusive_scan(how, x, out=y), (x, y)


def _sort(n: int) -> Made:
    x, y = _uniform(n), np.zeros(n)
    return lambda how, x, y: pp.sort(how, x, out=y), (x, y)


def _stencil(n: int) -> Made:
    side = max(3, int(n**0.5))
    x, y = _uniform(side * side).reshape(side, side), np.zeros((side, side))
    return lambda how, x, y: pp.stencil(how, x, _mean, out=y), (x, y)


def _product(n: int) -> Made:
    rows = max(n // 16, 1)
    random = np.random.default_rng(n)
    start = np.arange(rows + 1) * 16
    column, value = random.integers(0, rows, 16 * rows, dtype=np.int32), random.random(16 * rows)
    x, y = random.random(rows), np.zeros(rows)
    return lambda how, *given: pp.for_each(how, rows, _row, *given), (start, column, value, x, y)


def _search(n: int) -> Made:
    vertices = max(n // 16, 1)
    edges = np.random.default_rng(n).integers(0, vertices, 16 * vertices, dtype=np.int32)
    graph = pp.graph.Graph(np.arange(vertices + 1) * 16, edges)
    _ = graph.reverse  # which the first call would make, and keep
    return lambda how, *_: pp.graph.bfs(how, graph, 0), (edges, np.zeros(vertices, np.int32))


def _histogram(n: int) -> Made:
    x = _uniform(n)
    edges = np.linspace(0, 1, 101)
    return lambda how, x, _: pp.histogram(how, x, edges), (x, None)


CASES: dict[str, Callable[[int], Made]] = {
    **{f"polynomial-{flops}": _polynomial(flops) for flops in (2, 8, 64)},
    "special": _special,
    "reduce": _reduce,
    "scan": _scan,
    "sort": _sort,
    "stencil": _stencil,
    "spmv": _product,
    "histogram": _histogram,
    "bfs": _search,
}


# a picture ----------------------------------------------------------------------------------------------


def roofline(found: Sequence[Case], path: Path) -> None:
    """Save a roofline: what each executor can do, and the cases that ran on it, by operations per byte."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(one.executor for one in found))
    figure, axes = pyplot.subplots(1, len(names), figsize=(5.2 * len(names), 4.2), squeeze=False, dpi=150, sharey=True)
    for axis, name in zip(axes.flat, names, strict=True):
        known = rates.profile().executors.get(name) or rates.built_in(name.partition(":")[0], 0)
        across = [2.0**k for k in range(-6, 9)]
        for (size, speed), shade in zip(known.streams, ("0.8", "0.67", "0.5", "0.33", "0.1"), strict=False):
            tops = [min(known.doubles, speed * x) / 1e9 for x in across]
            axis.plot(across, tops, color=shade, linewidth=1.2, label=f"{_bytes(size)}: {speed / 1e9:.0f} GB/s")
        some = [one for one in found if one.executor == name and one.work.operations and one.work.traffic]
        for case in dict.fromkeys(one.name for one in some):
            mine = [one for one in some if one.name == case]
            places = [one.work.operations / one.work.traffic for one in mine]
            axis.plot(places, [one.work.operations / one.measured / 1e9 for one in mine], "o", markersize=4, label=case)
        axis.set(xscale="log", yscale="log", title=name, xlabel="operations per byte")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=6, frameon=False, loc="lower right")
    axes.flat[0].set_ylabel("Gflop/s in double precision")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _bytes(size: float) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 1 << 20 else f"{size / 2**10:.0f} KiB"
