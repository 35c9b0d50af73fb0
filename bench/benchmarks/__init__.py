"""What the benchmarks share. ``PORTAPAR_BENCH_QUICK=1`` makes them small: they show that all works, not its speed."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import portapar as pp

ROOT = Path(__file__).resolve().parents[2]
# The native codes are compiled from the source tree, wherever asv has installed portapar from.
sys.path.append(str(ROOT))

QUICK = os.environ.get("PORTAPAR_BENCH_QUICK", "0") not in ("", "0")
EXECUTORS = ["threads", "simd", "opencl", "cuda"]


def executor(name: str) -> Any:
    """The executor of that name, or None where there is none."""
    try:
        return pp.executor(name)
    except pp.BackendUnavailableError:
        return None


class Measured:
    """Benchmarks whose `setup_cache` measures everything at once; asv then asks for the numbers one by one.

    `found` maps the parameters to what was measured, or to the text of an error. What is not in it is not available
    here.
    """

    unit = "seconds"
    timeout = 3600

    def setup(self, found: dict[Any, Any], *parameters: str) -> None:
        if parameters not in found:
            raise NotImplementedError(parameters)  # asv skips it

    @staticmethod
    def of(found: dict[Any, Any], *parameters: str) -> Any:
        if isinstance(found[parameters], str):
            raise RuntimeError(found[parameters])
        return found[parameters]


def _seconds(self: Any, found: dict[Any, Any], *parameters: str) -> float:
    return self.of(found, *parameters)[0]


def _ratio(self: Any, found: dict[Any, Any], *parameters: str) -> float:
    ours, theirs = self.of(found, *parameters)[:2]
    return ours / theirs if theirs else math.nan


_ratio.unit = "portapar / native"  # type: ignore[attr-defined]


class Beside(Measured):
    """Seconds of portapar, and their ratio to those of native code that took turns with it."""

    def __init_subclass__(cls) -> None:
        # Here and not in this class: asv would take it for a benchmark in each module that imports it.
        cls.track_seconds, cls.track_ratio = _seconds, _ratio  # type: ignore[attr-defined]
