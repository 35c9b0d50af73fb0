"""How well it is predicted what calls take, and chosen where they run: `bench.cost`, `portapar tune --validate`."""

from __future__ import annotations

from typing import Any

from portapar import validate

from . import QUICK, Measured, executor

#: of `bench.cost`, whose table has all sizes, and cuts in steps of 5 % with `--steps 20`
SIZES = ["1000"] if QUICK else ["1000", "100000", "1000000"]


class Choice(Measured):
    """What is chosen, over the best of all executors and cuts: 1 is best."""

    unit = "chosen / best"

    def setup_cache(self) -> dict[Any, Any]:
        """Regret by executors, algorithm and size."""
        from bench import cost

        steps, seconds = (2, 0.01) if QUICK else (20, 0.2)
        rows = cost.rows_of([int(n) for n in self.params[2]], steps, seconds, self.params[1])
        return {(row["executors"], row["name"], str(row["n"])): row["regret"] for row in rows}

    params = [["threads", "threads+opencl:0", "simd+opencl:0"], list(validate.CASES), SIZES]
    param_names = ["executors", "algorithm", "elements"]

    def track_regret(self, found: dict[Any, Any], executors: str, algorithm: str, elements: str) -> float:
        return self.of(found, executors, algorithm, elements)


class Prediction(Measured):
    """The error of what is predicted by rates alone: that over what is measured, or the inverse, less 1."""

    unit = "error"
    params = [["threads", "simd", "opencl:0"], list(validate.CASES), SIZES]
    param_names = ["executor", "algorithm", "elements"]

    def setup_cache(self) -> dict[Any, Any]:
        """Errors by executor, algorithm and size."""
        names = tuple(name for name in self.params[0] if executor(name) is not None)
        cases = validate.cases(tuple(int(n) for n in self.params[2]), names, only=self.params[1])
        return {(one.executor, one.name, str(one.size)): one.error for one in cases}

    def track_error(self, found: dict[Any, Any], executor: str, algorithm: str, elements: str) -> float:
        return self.of(found, executor, algorithm, elements)
