"""``python -m bench.native``: the native codes by themselves, best (and median) GB/s of each kernel.

Under ``mpirun`` it measures only C with MPI, on that job's ranks; without, it starts such a job itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import KERNELS, MPI, Native, opponents
from .compilers import HERE
from .opponents import cpu_count

#: kernel -> (best, median) GB/s
Rates = dict[str, tuple[float, float]]


def measure(native: Native, n: int, comm: Any = None) -> Rates:
    """Time all kernels on n doubles (n per job, not per rank, with comm); the slowest rank counts.

    Parameters
    ----------
    native : Native
        An available code.
    n : int
        Elements of each array.
    comm : mpi4py.MPI.Comm, optional
        Whose ranks share the arrays.

    Returns
    -------
    dict
        Best and median GB/s of each kernel.
    """
    part = n if comm is None else n * (comm.rank + 1) // comm.size - n * comm.rank // comm.size
    a, b, c = (native.full(part, value) for value in (0.1, 0.2, 0.0))
    bound = native.bind(a, b, c)
    repeats = max(10, min(2000, 40_000_000 // n * 20))
    rates: Rates = {}
    for kernel, arrays in KERNELS.items():
        call: Callable[[], Any] = getattr(bound, kernel)
        call()  # the first call touches pages and starts threads
        times = []
        for _ in range(repeats):
            if comm is not None:
                comm.Barrier()
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        if comm is not None:
            times = [max(of_ranks) for of_ranks in zip(*comm.allgather(times), strict=True)]
        gigabytes = arrays * a.dtype.itemsize * n / 1e9
        rates[kernel] = (gigabytes / min(times), gigabytes / statistics.median(times))
    native.rest()
    return rates


def _row(label: str, rates: Rates) -> str:
    return f"{label:30}" + "".join(f"{best:8.1f} ({median:5.1f})" for best, median in rates.values())


def _mpirun(ranks: int, sizes: list[int]) -> list[Rates]:
    beside = shutil.which("mpirun", path=str(Path(sys.executable).parent))
    mpirun = beside or shutil.which("mpirun") or shutil.which("mpiexec")
    if mpirun is None:
        raise RuntimeError("no mpirun; install the MPI that brings mpicc")
    # Open MPI refuses to start as root without these; other MPIs don't read them.
    env = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = [mpirun, "-n", str(ranks), sys.executable, "-m", "bench.native", "--json"]
    command += ["--sizes", *map(str, sizes)]
    done = subprocess.run(command, env=env, cwd=HERE.parent.parent, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"mpirun failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _in_job() -> bool:
    sizes = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MPI_LOCALNRANKS")
    return any(name in os.environ for name in sizes)


def _as_rank(sizes: list[int], as_json: bool) -> int:
    from mpi4py import MPI as mpi

    comm = mpi.COMM_WORLD
    native = MPI(comm)
    if not native.available:
        if comm.rank == 0:
            print(native.reason, file=sys.stderr)
        return 1
    rates = [measure(native, n, comm) for n in sizes]
    if comm.rank == 0:
        if as_json:
            print(json.dumps(rates))
        for n, of_size in zip(sizes, rates, strict=True):
            if not as_json:
                print(_row(f"{native.name}, {comm.size} ranks, n={n}", of_size))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.native", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[80_000_000, 2**15], help="array elements")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="OpenMP threads and MPI ranks")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if _in_job():
        return _as_rank(options.sizes, options.json)
    natives = opponents(options.threads)
    results: dict[str, list[Rates]] = {}
    for native in natives:
        if not native.available:
            continue
        print(f"measuring {native.name} ...", file=sys.stderr, flush=True)
        if isinstance(native, MPI):
            try:
                results[native.key] = _mpirun(options.threads, options.sizes)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{native.name}: {error}", file=sys.stderr)
        else:
            results[native.key] = [measure(native, n) for n in options.sizes]
    print(f"{options.threads} threads (serial: one; MPI: as many ranks)\n")
    for native in natives:
        note = f"  [{native.note}]" if native.note else ""
        print(f"{native.name:30}  {native.command or 'not built'}{note}")
    for index, n in enumerate(options.sizes):
        print(f"\n{f'GB/s best (median), n={n}':30}" + "".join(f"{kernel:>16}" for kernel in KERNELS))
        for native in natives:
            if native.key in results:
                print(_row(native.name, results[native.key][index]))
            else:
                print(f"{native.name:30}  not available: {native.reason or 'see above'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
