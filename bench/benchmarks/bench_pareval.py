"""The 40 problems in examples/pareval/ beside serial C++ on the same data."""

from __future__ import annotations

from typing import Any

import portapar as pp

from . import EXECUTORS, QUICK, Beside, executor


def _names() -> list[str]:
    from bench import pareval

    return [problem.name for problem in pareval.PROBLEMS]


class Pareval(Beside):
    """Median seconds of one call, and those of C++ that alternated with it."""

    params = [["threads"] if QUICK else [name for name in EXECUTORS if name != "simd"], _names()]
    param_names = ["executor", "problem"]
    seconds = 0.02 if QUICK else 0.3

    def setup_cache(self) -> dict[Any, Any]:
        """One run gives both."""
        from bench import pareval
        from bench.native.compilers import BuildError

        found: dict[Any, Any] = {}
        try:
            pareval.library()
        except BuildError:
            return found
        for name in self.params[0]:
            where = executor(name)
            for problem in pareval.PROBLEMS if where is not None else ():
                try:
                    size = problem.n // 8 if QUICK else problem.n
                    row = pareval.measure(problem, pp.par.on(where), self.seconds, size)
                    found[name, problem.name] = (row.portapar, row.native)
                except (AssertionError, pp.PortaparError) as error:
                    found[name, problem.name] = f"{type(error).__name__}: {error}"
        return found
