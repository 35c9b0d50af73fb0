"""The first five minutes: one loop, several policies, several executors."""

import numpy as np

import portapar as pp

x = np.linspace(0.0, 1.0, 1_000_001)
y = np.empty_like(x)
slope = 3.0

# Any Python function or lambda is a kernel. What it captures, such as `slope`, may change from call to call.
pp.transform(pp.par_unseq, x, out=y, op=lambda v: slope * v * v)

# A loop over indices, for what is more than element by element.
smooth = np.zeros_like(y)


def average(i, source, result):
    """One element from its neighbours; the ends stay 0."""
    if 0 < i < len(source) - 1:
        result[i] = (source[i - 1] + source[i] + source[i + 1]) / 3.0


pp.for_each(pp.par, len(y), average, y, smooth)

# Sums have the same bits on every executor and on any number of threads.
sums = {repr(policy): pp.reduce(policy, smooth) for policy in (pp.seq, pp.par, pp.par.on(pp.threads(2)))}
assert len(set(sums.values())) == 1
for policy, total in sums.items():
    print(f"{policy:24} sum = {total!r}")

# What this machine has; the same call runs on each of them.
for info in pp.available():
    if not info.available:
        print(f"{info.name:9} not here: {info.reason}. {info.remedy}")
    elif info.name != "mpi":
        on = pp.executor(info.name)
        here = on.asarray(x)
        total = pp.transform_reduce(pp.par_unseq.on(on), here, transform=lambda v: slope * v * v)
        print(f"{info.name:9} {total / len(x):.6f}  {info.description}")
