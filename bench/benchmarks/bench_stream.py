"""Seconds of STREAM's kernels, and their ratio to native code on the same arrays."""

from __future__ import annotations

import sys
from pathlib import Path

import portapar as pp
from portapar.algorithms.stream import KERNELS, default_size, stream

# The native codes are compiled from the source tree, wherever asv has installed portapar from.
sys.path.append(str(Path(__file__).resolve().parents[2]))

EXECUTORS = ["threads", "simd", "opencl", "cuda"]


def _policy(name: str) -> pp.Policy:
    try:
        return pp.par_unseq.on(pp.executor(name))
    except pp.BackendUnavailableError as error:
        raise NotImplementedError(str(error)) from error  # asv skips it


class Stream:
    """Median seconds of one call."""

    params = [EXECUTORS, list(KERNELS)]
    param_names = ["executor", "kernel"]
    unit = "seconds"
    n = default_size()
    ntimes = 10

    def setup_cache(self) -> dict[str, dict[str, float]]:
        """One run gives the times of all kernels."""
        found = {}
        for name in EXECUTORS:
            try:
                result = stream(_policy(name), self.n, ntimes=self.ntimes)
            except NotImplementedError:
                continue
            found[name] = {kernel: times.median for kernel, times in result.kernels.items()}
        return found

    def setup(self, found: dict[str, dict[str, float]], executor: str, kernel: str) -> None:
        if executor not in found:
            raise NotImplementedError(executor)

    def track_seconds(self, found: dict[str, dict[str, float]], executor: str, kernel: str) -> float:
        return found[executor][kernel]


class Ratio:
    """Median seconds of portapar, divided by those of the native code that alternated with it."""

    params = Stream.params
    param_names = Stream.param_names
    n = Stream.n
    ntimes = Stream.ntimes
    unit = "portapar / native"
    timeout = 300

    def setup_cache(self) -> dict[str, dict[str, float]]:
        from bench import beside, binder

        found = {}
        for name in EXECUTORS:
            try:
                policy = _policy(name)
            except NotImplementedError:
                continue
            native = next((x for x in beside(policy.executor).values() if x.available), None)
            if native is not None:
                result = stream(policy, self.n, ntimes=self.ntimes, beside={"native": binder(native)})
                theirs = result.beside["native"]
                found[name] = {kernel: t.median / theirs[kernel].median for kernel, t in result.kernels.items()}
        return found

    def setup(self, found: dict[str, dict[str, float]], executor: str, kernel: str) -> None:
        if executor not in found:
            raise NotImplementedError(executor)

    def track_ratio(self, found: dict[str, dict[str, float]], executor: str, kernel: str) -> float:
        return found[executor][kernel]
