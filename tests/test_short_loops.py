"""Loops with constant counts, which are written out where that makes vectors: the same bits as NumPy's."""

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
