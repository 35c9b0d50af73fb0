"""Sums of narrow integers that begin as Python numbers: they wrap as in NumPy, and are told."""

import warnings

import numpy as np
import pytest

import portapar as pp

IMAGE = np.full((4, 9), 200, np.uint8)


def added(i, x, o):
    s = 0
    for k in range(x.shape[1]):
        s += x[i, k]
    o[i] = s


def assigned(i, x, o):
    s = 0
    k = 0
    while k < 9:
        v = x[i, k]
        s = s + v
        k += 1
    o[i] = s


def hashed(i, x, o):
    h = 7
    for k in range(x.shape[1]):
        h = h * 31 + x[i, k]
    o[i] = h


def looped(i, x, o):
    s = 0
    for v in x[i]:
        s += v
    t = 1
    for k, v in enumerate(x[i - 1, 2:]):
        t *= v + k
    o[i] = s + t


def through(i, x, o):
    o[i] = total(x, i)


def total(row, i):
    t = 0
    for k in range(9):
        t += row[i, k] if k % 2 else -row[i, k]
    return t


def cast(i, x, o):
    s = 0
    for k in range(9):
        s += int(x[i, k])
    for v in x[i]:
        s += int(v)
    for v in x[i].astype(np.int64):
        s += v
    o[i] = s


def wide(i, x, o):
    s = np.int64(0)
    for k in range(9):
        s += x[i, k]
    o[i] = s


def meant(i, x, o):
    s = np.uint8(0)
    for k in range(9):
        s += x[i, k]
    o[i] = s


def counted(i, x, o):
    s, bits = 0, 0
    for k in range(9):
        s += x[i, k] > 3
        bits += x[i, 0] >> k & 1
        s += 2 * k
    o[i] = s + bits + x[i].sum()


def floats(i, x, o):
    s = 0
    for k in range(9):
        s += 0.5 * x[i, k]
    o[i] = s


@pytest.mark.parametrize("kernel", [assigned, hashed, looped, through])
def test_sums_that_wrap_are_told_once(kernel):
    found, expected = np.zeros(4), np.zeros(4)
    with pytest.warns(pp.PortaparWarning, match=r"takes the dtype uint8.*wraps beyond 255.*np\.int64\(0\)") as told:
        pp.for_each(pp.par, 4, kernel, IMAGE, found)
    assert [one.filename for one in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pp.PortaparWarning)
        pp.for_each(pp.par, 3, kernel, IMAGE, found)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(4):
            kernel(i, IMAGE, expected)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("kernel", [cast, wide, meant, counted, floats])
def test_what_does_not_wrap_unseen_is_not_told(kernel):
    with warnings.catch_warnings():
        warnings.simplefilter("error", pp.PortaparWarning)
        pp.for_each(pp.seq, 4, kernel, IMAGE, np.zeros(4))
        pp.for_each(pp.seq, 4, added, IMAGE.astype(np.int64), np.zeros(4))


def test_captured_arrays_are_told_of():
    weights = np.ones(5, np.int16)

    def weighted(v):
        s = 0
        for k in range(5):
            s += weights[k]
        return v * s

    with pytest.warns(pp.PortaparWarning, match="int16"):
        assert pp.transform(pp.par, np.ones(2), op=weighted).tolist() == [5, 5]
