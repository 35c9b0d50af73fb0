"""Run by every rank under mpirun (see test_mpi.py): algorithms on segments and by key."""

import sys
from pathlib import Path

import pytest

import portapar as pp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import segments_on_parts

WORLD = pp.mpi()


@pytest.mark.parametrize("name", segments_on_parts.CASES)
def test_right_on_ranks(name):
    for n in (20_011, 300, 5):
        segments_on_parts.CASES[name](pp.par.on(WORLD), WORLD.asarray, n)


@pytest.mark.skipif(WORLD.group.size == 1, reason="of one rank a frontier is shared")
def test_worklist():
    with pytest.raises(pp.PlacementError, match="share no memory"):
        pp.Worklist(WORLD, 10)
