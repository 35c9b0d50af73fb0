"""Seconds of the parallel algorithms on CPU threads, and their ratio to the fastest opponent on the same data."""

from __future__ import annotations

import sys
from pathlib import Path

import portapar as pp

# The native codes are compiled from the source tree, wherever asv has installed portapar from.
sys.path.append(str(Path(__file__).resolve().parents[2]))


def _names() -> list[str]:
    from bench import algorithms

    return [case.name for case in algorithms.cases(1e-5)]


class Algorithms:
    """Medians of calls that alternate with their opponents'."""

    params = _names()
    param_names = ["algorithm"]
    timeout = 600
    scale = 1.0
    rounds = 7
    seconds = 4.0

    def setup_cache(self) -> dict[str, tuple[float, float]]:
        """One pass over all cases: seconds of portapar, and of the fastest opponent."""
        from bench import algorithms

        found = {}
        for case in algorithms.cases(self.scale):
            taken = algorithms.measure(case, pp.threads(), self.rounds, self.seconds)
            found[case.name] = (taken.pop(""), min(taken.values()))
        return found

    def track_seconds(self, found: dict[str, tuple[float, float]], algorithm: str) -> float:
        return found[algorithm][0]

    track_seconds.unit = "seconds"  # type: ignore[attr-defined]

    def track_ratio(self, found: dict[str, tuple[float, float]], algorithm: str) -> float:
        ours, theirs = found[algorithm]
        return ours / theirs

    track_ratio.unit = "portapar / opponent"  # type: ignore[attr-defined]
