"""What a call costs before any work is done."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

import portapar as pp


def _plus(x: float, y: float) -> float:
    return x + y


class Call:
    """Seconds of a call on 16 elements."""

    params = ["seq", "unseq", "par", "par_unseq"]
    param_names = ["policy"]

    def setup(self, policy: str) -> None:
        self.policy: pp.Policy = getattr(pp, policy)
        self.a, self.b, self.c = (np.zeros(16) for _ in range(3))
        self.time_transform(policy)
        self.time_reduce(policy)

    def time_transform(self, policy: str) -> None:
        pp.transform(self.policy, self.b, self.c, out=self.a, op=_plus)

    def time_reduce(self, policy: str) -> None:
        pp.reduce(self.policy, self.a)


#: of `bench.small`, whose table has all
ALGORITHMS = [
    "transform", "reduce", "count_if", "min_element", "find_if", "bincount", "searchsorted", "gather", "inclusive_scan",
    "sort", "argsort", "copy_if", "histogram", "unique", "segmented_reduce", "sort_by_key", "sort(key=)", "stencil",
    "reduce, axis=1", "set_union", "reduce_by_key",
]  # fmt: skip


class Small:
    """Seconds of a call of each algorithm on few elements, made again and again."""

    params = [ALGORITHMS, [100, 10_000]]
    param_names = ["algorithm", "n"]

    def setup(self, algorithm: str, n: int) -> None:
        from bench import small

        self.call = small.calls(n)[algorithm]
        self.call()

    def time_call(self, algorithm: str, n: int) -> None:
        self.call()


class Baseline:
    """The yardstick: NumPy on the same 16 elements."""

    def setup(self) -> None:
        self.a, self.b, self.c = (np.zeros(16) for _ in range(3))

    def time_numpy_add(self) -> None:
        np.add(self.b, self.c, out=self.a)


class Import:
    """Seconds of an import in a new process, interpreter start included."""

    params = ["portapar", "numpy"]
    param_names = ["module"]

    def time_import(self, module: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    def track_memory(self, module: str) -> float:
        code = f"import resource, {module}; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return float(done.stdout)

    track_memory.unit = "bytes"  # type: ignore[attr-defined]
