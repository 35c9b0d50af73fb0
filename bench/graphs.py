"""``python -m bench.graphs``: the six graph kernels, and the build of a graph, beside C++ (`native/graph.cpp`).

Both run in turns on the same graphs, and through the same sources. What the two compute is compared before they are
timed.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import portapar as pp
from portapar.config import default_threads
from portapar.launcher import last_words, mpi_job

from .algorithms import WrongResult, alternate, converted
from .native import compilers

KERNELS = ("bfs", "sssp", "pr", "cc", "bc", "tc", "build")
GRAPHS = ("kronecker", "uniform", "grid")
_DELTA = {"kronecker": 16, "uniform": 32, "grid": 256}  #: the best of the powers of two for the C++ code
_SOURCES = 16
ON_PARTS = ("bfs", "sssp", "pr", "cc")


@functools.cache
def native() -> ctypes.CDLL:
    """The C++ opponents, compiled on the first call; BuildError if they cannot be."""
    flags = ["-O3", "-fPIC", "-fopenmp", "-std=c++17"]  # vector gathers of the machine's own are slower in rows
    library = ctypes.CDLL(
        str(compilers.library("graph.cpp", compilers.cxx_compiler(), flags, ["-shared", "-fopenmp", "-lstdc++"]))
    )
    library.set_threads(ctypes.c_int64(default_threads()))
    for function in (library.pagerank, library.triangles, library.build):
        function.restype = ctypes.c_int64
    return library


def made(name: str, scale: int) -> Any:
    """A graph of ``2**scale`` vertices, with weights."""
    if name == "grid":
        return pp.graph.grid(pp.par, 1 << (scale + 1) // 2, 1 << scale // 2, weights=True)
    return getattr(pp.graph, name)(pp.par, scale, weights=True)


def calls(kernel: str, name: str, graph: Any, policy: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Our call of a kernel, and that of C++; each goes through the same sources, one in every call."""
    some = np.flatnonzero(np.diff(graph.offsets))
    sources = np.random.default_rng(1).choice(some, _SOURCES).tolist()
    mine, others = itertools.cycle(sources), itertools.cycle(sources)
    n = graph.num_vertices
    rows = [converted(x) for x in (n, graph.offsets, graph.targets)]
    edges = np.column_stack([graph.targets, graph.weights])  # as C++ reads them
    loose = _edges(graph)
    built = np.empty(n + 1, np.int64), np.empty(2 * len(loose[0]), np.int32)
    given = [converted(x) for x in (n, len(loose[0]), *loose, *built)]

    def build() -> np.ndarray:
        return built[1][: native().build(*given)]

    delta = _DELTA[name]
    where = pp.graph

    def run(function: str, dtype: Any, *more: Any) -> Callable[[], Any]:
        out = np.empty(n, dtype)

        def call() -> Any:
            given = [converted(x() if callable(x) else x) for x in more]
            getattr(native(), function)(*rows, *given, converted(out))
            return out

        return call

    one = lambda: next(others)
    first = np.empty(1, np.int64)

    def begin() -> np.ndarray:
        first[0] = next(others)
        return first

    return {
        "bfs": (lambda: where.bfs(policy, graph, next(mine)), run("bfs", np.int32, one)),
        "sssp": (lambda: where.sssp(policy, graph, next(mine)), run("sssp", np.int64, edges, one, delta)),
        "pr": (lambda: where.pagerank(policy, graph), run("pagerank", np.float32)),
        "cc": (lambda: where.connected_components(policy, graph), run("components", np.int32)),
        "bc": (
            lambda: where.betweenness_centrality(policy, graph, [next(mine)], normalized=False),
            run("betweenness", np.float64, begin, 1),
        ),
        "tc": (lambda: where.triangle_count(policy, graph), lambda: native().triangles(*rows)),
        "build": (lambda: where.Graph.from_edges(policy, *loose, n=n).targets, build),
    }[kernel]


def _edges(graph: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of each edge, once, in an order at random."""
    sources = np.repeat(np.arange(graph.num_vertices, dtype=np.int32), np.diff(graph.offsets))
    once = np.random.default_rng(2).permutation(np.flatnonzero(sources < graph.targets))
    return sources[once], graph.targets[once]


def _same(kernel: str, ours: Any, theirs: Any) -> bool:
    if kernel == "bfs":  # of several trees any is right: both reach the same, and the tests verify ours
        return bool(np.array_equal(ours >= 0, theirs >= 0))
    if kernel == "pr":
        return float(abs(ours - theirs).sum()) < 1e-3
    return bool(np.allclose(ours, theirs, rtol=1e-9)) if kernel == "bc" else bool(np.array_equal(ours, theirs))


def measure(kernel: str, name: str, graph: Any, rounds: int, seconds: float) -> dict[str, float]:
    """Median seconds of ours (key "") and of C++.

    Raises
    ------
    WrongResult
    """
    ours, theirs = calls(kernel, name, graph, pp.par)
    if not _same(kernel, ours(), theirs()):
        raise WrongResult(f"{kernel} of a {name} graph: differs from C++")
    return alternate({"": ours, "C++": theirs}, rounds, seconds)


def rows(
    scale: int, rounds: int, seconds: float, kernels: Any = KERNELS
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Kernel, graph, and `measure` of them."""
    for name in GRAPHS:
        graph = made(name, scale)
        for kernel in kernels:
            yield kernel, name, measure(kernel, name, graph, rounds, seconds)


def on_parts(scale: int, count: int, kernels: Any = ON_PARTS) -> Iterator[tuple[str, dict[str, float]]]:
    """Kernel, and median seconds of GAP's trials of a Kronecker graph: on threads, and partitioned on several parts."""
    for kernel in kernels:
        taken = {}
        for name in ("threads", "hybrid:simd+opencl:0", "2 ranks"):
            with tempfile.TemporaryDirectory() as folder:
                saved = Path(folder, "trials.json")
                command = ["-m", "portapar", "graph", kernel, "-g", str(scale), "-n", str(count), "--json", str(saved)]
                if name == "2 ranks":
                    done = mpi_job(2, [*command, "--executor", "mpi:simd"])
                else:
                    whole = [sys.executable, *command, "--executor", name]
                    done = subprocess.run(whole, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise RuntimeError(f"{kernel} on {name}: {last_words(done.stderr)}")
                taken[name] = json.loads(saved.read_text())["median"]
        yield kernel, taken


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.graphs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", type=int, default=18, help="graphs of 2**SCALE vertices (default: 18)")
    parser.add_argument("--only", default=",".join(KERNELS), help="kernels, with commas between")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each pair takes turns at least")
    parser.add_argument("--parts", action="store_true", help="on two executors and on two ranks, beside threads")
    asked = parser.parse_args(arguments)
    if asked.parts:
        for kernel, taken in on_parts(asked.scale, asked.rounds):
            first, *others = taken.items()
            told = "".join(f"   {name} {first[1] / seconds:.2f}" for name, seconds in others)
            print(f"{kernel:6}{first[0]} {first[1] * 1e3:.2f} ms{told}", flush=True)
        return 0
    ratios = []
    for kernel, name, taken in rows(asked.scale, asked.rounds, asked.seconds, asked.only.split(",")):
        ratios.append(taken["C++"] / taken[""])
        print(
            f"{kernel:6}{name:11}{taken[''] * 1e3:11.2f} ms {taken['C++'] * 1e3:11.2f} ms {ratios[-1]:6.2f}", flush=True
        )
    print(f"{'mean':42}{statistics.geometric_mean(ratios):9.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
