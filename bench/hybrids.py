"""Work that memory bounds, on a hybrid and on its members alone: ``python -m bench.hybrids N ROUNDS SECONDS``.

One core runs `pp.simd()`, PoCL is held to another one (see `together.members`, which must come before anything else on
OpenCL in a process). The hybrid has no weights: of NumPy arrays each call finds out how it is cut, resident ones are
cut evenly. Beside it stands the better one of the members alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import portapar as pp

from .algorithms import alternate
from .together import members

Call = Callable[[], Any]


def cases(n: int) -> Iterator[tuple[str, Callable[[Any, Callable[[Any], Any]], Call]]]:
    """Name, and what makes a call of a policy and of how it places its arrays."""
    rng = np.random.default_rng(2)
    x, y = rng.random(n), rng.random(n)
    rows = np.arange(0, 8 * (n // 16) + 1, 8)
    columns = (np.repeat(np.arange(n // 16), 8) + np.tile(np.arange(-4, 4), n // 16)) % (n // 16)
    values, vector = rng.random(len(columns)), rng.random(n // 16)
    side = int(n**0.5)
    grid = x[: side * side].reshape(side, side)

    def triad(how: Any, put: Any) -> Call:
        a, b, out = put(x), put(y), put(np.zeros(n))
        return lambda: pp.transform(how, a, b, out=out, op=lambda v, w: v + 3.0 * w)

    def one(function: Any, given: Any, **more: Any) -> Callable[[Any, Any], Call]:
        def make(how: Any, put: Any) -> Call:
            placed = put(given)
            return lambda: function(how, placed, **more)

        return make

    def product(how: Any, put: Any) -> Call:
        shape = n // 16, n // 16
        a = SimpleNamespace(format="csr", shape=shape, indptr=put(rows), indices=put(columns), data=put(values))
        b, out = put(vector), put(np.zeros(n // 16))
        return lambda: pp.sparse.spmv(how, a, b, out=out)

    yield "triad", triad
    yield "reduce", one(pp.reduce, x)
    yield "scan", one(pp.inclusive_scan, x)
    yield "sort", one(pp.sort, x)
    yield "histogram", one(pp.histogram, x, bins=64, range=(0.0, 1.0))
    yield "stencil", one(pp.stencil, grid, body=lambda a, i, j: a[i - 1, j] + a[i + 1, j] + a[i, j - 1] + a[i, j + 1])
    yield "spmv", product


def measure(n: int, rounds: int, seconds: float) -> Iterator[tuple[str, float, float, str]]:
    """What is done, seconds of the hybrid and of the better member, and which one that is."""
    pair = members()
    both = pp.hybrid(*pair)
    for name, make in cases(n):
        for resident in (False, True):
            calls: dict[str, Call] = {}
            for where in (*pair, both):
                calls[where.kind] = make(pp.par.on(where), where.asarray if resident else np.array)
                for _ in range(8 if where is both else 3):
                    calls[where.kind]()
            taken = alternate(calls, rounds, seconds, min)
            best = min((kind for kind in taken if kind != "hybrid"), key=taken.__getitem__)
            yield f"{name}{', resident' * resident}", taken["hybrid"], taken[best], best


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])):
        print(json.dumps(row), flush=True)
