"""What is written in another way where that makes vectors, short loops and branches: the same bits as Python's."""

import re

import numpy as np
import pytest

import portapar as pp
from portapar.kernel.jit.narrowing import narrowed


def chain(v):
    for _ in range(60):
        v = v * 0.999 + 0.001 * v * v - 0.0005
    return v


def nested(v, w):
    s = v
    for a in range(4):
        for b in range(a - 1, 3):
            s += (v + a) * (w - b)
    return s


def left(v, w):
    x, y, n = 0.0, 0.0, 0
    for k in range(40):
        if x * x + y * y > 4.0:
            break
        if k % 3 == 2:
            continue
        x, y = x * x - y * y + v, 2.0 * x * y + w
        n += k
    return x + n


def down(v, w):
    a, b = v, w
    for k in range(20, -3, -2):
        a, b = b, a * 0.5 + k * b
    for _ in range(3, 3):
        a = 0.0
    return a + b


def test_numbers_alone(renderer):
    rng = np.random.default_rng(1)
    v, w = rng.uniform(-1, 1, 1003), rng.uniform(-1, 1, 1003)
    for kernel, arrays in ((chain, (v,)), (nested, (v, w)), (left, (v, w)), (down, (v, w))):
        found = pp.transform(renderer, *arrays, op=kernel)
        wanted = np.array([kernel(*(float(x) for x in pair)) for pair in zip(*arrays, strict=True)])
        assert np.array_equal(found, wanted), kernel.__name__


def arrays(i, x, w, out, whole, bits):
    r = np.zeros(4)
    for a in range(3):
        for b in range(4):
            r[b] += w[a, b] * x[i + a, b]
    s = r[0]
    for b in range(1, 4):
        s = max(s, r[b])
    out[i] = s
    n = whole[i]
    for k in range(17):
        n = n * np.int32(1103515245) + np.int32(12345) - np.int32(k)
    bits[i] = n


def test_arrays_and_whole_numbers(renderer):
    rng = np.random.default_rng(2)
    n = 517
    x, w, whole = rng.random((n + 2, 4)), rng.random((3, 4)), rng.integers(-(2**31), 2**31, n).astype(np.int32)
    out, bits = np.zeros(n), np.zeros(n, np.int32)
    pp.for_each(renderer, n, arrays, x, w, out, whole, bits)
    r = np.zeros((n, 4))
    for a in range(3):
        r += w[a] * x[a : a + n]
    assert np.array_equal(out, r.max(axis=1))
    with np.errstate(over="ignore"):
        for k in range(17):
            whole = whole * np.int32(1103515245) + np.int32(12345) - np.int32(k)
    assert np.array_equal(bits, whole)


def test_reductions_fold_the_same_bits(renderer):
    x = np.random.default_rng(3).random(10_001)
    found = pp.transform_reduce(renderer, x, transform=chain, op=pp.plus)
    assert found == pp.reduce(pp.seq, pp.transform(pp.seq, x, op=chain))


def branches(i, x, k, out, whole, mark):
    a, b = x[i] - x[i - 1], x[i - 2] - x[i]
    if a * b <= 0.0:
        out[i] = 0.0
    elif abs(a) < abs(b):
        out[i] = a
    else:
        out[i] = b
    if k[i] > 3:
        whole[i] = k[i] * 3 - 1
    else:
        whole[i] = a * 10.0  # of another type: cut
    s = b
    if a > b:
        t = a + 1.0
        s = t * 0.5
    else:
        t = b - 1.0
    mark[i, 0] = s + t
    if k[i] == 2:
        s = -s
        if a < 0.25:
            mark[i, 1] = s
            return
        mark[i, 1] = s + 1.0
    else:
        mark[i, 1] = -1.0 if b < 0.0 else s


def octant(p):
    if p[0] > 0.5:
        return (7 if p[2] > 0.5 else 6) if p[1] > 0.5 else (5 if p[2] > 0.5 else 4)
    if p[1] > 0.5:
        return 3 if p[2] > 0.5 else 2
    return 1 if p[2] > 0.5 else 0


def test_branches(renderer):
    rng = np.random.default_rng(4)
    n = 1009
    x, k = np.round(rng.uniform(-1, 1, n), 1), rng.integers(0, 7, n)
    given = x, k, np.zeros(n), np.zeros(n, np.int64), np.zeros((n, 2))
    wanted = [a.copy() for a in given]
    for i in range(n):
        branches(i, *wanted)
    pp.for_each(renderer, n, branches, *given)
    for found, right in zip(given, wanted, strict=True):
        assert np.array_equal(found, right)
    p = rng.random((3, n))
    found = pp.transform(renderer, pp.lazy.zip(*p), op=octant)
    assert np.array_equal(found, [octant(q) for q in p.T])


def corner(i, j, x, y):
    y[i, j] = x[i - 1, j - 1] + 10.0 * x[i - 2, j] - x[i, j - 3]


def both(i, x, y):
    y[i] = x[i - 1] + 2.0 * (x[i + 1] if i + 1 < len(x) else x[0])


def test_rows_whose_ends_are_special(renderer):
    """Indices below zero at the ends of a row, or of all rows, and spaces that begin and step anywhere."""
    rng = np.random.default_rng(5)
    for shape in ((1, 1), (2, 9), (7, 64), (40, 3), (3, 200)):
        x, y = rng.random(shape), np.zeros(shape)
        pp.for_each(renderer, shape, corner, x, y)
        right = np.roll(x, (1, 1), (0, 1)) + 10.0 * np.roll(x, 2, 0)
        if min(shape) > 3:
            assert np.array_equal(y, right - np.roll(x, 3, 1)), shape
    x = rng.random((12, 50))
    down = pp.range(11, 1, -3), pp.range(49, 2, -1)
    for space in ((pp.range(2, 12), pp.range(3, 50)), down, (pp.range(1, 9, 2), 50)):
        y, right = np.zeros_like(x), np.zeros_like(x)
        pp.for_each(renderer, space, corner, x, y)
        for i in range(12)[slice(*_ends(space[0]))]:
            for j in range(50)[slice(*_ends(space[1]))]:
                corner(i, j, x, right)
        assert np.array_equal(y, right), space
    for n in (1, 2, 3, 100, 5000):
        x, y = rng.random(n), np.zeros(n)
        pp.for_each(renderer, n, both, x, y)
        assert np.array_equal(y, np.roll(x, 1) + 2.0 * np.roll(x, -1)), n


def _ends(axis):
    return (0, axis, 1) if isinstance(axis, int) else (axis.start, axis.stop, axis.step)


def to_luma(i, rgb, out):
    r, g, b = int(rgb[i, 0]), int(rgb[i, 1]), int(rgb[i, 2])
    out[i, 0] = ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16
    out[i, 1] = ((-38 * r - 74 * g + 112 * b + 128) >> 8) + 128
    out[i, 2] = r * g * b * 0x100000001 >> 33


def test_whole_numbers_have_the_bits_that_are_used(renderer):
    rgb, out = np.random.default_rng(1).integers(0, 256, (999, 3)).astype(np.uint8), np.zeros((999, 3), np.uint8)
    rgb[:2] = [0, 0, 0], [255, 255, 255]
    pp.for_each(renderer, len(rgb), to_luma, rgb, out)
    r, g, b = rgb.T.astype(np.int64)
    expected = [(66 * r + 129 * g + 25 * b + 128 >> 8) + 16, (-38 * r - 74 * g + 112 * b + 128 >> 8) + 128]
    expected.append(r * g * b * 0x100000001 >> 33)  # all 64 bits
    assert (out == np.stack(expected, -1).astype(np.uint8)).all()


def small_ones(i, a, b, u, w, out, half, low):
    x, y, m, k = int(a[i]), int(b[i]), int(u[i]), int(w[i])
    out[i, 0] = min(abs(x - y) + abs(y - 2 * x), 300)  # 16 bits with a sign
    out[i, 1] = (x * 256 + 255) // 3 + (m | x << 8) % 1000  # 16 without
    out[i, 2] = max(x * x * 32 - m * 32, k) >> 3  # 32
    out[i, 3] = x * m * 257 // 7 - (m * m >> 1)  # 32 without, and what is too much for it
    out[i, 4] = m * m * m - k * m * x  # 64
    out[i, 5] = (1 if x - y < -100 else 2) * (k if y <= 0 else -k) + (y > x) - k % 7
    out[i, 6] = (y * k) // 255 - (k * k >> 15) ^ (x & 0x55)
    out[i, 7] = 3 * y - 40000 if m + 1 > 65535 else abs(k) - 32768
    half[i] = (x - y) * 0.5 + m
    low[i] = (x * y + m) & 255


def remainders(i, a, b, out):  # by functions that have narrow numbers themselves
    out[i] = (int(a[i]) - 2 * int(b[i])) % 16 + (int(b[i]) - int(a[i]) - 1) // 8


def test_whole_numbers_of_small_ones(renderer):
    ends = [np.iinfo(t) for t in (np.uint8, np.int8, np.uint16, np.int16)]
    rng, n = np.random.default_rng(2), 300
    given = [rng.integers(end.min, end.max, n, end.dtype, endpoint=True) for end in ends]
    for k, (x, end) in enumerate(zip(given, ends, strict=True)):
        x[:16] = np.where(np.arange(16) >> k & 1, end.max, end.min)
    results = np.zeros((n, 8), np.int64), np.zeros(n), np.zeros(n, np.uint8)
    right = np.zeros((n, 8), object), np.zeros(n), np.zeros(n, np.uint8)
    for i in range(n):
        small_ones(i, *given, *right)
    pp.for_each(renderer, n, small_ones, *given, *results)
    for found, expected in zip(results, right, strict=True):
        assert (found == expected).all()
    a, b, out = given[1], given[1][::-1].copy(), np.zeros(n, np.int64)
    pp.for_each(renderer, n, remainders, a, b, out)
    assert [*out] == [(x - 2 * y) % 16 + (y - x - 1) // 8 for x, y in zip(a.tolist(), b.tolist(), strict=True)]


def low_ones(i, a, s, w, out, low):
    x, y, p, q = int(a[i]), int(s[i]), int(w[0]), int(w[1])
    out[i, 0] = (p * x + q * y + 128) >> 8  # 16 bits are used
    out[i, 1] = (p * x - (q * y << 3)) >> 9  # 17
    out[i, 2] = (p * x ^ y) & 255 | x & p << 1
    out[i, 3] = ((x * p) >> 4) * q >> 4
    out[i, 4] = (x * p if y * p > q else q - x) >> 3  # all bits of what is compared
    out[i, 5] = ((y * p) & 0xFF00) >> 12
    out[i, 6] = ((x * p << 20) >> 24) + ((y * q) << 5)
    out[i, 7] = (x * p) >> (y & 7)
    out[i, 8] = (y * p) // 256 + (x * p) % 200
    low[i] = p * x * y + q - (1 if (x * p) & 0x100000 else 0)


@pytest.mark.parametrize("weights", [(5, -7), (2**31 - 1, -(2**31)), (-40503, 65537)])
def test_low_bits_of_whole_numbers(renderer, weights):
    n, rng, w = 300, np.random.default_rng(3), np.array(weights, np.int32)
    a, s = rng.integers(0, 256, n).astype(np.uint8), rng.integers(-(2**15), 2**15, n).astype(np.int16)
    a[:4], s[:4] = [0, 255, 0, 255], [-(2**15), -(2**15), 2**15 - 1, 2**15 - 1]
    right, right_low = np.zeros((n, 9), object), np.zeros(n, object)
    for i in range(n):
        low_ones(i, a, s, w, right, right_low)
    out, low = np.zeros((n, 9), np.uint8), np.zeros(n, np.uint16)
    pp.for_each(renderer, n, low_ones, a, s, w, out, low)
    assert (out == right % 256).all() and (low == right_low % 65536).all()


def test_low_bits_are_computed_of_low_bits():
    text = """define i32 @f(i8 %0, i64 %arg.i, ptr %arg.w.4, ptr %arg.y.4) {
  %x = zext i8 %0 to i32
  %"w 0" = load i32, ptr %arg.w.4, align 4
  %1 = getelementptr i8, ptr %arg.w.4, i64 4
  %2 = load i32, ptr %1, align 4, !range !0
  %3 = mul nsw i32 %x, %"w 0"
  %4 = sub nuw i32 %3, 65540
  %5 = shl i32 %4, 2
  %6 = add i32 %5, %2
  %7 = lshr i32 %6, 8
  %8 = trunc i32 %7 to i8
  store i8 %8, ptr %arg.y.4, align 1
  ret i32 0
}
"""
    here = narrowed(text)
    for part in (
        "%low.3 = mul i16 %low.0-3, %low.1-3",
        "%low.4 = sub i16 %low.3, 4",
        "%low.5 = shl i16 %low.4, 2",
        "%low.1-6 = trunc i32 %2 to i16",
        "%low.7 = lshr i16 %low.6, 8",
        "%8 = trunc i16 %low.7 to i8",
    ):
        assert part in here, part
    assert "%low_.3 = mul" in narrowed(text.replace("%x", "%low.x"))  # one that was part of another one
    assert "%low.6" not in narrowed(text.replace("%6, 8", "%6, 9"))  # 17 bits
    for old, new in (
        ("lshr i32 %6, 8", "udiv i32 %6, 256"),
        ("store i8 %8,", "store i32 %6,"),
        ("ret i32 0", "ret i32 %5"),
        ("ptr %arg.w.4, i64 4", "ptr %arg.w.4, i64 %arg.i"),  # another one for each index
        ("zext i8 %0", "zext i1 %0"),  # nothing of 8 or 16 bits
    ):
        assert old in text and " i16 " not in narrowed(text.replace(old, new)), new
    assert "%low.7 = lshr i16" not in narrowed(text.replace("shl i32 %4, 2", "shl i32 %4, %x"))


def test_whole_numbers_of_small_ones_have_few_bits():
    text = """define i64 @f(i8 %0, i16 %b, i1 %c) {
  %2 = zext i8 %0 to i64
  %3 = sub nsw i64 255, %2
  %4 = mul nuw nsw i64 %3, 257
  %"x y" = zext i16 %b to i64
  %least = tail call i64 @llvm.umin.i64(i64 %"x y", i64 %4)
  %5 = icmp slt i64 %least, 40000
  %6 = mul nsw i64 %2, -300
  %7 = tail call i64 @llvm.abs.i64(i64 %6, i1 true)
  %8 = sitofp i64 %7 to double
  %9 = trunc i64 %least to i16
  ret i64 %least
}
"""
    here = narrowed(text)
    for part in (
        "%slim.4 = mul i32 %slim.3, 257",  # all that hangs together, and one is negative
        '%"slim.x y" = zext i16 %b to i32',
        '%slim.least = call i32 @llvm.umin.i32(i32 %"slim.x y", i32 %slim.4)',
        "%5 = icmp slt i32 %slim.least, 40000",
        "%slim.7 = call i32 @llvm.abs.i32(i32 %slim.6, i1 false)",
        "%8 = sitofp i32 %slim.7 to double",
        "%9 = trunc i32 %slim.least to i16",
        "declare i32 @llvm.abs.i32(i32, i1 immarg)",
    ):
        assert part in here, part
    alone = narrowed("".join(line for line in text.splitlines(True) if not line.startswith(("  %6", "  %7", "  %8"))))
    assert "%slim.4 = mul i16 %slim.3, 257" in alone and "%5 = icmp ult i16 %slim.least, 40000" in alone
    assert "%least = zext i16 %slim.least to i64" in alone
    more = alone.replace("  ret", "  %10 = add i64 %4, %least\n  ret")  # it has become a part of another function
    names = re.findall(r"^  (%\S+|%\".*\") =", narrowed(more), re.MULTILINE)
    assert len(names) == len({*names}) and "%slim_.4" in names
    large = text.replace("-300", "-9000000").replace("257", "2147483648")
    assert "%slim.4" not in narrowed(large) and "%least = tail call i64" in narrowed(large)
    alone = "define i64 @f(i8 %0) {\n  %2 = zext i8 %0 to i64\n  ret i64 %2\n}\n"
    assert narrowed(alone) == alone


def looked_up(i, x, table, out):
    out[i] = table[x[i]]


def looked_up_twice(i, x, table, out):
    k = int(x[i]) & 7
    out[i] = table[table[k] & 7] ^ table[k]


def beside(i, x, table, out):
    out[i] = table[i] + x[(i + 1) % len(x)]


def test_tables_of_bytes_are_not_gathered(renderer):
    """There are no such instructions: vectors that are put together one by one take longer than numbers do."""
    x, table = np.arange(1000, dtype=np.uint8), np.random.default_rng(4).integers(0, 256, 1000)
    for dtype, alone in (("uint8", True), ("int16", True), ("float32", False)):
        for kernel in (looked_up, looked_up_twice, beside) if alone else (looked_up, beside):
            out, wanted, some = np.zeros(1000, dtype), np.zeros(1000, dtype), table.astype(dtype)
            pp.for_each(renderer, 1000, kernel, x, some, out)
            with np.errstate(over="ignore"):
                for i in range(1000):
                    kernel(i, x, some, wanted)
            assert np.array_equal(out, wanted)
            text = pp.inspect(kernel, pp.simd(), x, some, out, space=1000)["vectorized"]
            assert text.startswith("no" if alone and kernel is not beside else "yes"), (kernel, dtype)
    some = table.astype(np.uint8)
    assert np.array_equal(pp.transform(renderer, x, op=lambda v: some[v]), some[x])
    assert pp.inspect(pp.transform, pp.simd(), x, op=lambda v: some[v])["vectorized"].startswith("no")
