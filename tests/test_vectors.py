"""What is written in another way where that makes vectors, short loops and branches: the same bits as Python's."""

import numpy as np

import portapar as pp


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
