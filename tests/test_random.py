"""pp.random: Philox's own test vectors, the same numbers everywhere, and their distribution."""

import inspect
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp
from portapar import random

ONES = 0xFFFFFFFF
#: from the test file of Random123, the authors' own implementation
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
]
SEEDS = (0, 1, -1, 2**63 - 1, -(2**63))
SIZES = (0, 1, 2, 3, 31, 1000, 100_003)
LOW, HIGH = -(2**63), 2**63 - 1


def write(i, out, counter, key):
    out[0], out[1], out[2], out[3] = random.philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])


def every(i, seed, first, low, high, u, b, z, k):
    u[i] = random.uniform(seed, first + i)
    b[i] = random.bits(seed, first + i)
    z[i] = random.normal(seed, first + i)
    k[i] = random.integers(seed, first + i, low, high)


def numbers(policy, n, seed, first, low, high):
    u, b, z, k = np.empty(n), np.empty(n, np.uint64), np.empty(n), np.empty(n, np.int64)
    pp.for_each(policy, n, every, seed, first, low, high, u, b, z, k)
    return u, b, z, k


@pytest.mark.parametrize(("counter", "key", "wanted"), KNOWN)
def test_known_answers(renderer, counter, key, wanted):
    assert tuple(int(word) for word in random.philox(*counter, *key)) == wanted
    out = np.zeros(4, np.uint64)
    pp.for_each(renderer, 1, write, out, np.array(counter, np.uint64), np.array(key, np.uint64))
    assert tuple(out.tolist()) == wanted


def test_python_equals_kernels(renderer):
    """And low bits of words, places and seeds are where the docstring says."""
    for seed in SEEDS:
        for first, low, high in ((0, 0, 6), (2**33 + 5, LOW, HIGH), (2**63 - 13, -3, 2**62)):
            u, b, z, k = numbers(renderer, 12, seed, first, low, high)
            for i in range(12):
                assert u[i] == random.uniform(seed, first + i)
                assert b[i] == random.bits(seed, first + i)
                assert k[i] == random.integers(seed, first + i, low, high)
                assert z[i] == random.normal(seed, first + i)
    words = random.philox(3, 0, 0, 0, 5, 0)
    assert random.bits(5, 6) == int(words[1]) << 32 | int(words[0])
    assert random.bits(5, 7) == int(words[3]) << 32 | int(words[2])


def test_the_same_numbers_everywhere(policy):
    for n in SIZES:
        u, _, z, k = numbers(pp.seq, n, 42, 0, -5, 1000)
        for fill, wanted in (
            (random.fill_uniform, u),
            (random.fill_normal, z),
            (lambda p, out, seed: random.fill_integers(p, out, seed, -5, 1000), k),
        ):
            out = np.zeros(n, wanted.dtype)
            assert fill(policy, out, 42) is out
            np.testing.assert_array_equal(out, wanted)
        short = np.zeros(n, "f4")
        random.fill_normal(policy, short, 42)
        np.testing.assert_array_equal(short, z.astype("f4"))


@pytest.mark.parametrize("shape", [(7, 3), (1001, 5), (3, 1, 5), (5, 0), (0, 5)])
def test_shapes_and_views(policy, shape):
    wanted = np.empty(np.prod(shape))
    random.fill_uniform(pp.seq, wanted, 9)
    out = np.empty(shape)
    random.fill_uniform(policy, out, 9)
    np.testing.assert_array_equal(out.reshape(-1), wanted)
    wide = np.full((*shape[:-1], 2 * shape[-1]), -1.0)
    random.fill_uniform(policy, wide[::-1, ..., ::2], 9)
    np.testing.assert_array_equal(wide[::-1, ..., ::2].reshape(-1), wanted)
    assert (wide[..., 1::2] == -1).all()


def test_splits_of_any_size():
    wanted, normal = np.empty(1000), np.empty(1000)
    random.fill_uniform(pp.seq, wanted, 3)
    random.fill_normal(pp.seq, normal, 3)
    for weights in ((1, 1), (1, 2), (333, 667), (1, 999), (999, 1)):
        where = pp.hybrid(pp.threads(1), pp.simd(), weights=list(weights))
        for n in (999, 1000):
            out = np.empty(n)
            random.fill_uniform(pp.par.on(where), out, 3)
            np.testing.assert_array_equal(out, wanted[:n])
            random.fill_normal(pp.par.on(where), out, 3)
            np.testing.assert_array_equal(out, normal[:n])


def test_floats_of_32_bits(renderer):
    x, wide = np.empty(200_001, "f4"), np.empty(200_001)
    random.fill_uniform(renderer, x, 1)
    random.fill_uniform(renderer, wide, 1)
    assert x.min() >= 0 and x.max() < 1
    np.testing.assert_array_equal(x, np.floor(wide * 2**24) / 2**24)
    random.fill_normal(renderer, x, 1)
    random.fill_normal(renderer, wide, 1)
    np.testing.assert_allclose(x, wide, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["i1", "u8"])
def test_integers_of_every_width(renderer, dtype):
    info = np.iinfo(dtype)
    low, high = max(int(info.min), LOW), min(int(info.max) + 1, HIGH)
    x, whole = np.empty(5001, dtype), np.empty(5001, np.int64)
    random.fill_integers(renderer, x, 11, low, high)
    random.fill_integers(pp.seq, whole, 11, low, high)
    np.testing.assert_array_equal(x.astype(np.int64), whole)
    for a, b in ((0, 1), (5, 6), (3, 10), (high - 3, high), (low, low + 2)):
        random.fill_integers(renderer, x, 12, a, b)
        assert set(x.tolist()) == set(range(a, b))


def test_rejected_words():
    """Of a range of 3/4 of all words one in four is thrown away; the rest is uniform."""
    low, high = -(2**62), 2**63 - 1
    x = np.empty(100_000, np.int64)
    random.fill_integers(pp.par, x, 5, low, high)
    assert x.min() >= low
    counts = np.histogram(x.astype(float), 3, (low, high))[0]
    assert (abs(counts - 100_000 / 3) < 1000).all()
    assert len(np.unique(x)) == len(x)


def test_moments():
    n = 1_000_000
    x = np.empty(n)
    random.fill_uniform(pp.par, x, 2024)
    assert x.min() >= 0 and x.max() < 1 and abs(x.mean() - 0.5) < 0.002 and abs(x.var() - 1 / 12) < 0.001
    counts = np.histogram(x, 100, (0, 1))[0]
    assert ((counts - n / 100) ** 2 / (n / 100)).sum() < 150  # chi square of 99 degrees: 1 in 1000 is above 149
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.005
    random.fill_normal(pp.par, x, 2024)
    assert abs(x.mean()) < 0.005 and abs(x.var() - 1) < 0.01
    assert abs((x**3).mean()) < 0.02 and abs((x**4).mean() - 3) < 0.05
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.005
    k = np.empty(n, np.int32)
    random.fill_integers(pp.par, k, 2024, -3, 4)
    counts = np.bincount(k + 3)
    assert len(counts) == 7 and ((counts - n / 7) ** 2 / (n / 7)).sum() < 22.5


def test_normal_numbers_are_those_of_box_and_muller():
    """Up to rounding: their logarithm, sine and cosine are series of their own."""
    n, seed = 20_001, 99
    z = np.empty(n)
    random.fill_normal(pp.par, z, seed)
    words = [random.philox(k, 0, 2, 0, seed, 0) for k in range(n // 2 + 1)]
    first, second = (np.array([int(w[j + 1]) << 32 | int(w[j]) for w in words], np.uint64) >> 11 for j in (0, 2))
    radius, angle = np.sqrt(-2 * np.log((first + 1.0) * 2.0**-53)), second * (2.0**-52 * np.pi)
    wanted = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:n]
    np.testing.assert_allclose(z, wanted, rtol=1e-13, atol=1e-14)


def test_the_shape_of_the_normal_distribution():
    stats = pytest.importorskip("scipy.stats")
    z = np.empty(1_000_000)
    for seed in (1, -7):
        random.fill_normal(pp.par, z, seed)
        assert stats.kstest(z, "norm").pvalue > 1e-3
        assert stats.kstest(z[::2] ** 2 + z[1::2] ** 2, "chi2", (2,)).pvalue > 1e-3
        assert 4.2 < abs(z).max() < 6.5


def test_seeds_and_kinds_are_independent():
    streams = []
    for seed in (0, 1, 2**32, -1):
        u, b, z, k = numbers(pp.par, 20_000, seed, 0, 0, 2**40)
        streams += [u, b.astype(float), z, k.astype(float)]
    found = np.corrcoef(streams) - np.eye(len(streams))
    assert abs(found).max() < 0.04


@settings(max_examples=50, deadline=None)
@given(st.integers(LOW, HIGH), st.integers(0, HIGH), st.integers(LOW, HIGH), st.integers(LOW, HIGH))
def test_any_range(seed, i, a, b):
    low, high = min(a, b), max(a, b)
    found = int(random.integers(seed, i, low, high))
    assert low <= found < high or found == low == high


def test_device_arrays_and_tasks(where):
    policy, wanted = pp.par.on(where), np.empty((101, 3))
    random.fill_uniform(pp.seq, wanted, 1)
    out = where.empty((101, 3), np.float64)
    assert random.fill_uniform(policy, out, 1) is out
    np.testing.assert_array_equal(pp.asnumpy(out), wanted)
    host = np.empty((101, 3))
    assert random.fill_uniform(policy.task, host, 1).result() is host
    np.testing.assert_array_equal(host, wanted)
    plan = pp.plan(random.fill_uniform, policy, host, 2)
    assert "fill_uniform over 101" in str(plan)
    np.testing.assert_array_equal(host, wanted)


LOCKED = np.zeros(3)
LOCKED.flags.writeable = False


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: random.fill_uniform(pp.par, np.zeros(3, int), 1), "out has dtype int64: must be an array of floats"),
        (lambda: random.fill_normal(pp.par, np.zeros(3, complex), 1), "must be an array of floats"),
        (lambda: random.fill_integers(pp.par, np.zeros(3), 1, 0, 5), "must be an array of integers"),
        (lambda: random.fill_uniform(pp.par, LOCKED, 1), "out is read-only"),
        (lambda: random.fill_uniform(pp.par, 1.0, 1), "must be an array"),
        (lambda: random.fill_uniform(pp.par, np.zeros(3), 1.5), "seed is 1.5: must be a whole number of 64 bits"),
        (lambda: random.fill_uniform(pp.par, np.zeros(3), True), "seed is True"),
        (lambda: random.fill_uniform(pp.par, np.zeros(3), 2**63), "seed is 9223372036854775808"),
        (lambda: random.fill_integers(pp.par, np.zeros(3, int), 1, 5, 5), "low is 5, high is 5"),
        (lambda: random.fill_integers(pp.par, np.zeros(3, "u1"), 1, 0, 257), "uint8, which holds 0 to 255"),
        (lambda: random.fill_integers(pp.par, np.zeros(3, "i1"), 1, -129, 0), "int8, which holds -128 to 127"),
        (lambda: random.fill_integers(pp.par, np.zeros(3, int), 1, 0.0, 5), "low is 0.0"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises(pp.PlacementError, match=says):
        call()


@pytest.mark.parametrize("name", ["bits", "uniform", "normal", "integers", "philox"])
def test_kernel_functions_in_plain_python(name):
    function = getattr(random, name)
    right = (1, 2, 3, 9, 5, 6)[: len(inspect.signature(function).parameters)]
    assert pickle.loads(pickle.dumps(function)) is function
    function(*right)
    for k in range(len(right)):
        for wrong in ("a", "7", None, np.nan, np.inf, 1j, [1], np.arange(3), object()):
            with pytest.raises(pp.ArgumentError, match=f"random.{name}: .*must be a whole number of 64 bits"):
                function(*right[:k], wrong, *right[k + 1 :])
