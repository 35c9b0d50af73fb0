"""STREAM's Triad by hand, on every executor of this machine; `portapar stream` does the whole of it.

Usage: python examples/stream.py [elements]
"""

import sys
import time

import portapar as pp

n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
s = 3.0

for info in pp.available():
    if not info.available or info.name == "mpi":
        continue
    executor = pp.executor(info.name)
    policy = pp.par_unseq.on(executor)
    a, b, c = (pp.fill(policy, executor.empty(n), value) for value in (0.0, 1.0, 2.0))

    best = float("inf")
    for _ in range(10):
        begin = time.perf_counter()
        pp.transform(policy, b, c, out=a, op=lambda x, y: x + s * y)
        best = min(best, time.perf_counter() - begin)

    assert pp.reduce(policy, a, op=pp.minimum) == pp.reduce(policy, a, op=pp.maximum) == 7.0
    print(f"{info.name:10} {3 * 8 * n / best / 1e9:7.1f} GB/s   {info.description}")
