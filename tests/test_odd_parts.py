"""Odd inputs on hybrids of two and three members, cut by hand and by odd weights: what NumPy finds."""

import odd_parts
import pytest
from conftest import executor

import portapar as pp

pytestmark = pytest.mark.extra


@pytest.mark.parametrize("name", odd_parts.CASES)
@pytest.mark.parametrize("members", ["hybrid:threads:2+simd", "hybrid:simd+opencl:0+threads:2"])
def test_right(members, name):
    where = executor(members)
    odd_parts.CASES[name](pp.par.on(where), odd_parts.placed(where))


@pytest.mark.parametrize("name", odd_parts.CASES)
def test_right_by_odd_weights(name):
    where = pp.hybrid(*executor("hybrid:opencl:0+simd+threads:2").members, weights=[7, 0.125, 5])
    where.worth = 0.0
    odd_parts.CASES[name](pp.par.on(where), where.asarray)
