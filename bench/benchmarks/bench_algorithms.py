"""The parallel algorithms on CPU threads beside the fastest opponent on the same data."""

from __future__ import annotations

from typing import Any

import portapar as pp

from . import QUICK, Beside


def _names() -> list[str]:
    from bench import algorithms

    return [case.name for case in algorithms.cases(1e-5)]


class Algorithms(Beside):
    """Medians of calls that alternate with their opponents'."""

    params = [["threads"], _names()]
    param_names = ["executor", "algorithm"]
    scale = 0.02 if QUICK else 1.0
    rounds = 5 if QUICK else 7
    seconds = 0.1 if QUICK else 4.0

    def setup_cache(self) -> dict[Any, Any]:
        """One pass over all cases: seconds of portapar, and of the fastest opponent."""
        from bench import algorithms

        found: dict[Any, Any] = {}
        for case in algorithms.cases(self.scale):
            try:
                taken = algorithms.measure(case, pp.threads(), self.rounds, self.seconds)
                found["threads", case.name] = (taken.pop(""), min(taken.values()))
            except (algorithms.WrongResult, pp.PortaparError) as error:
                found["threads", case.name] = str(error)
        return found
