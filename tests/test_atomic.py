"""`pp.atomic` from many iterations at once, against the same updates one after the other."""

import numpy as np
import pytest

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


def test_outside_of_kernels():
    a = np.array([5, 7])
    assert pp.atomic.add(a, 0, 2) == 5 and pp.atomic.cas(a, 1, 7, 9) == 7 and pp.atomic.cas(a, 1, 7, 8) == 9
    assert a.tolist() == [7, 9]
