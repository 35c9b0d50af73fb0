"""``python -m bench.dashboard``: measures with asv, publishes its pages with one of our own in front, and serves them.

Results are those of the commit that is checked out, measured with the interpreter that runs this, and kept in
``.asv/results``; the pages are in ``.asv/html``. Results of quick runs are kept apart, as another machine's.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import page
from .parity import host_kind

ROOT = Path(__file__).resolve().parent.parent


def git(*arguments: str) -> str:
    """What git prints about the source tree."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def asv(folder: Path, *arguments: str, quick: bool = False) -> int:
    """Run asv on this source tree, with results and pages in `folder`; returns its exit status."""
    from asv.util import load_json, write_json

    about = ROOT / "bench" / "asv.conf.json"
    settings = load_json(str(about), js_comments=True)
    settings |= {name: str(about.parent / settings[name]) for name in ("repo", "benchmark_dir")}
    settings |= {"results_dir": str(folder / "results"), "html_dir": str(folder / "html" / "asv")}
    settings |= {"env_dir": str(folder / "env")}
    write_json(str(folder / "asv.conf.json"), settings)
    env = {**os.environ, "ASV_PYTHONPATH": str(ROOT), "PORTAPAR_BENCH_QUICK": str(int(quick))}
    command = [sys.executable, "-m", "asv", arguments[0], "--config", str(folder / "asv.conf.json")]
    return subprocess.run([*command, *arguments[1:]], cwd=ROOT, env=env).returncode


def measure(folder: Path, machine: str, quick: bool, only: Sequence[str] = ()) -> bool:
    """Measure the source tree and keep the results for HEAD; returns whether every benchmark ran."""
    from asv.machine import Machine, MachineCollection

    # What `asv run` would ask somebody at the terminal.
    MachineCollection.save(machine, {**Machine.get_defaults(), "machine": machine})
    arguments = ["--machine", machine, "--python", "same", "--set-commit-hash", git("rev-parse", "HEAD"), "--no-pull"]
    # Without a new process for each of hundreds of numbers that were measured at once.
    arguments += ["--launch-method", "forkserver"]
    if quick:
        for attribute in ("rounds=1", "repeat=5", "warmup_time=0.02", "sample_time=0.005"):
            arguments += ["--attribute", attribute]
    for regex in only:
        arguments += ["--bench", regex]
    return asv(folder, "run", *arguments, quick=quick) == 0


def publish(folder: Path, machine: str, notes: Sequence[str] = ()) -> None:
    """Write asv's pages, and ours in front of them."""
    if asv(folder, "publish", "--no-pull"):
        raise SystemExit("asv publish failed")
    asv_pages = folder / "html" / "asv"
    index = json.loads((asv_pages / "index.json").read_text())
    # asv's pages would ask for the graphs of benchmarks that were never measured.
    measured = {file.stem for file in (asv_pages / "graphs" / "summary").glob("*.json")}
    index["benchmarks"] = {name: about for name, about in index["benchmarks"].items() if name in measured}
    (asv_pages / "index.json").write_text(json.dumps(index))
    from . import algorithms  # it takes a second

    targets = {case.name: max(t for *_, t in case.opponents.values()) for case in algorithms.cases(1e-5)}
    text = page.page(page.load(folder / "results", machine), notes, targets)
    (folder / "html" / "index.html").write_text(text, encoding="utf-8")


def serve(html: Path, port: int) -> None:
    """Serve the pages to this machine until Ctrl-C."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        # Also where the shell that started this in the background had it ignored, and when it is asked to end.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.default_int_handler)
        print(f"serving {html} at http://127.0.0.1:{server.server_port}/ until Ctrl-C", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, some minutes: shows that all works")
    parser.add_argument("--bench", action="append", default=[], metavar="REGEX", help="benchmarks to measure (all)")
    parser.add_argument("--no-measure", action="store_true", help="publish what was measured before")
    parser.add_argument("--no-serve", action="store_true", help="only write the pages")
    parser.add_argument("--port", type=int, default=8080, help="where to serve; 0: any that is free (8080)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".asv", help="for results and pages (.asv)")
    options = parser.parse_args(argv)
    if importlib.util.find_spec("asv") is None:
        parser.error("asv is not installed: pip install 'portapar[bench]'")
    try:
        git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        parser.error(f"results are kept by commit, and {ROOT} is not a git checkout with one: {error}")
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    machine = host_kind() + ("-quick" if options.quick else "")
    notes = []
    if options.quick:
        notes.append("A quick run: the sizes are small, and the figures show that all works, not how fast it is.")
    done = True
    if not options.no_measure:
        if git("status", "--porcelain"):
            notes.append("Measured with changes that are not committed; the results are kept under the commit below.")
            print(notes[-1], file=sys.stderr)
        if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.3 * (os.cpu_count() or 1):
            notes.append(f"Measured on a machine with other work to do: its load was {os.getloadavg()[0]:.1f} before.")
            print(notes[-1], file=sys.stderr)
        done = measure(folder, machine, options.quick, options.bench)
        if not done:
            notes.append("Some benchmarks failed: they are marked below.")
    publish(folder, machine, notes)
    print(f"written: {folder / 'html' / 'index.html'}", flush=True)
    if not options.no_serve:
        serve(folder / "html", options.port)
    return 0 if done else 1


if __name__ == "__main__":
    raise SystemExit(main())
