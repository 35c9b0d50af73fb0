"""Seconds of sets, runs, searches, selections and reductions along axes on CPU threads, and their ratio to NumPy's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import portapar as pp

# `bench` is imported from the source tree, wherever asv has installed portapar from.
sys.path.append(str(Path(__file__).resolve().parents[2]))


def _case(name: str, ours: Callable[..., Any], theirs: Callable[..., Any], *data: Any) -> Any:
    from bench.algorithms import Case

    def same(mine: Any, other: Any) -> bool:
        pairs = zip(mine, other, strict=True) if isinstance(mine, tuple) else [(mine, other)]
        return all(np.allclose(a, b, rtol=1e-9) for a, b in pairs)

    return Case(name, ours, data, {"NumPy": (lambda: theirs(*data), 1.0)}, same)


def cases(scale: float = 1.0) -> Iterator[Any]:
    """The cases, one after the other; `scale` shrinks all of them alike."""
    n = max(1000, int(4_000_000 * scale))
    rng = np.random.default_rng(1)
    a, b = (np.unique(rng.integers(0, 10 * n, n)) for _ in range(2))
    yield _case("set_union", pp.set_union, np.union1d, a, b)
    yield _case("set_intersection", pp.set_intersection, lambda a, b: np.intersect1d(a, b, assume_unique=True), a, b)
    yield _case("set_difference", pp.set_difference, lambda a, b: np.setdiff1d(a, b, assume_unique=True), a, b)
    x, few = rng.random(n), rng.random(1000)
    yield _case("isin, floats", pp.isin, np.isin, x, few)
    yield _case("isin, integers close together", pp.isin, np.isin, rng.integers(0, n, n), a[:1000])
    runs = np.repeat(rng.integers(0, 100, n // 4), rng.integers(1, 8, n // 4))
    yield _case("run_length_encode", pp.run_length_encode, _runs, runs)
    yield _case(
        "top_k, 100", lambda how, x: pp.top_k(how, x, 100)[0], lambda x: -np.sort(np.partition(-x, 99)[:100]), x
    )
    yield _case(
        "partial_sort, 1000",
        lambda how, x: pp.partial_sort(how, x, 1000)[:1000],
        lambda x: np.sort(np.partition(x, 999)[:1000]),
        x,
    )
    yield _case(
        "lexsort", lambda how, x, y: pp.argsort(how, pp.lazy.zip(x, y), key=_pair), _lexsort, runs[:n], x[: len(runs)]
    )
    side = int(n**0.5)
    table = x[: side * side].reshape(side, side)
    for axis in (0, 1):
        yield _case(f"reduce, axis {axis}", lambda how, x, axis=axis: pp.reduce(how, x, axis=axis),
                    lambda x, axis=axis: x.sum(axis=axis), table)  # fmt: skip
        yield _case(f"inclusive_scan, axis {axis}", lambda how, x, axis=axis: pp.inclusive_scan(how, x, axis=axis),
                    lambda x, axis=axis: x.cumsum(axis=axis), table)  # fmt: skip
    yield _case("transpose", pp.transpose, lambda x: np.ascontiguousarray(x.T), table)


def _runs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    begins = np.flatnonzero(np.concatenate([[True], x[1:] != x[:-1]]))
    return x[begins], np.diff(begins, append=len(x))


def _pair(pair: Any) -> Any:
    return pair


def _lexsort(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.lexsort((y, x))


class Peers:
    """Medians of calls that alternate with NumPy's."""

    params = [case.name for case in cases(1e-5)]
    param_names = ["algorithm"]
    timeout = 600
    scale = 1.0
    rounds = 7
    seconds = 2.0

    def setup_cache(self) -> dict[str, tuple[float, float]]:
        """One pass over all cases: seconds of portapar, and of NumPy."""
        from bench import algorithms

        found = {}
        for case in cases(self.scale):
            taken = algorithms.measure(case, pp.threads(), self.rounds, self.seconds)
            found[case.name] = (taken.pop(""), min(taken.values()))
        return found

    def track_seconds(self, found: dict[str, tuple[float, float]], algorithm: str) -> float:
        return found[algorithm][0]

    track_seconds.unit = "seconds"  # type: ignore[attr-defined]

    def track_ratio(self, found: dict[str, tuple[float, float]], algorithm: str) -> float:
        ours, theirs = found[algorithm]
        return ours / theirs

    track_ratio.unit = "portapar / NumPy"  # type: ignore[attr-defined]
