"""Every algorithm on executors of one part; tasks, forks and interrupts."""

import numpy as np
import pytest
from every import EVERY, same

import portapar as pp

SINGLE = ("hybrid:simd", "hybrid:threads:2", "hybrid:opencl:0", "hybrid:cuda:0")


@pytest.fixture(params=SINGLE)
def single(request):
    from conftest import executor

    return executor(request.param)


@pytest.mark.parametrize("name", EVERY)
def test_every_algorithm_on_one_part(single, name):
    """On what lives there, on NumPy arrays, and where both meet."""
    call, expected = EVERY[name]
    policy = pp.par.on(single)
    assert same(call(policy, single.asarray), expected)
    assert same(call(policy, single.asarray), expected)
    assert same(call(policy, np.copy), expected)


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_algorithm_on_ranks(ranks):
    test_mpi = pytest.importorskip("test_mpi")
    test_mpi.passes(ranks, "every_algorithm.py")
