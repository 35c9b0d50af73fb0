"""Two executors on one call: what is lost, and how well it is cut. ``python -m bench.cost --together`` prints it.

One core runs `pp.simd()`, PoCL is held to another one. Efficiency is the speed of both together, cut as the hybrid
finds out by itself, over the sum of their speeds alone. Of cuts in steps of one point the best is looked for. Then one
of the two does everything three times: told is the efficiency of the fourth call, and of a later one.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import portapar as pp
from portapar.hybrid import HybridExecutor

from .algorithms import alternate
from .docking import example

Run = Callable[[Any], Any]


def escape(i: Any, n: Any, most: Any, out: Any) -> None:
    """Rounds of Mandelbrot's iteration until it leaves a circle."""
    a, b = -2 + 3 * (i % n) / n, -1.5 + 3 * (i // n) / n
    x = y = 0.0
    k = 0
    while k < most and x * x + y * y <= 4:
        x, y = x * x - y * y + a, 2 * x * y + b
        k += 1
    out[i] = k


def pull(i: Any, x: Any, y: Any, z: Any, masses: Any, out: Any) -> None:
    """The potential that all bodies make at one of them."""
    total = 0.0
    for k in range(len(x)):
        dx, dy, dz = x[k] - x[i], y[k] - y[i], z[k] - z[i]
        total -= masses[k] / math.sqrt(dx * dx + dy * dy + dz * dz + 0.01)
    out[i] = total


def cases(size: float) -> Iterator[tuple[str, Run]]:
    """Name, and the call under a policy."""
    rng = np.random.default_rng(1)
    poses = int(4096 * size)
    deck, energy = example().deck(poses), example().energy
    yield "miniBUDE", lambda how: pp.for_each(how, poses, energy, *deck)
    side = int(768 * size**0.5)
    rounds = np.zeros(side * side, np.int32)
    yield "Mandelbrot", lambda how: pp.for_each(how, side * side, escape, side, 200, rounds)
    n = int(12_000 * size**0.5)
    bodies, potential = [rng.random(n) for _ in range(4)], np.zeros(n)
    yield "n-body", lambda how: pp.for_each(how, n, pull, *bodies, potential)


def members() -> tuple[Any, Any]:
    """simd on a core, and PoCL held to another; raises RuntimeError where there is but one."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise RuntimeError("it takes two cores")
    os.environ["POCL_CPU_MAX_CU_COUNT"] = "1"
    os.sched_setaffinity(0, {max(cores)})  # which the device's threads keep
    other = pp.executor("opencl:0")
    pp.fill(pp.par.on(other), other.empty(1000), 1.0)
    other.synchronize()
    os.sched_setaffinity(0, cores)
    return pp.simd(), other


@contextlib.contextmanager
def slowed(number: int, times: int = 3) -> Iterator[None]:
    """Members of hybrids with this number do their part several times."""
    before = HybridExecutor.at_once

    def repeated(work: Callable[[], Any]) -> Any:
        for _ in range(times - 1):
            work()
        return work()

    def at_once(self: HybridExecutor, works: Sequence[Callable[[], Any]]) -> list[Any]:
        some = [functools.partial(repeated, work) if k == number else work for k, work in enumerate(works)]
        return before(self, some)

    HybridExecutor.at_once = at_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        HybridExecutor.at_once = before  # type: ignore[method-assign]


def share(both: Any, run: Run) -> float:
    """The part of the first of two executors, as calls are cut now."""
    (choice,) = (one for one in both.choices.values() if one.work is not None)
    shares = dict(zip(choice.now.members, choice.now.shares, strict=True))
    return float(shares.get(both.members[0], 0.0))


def measure(run: Run, pair: tuple[Any, Any], seconds: float) -> dict[str, float]:
    """Efficiency, the first one's share in percent, the best one, and efficiencies after one was slowed."""
    both = pp.hybrid(*pair)
    both.choices.clear()
    chosen, alone = pp.par.on(both), [pp.par.on(one) for one in pair]
    for how in (*alone, *alone, *[chosen] * 12):
        run(how)
    calls: dict[str, Callable[[], Any]] = {"both": functools.partial(run, chosen)}
    calls |= {str(k): functools.partial(run, how) for k, how in enumerate(alone)}
    taken = alternate(calls, 7, seconds, statistics.median)
    found = {"efficiency": 1 / taken["both"] / (1 / taken["0"] + 1 / taken["1"]), "share": 100 * share(both, run)}

    middle = round(100 * taken["1"] / (taken["0"] + taken["1"]))
    cuts = [cut for cut in range(middle - 6, middle + 7) if 0 < cut < 100]
    fixed = {str(cut): pp.par.on(pp.hybrid(*pair, weights=[cut, 100 - cut])) for cut in cuts}
    for how in fixed.values():
        run(how)
    tried = alternate({cut: functools.partial(run, how) for cut, how in fixed.items()}, 5, seconds, min)
    found["best"] = float(min(tried, key=tried.__getitem__))
    for k in range(2):
        slow = [taken[str(j)] * (3 if j == k else 1) for j in range(2)]
        with slowed(k):
            calls = [_once(run, chosen) for _ in range(12)]
        for name, call in (("slow", calls[3]), ("later", min(calls[8:]))):
            found[f"{name} {k}"] = 1 / call / sum(1 / x for x in slow)
        for _ in range(12):  # back again
            run(chosen)
    return found


def _once(run: Run, how: Any) -> float:
    begun = time.perf_counter()
    run(how)
    return time.perf_counter() - begun


def report(size: float, seconds: float) -> None:
    """Print all of it."""
    try:
        pair = members()
    except (RuntimeError, AttributeError, pp.BackendUnavailableError) as error:
        print(f"together: not here: {error}")
        return
    print(f"{'':12}{'efficiency':>11}{'share':>8}{'best':>8}{'one slow: fourth call, later':>30}", flush=True)
    for name, run in cases(size):
        row = measure(run, pair, seconds)
        slow = "".join(f"{row[f'slow {k}']:9.2f}{row[f'later {k}']:6.2f}" for k in range(2))
        print(f"{name:12}{row['efficiency']:11.2f}{row['share']:7.1f}%{row['best']:7.1f}%{slow}", flush=True)
