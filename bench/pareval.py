"""``python -m bench.pareval``: the 40 problems of examples/pareval/ beside serial C++ and NumPy or SciPy.

The problems are ParEval's (Nichols and others, "Can large language models write parallel code?", 2024). Each is
solved by portapar on threads, by the C++ in bench/native/pareval/ on one, and by an oracle in NumPy or SciPy,
alternately and on the same data; all results are compared. The table goes to
``bench/results/pareval-<kind of host>.json``.

``--check`` measures nothing: each problem is solved at small sizes on NumPy arrays and on arrays that live on the
executor, such as ``--executor hybrid:simd+opencl:0``, and all results are compared. Ranks do so together:
``mpirun -n 3 python -m bench.pareval --check --executor mpi``.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import portapar as pp
from portapar import report

from .native import compilers
from .parity import RESULTS, host_kind, number

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes
    ----------
    number : int
        ParEval's.
    name : str
        Of the file in examples/pareval/ and the function in it, and of the C++ function.
    n : int
        The size to measure at.
    make : callable
        ``make(n, rng)``: the arguments of the portapar function after its policy.
    oracle : callable
        What it should return, from the same arguments, which it leaves alone.
    native : callable
        ``native(lib, *args)``: the same by C++.
    writes : tuple of int
        The arguments that are written to.
    sizes : tuple of int
        What tests try.
    exact : bool
        The result must equal the oracle's.
    any_order : bool
        The order of the result's elements has no meaning.
    """

    number: int
    name: str
    n: int
    make: Callable[[int, np.random.Generator], Args]
    oracle: Callable[..., Any]
    native: Callable[..., Any]
    writes: tuple[int, ...] = ()
    sizes: tuple[int, ...] = (1, 2, 33, 1000)
    exact: bool = False
    any_order: bool = False

    @property
    def solve(self) -> Callable[..., Any]:
        """The portapar function."""
        return getattr(importlib.import_module(f"examples.pareval.{self.name}"), self.name)

    def arguments(self, n: int, seed: int = 0) -> Args:
        return self.make(n, np.random.default_rng([self.number, n, seed]))

    def fresh(self, args: Args) -> Args:
        """The same arguments, copied where they are written to."""
        return tuple(x.copy() if k in self.writes else x for k, x in enumerate(args))

    def compare(self, got: Any, expected: Any) -> None:
        """AssertionError unless the results agree."""
        if isinstance(expected, tuple):
            assert len(got) == len(expected)
            for a, b in zip(got, expected, strict=True):
                self.compare(a, b)
            return
        got, expected = pp.asnumpy(got), np.asarray(expected)
        if self.any_order:
            got, expected = np.sort(got), np.sort(expected)
        assert got.shape == expected.shape, (got.shape, expected.shape)
        if self.exact:
            np.testing.assert_array_equal(got, expected)
        else:
            scale = np.max(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10 * scale)


# native -------------------------------------------------------------------------------------------------


@functools.cache
def library() -> ctypes.CDLL:
    """The C++ solutions; BuildError if there is no compiler."""
    flags, _ = compilers.native_flags()
    built = compilers.library(
        "pareval/pareval.cpp", compilers.cxx_compiler(), ["-O3", *flags, "-std=c++17", "-fPIC"], ["-shared"]
    )
    return ctypes.CDLL(str(built))


def _c(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, np.int32):
        return ctypes.c_int32(int(value))
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_int64(value)


def _writing(name: str, *sizes: Callable[..., int], result: Sequence[int] = (-1,)) -> Callable[..., Any]:
    """A C++ function that writes to arguments: ``name(*args, *sizes)``; `result` says to which."""

    def call(lib: ctypes.CDLL, *args: Any) -> Any:
        getattr(lib, name)(*map(_c, args), *(_c(size(*args)) for size in sizes))
        found = tuple(args[k] for k in result)
        return found if len(found) > 1 else found[0]

    return call


def _giving(name: str, kind: Any, *sizes: Callable[..., int]) -> Callable[..., Any]:
    """A C++ function that returns a number."""

    def call(lib: ctypes.CDLL, *args: Any) -> Any:
        function = getattr(lib, name)
        function.restype = kind
        return function(*map(_c, args), *(_c(size(*args)) for size in sizes))

    return call


def _length(x: Any, *_: Any) -> int:
    return len(x)


def _native_hull(lib: ctypes.CDLL, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    hull = np.empty(len(x), np.int64)
    lib.geometry_convex_hull.restype = ctypes.c_int64
    return hull[: lib.geometry_convex_hull(_c(x), _c(y), _c(hull), _c(len(x)))]


def _native_kth(lib: ctypes.CDLL, x: np.ndarray, k: int) -> Any:
    lib.sort_kth_smallest.restype = ctypes.c_int32
    return lib.sort_kth_smallest(_c(x), _c(k), _c(len(x)))


def _native_contains(lib: ctypes.CDLL, x: np.ndarray, v: int) -> bool:
    lib.search_contains.restype = ctypes.c_bool
    return lib.search_contains(_c(x), ctypes.c_int32(v), _c(len(x)))


def _native_coo(name: str, wanted: int) -> Callable[..., Any]:
    """C++ on a matrix in coordinate form, whose number of entries and rows come last; returns the last arrays."""

    def call(lib: ctypes.CDLL, *args: Any) -> Any:
        arrays = [x for x in args if isinstance(x, np.ndarray)]
        getattr(lib, name)(*map(_c, args), _c(len(args[0])), _c(len(arrays[-1])))
        return arrays[-1] if wanted == 1 else tuple(arrays[-wanted:])

    return call


def _native_histogram(name: str, bins: int, dtype: Any) -> Callable[..., Any]:
    def call(lib: ctypes.CDLL, x: np.ndarray) -> np.ndarray:
        found = np.zeros(bins, dtype)
        getattr(lib, name)(_c(x), _c(found), _c(len(x)))
        return found

    return call


# data ---------------------------------------------------------------------------------------------------


def _unset(shape: Any, dtype: Any = np.float64) -> np.ndarray:
    """An output: of numbers that no problem leaves in it, and the same ones on all ranks."""
    return np.full(shape, 77, dtype)


def _vectors(count: int, outputs: int = 1) -> Callable[..., Args]:
    return lambda n, rng: (*(rng.standard_normal(n) for _ in range(count)), *(_unset(n) for _ in range(outputs)))


def _whole(low: int, high: int, dtype: Any = np.int32, outputs: int = 1) -> Callable[..., Args]:
    return lambda n, rng: (rng.integers(low, high, n, dtype), *(_unset(n, dtype) for _ in range(outputs)))


def _complex(outputs: int = 0) -> Callable[..., Args]:
    def make(n: int, rng: np.random.Generator) -> Args:
        x = rng.standard_normal(n) + 1j * rng.standard_normal(n)
        return (x, *(_unset(n, complex) for _ in range(outputs)))

    return make


def _make_matmul(n: int, rng: np.random.Generator) -> Args:
    m, k, columns = n, max(n // 4, 1), max(n // 2, 1)
    return rng.random((m, k)), rng.random((k, columns)), rng.random((m, columns))


def _make_gemv(n: int, rng: np.random.Generator) -> Args:
    rows = max(n // 2, 1)
    return rng.random((rows, n)), rng.random(n), _unset(rows)


def _dominant(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((n, n)) + n * np.eye(n)


def _graph(n: int, rng: np.random.Generator) -> Args:
    """Half of all edges."""
    return (rng.integers(0, 2, (n, n), np.int32),)


def _sparse_graph(n: int, rng: np.random.Generator) -> Args:
    """An undirected graph of average degree 2: one large component and many small ones."""
    a = np.zeros((n, n), np.int32)
    i, j = rng.integers(0, n, n), rng.integers(0, n, n)
    a[i, j] = a[j, i] = 1
    np.fill_diagonal(a, 0)
    return (a,)


def _coo(n: int, rng: np.random.Generator, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries in random order, some at the same place."""
    count = int(share * n * n) + 1
    row, column = rng.integers(0, n, count, np.int32), rng.integers(0, n, count, np.int32)
    return row, column, rng.random(count) - 0.5


def _make_solve(n: int, rng: np.random.Generator) -> Args:
    """A shifted diagonal that dominates, so that every pivot must be looked for; a tenth of the rest."""
    row, column, value = _coo(n, rng, 0.1)
    shifted = rng.permutation(n).astype(np.int32)
    row, column = np.concatenate([row, np.arange(n, dtype=np.int32)]), np.concatenate([column, shifted])
    return row, column, np.concatenate([value, np.full(n, 0.1 * n + 1)]), rng.random(n), _unset(n)


def _make_spmv(n: int, rng: np.random.Generator) -> Args:
    return *_coo(n, rng, 0.1), rng.random(n), rng.random(n), 1.5, 0.5


def _make_sparse_lu(n: int, rng: np.random.Generator) -> Args:
    row, column, value = _coo(n, rng, 0.1)
    all_rows = np.arange(n, dtype=np.int32)
    row, column = np.concatenate([row, all_rows]), np.concatenate([column, all_rows])
    return row, column, np.concatenate([value, np.full(n, 0.1 * n + 1)]), _unset((n, n)), _unset((n, n))


def _grid(high: int | None) -> Callable[..., Args]:
    def make(n: int, rng: np.random.Generator) -> Args:
        if high is None:
            return rng.random((n, n)), _unset((n, n))
        return rng.integers(0, high, (n, n), np.int32), _unset((n, n), np.int32)

    return make


def _make_contains(n: int, rng: np.random.Generator) -> Args:
    """What is looked for is not there: the longest search."""
    return rng.integers(0, 2**30, n, np.int32), -1


def _make_first_even(n: int, rng: np.random.Generator) -> Args:
    """The last element is the first even one."""
    x = 2 * rng.integers(0, 2**20, n, np.int32) + np.int32(1)
    x[-1] = 4
    return (x,)


# oracles ------------------------------------------------------------------------------------------------


def _lu(a: np.ndarray) -> np.ndarray:
    from scipy.linalg import lu_factor

    packed, pivots = lu_factor(a)
    assert (pivots == np.arange(len(a))).all()
    return packed


def _hull(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from scipy.spatial import ConvexHull, QhullError

    try:
        return np.sort(ConvexHull(np.stack([x, y], axis=1)).vertices)
    except (QhullError, ValueError):  # too few points, or all on a line
        order = np.lexsort((y, x))
        return np.unique(order[[0, -1]])


def _smallest_triangle(x: np.ndarray, y: np.ndarray) -> float:
    best = math.inf
    for i in range(len(x)):
        dx, dy = x[i + 1 :] - x[i], y[i + 1 :] - y[i]
        area = np.abs(np.outer(dx, dy) - np.outer(dy, dx))
        best = min(best, np.min(area[np.triu_indices(len(dx), 1)], initial=math.inf))
    return best / 2


def _components(a: np.ndarray) -> int:
    from scipy.sparse.csgraph import connected_components

    return connected_components(a, directed=False)[0]


def _ranks(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(x), np.int64)
    ranks[np.argsort(x, kind="stable")] = np.arange(len(x))
    return ranks


def _dense(row: np.ndarray, column: np.ndarray, value: np.ndarray, n: int) -> np.ndarray:
    a = np.zeros((n, n))
    a[row, column] = value  # the last one of several stays
    return a


def _spmv(row: Any, column: Any, value: Any, x: Any, y: Any, alpha: float, beta: float) -> np.ndarray:
    from scipy.sparse import coo_array

    return alpha * (coo_array((value, (row, column)), shape=(len(y), len(x))) @ x) + beta * y


def _sparse_lu(row: Any, column: Any, value: Any, lower: Any, upper: Any) -> tuple[np.ndarray, np.ndarray]:
    packed = _lu(_dense(row, column, value, len(lower)))
    return np.tril(packed, -1) + np.eye(len(lower)), np.triu(packed)


def _cross(x: np.ndarray) -> tuple[np.ndarray, ...]:
    p = np.pad(x, 1)
    return p[:-2, 1:-1], p[2:, 1:-1], p[1:-1, :-2], p[1:-1, 2:]


def _edges(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    return (sum((neighbour == 1).astype(np.int32) for neighbour in _cross(x)) == 1).astype(np.int32)


def _life(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    p, (n, m) = np.pad(x, 1), x.shape
    near = sum(p[1 + i : 1 + i + n, 1 + j : 1 + j + m] for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
    return ((near == 3) | ((near == 2) & (x == 1))).astype(np.int32)


def _mean_1d(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    p = np.pad(x, 1)
    return (p[:-2] + p[1:-1] + p[2:]) / 3


# the table ----------------------------------------------------------------------------------------------

_FFT = (1, 2, 4, 8, 32, 256, 1024)
_SQUARE = (1, 2, 33, 70)

PROBLEMS = (
    Problem(
        0, "dense_lu", 2**10, lambda n, rng: (_dominant(n, rng),), _lu,
        _writing("dense_lu", _length), (0,), (1, 2, 33, 100),
    ),
    Problem(
        2, "dense_matmul", 2**9, _make_matmul, lambda a, b, c: c + a @ b,
        _writing("dense_matmul", lambda a, b, c: len(a), lambda a, b, c: len(b), lambda a, b, c: b.shape[1]),
        (2,), (1, 2, 33, 150),
    ),
    Problem(3, "dense_axpy", 2**24, _vectors(2), lambda x, y, z: 2 * x + y, _writing("dense_axpy", _length), (2,)),
    Problem(
        4, "dense_gemv", 2**13, _make_gemv, lambda a, x, y: a @ x,
        _writing("dense_gemv", _length, lambda a, x, y: len(x)), (2,), _SQUARE,
    ),
    Problem(5, "fft_inverse", 2**17, _complex(), np.fft.ifft, _writing("fft_inverse", _length), (0,), _FFT),
    Problem(
        6, "fft_dft", 2**11, lambda n, rng: (rng.standard_normal(n), _unset(n, complex)),
        lambda x, out: np.fft.fft(x), _writing("fft_dft", _length), (1,),
    ),
    Problem(
        7, "fft_conjugate", 2**18, _complex(), lambda x: np.conj(np.fft.fft(x)),
        _writing("fft_conjugate", _length), (0,), _FFT,
    ),
    Problem(
        9, "fft_forward", 2**17, _complex(1), lambda x, out: np.fft.fft(x),
        _writing("fft_forward", _length), (1,), _FFT,
    ),
    Problem(10, "geometry_convex_hull", 2**14, _vectors(2, 0), _hull, _native_hull, exact=True, any_order=True),
    Problem(
        12, "geometry_smallest_triangle", 2**8, _vectors(2, 0), _smallest_triangle,
        _giving("geometry_smallest_triangle", ctypes.c_double, lambda x, y: len(x)), (), (1, 2, 3, 40),
    ),
    Problem(
        14, "geometry_closest_pair", 2**14, _vectors(1, 0),
        lambda x: np.min(np.diff(np.sort(x)), initial=math.inf),
        _giving("geometry_closest_pair", ctypes.c_double, _length), (), exact=True,
    ),
    Problem(
        15, "graph_count_edges", 2**12, _graph, lambda a: np.count_nonzero(a == 1),
        _giving("graph_count_edges", ctypes.c_int64, _length), (), _SQUARE, True,
    ),
    Problem(
        17, "graph_largest_degree", 2**12, _graph, lambda a: (a == 1).sum(axis=1).max(),
        _giving("graph_largest_degree", ctypes.c_int64, _length), (), _SQUARE, True,
    ),
    Problem(
        18, "graph_components", 2**12, _sparse_graph, _components,
        _giving("graph_components", ctypes.c_int64, _length), (), _SQUARE, True,
    ),
    Problem(
        20, "histogram_pixels", 2**22, _whole(0, 255, np.uint8, 0),
        lambda x: np.bincount(x, minlength=256).astype(np.uint64),
        _native_histogram("histogram_pixels", 256, np.uint64), (), (0, 1, 33, 1000), True,
    ),
    Problem(
        21, "histogram_tens", 2**22, lambda n, rng: (100 * rng.random(n),),
        lambda x: np.bincount((x / 10).astype(np.int64), minlength=10),
        _native_histogram("histogram_tens", 10, np.int64), (), (0, 1, 33, 1000), True,
    ),
    Problem(
        24, "histogram_quartiles", 2**22, lambda n, rng: (100 * rng.standard_normal(n),),
        lambda x: np.bincount(((x - np.floor(x)) * 4).astype(np.int64), minlength=4),
        _native_histogram("histogram_quartiles", 4, np.int64), (), (0, 1, 33, 1000), True,
    ),
    Problem(
        25, "reduce_parity", 2**24, _whole(0, 2, np.bool_, 0), np.logical_xor.reduce,
        _giving("reduce_parity", ctypes.c_bool, _length), (), (0, 1, 33, 1000), True,
    ),
    Problem(27, "reduce_mean", 2**24, _vectors(1, 0), np.mean, _giving("reduce_mean", ctypes.c_double, _length)),
    Problem(
        29, "reduce_sum_of_minimums", 2**24, _vectors(2, 0), lambda x, y: np.minimum(x, y).sum(),
        _giving("reduce_sum_of_minimums", ctypes.c_double, lambda x, y: len(x)), (), (0, 1, 33, 1000),
    ),
    Problem(
        30, "scan_prefix_sum", 2**23, _vectors(1), lambda x, out: np.cumsum(x),
        _writing("scan_prefix_sum", _length), (1,), (0, 1, 33, 10_000),
    ),
    Problem(
        32, "scan_sum_of_prefix_sums", 2**22, lambda n, rng: (rng.random(n),), lambda x: np.cumsum(x).sum(),
        _giving("scan_sum_of_prefix_sums", ctypes.c_double, _length), (), (0, 1, 33, 10_000),
    ),
    Problem(
        33, "scan_reversed_prefix_sum", 2**22, _whole(-100, 101), lambda x, out: np.cumsum(x[::-1], dtype=np.int32),
        _writing("scan_reversed_prefix_sum", _length), (1,), (0, 1, 33, 10_000), True,
    ),
    Problem(
        36, "search_contains", 2**21, _make_contains, lambda x, v: (x == v).any(), _native_contains,
        (), (0, 1, 33, 1000), True,
    ),
    Problem(
        37, "search_closest_to_pi", 2**21, lambda n, rng: (100 * rng.standard_normal(n),),
        lambda x: np.abs(x - math.pi).argmin(), _giving("search_closest_to_pi", ctypes.c_int64, _length), exact=True,
    ),
    Problem(
        38, "search_first_even", 2**21, _make_first_even, lambda x: next(iter(np.flatnonzero(x % 2 == 0)), len(x)),
        _giving("search_first_even", ctypes.c_int64, _length), exact=True,
    ),
    Problem(
        40, "sort_by_magnitude", 2**17, _complex(), lambda x: x[np.argsort(np.abs(x), kind="stable")],
        _writing("sort_by_magnitude", _length), (0,), exact=True,
    ),
    Problem(
        41, "sort_kth_smallest", 2**17,
        lambda n, rng: (rng.integers(-(2**31), 2**31 - 1, n, np.int32), int(rng.integers(1, n + 1))),
        lambda x, k: np.partition(x, k - 1)[k - 1], _native_kth, exact=True,
    ),
    Problem(
        42, "sort_ranks", 2**17, lambda n, rng: (rng.standard_normal(n).astype(np.float32), _unset(n, np.int64)),
        _ranks, _writing("sort_ranks", _length), (1,), exact=True,
    ),
    Problem(
        45, "sparse_solve", 2**10, _make_solve,
        lambda row, column, value, b, x: np.linalg.solve(_dense(row, column, value, len(b)), b),
        _native_coo("sparse_solve", 1), (4,), (1, 2, 33, 100),
    ),
    Problem(47, "sparse_spmv", 2**11, _make_spmv, _spmv, _native_coo("sparse_spmv", 1), (4,), (1, 2, 33, 100)),
    Problem(
        49, "sparse_lu", 2**9, _make_sparse_lu, _sparse_lu, _native_coo("sparse_lu", 2), (3, 4), (1, 2, 33, 100)
    ),
    Problem(
        50, "stencil_edges", 2**12, _grid(3), _edges, _writing("stencil_edges", _length), (1,), _SQUARE, True
    ),
    Problem(52, "stencil_mean_1d", 2**24, _vectors(1), _mean_1d, _writing("stencil_mean_1d", _length), (1,)),
    Problem(
        53, "stencil_mean_2d", 2**12, _grid(None), lambda x, out: (x + sum(_cross(x))) / 5,
        _writing("stencil_mean_2d", _length), (1,), _SQUARE,
    ),
    Problem(
        54, "stencil_game_of_life", 2**12, _grid(2), _life,
        _writing("stencil_game_of_life", _length), (1,), _SQUARE, True,
    ),
    Problem(
        55, "transform_relu", 2**22, _vectors(1), lambda x, out: np.maximum(0, x),
        _writing("transform_relu", _length), (1,), exact=True,
    ),
    Problem(
        56, "transform_halve_or_negate", 2**22, _whole(-1000, 1000),
        lambda x, out: np.where(x % 2 == 0, x // 2, -x), _writing("transform_halve_or_negate", _length), (1,),
        exact=True,
    ),
    Problem(
        57, "transform_one_minus_reciprocal", 2**21, _vectors(1), lambda x, out: 1 - 1 / x,
        _writing("transform_one_minus_reciprocal", _length), (1,),
    ),
    Problem(
        58, "transform_square", 2**22, _whole(-1000, 1000), lambda x, out: x * x,
        _writing("transform_square", _length), (1,), exact=True,
    ),
)  # fmt: skip


# measuring ----------------------------------------------------------------------------------------------


@dataclass
class Row:
    """Median seconds of one problem; `ratio` is the speed of portapar, that of C++ being 1."""

    number: int
    name: str
    n: int
    portapar: float
    native: float
    oracle: float

    @property
    def ratio(self) -> float:
        return self.native / self.portapar


def measure(problem: Problem, policy: pp.Policy, seconds: float = 1.0, n: int | None = None) -> Row:
    """Compare the results, then time all three alternately for about that long, at least three times each.

    Raises
    ------
    AssertionError
        The results differ.
    """
    lib = library()
    args = problem.arguments(n or problem.n)
    ways: tuple[Callable[..., Any], ...] = (
        functools.partial(problem.solve, policy),
        functools.partial(problem.native, lib),
        problem.oracle,
    )
    expected = problem.oracle(*problem.fresh(args))
    for way in ways[:2]:  # twice: portapar remembers the second call
        for _ in range(2):
            problem.compare(way(*problem.fresh(args)), expected)
    times: tuple[list[float], ...] = ([], [], [])
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or (time.perf_counter() < end and rounds < 200):
        for k, way in enumerate(ways):
            if k == 2 and rounds >= 3:
                continue  # the oracle is for orientation only
            fresh = problem.fresh(args)
            begin = time.perf_counter()
            way(*fresh)
            times[k].append(time.perf_counter() - begin)
        rounds += 1
    return Row(problem.number, problem.name, n or problem.n, *map(statistics.median, times))


#: what is refused on several parts, as the table in docs/algorithms.md has it
REFUSED = {"at other indices than its own": "writes anywhere", "no operators, elements or slices": "slices"}
REFUSED |= {"a plain ndarray, of which every rank has a copy": "a plain array as output"}


def check(problem: Problem, where: pp.Executor, n: int, resident: bool) -> str:
    """Compare what a problem gives on an executor with the oracle, on arrays that are `resident` there or NumPy's.

    Ranks write to arrays that live there in any case.

    Returns
    -------
    str
        What of `REFUSED` it is refused for; "" if it is not.

    Raises
    ------
    AssertionError
        The results differ.
    PortaparError
        Anything else that is refused.
    """
    args = problem.arguments(n)
    placed = range(len(args)) if resident else problem.writes if where.group is not None else ()
    given = list(problem.fresh(args))
    for k in placed:
        if isinstance(given[k], np.ndarray):
            given[k] = where.asarray(given[k])
    try:
        found = problem.solve(pp.par.on(where), *given)
    except pp.PlacementError as error:
        return refused(error)
    here = [pp.asnumpy(x) if isinstance(x, pp.PartitionedArray) else x for x in _several(found)]
    problem.compare(tuple(here) if isinstance(found, tuple) else here[0], problem.oracle(*args))
    return ""


def _all_sizes(problem: Problem, where: pp.Executor, resident: bool) -> set[str]:
    return {check(problem, where, n, resident) for n in problem.sizes}


def _several(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def refused(error: pp.PlacementError) -> str:
    """Which of `REFUSED` it is; raises it again if it is none of them."""
    for words, short in REFUSED.items():
        if words in str(error):
            return short
    raise error


def checked(name: str, where: pp.Executor, run: Callable[[bool], set[str]]) -> bool:
    """Tell on the first rank what ``run(resident)`` is refused for, of NumPy and of resident arrays, or what is wrong.

    Returns
    -------
    bool
        Nothing is wrong.
    """
    told = []
    for resident in (False, True):
        try:
            told.append(", ".join(sorted(run(resident) - {""})) or "right")
        except (AssertionError, pp.PortaparError) as error:
            told.append(f"WRONG: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
    if where.group is None or where.group.rank == 0:
        print(f"{name:32}{told[0]:32}{told[1]}", flush=True)
    return not any(text.startswith("WRONG") for text in told)


HEADINGS = ("", "problem", "n", "portapar", "C++", "NumPy/SciPy", "ratio")


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal, the geometric mean of their ratios at the end."""
    lines = [HEADINGS]
    for row in rows:
        seconds = map(number, (row.portapar, row.native, row.oracle))
        lines.append((f"{row.number:02}", row.name, str(row.n), *seconds, f"{row.ratio:.2f}"))
    lines.append(("", "geometric mean", "", "", "", "", f"{mean(rows):.2f}"))
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            text.ljust(w) if k == 1 else text.rjust(w) for k, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def mean(rows: Sequence[Row]) -> float:
    """The geometric mean of the ratios."""
    return math.exp(sum(math.log(row.ratio) for row in rows) / len(rows))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.pareval", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="problems whose name begins so")
    parser.add_argument("--executor", default="threads", metavar="NAME", help="where portapar runs (threads)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="for each problem (1)")
    parser.add_argument("--size", type=int, metavar="N", help="instead of each problem's own")
    parser.add_argument("--check", action="store_true", help="compare results only, on NumPy and on resident arrays")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to save (default: bench/results, if whole)")
    options = parser.parse_args(argv)
    try:
        where = pp.executor(options.executor)
        if options.check:
            asked = [problem for problem in PROBLEMS if re.match(options.only, problem.name)]
            return sum(not checked(x.name, where, functools.partial(_all_sizes, x, where)) for x in asked)
        library()
        policy = pp.par.on(where)
    except (compilers.BuildError, pp.PortaparError) as error:
        parser.error(str(error))
    rows = []
    for problem in PROBLEMS:
        if re.match(options.only, problem.name):
            print(f"measuring: {problem.name} …", file=sys.stderr, flush=True)
            try:
                rows.append(measure(problem, policy, options.seconds, options.size))
            except AssertionError as error:
                print(f"wrong result: {problem.name}: {error}", file=sys.stderr)
                return 1
    if not rows:
        parser.error(f"--only {options.only!r} matches no problem")
    target = options.json
    if target is None and not options.only and options.executor == "threads" and options.size is None:
        target = RESULTS / f"pareval-{host_kind()}.json"
    if target is not None:
        target.parent.mkdir(exist_ok=True)
        saved = [{**asdict(row), "ratio": row.ratio} for row in rows]
        text = json.dumps({**report.header(), "policy": repr(policy), "mean": mean(rows), "rows": saved}, indent=1)
        target.write_text(text + "\n")
        print(f"saved: {target}", file=sys.stderr)
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
