"""``python -m bench.sparse``: sparse matrices, and many small dense ones, beside C++ with OpenMP and SciPy or NumPy.

The C++ is in `native/sparse.cpp`. They run in turns on the same matrices. What they compute is compared before they
are timed.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

import portapar as pp
from portapar.config import default_threads

from .algorithms import WrongResult, alternate, converted
from .native import compilers

KERNELS = ("spmv", "spmm", "spgemm", "trisolve", "transpose", "from_coo")
MATRICES = ("power law", "banded", "random")
BATCHED = ("matmul", "solve", "cholesky")
_SIZES = 4, 8, 16  #: of the matrices of a batch
_WIDTH = 16  #: columns of the dense matrix


@functools.cache
def native() -> ctypes.CDLL:
    """The C++ opponents, compiled on the first call; BuildError if they cannot be."""
    flags = ["-O3", "-fPIC", "-fopenmp", "-std=c++17", *compilers.native_flags()[0]]
    library = ctypes.CDLL(
        str(compilers.library("sparse.cpp", compilers.cxx_compiler(), flags, ["-shared", "-fopenmp", "-lstdc++"]))
    )
    library.set_threads(ctypes.c_int64(default_threads()))
    library.spgemm_count.restype = ctypes.c_int64
    return library


def made(name: str, scale: int) -> scipy.sparse.csr_array:
    """A matrix of ``2**scale`` rows: 16 elements in each on average, banded 9."""
    n, rng = 1 << scale, np.random.default_rng(1)
    if name == "power law":
        graph = pp.graph.kronecker(pp.par, scale, 8)
        found = graph.to_scipy()
        found.data = rng.random(found.nnz)
    elif name == "banded":
        found = scipy.sparse.csr_array(scipy.sparse.diags_array(rng.random((9, n)), offsets=range(-4, 5), shape=(n, n)))
    else:
        rows = np.repeat(np.arange(n), 16)
        found = pp.sparse.from_coo(pp.par, rows, rng.integers(0, n, 16 * n), rng.random(16 * n), (n, n))
    arrays = found.data, found.indices.astype(np.int32), found.indptr.astype(np.int32)
    return scipy.sparse.csr_array(arrays, shape=(n, n))


def calls(kernel: str, a: Any, policy: Any) -> dict[str, list[Callable[[], Any]]]:
    """Our call of a kernel (key ""), and those of others: of several the fastest counts."""
    n, rng, where = a.shape[0], np.random.default_rng(2), pp.sparse
    held = a.indptr, a.indices, a.data
    x = rng.random(n)
    mine, theirs = np.zeros(n), np.zeros(n)

    def run(function: str, *given: Any, out: Any = theirs) -> Callable[[], Any]:
        ready = [converted(value) for value in (*given, out)]

        def call() -> Any:
            getattr(native(), function)(*ready)
            return out

        call.__dict__["arrays"] = given  # keeps them alive
        return call

    if kernel == "spmv":
        return {
            "": [lambda: where.spmv(policy, a, x, mine)],
            "C++": [run("spmv", n, how, *held, x) for how in range(3)], "scipy": [lambda: a @ x],
        }  # fmt: skip
    if kernel == "spmm":
        y, ours, out = rng.random((n, _WIDTH)), np.zeros((n, _WIDTH)), np.zeros((n, _WIDTH))
        return {
            "": [lambda: where.spmm(policy, a, y, ours)], "C++": [run("spmm", n, _WIDTH, *held, y, out=out)],
            "scipy": [lambda: a @ y],
        }  # fmt: skip
    if kernel == "spgemm":

        def product() -> Any:
            starts = np.empty(n + 1, np.int64)
            count = native().spgemm_count(*(converted(value) for value in (n, a.indptr, a.indices, starts)))
            columns, products = np.empty(count, np.int32), np.empty(count)
            native().spgemm_fill(*(converted(value) for value in (n, *held, starts, columns, products)))
            return scipy.sparse.csr_array((products, columns, starts), shape=a.shape)

        return {"": [lambda: where.spgemm(policy, a, a)], "C++": [product], "scipy": [lambda: a @ a]}
    if kernel == "trisolve":
        lower = scipy.sparse.csr_array(scipy.sparse.tril(a, -1) + scipy.sparse.eye_array(n) * 50)
        held = lower.indptr, lower.indices, lower.data
        levels = where.levels(policy, lower)
        return {
            "": [lambda: where.trisolve(policy, lower, x, levels=levels, out=mine)],
            "C++": [
                run("trisolve", n, *held, x),
                run("trisolve_levels", len(levels), levels.order, levels.starts, *held, x),
            ],
            "scipy": [lambda: scipy.sparse.linalg.spsolve_triangular(lower, x)],
        }
    if kernel == "transpose":
        return {"": [lambda: where.transpose(policy, a)], "scipy": [lambda: a.T.tocsr()]}
    order = rng.permutation(a.nnz)
    coo = a.tocoo()
    rows, cols, values = coo.row[order], coo.col[order], coo.data[order]

    def summed() -> Any:
        found = scipy.sparse.coo_array((values, (rows, cols)), shape=a.shape).tocsr()
        found.sum_duplicates()
        return found

    return {"": [lambda: where.from_coo(policy, rows, cols, values, a.shape)], "scipy": [summed]}


def batches(kernel: str, n: int, count: int, policy: Any) -> dict[str, list[Callable[[], Any]]]:
    """Our call for `count` matrices of n rows (key ""), and those of C++ and NumPy."""
    rng = np.random.default_rng(3)
    a, b = rng.random((2, count, n, n))
    given = {"matmul": (a, b), "solve": (a, b[:, 0].copy()), "cholesky": (a @ a.transpose(0, 2, 1) + np.eye(n),)}[
        kernel
    ]
    mine, theirs, others = (np.zeros_like(given[-1]) for _ in range(3))
    ready = [converted(value) for value in (count, n, *given, theirs)]
    numpy = {
        "matmul": lambda: np.matmul(a, b, out=others),
        "solve": lambda: np.linalg.solve(a, given[-1][..., None])[..., 0],
        "cholesky": lambda: np.linalg.cholesky(given[0]),
    }  # fmt: skip

    def native_call() -> np.ndarray:
        getattr(native(), f"batched_{kernel}")(*ready)
        return theirs

    return {
        "": [lambda: getattr(pp.batched, kernel)(policy, *given, out=mine)], "C++": [native_call],
        "NumPy": [numpy[kernel]],
    }  # fmt: skip


def _same(ours: Any, theirs: Any) -> bool:
    if not scipy.sparse.issparse(ours):
        return bool(np.allclose(ours, theirs, rtol=1e-6, atol=1e-12))
    theirs.sort_indices()
    same = np.array_equal(ours.indptr, theirs.indptr) and np.array_equal(ours.indices, theirs.indices)
    return bool(same and np.allclose(ours.data, theirs.data, rtol=1e-9))


def measure(kernel: str, a: Any, rounds: int, seconds: float, policy: Any = pp.par) -> dict[str, float]:
    """Median seconds of ours (key ""), of C++ and of SciPy.

    Raises
    ------
    WrongResult
    """
    return compared(kernel, calls(kernel, a, policy), rounds, seconds)


def compared(kernel: str, found: dict[str, list[Callable[[], Any]]], rounds: int, seconds: float) -> dict[str, float]:
    """Median seconds of the fastest call of each, all of which give the same."""
    ours = found[""][0]()
    for who, some in found.items():
        for call in some if who else ():
            if not _same(ours, call()):
                raise WrongResult(f"{kernel}: differs from {who}")
    taken = alternate({f"{who} {k}": call for who in found for k, call in enumerate(found[who])}, rounds, seconds)
    return {who: min(taken[f"{who} {k}"] for k in range(len(some))) for who, some in found.items()}


def rows(
    scale: int, rounds: int, seconds: float, kernels: Any = KERNELS
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Kernel, matrix, and `measure` of them; products of two sparse matrices are of a 64th of the size."""
    for name in MATRICES:
        large = made(name, scale)
        for kernel in kernels:
            a = made(name, max(scale - 6, 4)) if kernel == "spgemm" else large
            yield kernel, name, measure(kernel, a, rounds, seconds)


def batched_rows(
    scale: int, rounds: int, seconds: float, kernels: Any = BATCHED
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """As `rows`, of `batches` of 2**scale numbers."""
    for kernel in kernels:
        for n in _SIZES:
            found = batches(kernel, n, (1 << scale) // n**2, pp.par)
            yield kernel, f"{n} x {n}", compared(kernel, found, rounds, seconds)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sparse", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", type=int, default=20, help="matrices of 2**SCALE rows (default: 20)")
    parser.add_argument("--only", default=",".join(KERNELS + BATCHED), help="kernels, with commas between")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long they take turns at least")
    asked = parser.parse_args(arguments)
    ratios: dict[str, list[float]] = {}
    kernels = asked.only.split(",")
    some = [[kernel for kernel in kernels if kernel in known] for known in (KERNELS, BATCHED)]
    how = asked.scale, asked.rounds, asked.seconds
    for kernel, name, taken in itertools.chain(rows(*how, some[0]), batched_rows(*how, some[1])):
        told = f"{kernel:10}{name:11}{taken[''] * 1e3:11.2f} ms"
        for who in ("C++", "scipy", "NumPy"):
            if who in taken:
                ratios.setdefault(who, []).append(taken[who] / taken[""])
                told += f"{who:>8}{taken[who] * 1e3:11.2f} ms {ratios[who][-1]:6.2f}"
        print(told, flush=True)
    print("mean " + ", ".join(f"{who} {statistics.geometric_mean(found):.2f}" for who, found in ratios.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
