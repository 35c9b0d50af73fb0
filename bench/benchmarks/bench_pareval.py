"""Seconds of the 40 problems in examples/pareval/, and their ratio to serial C++ on the same data."""

from __future__ import annotations

import sys
from pathlib import Path

import portapar as pp

# The problems, the examples and the native codes are in the source tree, wherever asv has installed portapar from.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from bench import pareval
from bench.native.compilers import BuildError

EXECUTORS = ["threads", "opencl", "cuda"]
NAMES = [problem.name for problem in pareval.PROBLEMS]


class Seconds:
    """Median seconds of one call, and those of C++ that alternated with it."""

    params = [EXECUTORS, NAMES]
    param_names = ["executor", "problem"]
    unit = "seconds"
    timeout = 1200

    def setup_cache(self) -> dict[str, dict[str, tuple[float, float]]]:
        """One run gives both."""
        found: dict[str, dict[str, tuple[float, float]]] = {}
        for name in EXECUTORS:
            try:
                policy = pp.par.on(pp.executor(name))
                pareval.library()
            except (pp.BackendUnavailableError, BuildError):
                continue
            rows = [pareval.measure(problem, policy, 0.3) for problem in pareval.PROBLEMS]
            found[name] = {row.name: (row.portapar, row.native) for row in rows}
        return found

    def setup(self, found: dict[str, dict[str, tuple[float, float]]], executor: str, problem: str) -> None:
        if executor not in found:
            raise NotImplementedError(executor)  # asv skips it

    def track_seconds(self, found: dict[str, dict[str, tuple[float, float]]], executor: str, problem: str) -> float:
        return found[executor][problem][0]

    def track_ratio(self, found: dict[str, dict[str, tuple[float, float]]], executor: str, problem: str) -> float:
        ours, theirs = found[executor][problem]
        return ours / theirs

    track_ratio.unit = "portapar / native"  # type: ignore[attr-defined]
