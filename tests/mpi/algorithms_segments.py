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
