"""histogram and bincount, against NumPy's, to the last element."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

N = 100_003


def same(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("n", [0, 1, 2, 31, 1000, N])
def test_histogram(policy, n):
    x = np.random.default_rng(n).normal(size=n)
    many = np.sort(np.append(np.random.default_rng(1).normal(size=50), [0.0, 0.0, 3.0, 3.0]))
    for bins, limits in ((10, None), (45, (-1, 0.5)), (np.array([-1.0, 0.0, 0.0, 2.5]), None), (many, None)):
        same(pp.histogram(policy, x, bins, limits), np.histogram(x, bins, limits))


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f4", "?"])
def test_dtypes(renderer, dtype):
    x = np.random.default_rng(3).integers(0, 2 if dtype == "?" else 100, 5000).astype(dtype)
    same(pp.histogram(renderer, x, 9, (0, 90)), np.histogram(x.astype("i8") if dtype == "?" else x, 9, (0, 90)))
    same(pp.histogram(renderer, x, 45, (0, 90)), np.histogram(x.astype("i8") if dtype == "?" else x, 45, (0, 90)))
    if dtype[0] == "i":
        negative = np.append(x, x.dtype.type(-1))
        with pytest.raises(pp.PlacementError, match="x holds -1"):
            pp.bincount(renderer, negative, minlength=200)
    if dtype != "f4":
        same([pp.bincount(renderer, x)], [np.bincount(x)])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-10, 10, width=32) | st.sampled_from([0.1, 0.2, 0.3, 0.7, np.nan, np.inf, -0.0]), max_size=40),
    st.integers(1, 60),
    st.sampled_from([(0, 1), (-0.3, 0.9), (-7, 3)]),
)
def test_every_edge(values, bins, limits):
    x = np.array([*values, *np.linspace(*limits, bins + 1)])
    same(pp.histogram(pp.par, x, bins, limits), np.histogram(x, bins, limits))


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("dtype", ["f8", "i4"])
def test_edges_more_than_once_and_elements_on_them(count, dtype):
    edges = np.sort(np.random.default_rng(count).integers(0, count, count)).astype(dtype)
    x = np.concatenate([edges, edges - 1, edges[-1:] + 1])
    for some in (edges, np.append(edges, edges[-1:]), np.append(edges[:1], edges)):
        same(pp.histogram(pp.par, x, some), np.histogram(x, some))
        same(pp.histogram(pp.par, x, some, weights=x * 1.0), np.histogram(x, some, weights=x * 1.0))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("limits", [(0, 1e-30), (1e6, 1e6 + 40), (-3e38, 0), (-3e38, 3e38)])
def test_ranges_far_off_or_very_wide_or_narrow(dtype, limits):
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.histogram_bin_edges(np.array(limits, dtype), 40, limits)
        x = np.concatenate([edges, np.nextafter(edges, edges.dtype.type(9e38)), np.array([np.nan, np.inf, 0], dtype)])
        counts, found = pp.histogram(pp.par, x, 40, limits)
    np.testing.assert_array_equal(found, edges)
    np.testing.assert_array_equal(counts, np.histogram(x, found)[0])


def test_weights(policy):
    rng = np.random.default_rng(5)
    x, weights = rng.integers(0, 50, N), rng.normal(size=N)
    found, _ = pp.histogram(policy, x, 50, (0, 50), weights=weights)
    np.testing.assert_allclose(found, np.histogram(x, 50, (0, 50), weights=weights)[0], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(pp.bincount(policy, x, weights=weights), found, rtol=1e-12, atol=1e-9)
    narrow, _ = pp.histogram(policy, x, 50, (0, 50), weights=np.ones(N, np.float32))
    assert narrow.dtype == np.float32 and narrow.sum() == N


def weighed(n, bins):
    """Elements, and weights whose sums show every change of order."""
    rng = np.random.default_rng(n)
    return rng.integers(0, bins, n), rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)


@pytest.mark.parametrize(("n", "bins"), [(5000, 3), (N, 20), (N, 70_000), (300_000, 1000)])
def test_weights_add_up_to_the_same_bits_everywhere(policy, n, bins):
    x, weights = weighed(n, bins)
    found = pp.bincount(policy, x, weights, bins)
    assert found.tobytes() == pp.bincount(pp.seq, x, weights, bins).tobytes()
    np.testing.assert_allclose(found, np.bincount(x, weights, bins), rtol=1e-9, atol=1e-3)
    short = weights.astype("f4")
    for how in ({"bins": bins, "range": (0, bins)}, {"bins": np.array([0, 1, 1.5, bins])}):
        (found, _), (wanted, _) = (pp.histogram(p, x, weights=short, **how) for p in (policy, pp.seq))
        assert found.dtype == "f4" and found.tobytes() == wanted.tobytes()


def test_weights_add_up_to_the_same_bits_however_they_are_cut():
    members = [pp.threads(1), pp.simd(), pp.threads(2), pp.threads(3)]
    for n, bins in ((100, 2), (40_000, 7), (N, 20), (200_000, 60_000)):
        x, weights = weighed(n, bins)
        wanted = pp.bincount(pp.seq, x, weights, bins).tobytes()
        for shares in ((1, 1), (1, 2), (100, 1), (1, 100), (5, 1, 7), (1, 50, 1, 50), (3, 3, 3, 1)):
            where = pp.hybrid(*members[: len(shares)], weights=list(shares))
            assert pp.bincount(pp.par.on(where), x, weights, bins).tobytes() == wanted, (n, bins, shares)
            there = where.asarray(x), where.asarray(weights)
            assert pp.bincount(pp.par.on(where), *there, bins).tobytes() == wanted, (n, bins, shares)


def test_a_key_that_is_wider_than_the_elements():
    x = np.random.default_rng(0).random(10_001).astype(np.float32)
    counts, edges = pp.histogram(pp.par, x, 40, key=lambda v: np.float64(v) * np.pi)
    expected = np.histogram(np.float64(x) * np.pi, 40)
    assert np.array_equal(edges, expected[1]) and np.array_equal(counts, expected[0])


def test_key(policy):
    x = np.random.default_rng(7).normal(size=2000) * 100
    counts, edges = pp.histogram(policy, x, 4, (0, 1), key=lambda v: v - np.floor(v))
    same((counts, edges), np.histogram(x - np.floor(x), 4, (0, 1)))
    z = x[::2] + 1j * x[1::2]
    assert (
        pp.histogram(policy, z, 3, (0, 300), key=lambda v: abs(v))[0].tolist()
        == np.histogram(np.abs(z), 3, (0, 300))[0].tolist()
    )


@pytest.mark.parametrize("bins", [1, 256, 100_000, 6_000_000])
def test_bincount(policy, bins):
    x = np.random.default_rng(8).integers(0, bins, 20_000)
    same([pp.bincount(policy, x, minlength=bins)], [np.bincount(x, minlength=bins)])
    same([pp.bincount(policy, x, minlength=bins // 3)], [np.bincount(x, minlength=bins // 3)])
    weights = np.where(x == x.max(), 0.0, 0.5)  # what counts for nothing needs a bin too
    for least in (bins, bins // 3):
        same([pp.bincount(policy, x, weights, least)], [np.bincount(x, weights, least)])


def test_a_hundred_times_the_same(renderer):
    x = np.random.default_rng(9).integers(0, 3, 20_000).astype(np.int32)
    wanted = np.bincount(x, minlength=5_000_000)
    for _ in range(100):
        np.testing.assert_array_equal(pp.bincount(renderer, x), wanted[:3])
    np.testing.assert_array_equal(pp.bincount(renderer, x, minlength=5_000_000), wanted)


def test_device_arrays_and_tasks(renderer):
    where = renderer.executor
    x = where.asarray(np.array([3, 1, 1, 0]))
    counts = pp.bincount(renderer, x)
    assert type(counts) is type(x) and pp.asnumpy(counts).tolist() == [1, 2, 0, 1]
    assert pp.asnumpy(pp.bincount(renderer.task, x).result()).tolist() == [1, 2, 0, 1]
    strided = np.arange(20)[::-2]
    assert pp.bincount(renderer, strided).tolist() == np.bincount(strided).tolist()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pp.bincount(pp.par, np.array([1, -3])), "x holds -3"),
        (lambda: pp.bincount(pp.par, np.array([1, -3]), minlength=9), "x holds -3"),
        (lambda: pp.bincount(pp.par, np.array([-4, -3])), "x holds -4"),
        (lambda: pp.bincount(pp.par, np.array([1, -3]), weights=np.ones(2)), "x holds -3"),
        (lambda: pp.bincount(pp.par, np.ones(3)), "float64: must hold integers"),
        (lambda: pp.bincount(pp.par, np.ones((2, 2), int)), "one dimension"),
        (lambda: pp.bincount(pp.par, np.arange(3), minlength=-1), "minlength is -1"),
        (lambda: pp.bincount(pp.par, np.array([3 * 10**15])), "24000000000000008 bytes, .* x holds 3000000000000000"),
        (lambda: pp.bincount(pp.par, np.array([2**63 + 5], "u8")), "x holds 9223372036854775813"),
        (lambda: pp.bincount(pp.par, np.arange(3), minlength=10**15), "bytes, .*minlength is 1000000000000000"),
        (lambda: pp.histogram(pp.par, np.array([1, np.nan])), "not finite"),
        (lambda: pp.histogram(pp.par, np.ones(3), 10**13), "bytes, .*bins is 10000000000000"),
        (lambda: pp.histogram(pp.par, np.array([-1e308, 1e308])), "no 10 bins of equal width"),
        (lambda: pp.histogram(pp.par, np.ones(3), 0), "bins is 0"),
        (lambda: pp.histogram(pp.par, np.ones(3), [3, 1]), "do not decrease"),
        (lambda: pp.histogram(pp.par, np.ones(3), "auto"), "bins is 'auto'"),
        (lambda: pp.histogram(pp.par, np.ones(3), 3, (2, 1)), "lower one first"),
        (lambda: pp.histogram(pp.par, np.ones(3), 3, 5), "two numbers"),
        (lambda: pp.histogram(pp.par, np.ones(3), weights=np.ones(2)), "'weights' has 2 rows"),
        (lambda: pp.histogram(pp.par, np.ones(3), weights=np.ones(3) * 1j), "weights has dtype complex128"),
        (lambda: pp.histogram(pp.par, np.ones(3) * 1j), "must hold real numbers"),
        (lambda: pp.histogram(pp.par, np.ones(3), key=lambda a, b: a), "must take 1"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(pp.PortaparError, match=says):
        call()
