"""Run by every rank under mpirun: odd inputs, cut by hand (see `odd_parts.py`)."""

import sys
from pathlib import Path

import pytest

import portapar as pp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import odd_parts

where = pp.mpi()


@pytest.mark.parametrize("name", odd_parts.CASES)
def test_right(name):
    odd_parts.CASES[name](pp.par, odd_parts.placed(where))
