"""The parallel algorithms against good C with OpenMP (`native/algorithms.c`), NumPy and SciPy.

Each case makes its data once; portapar and its opponents then take turns on them, and what they compute is
compared. `parity` prints the rows.
"""

from __future__ import annotations

import ctypes
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse

import portapar as pp
from portapar.config import default_threads

from .native import BuildError, compilers

_INT64 = ctypes.c_int64
FLAGS = ["-O3", "-fPIC", "-ffast-math", "-fopenmp"]


@functools.cache
def native() -> ctypes.CDLL:
    """The C opponents, compiled on the first call; BuildError if they cannot be."""
    flags = [*FLAGS, *compilers.native_flags()[0]]
    link = ["-shared", "-fopenmp", "-Wl,--no-as-needed", "-lmvec", "-lm"]
    path = compilers.library("algorithms.c", compilers.c_compiler(), flags, link)
    library = ctypes.CDLL(str(path))
    library.set_threads(default_threads())  # as many as pp.threads() has
    library.reduce.restype = ctypes.c_double
    for name in ("count_if", "min_element", "copy_if"):
        getattr(library, name).restype = _INT64
    return library


def converted(x: Any) -> Any:
    """What a C function gets for an array, a whole number (int64) or a float."""
    if isinstance(x, np.ndarray):
        return ctypes.c_void_p(x.ctypes.data)
    return _INT64(x) if isinstance(x, int) else ctypes.c_double(x)


def _c(name: str, *arguments: Any) -> Callable[[], Any]:
    """A call of a C function, its arguments converted beforehand."""
    given = [converted(x) for x in arguments]

    def call() -> Any:
        return getattr(native(), name)(*given)

    call.__dict__["arrays"] = arguments  # keeps them alive
    return call


@dataclass
class Case:
    """One algorithm on one set of data.

    Attributes
    ----------
    name : str
    ours : callable
        ``ours(policy, *arrays)``, through portapar.
    arrays : tuple
        Its data, on the host.
    opponents : dict
        Label → (call without arguments, …, target for the ratio of speeds); of several calls the fastest counts.
    same : callable
        Whether ``same(ours, theirs)`` holds for the results.
    """

    name: str
    ours: Callable[..., Any]
    arrays: tuple[Any, ...]
    opponents: dict[str, tuple[Any, ...]]
    same: Callable[[Any, Any], bool] = field(default=lambda ours, theirs: bool(np.array_equal(ours, theirs)))


def _close(ours: Any, theirs: Any) -> bool:
    return bool(np.allclose(ours, theirs, rtol=1e-9, atol=1e-12))


def _kronecker(scale: int, degree: int = 16, seed: int = 1) -> scipy.sparse.csr_array:
    """An R-MAT graph's matrix with random values (Leskovec et al. 2010; the probabilities of Graph 500)."""
    rng = np.random.default_rng(seed)
    count = degree << scale
    row, column = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for bit in range(scale):
        u = rng.random(count, np.float32)
        row |= (u >= 0.76).astype(np.int64) << bit
        column |= (((u >= 0.57) & (u < 0.76)) | (u >= 0.95)).astype(np.int64) << bit
    shuffled = rng.permutation(1 << scale)
    values = rng.random(count)
    found = scipy.sparse.coo_array((values, (shuffled[row], shuffled[column])), shape=(1 << scale,) * 2)
    both = (found + found.T).tocsr()
    both.sort_indices()
    return both


def cases(scale: float = 1.0, only: str = "") -> Iterator[Case]:
    """The cases whose name begins with `only`, one after the other: their data are large.

    Parameters
    ----------
    scale : float
        1.0 gives the sizes of the table, smaller values shrink all of them alike.
    """
    for make in _MAKERS:
        if make.__name__.strip("_").startswith(only):
            yield from make(scale)


def _n(size: int, scale: float) -> int:
    return max(1000, int(size * scale))


def _scan(scale: float) -> Iterator[Case]:
    x = np.random.default_rng(1).random(_n(80_000_000, scale))
    out = pp.threads().empty(len(x))
    mine = pp.threads().empty(len(x))

    def theirs() -> Any:
        serial()
        return out

    serial = _c("scan_serial", x, out, len(x))
    yield Case(
        "inclusive_scan", lambda how, x, out: pp.inclusive_scan(how, x, out=out), (x, mine),
        {"C, serial": (theirs, 1.5)}, _close,
    )  # fmt: skip


def _large(scale: float) -> Iterator[Case]:
    x = pp.threads().asarray(np.random.default_rng(1).random(_n(80_000_000, scale)))
    n, out = len(x), pp.threads().empty(len(x))
    gcc = "gcc OpenMP -ffast-math"
    yield Case("reduce", lambda how, x: pp.reduce(how, x), (x,), {gcc: (_c("reduce", x, n), 1.0)}, _close)
    half = lambda v: v < 0.5
    yield Case("count_if", lambda how, x: pp.count_if(how, x, half), (x,), {gcc: (_c("count_if", x, n, 0.5), 1.0)})
    yield Case("min_element", lambda how, x: pp.min_element(how, x), (x,), {gcc: (_c("min_element", x, n), 1.0)})
    two_pass = _c("copy_if", x, out, n, 0.5)
    yield Case(
        "copy_if at 50 %", lambda how, x: pp.copy_if(how, x, half), (x,),
        {"gcc OpenMP, two passes": (lambda: out[: two_pass()], 1.0)},
    )  # fmt: skip


def _sort(scale: float) -> Iterator[Case]:
    rng = np.random.default_rng(1)
    n = _n(10_000_000, scale)
    for x in (rng.random(n), rng.integers(-(2**31), 2**31, n).astype(np.int32)):
        kind = x.dtype.name
        yield Case(
            f"sort, {kind}", lambda how, x: pp.sort(how, x), (x,), {"np.sort": (functools.partial(np.sort, x), 1.4)}
        )
        stable = functools.partial(np.argsort, x, kind="stable")
        unstable = functools.partial(np.argsort, x)
        yield Case(
            f"argsort, {kind}", lambda how, x: pp.argsort(how, x), (x,),
            {"np.argsort": (unstable, 4.0), "np.argsort, stable": (stable, 4.0)},
            lambda ours, theirs, x=x: bool(np.array_equal(x[pp.asnumpy(ours)], x[theirs])),
        )  # fmt: skip
        values = np.arange(n)

        def by_key(x: Any = x, values: Any = values) -> Any:
            order = np.argsort(x, kind="stable")
            return x[order], values[order]

        yield Case(
            f"sort_by_key, {kind}", lambda how, x, v: pp.sort_by_key(how, x, v), (x, values),
            {"np.argsort, twice x[order]": (by_key, 4.0)},
            lambda ours, theirs: all(np.array_equal(pp.asnumpy(a), b) for a, b in zip(ours, theirs, strict=True)),
        )  # fmt: skip
    few = rng.integers(0, 2_500_000, n).astype(np.int32)
    yield Case("unique, int32", lambda how, x: pp.unique(how, x), (few,), {"np.unique": (lambda: np.unique(few), 1.0)})


def _histogram(scale: float) -> Iterator[Case]:
    n = _n(10_000_000, scale)
    for bins in (256, 100_000):
        x = np.random.default_rng(1).integers(0, bins, n).astype(np.int32)
        out, scratch = np.zeros(bins, np.int64), np.zeros(256 * bins, np.int64)

        def theirs(x: Any = x, out: Any = out, scratch: Any = scratch, bins: int = bins) -> Any:
            _c("histogram", x, n, out, scratch, bins)()
            return out

        yield Case(
            f"bincount, {bins} bins", lambda how, x, bins=bins: pp.bincount(how, x, minlength=bins), (x,),
            {"gcc OpenMP, private histograms": (theirs, 0.9)},
        )  # fmt: skip


def _stencil(scale: float) -> Iterator[Case]:
    n = max(64, int(4096 * scale**0.5))
    x = pp.threads().asarray(np.random.default_rng(1).random((n, n)))
    out, mine = pp.threads().asarray(np.zeros((n, n))), pp.threads().empty((n, n))
    call = _c("stencil", x, out, n, n)

    def theirs() -> Any:
        call()
        return out

    def five(x: Any, i: Any, j: Any) -> Any:
        return 0.2 * (x[i, j] + x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1])

    yield Case(
        "stencil, five points", lambda how, x, out: pp.stencil(how, x, five, out=out), (x, mine),
        {"gcc OpenMP": (theirs, 1.0)}, lambda ours, theirs: _close(ours[1:-1, 1:-1], theirs[1:-1, 1:-1]),
    )  # fmt: skip


def _spmv(scale: float) -> Iterator[Case]:
    a = _kronecker(max(10, round(20 + math.log2(scale))))
    x = np.random.default_rng(2).random(a.shape[0])
    indptr, indices, data = a.indptr.astype(np.int64), a.indices.astype(np.int32), a.data
    y, mine = np.zeros(a.shape[0]), np.zeros(a.shape[0])

    def schedule(name: str) -> Callable[[], Any]:
        call = _c(name, indptr, indices, data, x, y, a.shape[0])
        return lambda: (call(), y)[1]

    def ours(how: Any, indptr: Any, indices: Any, data: Any, x: Any, y: Any) -> Any:
        return pp.segmented_reduce(how, indptr, data, indices, transform=lambda v, c: v * x[np.uint32(c)], out=y)

    yield Case(
        "segmented_reduce as SpMV, Kronecker", ours, (indptr, indices, data, x, mine),
        {
            "gcc OpenMP CSR, best schedule": (
                *(schedule(f"spmv_{how}") for how in ("static", "dynamic", "guided")), 0.95,
            ),
            "scipy": (lambda: a @ x, 0.95),
        },
        _close,
    )  # fmt: skip


def _transform(scale: float) -> Iterator[Case]:
    n = _n(10_000_000, scale)
    rng = np.random.default_rng(1)
    price, strike, years = (rng.uniform(lo, hi, n) for lo, hi in ((5, 30), (1, 100), (0.25, 10)))
    call, put, mine, other = (np.zeros(n) for _ in range(4))
    run = _c("black_scholes", price, strike, years, call, put, n, 0.02, 0.3)
    yield Case(
        "Black-Scholes", lambda how, *arrays: (pp.for_each(how, len(arrays[0]), black_scholes, *arrays, 0.02, 0.3),
        arrays[3])[1], (price, strike, years, mine, other),
        {"gcc OpenMP -ffast-math, libmvec": (lambda: (run(), call)[1], 1.0)}, _close,
    )  # fmt: skip


def black_scholes(i: Any, price: Any, strike: Any, years: Any, call: Any, put: Any, rate: float, sigma: float) -> None:
    """European calls and puts after Black and Scholes; the normal distribution by erfc."""
    root = sigma * np.sqrt(years[i])
    d1 = (np.log(price[i] / strike[i]) + (rate + 0.5 * sigma * sigma) * years[i]) / root
    d2 = d1 - root
    present = strike[i] * np.exp(-rate * years[i])
    n1 = 0.5 * math.erfc(-d1 * 0.7071067811865476)
    n2 = 0.5 * math.erfc(-d2 * 0.7071067811865476)
    call[i] = price[i] * n1 - present * n2
    put[i] = call[i] + present - price[i]


_MAKERS = (_scan, _large, _sort, _histogram, _stencil, _spmv, _transform)


class WrongResult(Exception):
    """Two codes computed different things."""


def alternate(
    calls: dict[str, Callable[[], Any]],
    rounds: int,
    seconds: float = 0.0,
    of: Callable[[Sequence[float]], float] = statistics.median,
) -> dict[str, float]:
    """Median seconds of each call; they take turns, and each goes first as often as the others.

    Parameters
    ----------
    rounds : int
        How many turns at least.
    seconds : float
        How long to go on at least: quick calls get more turns.
    of : callable
        What to give instead of the median, such as `min` on a machine with much else to do.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    turn, end = 0, math.inf
    while turn <= rounds or time.perf_counter() < end:
        for name in sorted(calls, reverse=bool(turn % 2)):
            begin = time.perf_counter()
            calls[name]()
            if turn:
                taken[name].append(time.perf_counter() - begin)
            native().rest()
        if not turn:
            end = time.perf_counter() + seconds
        turn += 1
    return {name: of(found) for name, found in taken.items()}


def _fastest(calls: Sequence[Callable[[], Any]], rounds: int) -> Callable[[], Any]:
    taken = alternate({str(k): call for k, call in enumerate(calls)}, rounds)
    return calls[int(min(taken, key=taken.__getitem__))]


def measure(case: Case, executor: Any, rounds: int, seconds: float = 0.0) -> dict[str, float]:
    """Median seconds of portapar on CPU threads (key "") and of the opponents.

    Of an opponent's several calls a first run finds the fastest, which then takes its turns: the least of several
    medians of one run would be less than any of them really takes.

    Raises
    ------
    WrongResult
    """
    calls = {"": functools.partial(case.ours, pp.par_unseq.on(executor), *case.arrays)}
    found = calls[""]()
    found = found if isinstance(found, tuple) else pp.asnumpy(found) if hasattr(found, "dtype") else found
    for name, (*theirs, _) in case.opponents.items():
        for call in theirs:
            if not case.same(found, call()):
                raise WrongResult(f"{case.name} on {executor!r}: differs from {name}")
        calls[name] = theirs[0] if len(theirs) == 1 else _fastest(theirs, rounds)
    return alternate(calls, rounds, seconds)


def against_threads(case: Case, executor: Any, rounds: int, seconds: float = 0.0) -> tuple[float, float]:
    """Median seconds on an executor, on arrays of its own, and on threads."""
    here = tuple(executor.asarray(x) for x in case.arrays)
    calls = {
        "": functools.partial(case.ours, pp.par_unseq.on(executor), *here),
        "threads": functools.partial(case.ours, pp.par_unseq.on(pp.threads()), *case.arrays),
    }
    taken = alternate(calls, rounds, seconds)
    return taken[""], taken["threads"]


__all__ = [
    "BuildError",
    "Case",
    "WrongResult",
    "against_threads",
    "alternate",
    "cases",
    "converted",
    "measure",
    "native",
]
