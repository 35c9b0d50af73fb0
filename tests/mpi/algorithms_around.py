"""Run by every rank under mpirun (see test_mpi.py): kernels that read rows of other ranks."""

import sys
from pathlib import Path

import numpy as np
import pytest

import portapar as pp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import around

WORLD = pp.mpi()
HOW = pp.par.on(WORLD)
SIZE = WORLD.group.size


@pytest.mark.parametrize("name", list(around.CASES)[SIZE % 2 :: 2])  # the others on one rank more or less
def test_right_on_ranks(name):
    for n in (9001, 50, 3):
        around.CASES[name](HOW, WORLD.asarray, n)


@pytest.mark.skipif(SIZE == 1, reason="of one part nothing moves")
def test_refused_alike_everywhere():
    n = 100
    x, p, out = WORLD.asarray(around.data(n)), WORLD.asarray(np.arange(n)), WORLD.empty(n)

    def scattered(i, p, x, out):
        out[p[i]] = x[i]

    with pytest.raises(pp.PlacementError, match="at other indices than its own.*share no memory.*pp.bincount"):
        pp.for_each(HOW, n, scattered, p, x, out)
    with pytest.raises(pp.PlacementError, match="every rank has a copy of it"):
        pp.for_each(HOW, n, scattered, p, x, np.zeros(n))
    with pytest.raises(pp.PlacementError, match="gathered once, 800 bytes"):
        pp.for_each(HOW.with_(transfers="forbid"), n, around.permuted, p, x, out)
    plan = pp.plan(pp.for_each, HOW, pp.range(1, n - 1), around.sides, x, out)
    assert f"a: rows of other parts, {16 * (SIZE - 1)} bytes" in str(plan)
