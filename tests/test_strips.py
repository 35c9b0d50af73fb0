"""Sums down columns, which the CPU does for several indices at a time: the bits of one index after the other."""

import ast
import math

import numpy as np
import pytest
from conftest import executor

import portapar as pp
from portapar.kernel.jit.native import slow_gathers
from portapar.kernel.lanes.crossed import is_alone


def dots(j, a, x, y):
    s = 0.0
    for i in range(len(x)):
        s += a[i, j] * x[i]
    y[j] = s


def deviation(j, a, x, y):
    n = len(a)
    mean, square = 0.0, 0.0
    total = x[j]
    for i in range(n):
        mean += a[i, j]
        total -= a[i, j] * x[j]
    mean /= n
    for i in range(n):
        square += (a[i, j] - mean) ** 2
    y[j] = math.sqrt(square / a.shape[0]) + total


def added(j, a, x, y):
    for i in range(1, len(a)):
        y[j] += a[i, j] - a[i - 1, j]
        for k in range(i):
            y[j] *= x[k]


def weighted(j, a, x, y):
    s = y[j]
    for i in range(len(a)):
        w = 2 * x[i]
        s = s * 0.5 + w * a[i, j]
    y[j] = 3 * s


KERNELS = (dots, deviation, added, weighted)


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [*((kernel, "float64") for kernel in KERNELS), (dots, "float32"), (weighted, "float32")],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_columns_one_after_the_other(renderer, kernel, dtype):
    rng = np.random.default_rng(1)
    for m in (1, 7, 8, 63, 64, 65, 150):
        n = 5 if kernel is not dots else m
        a, x, y = rng.random((n, m)).astype(dtype), rng.random(max(n, m)).astype(dtype), rng.random(m).astype(dtype)
        x = x[:n] if kernel is dots else x
        wanted = y.copy()
        pp.for_each(renderer, m, kernel, a, x, y)
        for j in range(m):
            kernel(j, a, x, wanted)
        if kernel is deviation:  # roots and squares may be off by an ulp on some devices
            np.testing.assert_allclose(y, wanted, rtol=1e-5 if dtype == "float32" else 1e-14)
        else:
            np.testing.assert_array_equal(y, wanted, f"{m} columns")


def planes(g, i, sigma, phi, q):
    s = 0.0
    for h in range(sigma.shape[1]):
        s += sigma[g, h] * phi[h, i]
    q[g, i] = s


def backwards(j, a, y):
    s = 0.0
    for i in range(len(a)):
        s += a[i, j]
    y[j] = s


def test_columns_of_other_spaces(renderer):
    rng = np.random.default_rng(2)
    sigma, phi = rng.random((7, 7)), rng.random((7, 133))
    q, wanted = np.zeros((7, 133)), np.zeros((7, 133))
    pp.for_each(renderer, (7, 133), planes, sigma, phi, q)
    for g, i in np.ndindex(7, 133):
        planes(g, i, sigma, phi, wanted)
    np.testing.assert_array_equal(q, wanted)
    for start, stop, step in ((3, 130, 1), (132, -1, -1), (0, 133, 2), (-20, 30, 1)):
        y, wanted = np.zeros(133), np.zeros(133)
        pp.for_each(renderer, pp.range(start, stop, step), backwards, phi, y)
        for j in range(start, stop, step):
            backwards(j, phi, wanted)
        np.testing.assert_array_equal(y, wanted, f"{start}:{stop}:{step}")


def windows(i, j, x, w, y):
    s = 0.0
    for a in range(w.shape[0]):
        for b in range(w.shape[1]):
            s += w[a, b] * x[i + a, j + b]
    y[i + 1, j + 2] = s


def behind(i, j, x, w, y):
    """Some columns are counted from the end, but none twice."""
    s = 0.0
    for a in range(len(w)):
        s += w[a, 0] * x[i + a, j + 1]
    y[i, j - 3] = s


def passed_on(i, j, x, w, y):
    """What one index writes the next one reads: they must stay in order."""
    s = y[i, j]
    for a in range(len(w)):
        s += w[a, 0] * x[i + a, j]
    y[i, j + 1] = s


@pytest.mark.parametrize("kernel", [windows, behind, passed_on], ids=lambda x: x.__name__)
def test_what_is_written_beside_the_index(renderer, kernel):
    rng, how = np.random.default_rng(4), pp.seq if kernel is passed_on else renderer
    x, w = rng.random((9, 150)), rng.random((3, 4))
    y = np.zeros((9, 150))
    wanted = y.copy()
    pp.for_each(how, (6, 146), kernel, x, w, y)
    for i, j in np.ndindex(6, 146):
        kernel(i, j, x, w, wanted)
    np.testing.assert_array_equal(y, wanted)
    told = pp.inspect(kernel, pp.simd(), x, w, y, space=(6, 146))["Numba"]
    assert ("strip64" in told) == (kernel is not passed_on)


def scattered(j, a, k, y):
    s = 0.0
    for i in range(len(a)):
        s += a[i, j]
    if s > 3:
        y[k[j]] = s
    y[len(k) + j // 2] += s


def fed_back(j, a, k, y):
    s = 0.0
    for i in range(len(a)):
        s += a[i, j] * y[k[j] // 2]
    y[k[j]] = s


@pytest.mark.parametrize("kernel", [scattered, fed_back], ids=lambda x: x.__name__)
def test_what_is_written_anywhere_is_written_in_order(kernel):
    rng = np.random.default_rng(4)
    for m in (1, 63, 64, 150):
        a, k, y = rng.random((6, m)), rng.permutation(m), rng.random(2 * m)
        wanted = y.copy()
        pp.for_each(pp.seq, m, kernel, a, k, y)
        for j in range(m):
            kernel(j, a, k, wanted)
        np.testing.assert_array_equal(y, wanted, f"{m} columns")
    told = pp.inspect(kernel, pp.simd(), a, k, y, space=m)["Numba"]
    assert ("strip64" in told) == (kernel is scattered)


def test_columns_that_are_written_are_done_in_order():
    """Where what is written is what is read, an index sees what the ones before it wrote."""
    for offset in (0, 40, 133, 500):
        got = np.random.default_rng(3).random(7 * 133)
        wanted = got.copy()
        for buffer in (got, wanted):
            a, y = buffer.reshape(7, 133), buffer[offset : offset + 133]
            if buffer is got:
                pp.for_each(pp.seq, 133, backwards, a, y)
            else:
                for j in range(133):
                    backwards(j, a, y)
        np.testing.assert_array_equal(got, wanted, f"at {offset}")


def test_columns_become_vectors():
    a, x, y = np.zeros((100, 200)), np.zeros(100), np.zeros(200)
    for kernel in (dots, deviation):
        assert "strip64" in pp.inspect(kernel, pp.simd(), a, x if kernel is dots else y.copy(), y, space=200)["Numba"]


# columns that are written, conditions, and indices from arrays ---------------------------------------


def thomas(j, a, c, k, x, y):
    m = len(a)
    c[0, j] = -0.25
    y[0, j] = a[0, j] / 4
    for i in range(1, m):
        w = 1 / (4 + c[i - 1, j])
        c[i, j] = -w
        y[i, j] = (a[i, j] + y[i - 1, j]) * w
    for i in range(m - 2, -1, -1):
        y[i, j] -= c[i, j] * y[i + 1, j]


def diagonals(i, a, c, k, x, y):
    s = 0.0
    for d in range(len(a)):
        j = i + k[d, 0]
        if 0 <= j < len(x):
            s += a[d, i] * x[j]
    y[0, i] = s


def ellpack(i, a, c, k, x, y):
    s, positive = 0.0, 0.0
    for d in range(len(a)):
        v = a[d, i] * x[k[d, i]]
        s += v
        if v > 0.25:
            positive += 1.0
        elif d == 1:
            positive = s + i
    y[0, i] = s
    y[1, i] = positive


def mixed(i, a, c, k, x, y):
    s = 1.0
    for d in range(len(a)):
        t = k[d, i] + i  # a whole number in each lane
        s = s * 0.5 + a[d, i] * t
        if d % 2 == 0:
            y[d, i] = s + t * 2
    c[0, i] = s


@pytest.mark.parametrize("kernel", [thomas, diagonals, ellpack, mixed], ids=lambda x: x.__name__)
def test_columns_with_more_to_them(renderer, kernel):
    rng = np.random.default_rng(4)
    for m in (1, 3, 64, 77, 1200):
        a, x = rng.random((5, m)), rng.random(m)
        k = rng.integers(0, m, (5, m)).astype(np.int32)
        k[4, -1] = -1
        if kernel is diagonals:
            k[:, 0] = rng.integers(-3, 4, 5)
        got, wanted = ((np.zeros((5, m)), np.zeros((5, m))) for _ in range(2))
        pp.for_each(pp.par.on(renderer.executor), m, kernel, a, got[0], k, x, got[1])
        for i in range(m):
            kernel(i, a, wanted[0], k, x, wanted[1])
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other, f"{m} columns")


@pytest.mark.extra
def test_columns_with_more_to_them_become_vectors():
    a, k = np.zeros((5, 200)), np.zeros((5, 200), np.int32)
    for kernel in (thomas, diagonals, ellpack, mixed):
        assert "strip" in pp.inspect(kernel, pp.simd(), a, a.copy(), k, a[0].copy(), a.copy(), space=200)["Numba"]
    told = pp.inspect(ellpack, executor("opencl:0"), a, a.copy(), k, a[0].copy(), a.copy(), space=200)["OpenCL C"]
    assert ("strip" in told) is ("always_inline" in told and not slow_gathers())


def tallied(i, n, x, y, out):
    s, count = x[i], 0
    for k in range(n):
        s = s * 0.5 + y[k]
        if s > 0.75:
            count += 1
    out[i] = s + count


# loops of which each step waits for the last one -----------------------------------------------------


def chain(i, n, x, y, out):
    s, t = x[i], 0.0
    for k in range(n):
        s = s * x[i] + 0.5
        t += s - y[k]
    out[i] = t + s


def nested(i, n, x, y, out):
    s = 1.0
    for k in range(n):
        r = 0.0
        for m in range(k):
            r += y[m] * s
        s = s * 0.5 + r / (1 + n)
    out[i] = s * x[i]


def through(i, n, x, y, out):
    s = 0.0
    for _ in range(n):
        s = s * 0.5 + x[i]
        if s > 1.5:
            s -= 1.0
    out[i] = s


def chosen(i, n, x, y, out):
    s, count = x[i], 0.0
    for k in range(n):
        s = s * s + x[i] if s < 1.5 and k != 2 else min(s, y[k] if k < 3 else 0.75)
        count += 1.0 if s > 0.5 else 0.0
    out[i] = s + math.sqrt(count)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kernel", [chain, nested, through, chosen, tallied], ids=lambda x: x.__name__)
def test_chains_one_after_the_other(renderer, kernel, dtype):
    rng = np.random.default_rng(2)
    half = np.dtype(dtype).type
    for size, n in ((1, 3), (7, 1), (64, 0), (65, 5), (150, 9)):
        x, y, out = (rng.random(m).astype(dtype) for m in (size, 9, size))
        wanted = np.empty_like(out)
        with np.errstate(all="ignore"):
            for i in range(size):  # NumPy's numbers, in the order that is written
                kernel(i, n, [half(v) for v in x], [half(v) for v in y], wanted)
        pp.for_each(pp.par.on(renderer.executor), size, kernel, n, x, y, out)
        if dtype == "float64":
            assert np.array_equal(out, wanted)
        else:
            np.testing.assert_allclose(out, wanted, rtol=1e-5)


def chain_of(rounds):
    def helper(v, w):
        s = v
        for _ in range(rounds):
            s = s * w + 0.25
        return s

    def op(v):
        half = v * 0.5
        return helper(v, half)

    return op


def test_chains_of_transforms(renderer):
    how, x = pp.par.on(renderer.executor), np.random.default_rng(3).random(1000)
    for rounds in (0, 1, 33):
        op, wanted = chain_of(rounds), x.copy()
        for _ in range(rounds):
            wanted = wanted * (x * 0.5) + 0.25
        assert np.array_equal(pp.transform(how, x, op=op), wanted)
        again = x.copy()
        pp.transform(how, again, out=again, op=op)  # in place
        assert np.array_equal(again, wanted)
        assert np.array_equal(pp.transform(how, x[::2], op=op), wanted[::2])


def walk(i, x, out):
    """Random steps, of bits that are shifted into each other."""
    s, w = np.uint32(i + 12345), 0.0
    for _ in range(40):
        s ^= s << np.uint32(13)
        s ^= s >> np.uint32(17)
        s ^= s << np.uint32(5)
        w += x[i] if s & np.uint32(1) else -1.0
    out[i] = w


def logistic(i, x, out):
    v, s = x[i], 0.0
    for k in range(2, 50):
        v = v * 0.999 + 0.001 * v * v - 0.0005
        s = s + v if v < 0.5 else s * 0.5 + k
    out[i] = v + s


def ended(i, x, out):
    """A loop that ends for each index at another place."""
    v, n = x[i], 0
    for k in range(60):
        v = v * 0.9 + 0.001 * v * v - 0.0005
        if v < 0.1:
            break
        n += k
    out[i] = v + n


def totalled(i, x, out):
    """Whole numbers are added up in any order."""
    s = 0
    for k in range(60):
        s += (i * k + 7 * k * k + 3) % 11 - (i & k)
    out[i] = s + x[i]


def weighted(i, x, out):
    s, d = 0.0, 0.0
    for k in range(16):
        w = x[i] * k - 0.5
        s += w * w * 0.25
        d = d - w * (k + 1) * 0.125
    out[i] = s + d


@pytest.mark.parametrize("kernel", [walk, logistic, ended, totalled, weighted], ids=lambda x: x.__name__)
def test_chains_of_constant_length(renderer, kernel):
    for size in (1, 7, 64, 150):
        x = np.random.default_rng(4).random(size)
        out, wanted = np.zeros(size), np.zeros(size)
        with np.errstate(all="ignore"):
            for i in range(size):
                kernel(i, x, wanted)
        pp.for_each(pp.par.on(renderer.executor), size, kernel, x, out)
        assert np.array_equal(out, wanted)


def test_chains_of_constant_length_become_vectors():
    x, out = np.zeros(999), np.zeros(999)
    for kernel in (walk, logistic):
        assert "x double>" in pp.inspect(kernel, pp.simd(), x, out, space=999)["LLVM"], kernel
    # sums alone are left to LLVM, which makes vectors of them by itself
    told = pp.inspect(weighted, pp.simd(), x, out, space=999)
    assert "strip64" not in told["Numba"] and "x double>" in told["LLVM"]
    assert "strip64" in pp.inspect(logistic, pp.simd(), x, out, space=999)["Numba"]


# steps that are the same for all indices, conditions, and numbers of several kinds --------------------

POINT = np.dtype([("x", "f4"), ("y", "f4"), ("kind", "i2")])


def closest(i, n, x, points, weights, where, least):
    best, found, seen = math.inf, -1, 0
    for k in range(n):
        point = points[k]
        weight = weights[point.kind]  # also from the end
        if weight > 2:
            weight = np.float32(0.5)
        dx, dy = x[i] - point.x, x[i] - point.y
        far = dx * dx + dy * dy
        half = weight / 2
        if far * half < best:
            best, found = far * half, k
            if found > 2:
                seen += 1
        else:
            seen += 2
    where[i] = found * 100 + seen
    least[i] = best


def window(i, n, x, points, weights, where, least):
    s, odd, count = np.float32(0), False, 0.25
    for k in range(n):
        t = x[i + k] * weights[k]
        half = k / 2
        if k % 3 == 1:
            t = t * half
            odd = not odd
        s = s + t if t > 0.25 or odd else s - x[i]
        count += 0.1 if x[i] > 0.5 else 0.2
    where[i] = s > 1
    least[i] = s + count


def table(i, n, x, points, weights, where, least):
    total = 0.0
    for k in range(n):
        if points[k].kind < 0:
            for m in range(k):
                total = total * 0.5 + weights[m] * x[i]
        else:
            total -= x[i]
        low = points[k].x
        where[i] = k
    least[i] = total + low


def others(i, n, x, points, weights, where, least):
    s, wide, before = 0, np.float32(0), x[i]
    for k in range(n):
        if k != i:
            s += x[i] * weights[k] + i
            before = before * 0.5 + (k - i)
        wide = max(wide, x[i] - weights[k])
    where[i] = i % 3
    least[i] = s + before * wide


@pytest.mark.parametrize("kernel", [closest, window, table, others], ids=lambda x: x.__name__)
def test_strips_of_mixed_steps(renderer, kernel):
    rng = np.random.default_rng(4)
    points = np.zeros(9, POINT)
    points["x"], points["y"], points["kind"] = rng.random(9), rng.random(9), rng.integers(-4, 4, 9)
    weights = (rng.random(9) * 3).astype(np.float32)
    for size, n in ((1, 3), (7, 9), (64, 1), (65, 5), (150, 9)):
        x = rng.random(size + 9).astype(np.float32)
        where, least = np.zeros(size, np.int32), np.zeros(size)
        wanted = np.zeros(size, np.int32), np.zeros(size)
        for i in range(size):
            kernel(i, n, x, points.view(np.recarray), weights, *wanted)
        pp.for_each(pp.par.on(renderer.executor), size, kernel, n, x, points, weights, where, least)
        assert np.array_equal(where, wanted[0]) and np.array_equal(least, wanted[1])
    if renderer.executor.kind == "threads":
        told = pp.inspect(kernel, pp.simd(), n, x, points, weights, where, least, space=size)
        assert "strip64" in told["Numba"]


def counted(i, x, count, y):
    s = 0.0
    for k in range(len(x)):
        pp.atomic.add(count, 0, 1)  # once for each index, so in no strip
        s = s * 0.5 + x[k] * x[i]
    y[i] = s


def test_what_must_be_done_for_each_index(renderer):
    x, count, y = np.ones(150), np.zeros(1, np.int64), np.zeros(150)
    pp.for_each(pp.par.on(renderer.executor), 150, counted, x, count, y)
    assert count[0] == 150 * 150 and np.allclose(y, 2)


# numbers of all kinds that a lane keeps ----------------------------------------------------------------


def floored(j, n, x, a, b, u, y):
    low, s = math.floor(x[j]), 0
    for k in range(n):
        s = s + (low + k) % 10
    y[j] = s


def unsigned(j, n, x, a, b, u, y):
    large, s = int(u[j]), 0
    for k in range(n):
        s = s + large // 1000000000000 + large % (k + 2)
    y[j] = s


def masked(j, n, x, a, b, u, y):
    common, s = math.gcd(a[j], 12), 0
    for k in range(n):
        s = s + (common & k) + (common << 1)
    y[j] = s


def whole(j, n, x, a, b, u, y):
    low, high, cut = math.floor(x[j]), math.ceil(x[j]), math.trunc(x[j])
    large, bits, odd = int(u[j]), 0, a[j] & 1
    s = 0
    for k in range(n):
        s = s + (low + k) % 10 + (high + k) % 7 + (cut - k) % 5
        bits = (bits ^ ((a[j] & 255) << 1)) + (low & 3) + odd
        s = s + large // 1000000000000 + large % (k + 2)
        if odd:
            s = s + (bits >> 1)
    y[j] = s


def narrow(j, n, x, a, b, u, y):
    product, rest, small = b[j] * b[j], b[j] // 7, -b[j]
    least, mixed, single = min(b[j], 3), u[j] // 3, np.float32(x[j])
    size, true = abs(b[j]), x[j] > 0.0
    s = 0.0
    for _ in range(n):
        s = s * 0.5 + (product + 1) + rest * 2 + (small - 3) + least
        s = s + mixed % 11 + single * 3 + (size + size)
        product += b[j]
        if true:
            s = s + 1.0
    y[j] = s


def several(j, n, x, a, b, u, y):
    count = 1
    third = u[j] // count  # where it is whole yet
    common, power, part, finite = math.gcd(int(a[j]), 12), b[j] ** 2, divmod(a[j], 7)[1], math.isfinite(x[j])
    s = 0.0
    for _ in range(n):
        count = count * 0.5 + x[j] * 1e-9
        s = s * 0.5 + count + third % 10 + (common & 3) + (common << 1)
        s = s + power + part + finite
    y[j] = s


def wide(j, n, x, a, b, u, y):
    v = b[j]
    if x[j] > 0:
        v = n * 100  # which is not as narrow as b
    s = 0.0
    for _ in range(n):
        s = s * 0.5 + v * x[j]
        v = v - 1
    y[j] = s


def narrowed(j, n, x, a, b, u, y):
    s = 0
    for _ in range(n):
        s += int(b[j])
        if s > 100:
            s -= b[j]  # s is a Python number on one of the ways here
    y[j] = s


@pytest.mark.filterwarnings("ignore:.*begins as a Python number")  # of `narrowed`, which is about that
@pytest.mark.parametrize(
    "kernel", [floored, unsigned, masked, whole, narrow, several, wide, narrowed], ids=lambda x: x.__name__
)
def test_kinds_of_numbers_in_lanes(renderer, kernel):
    """What is kept from one run of lanes to the next stays what the kernel alone makes of it."""
    rng = np.random.default_rng(6)
    m, n = 150, 7
    x, a = rng.normal(size=m) * 50, rng.integers(0, 2**60, m)
    b, u = rng.integers(-128, 128, m).astype(np.int8), rng.integers(0, 2**63, m).astype(np.uint64)
    x[3], x[70], u[5], u[80] = 1e18, -1e17, 2**63 + 5, 2**64 - 1
    y, wanted = np.zeros(m), np.zeros(m)
    pp.for_each(pp.par.on(renderer.executor), m, kernel, n, x, a, b, u, y)
    given = (
        [v.tolist() for v in (x, a, b, u)] if kernel in (floored, unsigned, masked, whole, narrowed) else (x, a, b, u)
    )
    with np.errstate(all="ignore"):
        for j in range(m):
            kernel(j, n, *given, wanted)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("kernel", [whole, narrow, several], ids=lambda x: x.__name__)
def test_texts_for_cpus_alone_have_strips(kernel):
    """Each loop over lanes, however long, is one that C's compilers count, and make one vector of."""
    x, a, b, u = np.zeros(150), np.zeros(150, np.int64), np.zeros(150, np.int8), np.zeros(150, np.uint64)
    text = pp.inspect(kernel, executor("opencl:0"), 7, x, a, b, u, np.zeros(150), space=150)["OpenCL C"]
    cpu = "always_inline" in text
    assert text.count("vectorize_width(64)") == 3 * (cpu and kernel is not several)
    assert "for (;;)" not in text


def test_kinds_of_numbers_become_vectors():
    """Where no number is kept otherwise than the kernel has it."""
    x, a, b, u = np.zeros(150), np.zeros(150, np.int64), np.zeros(150, np.int8), np.zeros(150, np.uint64)
    for kernel in (whole, narrow, several, wide):
        told = pp.inspect(kernel, pp.simd(), 7, x, a, b, u, np.zeros(150), space=150)["Numba"]
        assert ("strip64" in told) == (kernel in (whole, narrow))


# functions that a loop calls --------------------------------------------------------------------------


def pair(x, k):
    small = k % 3 == 0
    return x * 0.5 + k, np.uint64(k) << np.uint64(3) if small else np.uint64(k)


def joined(x, k):
    half, bits = pair(x, k)
    return half if bits == np.uint64(0) else half + bits


def first_of(a, k):
    return a[k % len(a)]


def powers(x, count):
    total = 1.0
    for _ in range(count):
        total *= x
    return total


def drawn(j, n, x, a, y):
    s, up = x[j], 0
    for k in range(n):
        s = s * 0.5 + pp.random.normal(7, j * n + k)
        if pp.random.uniform(a[j], k) < 0.5:
            up += 1
    y[j] = s + up


def paired(j, n, x, a, y):
    s = x[j]
    for k in range(n):
        s = joined(s, a[j] + k) * 0.25
    y[j] = s


def looked(j, n, x, a, y):
    s = 0.0
    for k in range(n):
        s = s * 0.5 + first_of(x, j + k)
    y[j] = s


def raised(j, n, x, a, y):
    s = 0.0
    for k in range(n):
        s = s * 0.5 + powers(x[j], k % 3)
    y[j] = s


def alone(j, n, y):
    s = 0.0
    for k in range(n):
        s = s * 0.5 + pp.random.uniform(3, n * j + k)
    y[j] = s


CALLING = (drawn, paired, looked, raised)


def test_functions_that_a_loop_calls(renderer):
    rng = np.random.default_rng(8)
    m, n = 150, 7
    x, a = rng.normal(size=m), rng.integers(0, 1000, m)
    for kernel in CALLING:
        y, wanted = np.zeros(m), np.zeros(m)
        pp.for_each(renderer, m, kernel, n, x, a, y)
        for j in range(m):
            kernel(j, n, x, a, wanted)
        np.testing.assert_array_equal(y, wanted, kernel.__name__)
    pp.for_each(renderer, m, alone, n, y)
    for j in range(m):
        alone(j, n, wanted)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.extra
def test_functions_that_a_loop_calls_become_vectors():
    """Those that are steps, and take numbers."""
    x, a = np.zeros(150), np.zeros(150, np.int64)
    for kernel in CALLING:
        told = pp.inspect(kernel, pp.simd(), 7, x, a, x.copy(), space=150)["Numba"]
        assert ("strip64" in told) == (kernel in (drawn, paired)), kernel.__name__
    assert "strip64" in pp.inspect(alone, pp.simd(), 7, x, space=150)["Numba"]


# loops along rows -------------------------------------------------------------------------------------


def along(i, a, b, x, y):
    s = y[i]
    for j in range(a.shape[1]):
        s += a[i, j] * x[j]
    y[i] = s


def both(i, a, b, x, y):
    s, t = 0.0, 1.0
    for j in range(2, len(x) - 1):
        if a[i, j] > b[i, j]:
            s = s * 0.5 + a[i, j] * x[j]
        t = max(t, b[i, j] + x[j - 1])
    for j in range(len(x)):
        t -= b[i, j] * x[len(x) - 1 - j]
    y[i] = s + t


def last(i, a, b, x, y):
    s, j = 0.0, 0
    for j in range(a.shape[1]):
        s = s * 0.25 + a[i, j]
    y[i] = s + j


def shrinking(i, a, b, x, y):
    s, n = 0.0, len(x)
    for j in range(n):
        s += a[i, j] * x[j]
        n = 0
    y[i] = s + n


def narrower(i, a, b, x, y):
    s = 0.0
    for j in range(len(x) + 100):
        if j < a.shape[1]:
            s += a[i, j]
        s += b[i, j] if j < b.shape[1] and b[i, j] > 0.5 else 0.25
    y[i] = s


def by_row(i, a, b, x, y):
    s = a[i] @ x
    t = (a[i] * b[i]).sum()
    y[i] += s * t + 2 * b[i].sum()


def items(i, a, b, x, y):
    s = 1.0
    for v in a[i]:
        s = s * 0.5 + v
    for v, w in zip(b[i], x, strict=False):
        s += v * w
    y[i] = s + len(a[i])


def another(i, a, b, x, y):
    s, k = 0.0, i
    for v in a[k]:
        s += v * (k + 1)
        k = 0
    for v in b[i]:
        if v > 0.7:
            break
        s += v
    else:
        s += 1
    y[i] = s + (a[i][len(x) - 1] if len(a[i]) else 0.5) + (a[k] @ x if s > 3 else b[k].sum())


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [
        *((kernel, "float64") for kernel in (along, both, last, shrinking, narrower, by_row, items, another)),
        *((kernel, "float32") for kernel in (along, both)),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_rows_one_after_the_other(renderer, kernel, dtype):
    rng = np.random.default_rng(5)
    for m, n in ((1, 40), (15, 8), (16, 0), (17, 3), (40, 37), (33, 64)):
        a, b, x, y = (rng.random(shape).astype(dtype) for shape in ((m, n), (m, n), n, m))
        wanted = y.copy()
        for i in range(m):
            kernel(i, a, b, x, wanted)
        got = y.copy()
        pp.for_each(renderer, m, kernel, a, b, x, got)
        if kernel in (by_row, another):  # NumPy adds in another order
            np.testing.assert_allclose(got, wanted, 1e-14)
            continue
        np.testing.assert_array_equal(got, wanted, f"{m} rows of {n}")


def centred(i, a, b, x, out):
    s = 0.0
    for j in range(len(x)):
        s += a[i, j] * x[j]
    s /= max(len(x), 1)
    for j in range(len(x)):
        v = a[i, j] - s
        v *= v
        out[i, j] = v + x[j]
    for j in range(1, len(x)):  # in order
        out[i, j] += out[i, j - 1] * 0.5 + b[i, j]


def scaled(i, a, b, x, out):
    least = most = 0.5
    for j in range(a.shape[1]):
        least, most = min(least, a[i, j]), max(most, a[i, j])
    for j in range(1, a.shape[1]):
        out[i, j] = (a[i, j - 1] - least) / (most - least)
        out[i, j - 1] -= b[i, j] * i
    v = most
    for j in range(a.shape[1]):  # `v` goes from round to round: one index after the other
        if i > 16:
            out[i, j] += v


@pytest.mark.parametrize("kernel", [centred, scaled], ids=lambda kernel: kernel.__name__)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_that_are_written(renderer, kernel, dtype):
    rng = np.random.default_rng(7)
    for m, n in ((1, 40), (15, 1), (16, 0), (17, 3), (40, 37)):
        a, b, x, out = (rng.random(shape).astype(dtype) for shape in ((m, n), (m, n), n, (m, n)))
        wanted = out.copy()
        for i in range(m):
            kernel(i, a, b, x, wanted)
        pp.for_each(renderer, m, kernel, a, b, x, out)
        np.testing.assert_array_equal(out, wanted, f"{m} rows of {n}")


def moments(z, g, m, phi, ell, psi):
    s = phi[z, g, m]
    for d in range(psi.shape[2]):
        s += ell[m, d] * psi[z, g, d]
    phi[z, g, m] = s


def test_rows_of_three_indices_one_after_the_other(renderer):
    rng = np.random.default_rng(6)
    phi, ell, psi = rng.random((3, 2, 37)), rng.random((37, 29)), rng.random((3, 2, 29))
    wanted = phi.copy()
    for z, g, m in np.ndindex(wanted.shape):
        moments(z, g, m, wanted, ell, psi)
    pp.for_each(renderer, phi.shape, moments, phi, ell, psi)
    np.testing.assert_array_equal(phi, wanted)


@pytest.mark.extra
def test_rows_become_vectors():
    a, x = np.zeros((100, 200)), np.zeros(200)
    for kernel in (along, both, by_row, items):
        assert "strip16" in pp.inspect(kernel, pp.simd(), a, a.copy(), x, np.zeros(100), space=100)["Numba"]
    assert "strip16" in pp.inspect(centred, pp.simd(), a, a.copy(), x, a.copy(), space=100)["Numba"]
    # what a condition keeps from being read may lie where no memory is
    assert "strip16" not in pp.inspect(narrower, pp.simd(), a, a.copy(), x, np.zeros(100), space=100)["Numba"]
    phi, ell, psi = np.zeros((3, 2, 37)), np.zeros((37, 200)), np.zeros((3, 2, 200))
    assert "strip16" in pp.inspect(moments, pp.simd(), phi, ell, psi, space=phi.shape)["Numba"]


def square_rows(z, i, n, m, a, x, y):
    for j in range(n):
        y[z, i] += a[i, j] * x[z, j]


def flat_rows(z, i, n, m, a, x, y):
    for j in range(n):
        y[i + z * m] += a[j + i * n] * x[j + z * n]


def gapped_rows(z, i, n, m, a, x, y):
    first, s = z * n, 0.5
    for j in range(1, n - 1):
        s += a[(i * n + j) + 1] * x[first + j] - a[j - 1 + n * i]
    y[z * m + i] = s


def met_rows(z, i, n, m, a, x, y):
    """Each index reads what the next one wrote before: no step may be done for all first."""
    for j in range(n):
        y[m * z + i] += a[j + i * n] * y[m * z + i + 1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kernel", [square_rows, flat_rows, gapped_rows, met_rows], ids=lambda x: x.__name__)
def test_rows_of_flat_arrays(renderer, kernel, dtype):
    rng, flat = np.random.default_rng(5), kernel is not square_rows
    how = pp.seq if kernel is met_rows else pp.par.on(renderer.executor)
    for n, m in ((3, 7), (21, 8), (8, 25), (17, 41)):
        a, x, y = (rng.random(shape).astype(dtype) for shape in ((m, n), (3, n), (3, m)))
        y = np.append(y, y[0, :1]) if flat else y
        a, x = (a.reshape(-1), x.reshape(-1)) if flat else (a, x)
        wanted = y.copy()
        pp.for_each(how, (3, m), kernel, n, m, a, x, y)
        for z, i in np.ndindex(3, m):
            kernel(z, i, n, m, a, x, wanted)
        if dtype == "float64":
            assert np.array_equal(y, wanted), (n, m)
        else:
            np.testing.assert_allclose(y, wanted, rtol=1e-5)


@pytest.mark.extra
def test_rows_of_flat_arrays_become_vectors():
    a, x, y = np.zeros(4100), np.zeros(300), np.zeros(124)
    for kernel in (flat_rows, gapped_rows, met_rows):
        told = pp.inspect(kernel, pp.simd(), 100, 41, a, x, y, space=(3, 41))["Numba"]
        assert ("strip16" in told) == (kernel is not met_rows)


@pytest.mark.parametrize(
    "step, alone",
    [
        ("o[i, j] = a[i, j] - m", True),
        ("o[i, j + 1] += m", True),
        ("o[i] += a[i, j]", False),  # a sum
        ("o[z, i] = o[z, i] * 0.5 + a[i, j]", False),
        ("o[j, i] = o[j + 1, i] * 0.5", False),  # a column: all lanes do it at once
        ("m = m + a[i, j]", False),
    ],
)
def test_loops_that_are_done_row_by_row(step, alone):
    assert is_alone(ast.parse(f"for j in range(n):\n    {step}").body[0]) is alone
