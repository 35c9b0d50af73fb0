"""``portapar tune``: measures the numbers of `portapar.tuning` on this machine, and what each executor can do.

Rates (`portapar.rates`) are measured as they are used: by warm calls of algorithms on data that live where the calls
run, the least time of several. Kernels have some chains of arithmetic, as those of users do, not as many as a machine
can take.
"""

from __future__ import annotations

import functools
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import portapar as pp
from portapar import choice, config, cost, rates, topology, tuning
from portapar.algorithms import radix
from portapar.devices import DeviceExecutor
from portapar.executor import Executor
from portapar.policy import Policy
from portapar.rates import Profile, Rates

_NEVER = float("inf")
_KEYS = 1 << 24  #: bytes that are sorted one way and the other at the most
_ARRAYS = {"stream": 2, "stream_alone": 1}


def tune() -> Iterator[tuple[str, float]]:
    """Measure everything, and keep it; yields the name and the number of each as soon as it is known."""
    for name, measure in _measures():
        found = measure()
        tuning.keep({name: found})
        yield name, found


def _measures() -> Iterator[tuple[str, Callable[[], float]]]:
    threads = config.default_threads()
    if threads > 1:
        yield "fork_join", _fork_join
        yield "wake", _wake
        yield "sort", lambda: radix.measured("sort", lambda x, out: pp.sort(pp.par.on(pp.threads()), x, out=out), _KEYS)
    yield "sort_alone", lambda: radix.measured("sort_alone", lambda x, out: pp.sort(pp.unseq, x, out=out), _KEYS)
    for name in _ARRAYS:
        yield name, functools.partial(_stream, name)


def _best(times: int, run: Callable[[], object], pause: float = 0.0) -> float:
    """The least seconds of several runs, each after a pause."""
    best = _NEVER
    for _ in range(times):
        if pause:  # else others would run meanwhile, and the caches be cold
            time.sleep(pause)
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    return best


def _plans(n: int = 1 << 13) -> tuple[Callable[[], object], Callable[[], object]]:
    """A small call on one thread, and on all, awake or not."""
    x, y, how = np.zeros(n), np.zeros(n), pp.par.on(pp.threads())
    with tuning.trying(fork_join=_NEVER):
        alone = pp.plan(pp.transform, how, x, out=y, op=_same)
    with tuning.trying(fork_join=-1.0, wake=-1.0):
        together = pp.plan(pp.transform, how, x, out=y, op=_same)
    alone.run(), together.run()
    return alone.run, together.run


def _fork_join() -> float:
    """Seconds that a call on all threads takes more than its own, and than its share of what it does."""
    alone, together = _plans()
    nothing, threads = _best(2000, _plans(8)[0]), config.default_threads()
    own = nothing + (_best(2000, alone) - nothing) / threads
    return max(1e-7, _best(2000, together) - own)


def _wake() -> float:
    """Seconds until all threads have done something, after a pause in which they went to sleep."""
    alone, together = _plans()
    return max(1e-6, _best(20, together, 0.02) - _best(20, alone, 0.02))


def _stream(name: str) -> float:
    """From where on it is faster to write past the caches."""
    arrays = _ARRAYS[name]
    how = pp.par.on(pp.threads())
    cache = topology.caches().get("L3", 32 << 20)
    most = min(8 * cache, 512 << 20, topology.machine()["memory"] // 16)
    x, y = (pp.threads().empty(most // 8 // arrays, np.float64) for _ in range(2))
    x.fill(1.0)

    def make(size: int) -> Callable[[], object]:
        n = size // 8 // arrays
        if arrays == 1:
            return pp.plan(pp.fill, how, y[:n], 1.0).run
        return pp.plan(pp.transform, how, x[:n], out=y[:n], op=_same).run

    return tuning.crossover(name, cache // 4, most, make)


def _same(v: float) -> float:
    return v


# rates --------------------------------------------------------------------------------------------------

_LEAST = 4e-4  #: seconds of a run at the least, so that clocks and launches do not count
_MOST = 1 << 26  #: elements of a run at the most
_AGAIN = 25  #: runs, of which the fastest counts: many short ones, as others may use the machine
_SORTED = (1 << 15, 1 << 18, 1 << 21)  #: bytes of keys that a device sorts itself
_SHARED = 0.08  #: seconds that two executors run at once
_MOVED = [1 << k for k in (6, 13, 16, 18, 20, 22, 24, 26)]  #: bytes of arrays that are moved

_Curve = tuple[tuple[float, float], ...]


def executors() -> Iterator[tuple[str, Rates]]:
    """Measure every executor of this machine but groups of ranks, and each two at once; keep all of it."""
    names = ["threads", "simd"]
    names += [info.name for info in pp.available() if info.available and info.name.startswith(("opencl:", "cuda:"))]
    found = Profile()
    for name in names:
        found.executors[name] = measured(pp.executor(name))
        yield name, found.executors[name]
    for k, a in enumerate(names):
        for b in names[k + 1 :]:
            found.shared["+".join(sorted((a, b)))] = _together(pp.executor(a), pp.executor(b))
    rates.keep(found)


def measured(where: Executor) -> Rates:
    """The rates of an executor."""
    how, launch = pp.par.on(where), 0.0
    few = where.asarray(np.ones(16)), where.empty(16)
    launch = _best(200, functools.partial(_done, where, pp.transform, how, few[0], out=few[1], op=_same))

    def rate(what: str, make: Callable[[int], Callable[[], object]]) -> float:
        """What is counted of it for each of n elements, a second, for as many elements as take long enough."""
        n = 1 << 14
        done = choice.counted(make(n))[1]
        count = (done.close + done.scattered if what == "scattered" else getattr(done, what)) / n
        while True:
            run = make(n)
            run()
            taken = max(_best(_AGAIN, functools.partial(_done, where, run)) - launch, 1e-9)
            if taken >= _LEAST or n >= _MOST:
                return n * count / taken
            n = min(_MOST, n * min(64, max(2, math.ceil(_LEAST / taken))))

    def arithmetic(dtype: Any, op: Callable[[Any], Any]) -> Callable[[int], Callable[[], object]]:
        def make(n: int) -> Callable[[], object]:
            x, y = where.asarray(np.linspace(0.1, 0.9, n).astype(dtype)), where.empty(n, dtype)
            return lambda: pp.transform(how, x, out=y, op=op)

        return make

    def scattered(spread: int, kernel: Callable[..., None], dtype: Any) -> Callable[[int], Callable[[], object]]:
        table = where.asarray(np.ones(spread, dtype))

        def make(n: int) -> Callable[[], object]:
            places = where.asarray(np.random.default_rng(n).integers(0, spread, 4 * n, dtype=np.int32))
            out = where.empty(n, dtype)
            return lambda: pp.for_each(how, n, kernel, table, places, out)

        return make

    def one_by_one(n: int) -> Callable[[], object]:
        starts, x, out = where.asarray(np.arange(n + 1) * 16), where.asarray(np.ones(16 * n)), where.empty(n)
        return lambda: pp.for_each(how, n, _rows, starts, x, out)

    cache = topology.caches().get("L2", 1 << 20)
    far = min(4 * topology.caches().get("L3", 32 << 20), topology.machine()["memory"] // 16) // 8
    others = (pp.reduce, how, few[0]), (pp.for_each, how, 16, _move, *few)
    starts = [launch, *(_best(200, functools.partial(_done, where, *call)) for call in others)]
    return Rates(
        statistics.geometric_mean(starts), tuple(_streams(where, launch)),
        rate("doubles", arithmetic(np.float64, _sums)), rate("singles", arithmetic(np.float32, _sums)),
        rate("special", arithmetic(np.float64, _exp)), rate("chained", one_by_one),
        rate("scattered", scattered(cache // 8, _fetch, np.float64)),
        rate("scattered", scattered(far, _fetch, np.float64)),
        rate("atomics", scattered(cache // 8, _count, np.int64)),
        *_transfers(where, how), where.threads, cost.fork_join(), float(cache),
        rate("scattered", scattered(1 << 11, _fetch, np.float64)), *_several(where),
        rate("looped", arithmetic(np.float64, _loop(12))), _captured(where, launch), _sorts(where),
    )  # fmt: skip


def _several(where: Executor) -> tuple[float, float]:
    """Seconds for each kernel of an algorithm of several steps, and those of one that does few elements in one.

    Algorithms differ in it: the mean of some.
    """
    how = pp.par.on(where)
    square, few = where.asarray(np.ones((8, 8))), where.asarray(np.arange(16))

    def each(algorithm: Callable[..., Any], *args: Any) -> float:
        call = functools.partial(algorithm, how, *args)
        done = choice.counted(call)[1]
        call()
        return _best(200, functools.partial(_done, where, call)) / max(done.steps + done.few + done.launches, 1)

    one = [each(pp.min_element, few), each(pp.bincount, few), each(pp.argsort, few), each(pp.inclusive_scan, few)]
    several = [each(pp.stencil, square, _corners), each(pp.reverse, few), each(pp.rotate, few, 3)]
    several += [each(pp.adjacent_difference, few)]
    return statistics.geometric_mean(several), statistics.geometric_mean(one)


def _captured(where: Executor, launch: float) -> float:
    """Seconds that a call takes more if its kernel captures something."""
    how, few = pp.par.on(where), (where.asarray(np.ones(16)), where.empty(16))
    call = functools.partial(_done, where, pp.transform, how, few[0], out=few[1], op=_loop(1))
    return max(0.0, _best(200, call) - launch)


def _sorts(where: Executor) -> _Curve | None:
    """(bytes, bytes per second) of the device's own sort, if it has one: of numbers in no order."""
    device: Any = where.device if isinstance(where, DeviceExecutor) else None
    if device is None or not device.sorts:
        return None
    found = []
    for size in _SORTED:
        keys = np.random.default_rng(size).integers(0, 1 << 40, size // 8)
        x, taken = where.empty(len(keys), np.int64), _NEVER
        for _ in range(5):
            pp.copy(pp.par.on(where), where.asarray(keys), x)
            where.synchronize()
            taken = min(taken, _best(1, functools.partial(_done, where, device.sort, x)))
        found.append((float(size), size / taken))
    return tuple(found)


def _done(where: Executor, run: Callable[..., object], *args: Any, **keywords: Any) -> None:
    """Run something to its end."""
    run(*args, **keywords)
    where.synchronize()


def _streams(where: Executor, launch: float) -> Iterator[tuple[float, float]]:
    """(bytes that a copy touches, bytes per second): more of them where the last cache ends."""
    caches, memory = topology.caches(), topology.machine()["memory"]
    cache = caches.get("L3", 32 << 20)
    last = min(8 * cache, 512 << 20, memory // 16)
    sizes = {size for size in (*(1 << k for k in range(15, 30, 2)), cache // 2, cache) if size < last} | {last}
    how = pp.par.on(where)
    for size in sorted(sizes):
        n = size // 16
        x, y = where.asarray(np.ones(n)), where.empty(n)
        run = functools.partial(_done, where, pp.transform, how, x, out=y, op=_same)
        run()
        taken = _best(max(3, min(200, int(4e8 / size))), run)
        yield float(16 * n), 16 * n / max(taken - launch, 0.1 * taken)


def _transfers(where: Executor, how: Policy) -> tuple[_Curve | None, _Curve | None]:
    """(bytes, seconds) to the device, and back, as calls on NumPy arrays move them; None in the host's memory."""
    if isinstance(where.asarray(np.ones(1)), np.ndarray):
        return None, None
    found: tuple[list[tuple[float, float]], ...] = ([], [])
    for size in _MOVED:
        x, times = np.ones(size // 8), 5 if size > 1 << 20 else 60
        for way, call in zip(found, (_counted, _filled), strict=True):
            host, there = (functools.partial(_done, where, call, how, y) for y in (x, where.asarray(x)))
            host(), there()
            taken = max(1e-7, _best(times, host) - _best(times, there))
            way.append((float(x.nbytes), taken))
    into, out = (tuple(_rising(way)) for way in found)
    return into, out


def _rising(way: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The same, where numbers that fall, as others were in the way, have become their mean."""
    means: list[tuple[float, int]] = []
    for _, x in way:
        means.append((math.log(x), 1))
        while len(means) > 1 and means[-2][0] > means[-1][0]:
            (a, m), (b, n) = means[-2:]
            means[-2:] = [((a * m + b * n) / (m + n), m + n)]
    levels = [math.exp(x) for x, count in means for _ in range(count)]
    return zip((size for size, _ in way), levels, strict=True)


def _counted(how: Policy, x: Any) -> Any:
    return pp.count_if(how, x, _positive)


def _filled(how: Policy, x: Any) -> Any:
    return pp.fill(how, x, 1.0)


def _positive(v: Any) -> Any:
    return v > 0


def _together(one: Executor, other: Executor) -> tuple[float, float]:
    """Of the speeds of two executors alone, how much is left when they run at once: arithmetic, and memory."""
    found = []
    for op, n in ((_sums, 1 << 16), (_same, 1 << 23)):
        calls = []
        for where in (one, other):
            x, y = where.asarray(np.full(n, 0.5)), where.empty(n)
            calls.append(functools.partial(pp.transform, pp.par.on(where), x, out=y, op=op))
            calls[-1]()
        alone = [_speed([(where, call)])[0] for where, call in zip((one, other), calls, strict=True)]
        both = _speed(list(zip((one, other), calls, strict=True)))
        # each alone has a speed of one; two that share everything have half each
        found.append(min(1.0, sum(b / a for a, b in zip(alone, both, strict=True)) / 2))
    return found[0], found[1]


def _speed(works: list[tuple[Executor, Callable[[], object]]]) -> list[float]:
    """Calls a second of each, all at once."""
    counts, ready = [0.0] * len(works), threading.Barrier(len(works))

    def run(k: int) -> None:
        where, call = works[k]
        ready.wait()
        begun = time.perf_counter()
        while time.perf_counter() - begun < _SHARED:
            _done(where, call)
            counts[k] += 1
        counts[k] /= time.perf_counter() - begun

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def _sums(v: Any) -> Any:
    """38 operations, four of which at a time do not wait for each other."""
    a, b, c, d = v, v + 0.5, v + 0.25, v + 0.125
    for _ in range(4):
        a = a * v + 0.1
        b = b * v + 0.2
        c = c * v + 0.3
        d = d * v + 0.4
    return (a + b) + (c + d)


def _loop(rounds: int) -> Callable[[Any], Any]:
    """Two operations a round that wait for those before, and one that does not."""

    def op(v: Any) -> Any:
        a, b = v, 0.0
        for _ in range(rounds):
            a = a * v - 0.25
            b = b + a
        return b

    return op


def _move(i: int, x: Any, out: Any) -> None:
    out[i] = x[i]


def _exp(v: Any) -> Any:
    return np.exp(v)


def _corners(x: Any, i: int, j: int) -> Any:
    return x[i - 1, j - 1] + x[i + 1, j + 1]


def _rows(i: int, starts: Any, x: Any, out: Any) -> None:
    """A sum in a loop that the data end, as over a row of a sparse matrix."""
    s = 0.0
    for k in range(starts[i], starts[i + 1]):
        s = s * 0.5 + x[k]
    out[i] = s


def _fetch(i: int, table: Any, places: Any, out: Any) -> None:
    """Four at a time, as little else as may be."""
    k = 4 * i
    out[i] = (table[places[k]] + table[places[k + 1]]) + (table[places[k + 2]] + table[places[k + 3]])


def _count(i: int, table: Any, places: Any, out: Any) -> None:
    pp.atomic.add(table, places[i], 1)
