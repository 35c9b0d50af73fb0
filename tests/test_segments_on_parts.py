"""Algorithms on segments, by key and on frontiers, on hybrids: the values of one device, to the bit."""

import numpy as np
import pytest
import segments_on_parts
from conftest import executor

import portapar as pp


@pytest.mark.parametrize("name", segments_on_parts.CASES)
@pytest.mark.parametrize("where", [
    "hybrid:threads:2+opencl:0", pytest.param("hybrid:simd+opencl:0+threads:2", marks=pytest.mark.extra),
])  # fmt: skip
def test_right_on_parts(where, name):
    where = executor(where)
    for n in (5, 20_011):
        segments_on_parts.CASES[name](pp.par.on(where), where.asarray, n)
    segments_on_parts.CASES[name](pp.par.on(where), np.array, 300)


def visit(v, items, tail, starts, targets, depth, level):
    for edge in range(starts[v], starts[v + 1]):
        w = targets[edge]
        if pp.atomic.cas(depth, w, -1, level) == -1:
            pp.push(items, tail, w)


def test_worklist_on_parts_that_share_memory():
    n = 2000
    rng = np.random.default_rng(1)
    targets = rng.integers(0, n, 4 * n)
    starts = np.arange(0, 4 * n + 1, 4)
    found = []
    for where in (pp.simd(), executor("hybrid:threads:2+simd")):
        how, depth = pp.par.on(where), np.full(n, -1)
        depth[0] = level = 0
        work = pp.Worklist(how, n)
        work.add(0)
        while work.swap():
            level += 1
            work.for_each(how, visit, starts, targets, depth, level)
        found.append(depth)
    assert np.array_equal(*found) and found[0].max() > 2
