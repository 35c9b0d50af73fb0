"""``python -m bench.docking``: the energies of examples/minibude.py beside C++ with OpenMP and OpenCL C.

The opponents are in `native/minibude.cpp` and `native/minibude.cl`; what they compute is compared first.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib.util
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import portapar as pp
from portapar.config import default_threads

from .algorithms import WrongResult, alternate, converted
from .native import BuildError, compilers


@functools.cache
def example() -> ModuleType:
    """The example, whose kernel and molecules these are."""
    path = Path(__file__).resolve().parent.parent / "examples" / "minibude.py"
    spec = importlib.util.spec_from_file_location("minibude", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def native() -> ctypes.CDLL:
    """The C++ code, compiled on the first call; BuildError if it cannot be."""
    flags = ["-O3", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-std=c++17"]
    flags += compilers.native_flags()[0]
    path = compilers.library("minibude.cpp", compilers.cxx_compiler(), flags, ["-shared", "-fopenmp", "-lm"])
    return ctypes.CDLL(str(path))


def on_cpu(deck: tuple[np.ndarray, ...], threads: int) -> tuple[Callable[[], Any], np.ndarray]:
    """C++ with as many threads, and where its energies are."""
    *given, ours = deck
    out = np.zeros_like(ours)
    arguments = [converted(x) for x in (*given, out, len(out), len(given[1]), len(given[2]))]

    def call() -> None:
        native().set_threads(ctypes.c_int64(threads))
        native().energies(*arguments)

    call.__dict__["arrays"] = given  # keeps them alive
    return call, out


def on_opencl(placed: list[Any]) -> tuple[Callable[[], Any], Any]:
    """OpenCL C on the device of these arrays, and where its energies are."""
    import pyopencl as cl

    queue, out = placed[0].queue, placed[-1].copy()
    text = (Path(__file__).resolve().parent / "native" / "minibude.cl").read_text()
    kernel = cl.Kernel(cl.Program(queue.context, text).build(), "energies")
    buffers = [x.base_data for x in (*placed[:-1], out)]
    counts = [np.int32(len(x)) for x in (out, placed[1], placed[2])]
    return lambda: kernel(queue, (len(out),), None, *buffers, *counts).wait(), out


def measure(
    where: Any, poses: int, rounds: int, seconds: float, of: Callable[..., float] = statistics.median
) -> dict[str, float]:
    """Median seconds of portapar (key "") and of native code (key "native") on an executor, after a comparison.

    Raises
    ------
    WrongResult, BuildError
    """
    deck, energy = example().deck(poses), example().energy
    placed = [where.asarray(x) for x in deck]
    if where.kind == "opencl":
        theirs, out = on_opencl(placed)
    else:
        theirs, out = on_cpu(deck, 1 if where.one_thread else where.threads or default_threads())

    def ours() -> None:
        pp.for_each(pp.par_unseq.on(where), poses, energy, *placed)
        where.synchronize()

    ours(), theirs()
    wanted = pp.asnumpy(out)
    if not np.allclose(pp.asnumpy(placed[-1]), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max()):
        raise WrongResult(f"docking on {where!r}: differs from native code")
    return alternate({"": ours, "native": theirs}, rounds, seconds, of)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.docking", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--poses", type=int, default=8192)
    parser.add_argument("--on", default="threads,simd,opencl:0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each pair takes turns at least")
    parser.add_argument("--least", action="store_true", help="the least times, for a machine with much else to do")
    asked = parser.parse_args(arguments)
    of = min if asked.least else statistics.median
    for name in asked.on.split(","):
        try:
            taken = measure(pp.executor(name), asked.poses, asked.rounds, asked.seconds, of)
        except (BuildError, pp.BackendUnavailableError) as error:
            print(f"{name}: {error}")
            continue
        ours, theirs = taken[""], taken["native"]
        print(f"{name:12}{ours * 1e3:11.2f} ms {theirs * 1e3:11.2f} ms {theirs / ours:6.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
