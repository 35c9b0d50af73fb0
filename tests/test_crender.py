"""The C renderer: its text, run on an OpenCL CPU device, against plain Python and Numba; and through NVRTC.

`check` runs one kernel three ways and compares the arrays bit by bit (or closely, where math libraries
may differ), so each test packs many constructs of one kind into one kernel.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
import pytest
from crender import INT_MAX, INT_MIN, PARTICLE, check, helper_div, njit, pairs, run_map
from numba import types

from portapar.kernel.c.dialect import OPENCL
from portapar.kernel.c.function import render
from portapar.kernel.front.private import private_empty, private_full, private_zeros
from portapar.kernel.jit.typing import array_type, infer

# -- arithmetic ---------------------------------------------------------------------------------------------

INTEGERS = [0, 1, -1, 2, 3, -3, 7, -7, 10, 63, INT_MIN, INT_MIN + 1, INT_MAX, INT_MAX - 1, 2**31, -(2**31), 12345678901]


def test_integers(queue):
    def kernel(i, a, b, out):
        x = a[i]
        y = b[i]
        out[i, 0] = x + y
        out[i, 1] = x - y
        out[i, 2] = x * y
        out[i, 3] = x // y
        out[i, 4] = x % y
        out[i, 5] = x & y
        out[i, 6] = x | y
        out[i, 7] = x ^ y
        out[i, 8] = ~x
        out[i, 9] = -x
        out[i, 10] = abs(x)
        out[i, 11] = x << (y & 31)
        out[i, 12] = x >> (y & 63)
        out[i, 13] = min(x, y, 5)
        out[i, 14] = max(x, y, -5)
        out[i, 15] = x**2
        out[i, 16] = x // 7 + x % 7 + x // -7 + x % -7
        out[i, 17] = (x < y) + 2 * (x <= y) + 4 * (x > y) + 8 * (x >= y) + 16 * (x == y) + 32 * (x != y)
        out[i, 18] = not x
        out[i, 19] = +x - 9223372036854775807
        q, r = divmod(x, y)
        out[i, 20] = q ^ r
        out[i, 21] = x ** (y & 7)
        out[i, 22] = int(x) + np.sign(x) + np.minimum(x, y) + np.maximum(x, y)
        out[i, 23] = math.gcd(x >> 1, y >> 1)
        out[i, 24] = x**-1 if x != 0 else 0

    a, b = pairs(INTEGERS, np.int64)
    wraps = (a == INT_MIN) & (b == -1)  # where Numba's quotient is 0
    a, b = a[~wraps], b[~wraps]
    check(queue, kernel, len(a), a, b, np.zeros((len(a), 25), np.int64), plain=False)

    def narrow(i, a, b, u, v, out):
        out[i, 0] = a[i] + b[i]  # int8
        out[i, 1] = a[i] * b[i] // (u[i] + 1)
        out[i, 2] = u[i] - v[i]  # uint8
        out[i, 3] = np.add(a[i], b[i])
        out[i, 4] = np.multiply(u[i], v[i])
        out[i, 5] = -u[i]
        out[i, 6] = ~u[i]
        out[i, 7] = np.int8(a[i] + np.int16(200))
        out[i, 8] = np.uint16(a[i]) + np.uint32(b[i])
        out[i, 9] = a[i] < u[i]
        out[i, 10] = np.floor_divide(a[i], b[i])
        out[i, 11] = np.remainder(a[i], b[i])
        out[i, 12] = u[i] >> 3
        out[i, 13] = abs(a[i])

    values = [0, 1, 2, 3, 100, 127, -1, -2, -100, -128]
    a, b = pairs(values, np.int8)
    defined = ~((a == -128) & (b == -1))  # Numba and NumPy disagree on the remainder
    a, b = a[defined], b[defined]
    check(
        queue,
        narrow,
        len(a),
        a,
        b,
        a.astype(np.uint8),
        b.astype(np.uint8),
        np.zeros((len(a), 14), np.int64),
        numba=False,
    )


FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.5, 1e300, -1e-300, 5e-324, np.inf, -np.inf, np.nan, 7.25, -7.25]


def test_floats(queue):
    def kernel(i, a, b, out):
        x = a[i]
        y = b[i]
        out[i, 0] = x + y
        out[i, 1] = x - y
        out[i, 2] = x * y
        out[i, 3] = x / y
        out[i, 4] = x // y
        out[i, 5] = x % y
        out[i, 6] = -x
        out[i, 7] = abs(x)
        out[i, 8] = min(x, y)
        out[i, 9] = max(x, y, 1)
        out[i, 10] = np.minimum(x, y)
        out[i, 11] = np.maximum(x, y)
        out[i, 12] = np.fmin(x, y)
        out[i, 13] = np.fmax(x, y)
        out[i, 14] = np.sign(x) + 0.0  # of -0.0 Numba gives -0.0, and NumPy 0.0
        out[i, 15] = np.square(x) + x**2 - x**3
        out[i, 16] = (x < y) + 2 * (x <= y) + 4 * (x > y) + 8 * (x >= y) + 16 * (x == y) + 32 * (x != y)
        out[i, 17] = math.copysign(x, y)
        out[i, 18] = np.isnan(x) + 2 * np.isinf(x) + 4 * np.isfinite(x) + 8 * math.isnan(y)
        out[i, 19] = math.floor(x) if abs(x) < 1e9 else 0
        out[i, 20] = math.ceil(x) if abs(x) < 1e9 else 0
        out[i, 21] = np.trunc(x) + np.floor(y) + np.ceil(x) + np.rint(x)
        out[i, 22] = round(x) if abs(x) < 1e9 else 0
        out[i, 23] = int(x) if abs(x) < 1e9 else 0
        out[i, 24] = bool(x) and not y
        out[i, 25] = x or y
        out[i, 26] = np.fmod(x, y)
        out[i, 27] = 1.0 if x < y < 5 else 2.0 if x else 3.0
        out[i, 29] = (x if abs(x) > 1e-9 else 2.0) ** -2
        out[i, 30] = np.signbit(x) + math.inf - math.pi
        out[i, 31] = divmod(x, y)[1]
        out[i, 32] = np.hypot(x, 0.0) + math.fabs(y) + np.sqrt(abs(x))
        out[i, 33] = np.reciprocal(x) + np.add(x, 1) * np.subtract(y, 2)
        out[i, 34] = np.float32(x) + np.float32(0.1)

    a, b = pairs(FLOATS, np.float64)
    check(queue, kernel, len(a), a, b, np.zeros((len(a), 35)), plain=False)

    def single(i, a, b, out):
        x = a[i]
        y = b[i]
        out[i, 0] = x + y * x
        out[i, 1] = x / y
        out[i, 2] = x // y
        out[i, 3] = x % y
        out[i, 4] = x * np.float32(0.1)
        out[i, 5] = np.sqrt(abs(x))
        out[i, 6] = x**2
        out[i, 7] = np.minimum(x, y)
        out[i, 8] = np.float32(i)
        out[i, 9] = math.floor(y) if abs(y) < 1000 else 0
        out[i, 10] = min(x, np.float32(2))

    a, b = pairs([v for v in FLOATS if not 1e-46 < abs(v) < 1e-44 and abs(v) != 1e300], np.float32)
    text = check(queue, single, len(a), a, b, np.zeros((len(a), 11), np.float32), plain=False)
    assert "f64" not in text and "double" not in text  # so it runs where there is no float64


def test_math(queue):
    def kernel(i, a, out):
        x = a[i]
        out[i, 0] = math.exp(x) + np.exp2(x) + math.expm1(x)
        out[i, 1] = math.log(x) + np.log2(x) + math.log10(x) + np.log1p(x)
        out[i, 2] = math.sin(x) + np.cos(x) + math.tan(x)
        out[i, 3] = math.asin(x) + np.arccos(x) + math.atan(x)
        out[i, 4] = math.sinh(x) + np.cosh(x) + math.tanh(x)
        out[i, 5] = math.asinh(x) + np.arccosh(x + 1) + math.atanh(x)
        out[i, 6] = math.atan2(x, 2.0) + np.arctan2(-x, -1)
        out[i, 7] = x**0.3 + math.pow(x, 2.5) + np.power(x, 3)
        out[i, 8] = math.erf(x) + math.erfc(x)
        out[i, 9] = math.gamma(x) + math.lgamma(x)
        out[i, 10] = math.degrees(x) + np.deg2rad(x) + math.hypot(x, 3)
        out[i, 11] = np.cbrt(x) + np.logaddexp(x, 1.0)
        out[i, 12] = round(x, 2)
        out[i, 13] = math.sqrt(i) + np.sin(i) + np.exp(np.float32(x)) + i / 7
        out[i, 14] = math.ldexp(x, 3) + np.nextafter(x, 1.0) + x**7

    a = np.linspace(0.01, 0.99, 40)
    check(queue, kernel, 40, a, np.zeros((40, 15)), plain=True, rtol=2e-7)


# -- control flow -------------------------------------------------------------------------------------------


def test_loops(queue):
    def kernel(i, a, out):
        total = 0
        for k in range(len(a)):
            if a[k] < 0:
                continue
            if a[k] == 13:
                break
            total += a[k] * (k + 1)
        else:
            total += 1000
        out[i, 0] = total
        for k in range(i, -1, -1):
            total -= k
        out[i, 1] = k
        for k in range(2, 20, 3):
            for m in range(k, i):
                if m * k > 50:
                    break
                if m == 5:
                    continue
                total += m
            if total > 500:
                break
        out[i, 2] = total
        n = i
        while n > 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            if n > 200:
                break
        out[i, 3] = n
        while True:
            n += 3
            if n % 7 == 0:
                break
            if n % 5 == 0:
                out[i, 4] += 1
                continue
            out[i, 4] += 2
        step = 2 if i % 2 == 0 else -2
        count = 0
        for k in range(i, 10 - i, step):
            count = count * 2 + k
        out[i, 5] = count
        for v in a:
            out[i, 6] += v
        for v in (1, i, 5):
            out[i, 6] += v
        if i % 3 == 0:
            if i % 2 == 0:
                out[i, 7] = 1
            else:
                out[i, 7] = 2
                if i == 9:
                    return
        elif i == 4:
            return
        else:
            out[i, 7] = 3
        k = 5
        for k in range(0):  # noqa: B007 - that k keeps its value is what is tested
            pass
        out[i, 8] = k
        r = range(1, 4)
        for x in r:
            for y in r:
                out[i, 9] += x * y
        found = -1
        for p in range(2, 30):
            prime = True
            for q in range(2, p):
                if p % q == 0:
                    prime = False
                    break
            if prime and p > i:
                found = p
                break
        out[i, 10] = found
        x = 0
        y = 1
        for _ in range(i):
            x, y = y, x + y
        out[i, 11] = x
        out[i, 12] = 1 if 0 < i <= 5 and not (i == 3 or a[i % 4] < 0) else 2

    def lanes(i, a, out):
        j = i
        while j < len(a):
            k = 0
            while k < j:
                k += 1
                if k == 3:
                    continue
                if k > a[j]:
                    break
                out[i] += k
            else:
                out[i] += 100
            j += 2
        while j > 0:
            j -= 3
        out[i] += j

    a = np.array([3, -1, 4, 1, -5, 9, 2, 6, 13, 7], np.int64)
    text = check(queue, kernel, 12, a, np.zeros((12, 13), np.int64))
    assert "for (; k" in text and "switch" not in text
    check(queue, lanes, 12, a, np.zeros(12, np.int64))


def test_plain_loops_need_no_goto(queue):
    def kernel(i, a, x, out):
        total = 0.0
        for k in range(a.shape[1]):
            if x[k] > 0:
                total += a[i, k] * x[k]
        out[i] = total

    a, x = np.random.default_rng(1).normal(size=(2, 20, 30))
    text = check(queue, kernel, 20, a, x[0], np.zeros(20))
    assert "goto" not in text and "wrap(" not in text and text.count("for (") == 2


def test_many_branches_do_not_nest(queue):
    lines = "\n".join(f"    if a[i] > {k}:\n        s += {k}" for k in range(400))
    space = {}
    exec(f"def kernel(i, a, out):\n    s = 0\n{lines}\n    out[i] = s\n", space)
    typed = infer(space["kernel"], (types.int64, array_type(np.int64, 1), array_type(np.int64, 1)))
    assert render([typed], OPENCL).count("if (") == 400


# -- data ---------------------------------------------------------------------------------------------------


@njit
def helper_swap(x, y=2):
    return y, x


@njit
def helper_first(a, i):
    return a[i] + helper_div(int(a[i]), 2)


@njit
def helper_fill(t, x):
    for k in range(len(t)):
        t[k] += x * k


Pair = namedtuple("Pair", "left right")


@njit
def helper_pair(x, y):
    return Pair(x, y)


def test_tuples_and_calls(queue):
    def kernel(i, a, s, t, out):
        x, y = helper_swap(a[i])
        out[i, 0] = x * 10 + y
        u = (a[i], 2.5, i)
        p, q, r = u
        out[i, 1] = p + q + r + u[-1]
        out[i, 2] = helper_div(a[i], -3) + helper_div(y=2, x=i)
        out[i, 3] = helper_first(a, i) + helper_first(a, -1 - i)
        v = (1, i, 7)
        out[i, 4] = v[i % 3] + v[-(i % 3) - 1] + len(v)
        out[i, 5] = s + t[0] * t[1]
        shape = out.shape
        out[i, 6] = shape[0] + shape[-1] + out.size + a.ndim + len(a)
        best = (0, 0.5)
        for k in range(3):
            if a[k] > best[0]:
                best = (a[k], 1.5 * k)
        out[i, 7] = best[0] + best[1]
        m = helper_pair(i, a[i])
        out[i, 8] = m.left - m.right + m[0]
        x, y = y, x
        out[i, 9] = x - y
        out[i, 10] = (10, 20, 30)[i % 3] + (x in (5, 2, i)) + 2 * (a[i] not in (1, 3))
        out[i, 11] = ((x, y) == (2, 5)) + 2 * ((x, 3) != (y, 3)) + 4 * ((x, 1) == (y, 1, 2))

    a = np.array([5, -7, 12, 3, -1, 9], np.int64)
    check(queue, kernel, 6, a, 2.5, (3, 1.5), np.zeros((6, 12)))


@pytest.mark.extra
def test_complex(queue):
    def kernel(i, a, b, z, out, parts):
        x = a[i]
        y = b[i]
        out[i, 0] = x + y * x - z
        out[i, 1] = x * y
        out[i, 2] = x / y
        out[i, 3] = -x + y.conjugate()
        out[i, 4] = complex(x.real, y.imag) + 2
        out[i, 5] = x * 2.5 + 1j
        parts[i, 0] = abs(x) + x.real - y.imag
        parts[i, 1] = x == y
        parts[i, 2] = 1 * (x != y) + 2 * bool(x)
        out[i, 6] = np.conj(x) + np.square(y)
        out[i, 7] = x**2
        w = np.complex64(x)
        out[i, 8] = w.real

    values = [0.5 + 1j, -1.5 + 2j, 2 - 0.25j, -3 - 4j]
    a, b = pairs(values, np.complex128)
    check(queue, kernel, 16, a, b, 1 + 2j, np.zeros((16, 9), complex), np.zeros((16, 3)), rtol=1e-15)

    def functions(i, a, out):
        x = a[i]
        out[i, 0] = np.exp(x)
        out[i, 1] = np.sqrt(x)
        out[i, 2] = np.log(x)
        out[i, 3] = np.sin(x) + np.cos(x)
        out[i, 4] = np.sinh(x) * np.cosh(x)
        out[i, 5] = x ** (0.5 + 1j)

    check(queue, functions, 16, a, np.zeros((16, 6), complex), plain=True, rtol=1e-12)
    check(queue, functions, 4, a[:4].astype(np.complex64), np.zeros((4, 6), np.complex64), plain=True, rtol=1e-5)


@njit
def helper_move(p, dt):
    p.x += p.v[0] * dt


@pytest.mark.parametrize("aligned", [False, True])
def test_records(queue, aligned):
    def kernel(i, p, q, out):
        p[i].x = p[i].x * 2 + p[i]["id"]
        r = p[i]
        r.v[1] = r.v[0] + i
        r["ok"] = r.v[2] > 1
        p[i]["in"].b = p[i]["in"].a + 0.5
        helper_move(p[i], 0.25)
        q[-1 - i] = p[i]
        out[i] = r.ok + p[-1].x + len(r.v)

    dtype = np.dtype(PARTICLE.descr, align=aligned) if aligned else PARTICLE
    if aligned:
        inner = np.dtype([("a", "i2"), ("b", "f8")], align=True)
        dtype = np.dtype([("id", "u1"), ("x", "f8"), ("v", "f4", (3,)), ("ok", "?"), ("in", inner)], align=True)
    p = np.zeros(4, dtype)
    p["id"] = [1, 2, 3, 250]
    p["x"] = [0.5, 1.5, -2.5, 4]
    p["v"] = np.arange(12).reshape(4, 3) / 4
    p["in"]["a"] = [-1, 2, -3, 4]
    q = np.zeros(4, dtype)
    check(queue, kernel, 4, p, q, np.zeros(4), plain=False)
    assert q["in"]["b"].tolist() == [4.5, -2.5, 2.5, -0.5]
    assert p["x"].tolist() == [2.0, 5.1875, -1.625, 258.5625]


def test_arrays(queue):
    def kernel(i, a, v, w, flags, out):
        j = i - 3
        out[i, 0] = a[j, -1] + a[-1 - i, j]
        row = a[i]
        out[i, 1] = row[2] + a[i][1] + row.shape[0]
        out[i, 2] = v[i] + v[-1] + w[i, 1]
        column = w[i]
        out[i, 3] = column[-1] + helper_first(row, 0)
        flags[i] = flags[i] or i == 2
        out[i, 4] = flags[i] + a[0, 0] + a[np.uint8(1), np.int32(2)]
        out[-1 - i, 5] += i
        total = 0
        for x in row:
            total += x
        for x in v:
            total += x
        out[i, 6] = total

    a = np.arange(20, dtype=np.int64).reshape(4, 5)
    v = np.arange(12, dtype=np.int64)[::-3]
    w = np.arange(40, dtype=np.int64).reshape(8, 5)[::2, 1::2]
    flags = np.array([True, False, False, True])
    check(queue, kernel, 4, a, v, w, flags, np.zeros((4, 7), np.int64))


def test_local_part_of_a_partitioned_array(queue):
    def kernel(i, a, out):
        out[i] = a[i] + a[-1]

    part = np.array([10.0, 20.0, 30.0])  # rows 5, 6 and 7 of 8
    out = np.zeros(3)
    edit = {0: {"n0": 8, "first": 5}, 1: {"n0": 8, "first": 5}}
    run_map(queue, kernel, (3,), part, out, starts=(5,), edit=edit)
    assert out.tolist() == [40, 50, 60]


def test_private_arrays(queue):
    def kernel(i, a, out):
        t = private_zeros(4, np.float64)
        m = private_empty((2, 3), np.int32)
        f = private_full(3, 7, np.uint8)
        b = private_zeros(2, np.bool_)
        c = private_zeros(2, np.complex128)
        helper_fill(t, a[i])
        for j in range(2):
            for k in range(3):
                m[j, k] = i * j - k
        b[1] = True
        c[0] += 2j
        f[-1] = 200 + i
        row = m[1]
        out[i] = t[-1] + m[1, 2] + row[1] + f[2] + f[0] + b[0] + 2 * b[1] + c[0].imag + len(m)
        for x in t:
            out[i] += x

    check(queue, kernel, 5, np.arange(5.0), np.zeros(5))
