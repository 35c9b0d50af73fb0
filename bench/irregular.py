"""``python -m bench.irregular``: pp.irregular, and a loop of uneven cost, beside C++ with OpenMP.

The opponents are in `native/irregular.cpp`. Both run in turns on the same data. What the two compute is compared before
they are timed.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import portapar as pp
from portapar.config import default_threads

from .algorithms import WrongResult, alternate, converted
from .native import compilers

TREES = {"T1": (19, 4.0, 10, 0.0, 0), "T3": (42, 2000.0, 0, 0.124875, 8)}
_LANES = 16


@functools.cache
def native() -> ctypes.CDLL:
    """The C++ opponents, compiled on the first call; BuildError if they cannot be."""
    flags = ["-O3", "-fPIC", "-fopenmp", "-fno-math-errno", "-ffp-contract=off", "-std=c++17"]
    flags += compilers.native_flags()[0]
    link = ["-shared", "-fopenmp", "-lstdc++"]
    library = ctypes.CDLL(str(compilers.library("irregular.cpp", compilers.cxx_compiler(), flags, link)))
    library.set_threads(ctypes.c_int64(default_threads()))
    library.hull.restype = library.search.restype = ctypes.c_int64
    return library


def _escape(i: Any, most: Any, n: Any, out: Any) -> None:
    """Mandelbrot's iteration for sixteen neighbours at a time, in vector lanes, until the last has left."""
    row, first = i // (n // _LANES), i % (n // _LANES) * _LANES
    x, y, count = np.zeros(_LANES), np.zeros(_LANES), np.zeros(_LANES, np.int64)
    b = -1.25 + 2.5 * row / n
    left, k = _LANES, 0
    while left > 0 and k < most:
        left = 0
        for t in range(_LANES):
            a = -2 + 2.5 * (first + t) / n
            within = x[t] * x[t] + y[t] * y[t] <= 4
            count[t] += within
            left += within
            real = x[t] * x[t] - y[t] * y[t] + a
            y[t] = 2 * x[t] * y[t] + b if within else y[t]
            x[t] = real if within else x[t]
        k += 1
    for t in range(_LANES):
        out[row, first + t] = count[t]


def cases(size: float) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any], Callable[[Any, Any], bool]]]:
    """Name, our call, that of C++, and whether what they give is the same."""
    rng = np.random.default_rng(1)
    par, one = pp.par, pp.irregular

    def c(function: str, *given: Any) -> Callable[[], Any]:
        made = [converted(x) for x in given]
        return lambda: getattr(native(), function)(*made)

    n = int(1e7 * size)
    angle, radius = rng.random(n) * 2 * np.pi, np.sqrt(rng.random(n))
    disc = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    corners = np.empty(n, np.int32)
    hull = c("hull", n, disc, corners)
    yield (
        f"convex hull, {n} in a disc", lambda: one.convex_hull(par, disc), hull,
        lambda ours, theirs: sorted(ours) == sorted(corners[:theirs]),
    )  # fmt: skip
    n = int(1e6 * size)
    points, near, index = rng.random((n, 2)), np.empty(n), np.empty(n, np.int32)
    yield (
        f"knn, {n} in a square", lambda: one.knn(par, points), c("nearest", n, points, near, index),
        lambda ours, _: bool(np.array_equal(ours[0][:, 0], near)),
    )  # fmt: skip
    n = int(2e4 * size)
    positions, masses, pull = rng.random((n, 3)), rng.random(n), np.empty((n, 3))
    yield (
        f"n-body, {n}, all pairs", lambda: one.nbody(par, positions, masses),
        c("pulls", n, positions, masses, pull), lambda ours, _: bool(np.allclose(ours, pull)),
    )  # fmt: skip
    for name, tree in TREES.items():
        yield (
            f"unbalanced tree {name}", functools.partial(one.uts, par, name), c("search", *tree),
            lambda ours, theirs: ours.nodes == theirs,
        )  # fmt: skip
    n = int(4096 * size**0.5) // _LANES * _LANES
    ours, theirs = np.empty((n, n), np.int32), np.empty((n, n), np.int32)
    uneven = par.with_(schedule="dynamic", chunk_size=n // _LANES)
    yield (
        f"Mandelbrot {n}²", lambda: pp.for_each(uneven, n * n // _LANES, _escape, 100, n, ours),
        c("mandelbrot", n, 100, theirs), lambda *_: bool((ours != theirs).mean() < 1e-4),
    )  # fmt: skip


def rows(
    size: float, rounds: int, seconds: float, only: str = "", of: Callable[..., float] = statistics.median
) -> Iterator[tuple[str, dict[str, float]]]:
    """Name, and seconds of ours (key "") and of C++, the median unless another is asked for.

    Raises
    ------
    WrongResult
    """
    for name, ours, theirs, same in cases(size):
        if only in name:
            if not same(ours(), theirs()):
                raise WrongResult(f"{name}: differs from C++")
            yield name, alternate({"": ours, "C++": theirs}, rounds, seconds, of)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.irregular", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=float, default=1.0, help="of the full sizes (default: 1)")
    parser.add_argument("--only", default="", help="a part of the names")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each pair takes turns at least")
    parser.add_argument("--least", action="store_true", help="the least times, for a machine with much else to do")
    asked = parser.parse_args(arguments)
    of = min if asked.least else statistics.median
    ratios = []
    for name, taken in rows(asked.size, asked.rounds, asked.seconds, asked.only, of):
        ratios.append(taken["C++"] / taken[""])
        print(f"{name:34}{taken[''] * 1e3:11.2f} ms {taken['C++'] * 1e3:11.2f} ms {ratios[-1]:6.2f}", flush=True)
    if ratios:
        print(f"{'mean':59}{statistics.geometric_mean(ratios):9.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
