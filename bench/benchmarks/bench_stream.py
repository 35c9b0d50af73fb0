"""STREAM's kernels beside native code on the same arrays."""

from __future__ import annotations

import math
from typing import Any

import portapar as pp
from portapar.algorithms.stream import KERNELS, default_size, stream

from . import EXECUTORS, QUICK, Beside, executor


class Stream(Beside):
    """Medians of one call."""

    params = [EXECUTORS, list(KERNELS)]
    param_names = ["executor", "kernel"]
    n = 1 << 22 if QUICK else default_size()
    ntimes = 5 if QUICK else 10

    def setup_cache(self) -> dict[Any, Any]:
        """For each executor and kernel the seconds of portapar, those of native code (0: there is none), and GB/s."""
        from bench import beside, binder

        found: dict[Any, Any] = {}
        for name in EXECUTORS:
            where = executor(name)
            if where is None:
                continue
            native = next((x for x in beside(where).values() if x.available), None)
            others = {"native": binder(native)} if native is not None else {}
            result = stream(pp.par_unseq.on(where), self.n, ntimes=self.ntimes, beside=others)
            wrong = {check.kernel: f"expected {check.expected!r}, found {check.found!r}" for check in result.failures}
            for kernel, times in result.kernels.items():
                theirs = result.beside["native"][kernel].median if others else 0.0
                found[name, kernel] = wrong.get(kernel, (times.median, theirs, times.median_rate))
        return found

    def track_rate(self, found: dict[Any, Any], executor: str, kernel: str) -> float:
        rate = self.of(found, executor, kernel)[2]
        return rate if rate > 0 else math.nan

    track_rate.unit = "GB/s"  # type: ignore[attr-defined]
