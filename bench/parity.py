"""``python -m bench.parity``: portapar and native code alternately, and the ratios of their medians.

Every row has its target; a row whose opponent is absent says why. The results are saved to
``bench/results/parity-<kind of host>.json``. Exit code 1 means that something computed wrong results or
failed; a missed target is a result, and shown as such.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import portapar as pp
from portapar import report
from portapar.algorithms.stream import KERNELS, StreamResult, stream
from portapar.launcher import last_words, mpi_job

from . import BuildError, algorithms, beside, binder, docking, graphs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
LARGE = 80_000_000
IN_CACHE = 2**15
STREAM = ("copy", "scale", "add", "triad")
FIVE = (*STREAM, "dot")


@dataclass
class Row:
    """One line of the table.

    Attributes
    ----------
    group, what, opponent : str
    target : float
    at_most : bool
        False: `ratio` is that of speeds, portapar to the opponent, and must be at least `target`.
        True: it is that of times, and must be at most `target`.
    ours, theirs : float
        Medians in seconds; 0 where the row combines others or nothing was measured.
    rate : float
        GB/s of portapar, where that has a meaning.
    reason : str
        Why nothing was measured.
    """

    group: str
    what: str
    opponent: str
    target: float
    at_most: bool = False
    ours: float = 0.0
    theirs: float = 0.0
    ratio: float = math.nan
    rate: float = 0.0
    reason: str = ""

    def __post_init__(self) -> None:
        if self.ours and self.theirs:
            self.ratio = self.ours / self.theirs if self.at_most else self.theirs / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if nothing was measured."""
        if math.isnan(self.ratio):
            return None
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


class WrongResult(Exception):
    """A code computed something else than it should."""


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    large: int = LARGE
    rounds: int = 20
    short_rounds: int = 200
    processes: int = 15
    compiles: int = 9
    algorithms: int = 7
    seconds: float = 4.0


QUICK = Effort(large=1 << 16, rounds=3, short_rounds=3, processes=1, compiles=1, algorithms=1, seconds=0.0)


# STREAM -------------------------------------------------------------------------------------------------


def _absent(group: str, whats: Sequence[str], opponent: str, target: float, reason: str) -> Iterator[Row]:
    for what in whats:
        yield Row(group, what, opponent, target, reason=reason)


def _executor(name: str) -> tuple[Any, str]:
    try:
        return pp.executor(name), ""
    except pp.BackendUnavailableError as error:
        return None, str(error)


def _alternate(executor: Any, n: int, rounds: int, binders: dict[str, Any]) -> StreamResult:
    result = stream(pp.par_unseq.on(executor), n, ntimes=rounds, beside=binders)
    for check in result.failures:
        raise WrongResult(f"{executor!r}, {check.kernel}: expected {check.expected!r}, found {check.found!r}")
    return result


def _against(
    group: str, name: str, n: int, rounds: int, wanted: dict[str, tuple[Sequence[str], float]]
) -> tuple[list[Row], StreamResult | None]:
    """Rows of one executor against several native codes, all alternating in one run.

    Parameters
    ----------
    wanted : dict
        For each native code its kernels and the target.
    """
    executor, why = _executor(name)
    rows: list[Row] = []
    if executor is None:
        for key, (kernels, target) in wanted.items():
            rows += _absent(group, [f"{k}, {name}" for k in kernels], key, target, why)
        return rows, None
    natives = beside(executor, tuple(wanted))
    result = _alternate(executor, n, rounds, {key: binder(x) for key, x in natives.items() if x.available})
    for key, (kernels, target) in wanted.items():
        whats = [f"{kernel}, {name}" for kernel in kernels]
        if key not in result.beside:
            rows += _absent(group, whats, natives[key].name, target, natives[key].reason)
            continue
        for kernel, what in zip(kernels, whats, strict=True):
            ours, theirs = result.kernels[kernel], result.beside[key][kernel]
            rows.append(
                Row(group, what, natives[key].name, target, False, ours.median, theirs.median, rate=ours.median_rate)
            )
    return rows, result


def threads(effort: Effort) -> Iterator[Row]:
    """Large arrays: memory bandwidth."""
    wanted: dict[str, tuple[Sequence[str], float]] = {
        "openmp": (STREAM, 1.0), "streaming": (STREAM, 0.95), "fast": (("dot",), 1.0)
    }  # fmt: skip
    rows, _ = _against("threads", "threads", effort.large, effort.rounds, wanted)
    simple = rows[: len(STREAM)]
    mean = Row("threads", "geometric mean of these, threads", simple[0].opponent, 1.35, reason=simple[0].reason)
    if not mean.reason:
        mean.ratio = math.exp(sum(math.log(row.ratio) for row in simple) / len(simple))
    yield from (*simple, mean, *rows[len(STREAM) :])


def in_cache(effort: Effort) -> Iterator[Row]:
    """Arrays in cache: the cost of fork and join."""
    yield from _against("in cache", "threads", IN_CACHE, effort.short_rounds, {"openmp": (FIVE, 0.9)})[0]


def simd(effort: Effort) -> Iterator[Row]:
    """One thread."""
    yield from _against("simd", "simd", effort.large, effort.rounds, {"serial": (tuple(KERNELS), 1.0)})[0]


def opencl(effort: Effort) -> Iterator[Row]:
    """The same device and the same device arrays."""
    yield from _against("opencl", "opencl", effort.large, effort.rounds, {"opencl": (tuple(KERNELS), 0.98)})[0]


def mpi(effort: Effort, ranks: int = 2) -> Iterator[Row]:
    """One job, in whose ranks both codes alternate."""
    whats = [f"{kernel}, mpi with {ranks} ranks" for kernel in KERNELS]
    info = next((info for info in pp.available() if info.name == "mpi"), None)
    if info is None or not info.available:
        reason = f"{info.reason}. {info.remedy}" if info else "there is no mpi backend"
        yield from _absent("mpi", whats, "C with MPI", 0.98, reason)
        return
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "rows.json"
        command = ["-m", "portapar", "stream", "--executor", "mpi", "--native", "--json", str(saved)]
        command += ["--size", str(effort.large), "--ntimes", str(effort.rounds)]
        try:
            done = mpi_job(ranks, command)
        except (OSError, ValueError, RuntimeError, subprocess.TimeoutExpired) as error:
            yield from _absent("mpi", whats, "C with MPI", 0.98, f"{error}")
            return
        if done.returncode and "CHECK FAILED" in done.stdout:
            raise WrongResult(next(line for line in done.stdout.splitlines() if "CHECK FAILED" in line))
        if not saved.exists():
            yield from _absent("mpi", whats, "C with MPI", 0.98, f"the job failed: {last_words(done.stderr)}")
            return
        found = json.loads(saved.read_text())
    (one,) = found["executors"]
    native = one["native"].get("mpi")
    if native is None:
        yield from _absent("mpi", whats, "C with MPI", 0.98, "; ".join(found["native_missing"].values()))
        return
    for kernel, what in zip(KERNELS, whats, strict=True):
        ours, theirs = (side["kernels"][kernel]["seconds"][1:] for side in (one, native))
        rate = one["kernels"][kernel]["median"]
        yield Row(
            "mpi", what, native["name"], 0.98, False, statistics.median(ours), statistics.median(theirs), rate=rate
        )


def cuda(effort: Effort) -> Iterator[Row]:
    """Against nvcc, and against the rate at which the card copies memory."""
    executor, why = _executor("cuda")
    kernels = tuple(KERNELS)
    rows, of_copy = [f"{k}, cuda" for k in kernels], [f"{k}, cuda, of the copy rate" for k in kernels]
    if executor is None:
        yield from _absent("cuda", rows, "nvcc -O3", 0.98, why)
        yield from _absent("cuda", of_copy, "device-to-device copy", 0.92, why)
        return
    native = beside(executor, ("cuda",))["cuda"]
    binders: dict[str, Any] = {"copy": _card_copies}
    if native.available:
        binders["cuda"] = binder(native)
    result = _alternate(executor, effort.large, 5 * effort.rounds, binders)
    if not native.available:
        yield from _absent("cuda", rows, "nvcc -O3", 0.98, native.reason)
    else:
        for kernel, what in zip(kernels, rows, strict=True):
            ours, theirs = result.kernels[kernel], result.beside["cuda"][kernel]
            yield Row("cuda", what, "nvcc -O3", 0.98, False, ours.median, theirs.median, rate=ours.median_rate)
    # The opponent's one copy moves two arrays; what it would take for as many bytes as the kernel moves:
    copied = statistics.median(t.median for t in result.beside["copy"].values())
    for kernel, what in zip(kernels, of_copy, strict=True):
        ours, copying = result.kernels[kernel], copied * KERNELS[kernel] / 2
        yield Row("cuda", what, "device-to-device copy", 0.92, False, ours.median, copying, rate=ours.median_rate)


def _card_copies(a: Any, b: Any, c: Any, s: float) -> Any:
    """The card's own copy, as a code that takes part in the rounds; on arrays of its own."""
    import cupy

    x, y = cupy.zeros_like(a), cupy.zeros_like(a)
    queue = cupy.cuda.get_current_stream()

    def copy() -> None:
        y.data.copy_from_device_async(x.data, x.nbytes, queue)
        queue.synchronize()

    return SimpleNamespace(**dict.fromkeys(KERNELS, copy), rest=lambda: None)


# costs of a call ----------------------------------------------------------------------------------------


def overhead(effort: Effort) -> Iterator[Row]:
    """A call that does next to nothing."""
    a, b, c = (np.zeros(16) for _ in range(3))
    op = lambda x, y: x + y
    calls: dict[str, Callable[[], Any]] = {
        "np": lambda: np.add(b, c, out=a),
        "seq": lambda: pp.transform(pp.seq, b, c, out=a, op=op),
        "par": lambda: pp.transform(pp.par, b, c, out=a, op=op),
        "auto": lambda: pp.transform(pp.auto, b, c, out=a, op=op),
    }
    for call in calls.values():
        for _ in range(50):  # until it is decided where it runs
            call()
    loops = 500
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(effort.short_rounds // 2 + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            for _ in range(loops):
                call()
            taken[name].append((time.perf_counter() - begin) / loops)
    medians = {name: statistics.median(found) for name, found in taken.items()}
    for policy, target in (("seq", 10.0), ("par", 30.0), ("auto", 30.0)):
        what = f"transform(pp.{policy}, b, c, out=a, op=…), n = 16"
        yield Row("overhead", what, "np.add(b, c, out=a)", target, True, medians[policy], medians["np"])


def _python(code: str, folder: Path) -> list[float]:
    """The numbers that a fresh process prints; the code is put into a file, as users have it."""
    file = folder / f"code_{hashlib.sha256(code.encode()).hexdigest()[:8]}.py"
    if not file.exists():
        file.write_text(code)
    folders = {"PORTAPAR_CACHE_DIR": "cache", "NUMBA_CACHE_DIR": "numba", "PYTHONPYCACHEPREFIX": "bytecode"}
    env = {**os.environ, **{name: str(folder / path) for name, path in folders.items()}}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # both sides as they are once installed: compiled to bytecode
    done = subprocess.run([sys.executable, str(file)], env=env, capture_output=True, text=True, timeout=300, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(last_words(done.stderr))
    return [float(word) for word in done.stdout.split()]


def _alternating_processes(codes: Sequence[str], count: int, folder: Path) -> list[float]:
    """The medians of what fresh processes print; the first of each fills the caches and does not count."""
    taken: list[list[float]] = [[] for _ in codes]
    for turn in range(count + 1):
        for code, found in zip(codes, taken, strict=True):
            (seconds,) = _python(code, folder)
            if turn:
                found.append(seconds)
    return [statistics.median(found) for found in taken]


_LOOP_FILE = """
import numba

@numba.njit(cache=True)
def loop(a, b, c, s):
    for i in range(a.size):
        a[i] = b[i] + s * c[i]
"""

_FIRST_CALL = """
import time; begin = time.perf_counter()
import numpy as np
{imports}
a, b, c = np.zeros(1000), np.ones(1000), np.ones(1000)
{call}
print(time.perf_counter() - begin)
"""


def first_call(effort: Effort) -> Iterator[Row]:
    """From the first import to the end of the first call, everything compiled by an earlier process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "loop_file.py").write_text(_LOOP_FILE)
        ours = _FIRST_CALL.format(
            imports="import portapar as pp", call="pp.transform(pp.par, b, c, out=a, op=lambda x, y: x + 3.0 * y)"
        )
        theirs = _FIRST_CALL.format(imports="from loop_file import loop", call="loop(a, b, c, 3.0)")
        ours_s, theirs_s = _alternating_processes([ours, theirs], effort.processes, folder)
    what = "imports and first call in a new process, kernel cached on disk"
    yield Row("first call", what, "numba function in a file, cached", 1.15, True, ours_s, theirs_s)


_COMPILE = """
import statistics, time
import numba, numpy as np, portapar as pp
import kernels
a, b, c = np.zeros(1000), np.ones(1000), np.ones(1000)
ours, theirs = [], []
for k in range({count} + 2):
    op, loop = getattr(kernels, f"op{{k}}"), numba.njit(getattr(kernels, f"loop{{k}}"))
    t0 = time.perf_counter()
    pp.transform(pp.par, b, c, out=a, op=op)
    t1 = time.perf_counter()
    loop(a, b, c)
    t2 = time.perf_counter()
    if k > 1:  # the first two warm both up
        ours.append(t1 - t0)
        theirs.append(t2 - t1)
print(statistics.median(ours), statistics.median(theirs))
"""


def first_compile(effort: Effort) -> Iterator[Row]:
    """Several different one-line kernels, with empty caches, in one process that has compiled before."""
    text = ""
    for k in range(effort.compiles + 2):
        # Each another sum of products: the caches of both must not know it.
        value = " + ".join(f"{j + 1}.0 * {'xy'[k >> j & 1]}" for j in range(4)) + f" + {k}.5"
        text += f"def op{k}(x, y):\n    return {value}\n\n"
        inside = value.replace("x", "b[i]").replace("y", "c[i]")
        text += f"def loop{k}(a, b, c):\n    for i in range(a.size):\n        a[i] = {inside}\n\n"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kernels.py").write_text(text)
        ours_s, theirs_s = _python(_COMPILE.format(count=effort.compiles), folder)
    what = "first compile of a one-line kernel on threads, numba warm"
    yield Row("first compile", what, "numba.njit of the same loop", 2.0, True, ours_s, theirs_s)


def imports(effort: Effort) -> Iterator[Row]:
    """Fresh processes."""
    code = "import time; begin = time.perf_counter(); import {}; print(time.perf_counter() - begin)"
    with tempfile.TemporaryDirectory() as name:
        both = [code.format("portapar"), code.format("numpy")]
        ours_s, theirs_s = _alternating_processes(both, 2 * effort.processes, Path(name))
    yield Row("import", "import portapar", "import numpy", 1.5, True, ours_s, theirs_s)


def parallel_algorithms(effort: Effort) -> Iterator[Row]:
    """The parallel algorithms on threads."""
    executor = pp.threads()
    try:
        algorithms.native()
    except BuildError as error:
        yield from _absent("algorithms", ["all"], "C with OpenMP", 1.0, str(error))
        return
    for case in algorithms.cases(effort.large / LARGE):
        found = algorithms.measure(case, executor, effort.algorithms, effort.seconds)
        for opponent, (*_, target) in case.opponents.items():
            yield Row("algorithms", case.name, opponent, target, False, found[""], found[opponent])


def on_opencl(effort: Effort) -> Iterator[Row]:
    """The same on an OpenCL device, against threads."""
    executor, why = _executor("opencl")
    for case in algorithms.cases(effort.large / LARGE / 4) if executor is not None else ():
        ours, threads = algorithms.against_threads(case, executor, effort.algorithms, effort.seconds)
        yield Row("on opencl", f"{case.name}, opencl", "portapar, threads", 0.3, False, ours, threads)
    if executor is None:
        yield from _absent("on opencl", ["all"], "portapar, threads", 0.3, why)


def graph_kernels(effort: Effort) -> Iterator[Row]:
    """The six kernels of the GAP benchmark on threads, the geometric mean of their ratios, and the build of graphs."""
    try:
        graphs.native()
    except BuildError as error:
        yield from _absent("graphs", ["all"], "C++ with OpenMP", 1.0, str(error))
        return
    scale, ratios = (18 if effort.large == LARGE else 8), []
    for kernel, name, found in graphs.rows(scale, effort.algorithms, effort.seconds / 2):
        target = 1.0 if kernel == "build" else 0.8
        row = Row("graphs", f"{kernel}, {name} 2^{scale}", "C++ with OpenMP", target, False, found[""], found["C++"])
        if kernel != "build":
            ratios.append(row.ratio)
        yield row
    yield Row("graphs", "geometric mean", "C++ with OpenMP", 1.0, ratio=statistics.geometric_mean(ratios))


def docking_energies(effort: Effort) -> Iterator[Row]:
    """Much arithmetic on few bytes, from one source, beside what is written for each."""
    poses = max(64, effort.large // 10_000)
    for name, opponent in (("threads", "C++ with OpenMP"), ("opencl", "OpenCL C")):
        executor, why = _executor(name)
        try:
            found = docking.measure(executor, poses, effort.algorithms, effort.seconds) if executor else {}
        except BuildError as error:
            found, why = {}, str(error)
        ours, theirs = found.get("", 0.0), found.get("native", 0.0)
        yield Row("docking", f"miniBUDE, {name}", opponent, 0.95, False, ours, theirs, reason=why)


def hybrids(effort: Effort) -> Iterator[Row]:
    """Two executors, each held to a core, on one call, beside the better one of them alone; in a process of its own."""
    asked = (str(effort.large // 20), str(effort.algorithms), str(effort.seconds / 8))
    command = [sys.executable, "-m", "bench.hybrids", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield from _absent("hybrids", ["all"], "the better member", 1.0, last_words(done.stderr))
    for line in done.stdout.splitlines():
        what, ours, theirs, best = json.loads(line)
        yield Row("hybrids", f"{what}, hybrid", best, 1.0, False, ours, theirs)


GROUPS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "threads": threads, "in cache": in_cache, "simd": simd, "opencl": opencl, "mpi": mpi, "cuda": cuda,
    "overhead": overhead, "first call": first_call, "first compile": first_compile, "import": imports,
    "algorithms": parallel_algorithms, "on opencl": on_opencl, "graphs": graph_kernels,
    "docking": docking_energies, "hybrids": hybrids,
}  # fmt: skip


# the table ----------------------------------------------------------------------------------------------


def number(seconds: float) -> str:
    if not seconds:
        return "–"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def cells(row: Row) -> tuple[str, ...]:
    """A row as text: what, opponent, median of portapar and of the opponent, ratio, target, verdict."""
    sign = "≤" if row.at_most else "≥"
    rate = f" ({row.rate:.1f} GB/s)" if row.rate else ""
    verdict = {True: "met", False: "missed", None: "absent"}[row.met]
    ratio = "–" if row.met is None else f"{row.ratio:.2f}"
    ours = number(row.ours) + rate
    return row.what, row.opponent, ours, number(row.theirs), ratio, f"{sign} {row.target:g}", verdict


HEADINGS = ("what", "opponent", "portapar", "opponent's", "ratio", "target", "")


def markdown(rows: Sequence[Row]) -> str:
    """The table for docs/performance.md."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|--:|--:|--:|--:|---|"]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join([*lines, *(f"\n{note}" for note in _reasons(rows))])


def plain(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    table = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[k]) for line in table) for k in range(len(HEADINGS))]
    pad = lambda line: "  ".join(
        text.ljust(w) if k in (0, 1, 6) else text.rjust(w) for k, (text, w) in enumerate(zip(line, widths, strict=True))
    )
    return "\n".join([*(pad(line).rstrip() for line in table), *(f"\n{note}" for note in _reasons(rows))])


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows are absent, each reason once."""
    found = dict.fromkeys((row.group, row.opponent, row.reason) for row in rows if row.reason)
    return [f"{group}, {opponent}: not here: {reason}" for group, opponent, reason in found]


def host_kind() -> str:
    """What kind of machine this is, for file names: system, architecture, CPUs, and the GPU if there is one."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [platform.system(), platform.machine(), f"{cpus}cpu"]
    parts += [i.description.partition(",")[0] for i in pp.available() if i.name == "cuda:0" and i.available]
    return re.sub(r"[^a-z0-9_]+", "-", "-".join(parts).lower())


def measure(only: str, effort: Effort, tell: Callable[[str], None]) -> list[Row]:
    """The rows of all groups whose name begins with a match of `only`."""
    rows: list[Row] = []
    for name, group in GROUPS.items():
        if re.match(only, name):
            tell(f"measuring: {name} …")
            rows += group(effort)
    return rows


def _loaded(saved: dict[str, Any]) -> Row:
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in saved.items() if k != "met"}
    return Row(**values)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.parity", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX", help=f"groups to measure, of: {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, says nothing of speed")
    parser.add_argument("--markdown", action="store_true", help="print the table for docs/performance.md")
    parser.add_argument("--load", type=Path, metavar="FILE", help="print a saved table instead of measuring")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="where to save (default: bench/results; with --quick or --only nowhere)",
    )
    options = parser.parse_args(argv)
    try:
        re.compile(options.only)
    except re.error as error:
        parser.error(f"--only {options.only!r}: {error}")
    if options.load is not None:
        try:
            rows = [_loaded(row) for row in json.loads(options.load.read_text())["rows"]]
        except (OSError, KeyError, TypeError, ValueError) as error:
            parser.error(f"--load {options.load}: not a saved table ({error})")
    else:
        effort = QUICK if options.quick else Effort()
        try:
            rows = measure(options.only, effort, lambda text: print(text, file=sys.stderr, flush=True))
        except (WrongResult, algorithms.WrongResult) as error:
            print(f"wrong result: {error}", file=sys.stderr)
            return 1
        if not rows:
            parser.error(f"--only {options.only!r} matches none of: {', '.join(GROUPS)}")
        target = options.json
        if target is None and not options.quick and not options.only:
            target = RESULTS / f"parity-{host_kind()}.json"
        if target is not None:
            target.parent.mkdir(exist_ok=True)
            saved = [{**asdict(row), "ratio": None if row.met is None else row.ratio, "met": row.met} for row in rows]
            target.write_text(json.dumps({**report.header(), "effort": asdict(effort), "rows": saved}, indent=1) + "\n")
            print(f"saved: {target}", file=sys.stderr)
    print(markdown(rows) if options.markdown else plain(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
