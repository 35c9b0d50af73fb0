"""What a call costs before any work is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

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


def _large(x: float) -> bool:
    return x > 0.5


def _small_calls(n: int) -> dict[str, Callable[[], Any]]:
    """A call of each algorithm on that many elements."""
    rng = np.random.default_rng(1)
    x, k, places = rng.random(n), rng.integers(0, 10, n), rng.permutation(n)
    ordered, ends, out, par = np.sort(x), np.array([0, n // 10, n // 2, n]), np.zeros(n), pp.par
    return {
        "transform": lambda: pp.transform(par, x, x, out=out, op=_plus),
        "reduce": lambda: pp.reduce(par, x),
        "count_if": lambda: pp.count_if(par, x, _large),
        "min_element": lambda: pp.min_element(par, x),
        "find_if": lambda: pp.find_if(par, out, _large),
        "bincount": lambda: pp.bincount(par, k),
        "searchsorted": lambda: pp.searchsorted(par, ordered, x),
        "gather": lambda: pp.gather(par, x, places),
        "inclusive_scan": lambda: pp.inclusive_scan(par, x),
        "sort": lambda: pp.sort(par, x),
        "argsort": lambda: pp.argsort(par, x),
        "copy_if": lambda: pp.copy_if(par, x, _large),
        "histogram": lambda: pp.histogram(par, x),
        "unique": lambda: pp.unique(par, k),
        "segmented_reduce": lambda: pp.segmented_reduce(par, ends, x),
        "sort_by_key": lambda: pp.sort_by_key(par, k, x),
    }


class Small:
    """Seconds of a call of each algorithm on few elements, made again and again."""

    params = [list(_small_calls(1)), [100, 10_000]]
    param_names = ["algorithm", "n"]

    def setup(self, algorithm: str, n: int) -> None:
        self.call = _small_calls(n)[algorithm]
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
