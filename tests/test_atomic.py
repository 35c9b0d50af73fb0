"""`pp.atomic` from many iterations at once, against the same updates one after the other."""

import numpy as np
import pytest
from conftest import executor

import portapar as pp

N = 20_000


def updates(i, x, total, less, low, high, chain, seen):
    k = i % 3
    pp.atomic.add(total, k, x[i])
    pp.atomic.sub(less, k, x[i])
    pp.atomic.min(low, k, x[i])
    pp.atomic.max(high, k, x[i])
    old = pp.atomic.exchange(chain, 0, x[i])
    pp.atomic.add(seen, 0, old)


def bits(i, x, both, either, odd, won):
    k = i % 3
    pp.atomic.and_(both, k, x[i])
    pp.atomic.or_(either, k, x[i])
    pp.atomic.xor(odd, k, x[i])
    if pp.atomic.cas(won, k, 0, i + 1) == 0:
        pp.atomic.add(won, 3, 1)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64, np.float32, np.float64])
def test_every_update_counts(renderer, dtype):
    x = np.random.default_rng(5).integers(1, 100, N).astype(dtype)  # sums are exact in every type
    start = np.full(3, 50, dtype)
    found = [start.copy() for _ in range(4)]
    chain, seen = np.zeros(1, dtype), np.zeros(1, dtype)
    found[1][:] = 10_000_000
    pp.for_each(renderer, N, updates, x, *found, chain, seen)
    for k in range(3):
        mine = x[k::3]
        assert found[0][k] == 50 + mine.sum(dtype=dtype)
        assert found[1][k] == 10_000_000 - mine.sum(dtype=dtype)
        assert found[2][k] == min(50, mine.min())
        assert found[3][k] == max(50, mine.max())
    assert seen[0] + chain[0] == x.sum(dtype=dtype)  # everything put in came out once, but for the last


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_bits_and_swaps(renderer, dtype):
    x = np.random.default_rng(6).integers(0, 2**31 - 1, N).astype(dtype)
    both, either, odd = np.full(3, 2**31 - 1, dtype), np.zeros(3, dtype), np.zeros(3, dtype)
    won = np.zeros(4, dtype)
    pp.for_each(renderer, N, bits, x, both, either, odd, won)
    for k in range(3):
        mine = x[k::3]
        assert both[k] == np.bitwise_and.reduce(mine) & dtype(2**31 - 1)
        assert either[k] == np.bitwise_or.reduce(mine)
        assert odd[k] == np.bitwise_xor.reduce(mine)
        assert 0 < won[k] <= N and (won[k] - 1) % 3 == k
    assert won[3] == 3  # each place was won by one iteration


def swap_floats(i, x, won, count):
    if pp.atomic.cas(won, i % 3, 0.0, x[i]) == 0.0:
        pp.atomic.add(count, i % 3, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_swapped_by_their_bits(renderer, dtype):
    x = np.arange(1, N + 1).astype(dtype)
    won, count = np.zeros(3, dtype), np.zeros(3, np.int32)
    pp.for_each(renderer, N, swap_floats, x, won, count)
    assert count.tolist() == [1, 1, 1] and all((won[k] - 1) % 3 == k for k in range(3))
    negative = np.full(3, -0.0, dtype)  # equal to 0.0, but other bits
    pp.for_each(renderer, 9, swap_floats, x, negative, count)
    assert np.signbit(negative).all()


def mix(i, x, total, high, bits):
    k = x[i] % 5
    for _ in range(x[i] % 11):  # unequal work
        pp.atomic.add(total, k, x[i])
    pp.atomic.max(high, k, x[i])
    pp.atomic.xor(bits, (k, i % 2), x[i])


@pytest.mark.parametrize("how", [{"schedule": "dynamic", "chunk_size": 3}, {"schedule": "guided"}])
def test_a_hundred_runs_give_one_result(renderer, how):
    x = np.random.default_rng(7).integers(0, 1000, 2000)
    p = renderer.with_(**how)
    here = p.executor.asarray(x)
    expected = None
    for _ in range(100):
        found = np.zeros(5, np.int64), np.zeros(5, np.int32), np.zeros((5, 2), np.int64)
        pp.for_each(p, len(x), mix, here, *found)
        expected = expected or found
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert expected[0].sum() == (x * (x % 11)).sum()


@pytest.mark.parametrize("dtype", ["i2", "u1", "c16", "?"])
def test_what_no_device_can_do(renderer, dtype):
    a = np.zeros(3, dtype)
    with pytest.raises(pp.KernelError, match=r"atomic\.add is not possible on an array of"):
        pp.for_each(renderer, 3, lambda i, a: pp.atomic.add(a, 0, 1), a)
    with pytest.raises(pp.KernelError, match=r"atomic\.xor is not possible on an array of float64.*for integers"):
        pp.for_each(renderer, 3, lambda i, a: pp.atomic.xor(a, 0, 1.0), np.zeros(3))
    assert not a.any()
    if dtype in ("c16", "?"):  # of several parts each has a copy, of what changes nothing
        with pytest.raises(pp.KernelError, match=r"atomic\.min is not possible on an array of"):
            pp.for_each(pp.par.on(executor("hybrid:threads:2+opencl:0")), 9, lambda i, a: pp.atomic.min(a, 0, 1), a)


def test_outside_of_kernels():
    a = np.array([5, 7])
    assert pp.atomic.add(a, 0, 2) == 5 and pp.atomic.cas(a, 1, 7, 9) == 7 and pp.atomic.cas(a, 1, 7, 8) == 9
    assert a.tolist() == [7, 9]
