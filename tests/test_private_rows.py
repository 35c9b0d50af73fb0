"""Rows that are private arrays: assigned anew, changed, passed on, returned, made of numbers or like others."""

import numpy as np
import pytest

import portapar as pp

N = 40
_random = np.random.default_rng(1)
Y, RHO = _random.normal(size=(N, 3)), np.linspace(10, 30, N)


def slope(y, rho):
    return np.array([10 * (y[1] - y[0]), y[0] * (rho - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])


def runge_kutta(i, Y, rho, out, h):
    y = Y[i].copy()
    for _ in range(4):
        k1 = slope(y, rho[i])
        k2 = slope(y + h / 2 * k1, rho[i])
        k3 = slope(y + h / 2 * k2, rho[i])
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3, rho[i]))
    out[i] = y


def into(y, rho, d):
    d[0], d[1], d[2] = y[1] - y[0], y[0] * rho, y[0] * y[1]


def helpers_write(i, Y, rho, out, h):
    y, d = np.zeros(3), np.zeros(len(Y[i]))
    y[:] = Y[i]
    for _ in range(3):
        into(y + h * d, rho[i], d)
        t = y + h / 2 * d
        into(t, rho[i], d)
        y = y[::-1] * h + t
    t *= 2
    out[i] = y + t


def changed(i, Y, rho, out, h):
    d = Y[i] - Y[0]
    d[1] = 5.0
    d += 2
    e = d * 2
    d[0] = 7
    w = e + d if d[2] > 0 else e - d
    best = Y[0] * 1
    for k in range(1, 5):
        if Y[k].sum() > best.sum():
            best = Y[k] * 1
    z = best.copy()
    for k in range(2):
        if z[k] > z[k + 1]:
            z[k], z[k + 1] = z[k + 1], z[k]
    best = best / best.sum()
    whole = np.ones(3, np.int64)
    for k in range(3):
        whole = whole + k
    half = whole * 0.5
    out[i] = w * h + e + best - z + half


def made(i, Y, rho, out, h):
    v = np.array([Y[i, 0], 2.0, i])
    w = np.zeros_like(Y[i])
    w[1] = v[2]
    m = np.array([[1, 2, 3], [h, 5, 6]])
    z = np.array((1, 2, 3))
    f = np.array([1, 2, 3], dtype=np.float32)
    u = np.ones_like(v) * h + np.full_like(Y[i], 3.5)
    e = np.empty_like(v)
    e[:] = 4
    q = np.copy(Y[i])
    q[0] = 1
    s = np.zeros(Y.shape[1])
    n = len(rho) - 38
    table = np.ones((n, Y.shape[1]))
    s[:] = m[1] + m[0] * z
    out[i] = v + w + s + f + u + e + q + np.asarray(Y[i]) + table[1]


def exchanged(i, Y, rho, out, h):
    a, b, n = Y[i].copy(), np.ones(3), 0
    while n < 4:
        a, b, n = b, a * 0.5 + b, n + 1
    u, v = np.zeros(3), a * 2
    for k in range(3):
        for j in range(3):
            u[j] = v[(j + 1) % 3] - b[k]
        u, v = v, u
    p, q, r = Y[i].copy(), Y[0].copy(), slope(u, h)
    if rho[i] > 20:
        p, q = slope(q, h), p
    y, t = Y[i] * 2, Y[i] * 3
    for _ in range(2):
        p, q, r = q, r, p
        p[0] += 1
        y, t = t, y + t
    out[i] = t + a - b + u * v + p + 2 * q - r


def cross(a, b):
    c = np.zeros(3)
    c[0] = a[1] * b[2] - a[2] * b[1]
    c[1] = a[2] * b[0] - a[0] * b[2]
    c[2] = a[0] * b[1] - a[1] * b[0]
    return c


def unit(v):
    return v / np.sqrt((v * v).sum())


def turned(t):
    return np.array([[np.cos(t), -np.sin(t), 0.0], [np.sin(t), np.cos(t), 0.0], [0.0, 0.0, 1.0]])


def returned(i, Y, rho, out, h):
    a = unit(Y[i])
    b = unit(Y[(i + 1) % len(Y)] - a)
    c = cross(a, cross(a, b) + 1.0)
    before = cross(a, b)
    for _ in range(3):
        new = cross(cross(before, c) + unit(c), a)
        before = new
    turn, v = turned(rho[i]), np.zeros(3)
    for k in range(3):
        v[k] = turn[k] @ before
    out[i] = c + v * cross(a, b)[1] + unit(cross(b, c)).sum()


def begun(i, Y, rho, out, h):
    x, other = np.zeros(3), np.ones(3)
    for _ in range(3):  # what began as an array and was returned since is stored as a whole
        x = unit(Y[i] * rho[i] + x)
    z = other
    if Y[i, 0] > 0:
        z = x
    out[i] = x * h
    out[i] += z


def _compare(policy, kernel, y=Y):
    found, expected = np.zeros_like(y), np.zeros_like(y)
    pp.for_each(policy, len(y), kernel, y, RHO, found, 0.01)
    for i in range(len(y)):
        kernel(i, y, RHO, expected, 0.01)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", [runge_kutta, changed, made, exchanged])
def test_rows_that_are_private_arrays(renderer, kernel):
    _compare(renderer, kernel)


@pytest.mark.rare
@pytest.mark.parametrize("kernel", [helpers_write, returned])
def test_rows_that_functions_write_and_return(renderer, kernel):
    _compare(renderer, kernel)


@pytest.mark.parametrize("kernel", [helpers_write, returned, begun])
def test_rows_of_functions(kernel):
    _compare(pp.par, kernel)


def drifting(i, Y, rho, out, h):
    y = Y[i].copy()
    for k in range(3):
        y = y + rho[k]
    out[i] = y


def test_lengths_are_those_of_the_call():
    for width in (2, 5, 2, 3):  # which are constants of the code
        _compare(pp.par, drifting, _random.normal(size=(N, width)))
    _compare(pp.par.with_(check=True), drifting)
    _compare(pp.par.on(pp.hybrid(pp.threads(1), pp.simd())), drifting)
    with pytest.raises(pp.KernelError, match=r"2000 elements.*\n.*\n.*\n.*pass an array in"):
        _compare(pp.par, drifting, np.zeros((2, 2000)))


def shares(i, Y, rho, out, h):
    y = Y[i]
    y[0] = 1.0
    for _ in range(2):
        y = y + h
    out[i] = y


def mixes(i, Y, rho, out, h):
    y = np.zeros(3, np.int64)
    for _ in range(2):
        y = y + h
    out[i] = y


def number(i, Y, rho, out, h):
    y = Y[i] * 2
    for _ in range(2):
        y = 1.0
    out[i] = y


def kernel_returns(i, Y, rho, out, h):
    t = np.zeros(3)
    return t


def bumped(v):
    v[0] += 1


def doubled(v):
    v *= 2
    return v


def turned_round(v):
    return v[::-1]


def itself(v):
    return v


def slice_changed(i, Y, rho, out, h):
    y = Y[i, 1:]
    y += 1
    out[i, 1:] = y


def slice_passed(i, Y, rho, out, h):
    bumped(Y[i, 1:])


def one_of_two_changed(i, Y, rho, out, h):
    y = Y[i] if h > 0 else out[i]
    bumped(y)
    out[i] = y


def returned_part_passed(i, Y, rho, out, h):
    bumped(turned_round(Y[i]))


def returned_part_and_a_write(i, Y, rho, out, h):
    y = turned_round(Y[i])
    Y[i, 0] = h
    out[i] = y


def returned_and_both_changed(i, Y, rho, out, h):
    y = Y[i] * 2
    z = doubled(y)
    z[0] = 1
    out[i] = y + z


def parts_stay_parts(i, Y, rho, out, h):
    y, part = Y[i, 1:], Y[i, ::2] if rho[i] > 20 else Y[i, 1:]
    Y[i, 1] = 9
    same = itself(Y[i])
    same[0] += 2
    for k in range(2):
        Y[i, 2] += y[0] + part[k]
    w = turned_round(doubled(Y[i] * 1)).copy()
    bumped(w)
    d = Y[i, 1:].copy()
    bumped(d)
    Y[i, 1:] = d
    kept = Y[i] + 1
    before = itself(kept)
    kept = kept * 2
    kept = doubled(kept)
    u = Y[i] * 3
    v = doubled(u).copy()
    bumped(u)
    z = doubled(kept + 1)
    for k in range(2):
        last = z
        z = doubled(z[::-1] * k)
    out[i] = w + kept * before + last + z + u * v
    out[i, :2] += y + part + same[1]


def parts_by_name(i, Y, rho, out, h):
    y, w = Y[i], out[i]
    w[1:] = y[:-1]
    y[:] = y * 2 + w + y.sum()
    Y[i] = y + y[0]
    y[1:] = y[:-1]
    Y[i, :2] = y[1:]
    y += y / 2
    Y[i] -= y / 4
    w *= out[i]
    k = i
    z = Y[k]
    k += 1
    if k < len(Y) and h < 0:
        Y[k] = z
    out[i] = w - out[i, ::-1]


@pytest.mark.parametrize("kernel", [parts_stay_parts, parts_by_name], ids=lambda x: x.__name__)
def test_parts_of_arrays_change_and_are_stored_where_they_come_from(renderer, kernel):
    y, other = Y.copy(), Y.copy()
    found, expected = np.zeros_like(Y), np.zeros_like(Y)
    pp.for_each(renderer, N, kernel, y, RHO, found, 0.01)
    for i in range(N):
        kernel(i, other, RHO, expected, 0.01)
    np.testing.assert_allclose(np.hstack([y, found]), np.hstack([other, expected]), rtol=1e-12)


def ends_change(i, Y, rho, out, h):
    a = 0
    y = Y[i, a : a + 2]
    a += 1
    Y[i, a : a + 2] = y


def argument_changes(a, Y, rho, out, h):
    y = Y[0, a : a + 1]
    a += 1
    Y[0, a : a + 1] = y


def place_changes(i, Y, rho, out, h):
    a = np.zeros(1, np.int64)
    y = Y[i, a[0] : a[0] + 2] * 2
    a[0] = 1
    Y[i, a[0] : a[0] + 2] = y


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (ends_change, r"it reads Y at \[i, a:a \+ 2\] as it was and writes it at \[i, a:a \+ 2\]"),
        (argument_changes, r"it reads Y at \[0, a:a \+ 1\] as it was and writes"),
        (place_changes, r"it reads Y at .* as it was and writes"),
        (slice_changed, r"write y = Y\[i, 1:\]\.copy\(\)"),
        (slice_passed, r"part of 'Y', to a function that changes it"),
        (one_of_two_changed, r"write y = \(Y\[i\] if h > 0 else out\[i\]\)\.copy\(\)"),
        (returned_part_passed, r"d = turned_round\(Y\[i\]\)\.copy\(\)"),
        (returned_part_and_a_write, r"'y' is a part of 'Y' here, not a copy, and 'Y' is written to"),
        (returned_and_both_changed, r"write z = doubled\(y\)\.copy\(\)"),
        (shares, r"write y = Y\[i\]\.copy\(\)"),
        (mixes, r"dtype.*int64.*float64|int64.*float64"),
        (number, "use another name"),
        (kernel_returns, r"return t\[0\], t\[1\]"),
    ],
)
def test_what_private_rows_cannot_be(kernel, words):
    with pytest.raises(pp.KernelError, match=rf"(?s){words}"):
        pp.for_each(pp.par, N, kernel, Y.copy(), RHO, np.zeros_like(Y), 0.01)
