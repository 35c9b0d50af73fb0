"""``python -m bench.small``: microseconds of a warm call of every algorithm on few elements.

``--beside TREE`` measures another source tree too, in turns, each in processes of its own, and prints the ratios: above
1 this tree is faster. Least times of all turns count, since what a call costs before any work is done varies with
whatever else the machine does. ``--first`` tells CPU seconds of first calls instead, in a process that finds nothing
compiled: what several share is counted where it is first needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import portapar as pp

ROOT = Path(__file__).resolve().parent.parent


def plus(x: float, y: float) -> float:
    return x + y


def large(x: float) -> bool:
    return x > 0.5


def raised(i: int, x: Any, y: Any) -> None:
    y[i] = x[i] + 1


def around(x: Any, i: int) -> Any:
    return x[i - 1] + x[i + 1]


def tally(s: int, i: int, x: Any, out: Any) -> None:
    pp.atomic.add(out, s, x[i])


def twice(v: float) -> float:
    return v * 2


def away(v: float) -> float:
    return abs(v - 0.5)


def calls(n: int, policy: Any = pp.par, put: Callable[[Any], Any] = np.asarray) -> dict[str, Callable[[], Any]]:
    """A call of each algorithm on that many elements, which went through `put`."""
    rng = np.random.default_rng(1)
    p, given = policy, rng.random(n)
    side = max(1, int(n**0.5))
    x, y, k, places = put(given), put(rng.random(n)), put(rng.integers(0, 10, n)), put(rng.permutation(n))
    ordered, other, runs = put(np.sort(given)), put(np.sort(rng.random(n))), put(np.sort(rng.integers(0, n, n)))
    ends, out, zeros = put(np.array([0, n // 10, n // 2, n])), put(np.zeros(n)), put(np.zeros(n))
    square, flags = put(rng.random((side, side))), put(given > 0.5)
    evens, whole, sums, some = put(2 * np.arange(n)), put(np.arange(n)), put(np.zeros(3)), put(np.array([3, 5, 9]))
    other_runs, end = put(np.sort(rng.integers(0, n, n))), put(given[-3:].copy())
    return {
        "transform": lambda: pp.transform(p, x, y, out=out, op=plus),
        "transform, a new array": lambda: pp.transform(p, x, y, op=plus),
        "transform, a new lambda": lambda: pp.transform(p, x, y, out=out, op=lambda a, b: a + n * b),
        "for_each": lambda: pp.for_each(p, n, raised, x, out),
        "copy": lambda: pp.copy(p, x, out=out),
        "fill": lambda: pp.fill(p, out, 2.5),
        "iota": lambda: pp.iota(p, out, 3, 2),
        "stencil": lambda: pp.stencil(p, x, around),
        "reduce": lambda: pp.reduce(p, x),
        "transform_reduce": lambda: pp.transform_reduce(p, x, transform=twice),
        "inner_product": lambda: pp.inner_product(p, x, y),
        "reduce, axis=0": lambda: pp.reduce(p, square, axis=0),
        "reduce, axis=1": lambda: pp.reduce(p, square, axis=1),
        "inclusive_scan, axis=0": lambda: pp.inclusive_scan(p, square, axis=0),
        "inclusive_scan, axis=1": lambda: pp.inclusive_scan(p, square, axis=1),
        "count": lambda: pp.count(p, k, 3),
        "count_if": lambda: pp.count_if(p, x, large),
        "count_if, a new lambda": lambda: pp.count_if(p, k, lambda v: v % n == 3),
        "all_of": lambda: pp.all_of(p, x, large),
        "any_of": lambda: pp.any_of(p, zeros, large),
        "none_of": lambda: pp.none_of(p, zeros, large),
        "min_element": lambda: pp.min_element(p, x),
        "max_element": lambda: pp.max_element(p, x),
        "minmax_element": lambda: pp.minmax_element(p, x),
        "min_element(key=)": lambda: pp.min_element(p, x, key=away),
        "equal": lambda: pp.equal(p, x, x),
        "mismatch": lambda: pp.mismatch(p, x, x),
        "inclusive_scan": lambda: pp.inclusive_scan(p, x),
        "exclusive_scan": lambda: pp.exclusive_scan(p, x),
        "transform_scan": lambda: pp.transform_scan(p, x, transform=twice),
        "sort": lambda: pp.sort(p, x),
        "sort(key=)": lambda: pp.sort(p, x, key=away),
        "sort(key=), a new lambda": lambda: pp.sort(p, x, key=lambda v: v * n),
        "stable_sort": lambda: pp.stable_sort(p, x),
        "argsort": lambda: pp.argsort(p, x),
        "sort_by_key": lambda: pp.sort_by_key(p, k, x),
        "is_sorted": lambda: pp.is_sorted(p, ordered),
        "merge": lambda: pp.merge(p, ordered, other),
        "nth_element": lambda: pp.nth_element(p, x, n // 2),
        "kth_smallest": lambda: pp.kth_smallest(p, x, n // 2),
        "top_k": lambda: pp.top_k(p, x, min(5, n)),
        "partial_sort": lambda: pp.partial_sort(p, x, min(5, n)),
        "searchsorted": lambda: pp.searchsorted(p, ordered, x),
        "unique": lambda: pp.unique(p, k),
        "unique_count": lambda: pp.unique_count(p, k),
        "unique, consecutive": lambda: pp.unique(p, runs, consecutive=True),
        "set_union": lambda: pp.set_union(p, whole, evens),
        "set_intersection": lambda: pp.set_intersection(p, whole, evens),
        "set_difference": lambda: pp.set_difference(p, whole, evens),
        "set_symmetric_difference": lambda: pp.set_symmetric_difference(p, whole, evens),
        "includes": lambda: pp.includes(p, whole, whole),
        "isin": lambda: pp.isin(p, k, some),
        "copy_if": lambda: pp.copy_if(p, x, large),
        "copy_if, a new lambda": lambda: pp.copy_if(p, k, lambda v: v % n == 3),
        "remove_if": lambda: pp.remove_if(p, x, large),
        "partition": lambda: pp.partition(p, x, large),
        "pack_index": lambda: pp.pack_index(p, flags),
        "find": lambda: pp.find(p, zeros, 4.0),
        "find_if": lambda: pp.find_if(p, zeros, large),
        "find_last_if": lambda: pp.find_last_if(p, zeros, large),
        "adjacent_find": lambda: pp.adjacent_find(p, whole),
        "search": lambda: pp.search(p, x, end),
        "find_first_of": lambda: pp.find_first_of(p, zeros, end),
        "lexicographical_compare": lambda: pp.lexicographical_compare(p, x, x),
        "is_sorted_until": lambda: pp.is_sorted_until(p, ordered),
        "is_partitioned": lambda: pp.is_partitioned(p, ordered, large),
        "gather": lambda: pp.gather(p, x, places),
        "scatter": lambda: pp.scatter(p, x, places, out),
        "gather_if": lambda: pp.gather_if(p, x, places, flags, out),
        "scatter_if": lambda: pp.scatter_if(p, x, places, flags, out),
        "shift_left": lambda: pp.shift_left(p, x, 7),
        "shift_right": lambda: pp.shift_right(p, x, 7, 2),
        "transpose": lambda: pp.transpose(p, square),
        "reverse": lambda: pp.reverse(p, x),
        "rotate": lambda: pp.rotate(p, x, 7),
        "adjacent_difference": lambda: pp.adjacent_difference(p, x),
        "histogram": lambda: pp.histogram(p, x),
        "bincount": lambda: pp.bincount(p, k),
        "segmented_reduce": lambda: pp.segmented_reduce(p, ends, x),
        "segmented_scan": lambda: pp.segmented_scan(p, ends, x),
        "reduce_by_key": lambda: pp.reduce_by_key(p, k, x),
        "reduce_by_key, consecutive": lambda: pp.reduce_by_key(p, runs, x, consecutive=True),
        "scan_by_key": lambda: pp.scan_by_key(p, k, x),
        "scan_by_key, consecutive": lambda: pp.scan_by_key(p, runs, x, consecutive=True),
        "unique_by_key": lambda: pp.unique_by_key(p, k, x),
        "merge_by_key": lambda: pp.merge_by_key(p, runs, x, other_runs, y),
        "group_by_key": lambda: pp.group_by_key(p, k, x),
        "run_length_encode": lambda: pp.run_length_encode(p, runs),
        "for_each_segment": lambda: pp.for_each_segment(p, ends, tally, x, sums),
        "fill_uniform": lambda: pp.random.fill_uniform(p, out, 1),
    }


def measure(where: str, n: int, seconds: float, only: str = "", first: bool = False) -> dict[str, float]:
    """Least seconds of a call of each algorithm on an executor's own arrays; or CPU seconds of the first one."""
    executor: Any = pp.executor(where)
    policy, found = pp.par_unseq.on(executor), {}
    for name, call in calls(n, policy, executor.asarray).items():
        if only not in name:
            continue
        if first:
            found[name] = -sum(os.times()[:4])
            call()
            found[name] += sum(os.times()[:4])
            continue
        for _ in range(4):  # the first ones compile and look for a way
            call()
        least, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in range(10):
                begin = time.perf_counter()
                call()
                least = min(least, time.perf_counter() - begin)
        found[name] = least
    return found


def _elsewhere(tree: Path, asked: argparse.Namespace) -> dict[str, float]:
    """The same by another process, with the library of that tree."""
    given = [asked.executor, str(asked.n), "--seconds", str(asked.seconds), "--only", asked.only, "--json"]
    given += ["--first"] if asked.first else []
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "PYTHONPATH": str(tree), "PORTAPAR_CACHE_DIR": str(tree / ".cache")}
        if asked.first:
            environment |= dict.fromkeys(("PORTAPAR_CACHE_DIR", "POCL_CACHE_DIR", "PYOPENCL_CACHE_DIR"), empty)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), *given], env=environment, capture_output=True, text=True
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.small", description=__doc__)
    parser.add_argument("executor", nargs="?", default="threads")
    parser.add_argument("n", nargs="?", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.02, help="of each call, in each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", default="", help="algorithms whose names have that in them")
    parser.add_argument("--beside", type=Path, help="another source tree")
    parser.add_argument("--first", action="store_true", help="CPU seconds of first calls, nothing compiled before")
    parser.add_argument("--json", action="store_true", help="seconds of one turn")
    asked = parser.parse_args()
    if asked.json:
        print(json.dumps(measure(asked.executor, asked.n, asked.seconds, asked.only, asked.first)))
        return
    trees = [ROOT] if asked.beside is None else [ROOT, asked.beside.resolve()]
    found: list[dict[str, float]] = [{} for _ in trees]
    for _ in range(asked.turns):
        for least, tree in zip(found, trees, strict=True):
            for name, seconds in _elsewhere(tree, asked).items():
                least[name] = min(least.get(name, float("inf")), seconds)
    if asked.first:
        for least in found:
            least["sum"] = sum(least.values())
    unit, digits = (1, 2) if asked.first else (1e6, 1)
    for name, seconds in found[0].items():
        told = f"{name:<28} {seconds * unit:8.{digits}f}"
        if len(trees) > 1:
            told += f"  {found[1][name] * unit:8.{digits}f}  {found[1][name] / max(seconds, 1e-9):5.2f}"
        print(told)


if __name__ == "__main__":
    main()
