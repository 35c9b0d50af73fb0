"""The C renderer: its text, run on an OpenCL CPU device, against plain Python and Numba; and through NVRTC.

`check` runs one kernel three ways and compares the arrays bit by bit (or closely, where math libraries
may differ), so each test packs many constructs of one kind into one kernel.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections import namedtuple

import numba
import numpy as np
import pytest
from numba import types

from portapar.errors import BackendUnavailableError
from portapar.kernel.c.dialect import CUDA, OPENCL
from portapar.kernel.c.entries import map_parameters, reduce_parameters, render_map
from portapar.kernel.c.function import render
from portapar.kernel.c.reductions import render_reduce
from portapar.kernel.c.unit import RenderFailure
from portapar.kernel.front.private import private_empty, private_full, private_zeros
from portapar.kernel.jit.typing import TypingFailure, array_type, check_numba, dtype_of, infer, numba_type, value_type
from portapar.kernel.tiles import BLOCK, LANES, TILE

njit = numba.njit(error_model="numpy")
INT_MIN = np.iinfo(np.int64).min
INT_MAX = np.iinfo(np.int64).max


# -- running ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def queue():
    cl = pytest.importorskip("pyopencl", reason="no pyopencl: OpenCL text cannot be run")
    try:
        devices = [d for p in cl.get_platforms() for d in p.get_devices(cl.device_type.CPU)]
    except cl.LogicError:
        devices = []
    if not devices:
        pytest.skip("no OpenCL CPU device: install pyopencl[pocl]")
    return cl.CommandQueue(cl.Context(devices[:1]))


@functools.cache
def nvrtc(text, arch="sm_90"):
    """Compile CUDA text, as machine code or as PTX (compute_90); no GPU is needed."""
    from portapar.backends.cuda.compile import compile_c

    try:
        return compile_c(text, arch)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


def type_of(value):
    if isinstance(value, np.ndarray):
        return array_type(value.dtype, value.ndim, value.flags.c_contiguous)
    if isinstance(value, tuple):
        return types.Tuple([type_of(v) for v in value])
    return numba_type(np.asarray(value).dtype)


def fields(cl, context, value, buffers, path=""):
    """What the launcher passes for one argument, by field."""
    if isinstance(value, np.ndarray):
        base = value if value.flags.c_contiguous else np.lib.array_utils.byte_bounds(value)
        if value.flags.c_contiguous:
            host, offset = value, 0
        else:  # the memory that the view spans
            low, high = base
            owner = value
            while owner.base is not None:
                owner = owner.base
            host = owner.reshape(-1)
            offset = (value.__array_interface__["data"][0] - host.__array_interface__["data"][0]) // value.itemsize
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        data = cl.Buffer(context, flags, hostbuf=host) if host.nbytes else cl.Buffer(context, flags & ~flags | 1, 8)
        buffers.append((data, host))
        found = {"data": data, "offset": offset, "first": 0}
        found |= {f"n{k}": n for k, n in enumerate(value.shape)}
        return found | {f"s{k}": s // value.itemsize for k, s in enumerate(value.strides)}
    if isinstance(value, tuple):
        return {
            f"{k}.{field}": x
            for k, inner in enumerate(value)
            for field, x in fields(cl, context, inner, buffers).items()
        }
    if np.iscomplexobj(value):
        return {"re": np.real(value), "im": np.imag(value)}
    return {"value": value}


@functools.cache
def entry(context, text):
    import pyopencl as cl

    return cl.Program(context, text).build().entry


def launch(queue, text, parameters, frame, args, items=(64, 16), edit=None):
    """Run an entry; array arguments are updated in place."""
    import pyopencl as cl

    buffers = []
    given = [fields(cl, queue.context, value, buffers) for value in args]
    for k, change in (edit or {}).items():
        given[k] |= change
    values = []
    for parameter in parameters:
        value = (frame if parameter.argument < 0 else given[parameter.argument])[parameter.field]
        values.append(value if parameter.dtype is None else parameter.dtype.type(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = entry(queue.context, text)
        kernel.set_args(*values)
        cl.enqueue_nd_range_kernel(queue, kernel, items[:1], items[1:]).wait()
    for data, host in buffers:
        if host.nbytes:
            cl.enqueue_copy(queue, host, data)
    queue.finish()


def run_map(queue, kernel, shape, *args, unit_step=True, blocked=False, starts=(0, 0, 0), steps=(1, 1, 1), edit=None):
    """Run a kernel over an index space on the device, and compile it for CUDA."""
    ndim = len(shape)
    typed = infer(kernel, (types.int64,) * ndim + tuple(type_of(a) for a in args))
    options = {"unit_step": unit_step, "blocked": blocked}
    text = render_map(typed, ndim, OPENCL, "entry", **options)
    frame = {"lo": 0, "hi": math.prod(shape)}
    frame |= {f"n{d}": n for d, n in enumerate(shape)}
    frame |= {f"start{d}": s for d, s in enumerate(starts)} | {f"step{d}": s for d, s in enumerate(steps)}
    parameters = map_parameters(typed.argtypes, ndim, OPENCL, unit_step)
    launch(queue, text, parameters, frame, args, (8, 1) if blocked else (64, 16), edit)
    nvrtc(render_map(typed, ndim, CUDA, "entry", unit_step=unit_step))
    return text


def copied(args):
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)


def same(a, b, rtol, what):
    for x, y in zip(a, b, strict=True):
        if isinstance(x, np.ndarray):
            if rtol and x.dtype.kind in "fc":
                np.testing.assert_allclose(x, y, rtol=rtol, err_msg=what)
            else:
                np.testing.assert_array_equal(x, y, err_msg=what)
                if x.dtype.kind == "f":
                    differ = np.signbit(x) != np.signbit(y)
                    assert not np.any(differ & ~np.isnan(x)), what


def check(queue, kernel, n, *args, plain=True, numba=True, rtol=0.0, **options):
    """The device, Numba (if it promotes as NumPy does here) and (if `plain`) Python agree on every array."""
    expected = copied(args)
    compiled = njit(kernel) if numba else kernel
    with np.errstate(all="ignore"):
        for i in range(n):
            compiled(i, *expected)
    if plain and numba:
        python = copied(args)
        with np.errstate(all="ignore"):
            for i in range(n):
                kernel(i, *python)
        same(expected, python, rtol or 1e-15, "Numba against Python")
    text = run_map(queue, kernel, (n,), *args, **options)
    same(args, expected, rtol, f"device against Numba\n{text}")
    return text


def pairs(values, dtype):
    a, b = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    return a.ravel().copy(), b.ravel().copy()


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
def helper_div(x, y):
    return x // y if y != 0 else 0


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
        out[i, 4] = np.sinh(x) + np.cosh(x)
        out[i, 5] = x ** (0.5 + 1j)

    check(queue, functions, 16, a, np.zeros((16, 6), complex), plain=True, rtol=1e-12)
    check(queue, functions, 4, a[:4].astype(np.complex64), np.zeros((4, 6), np.complex64), plain=True, rtol=1e-5)


PARTICLE = np.dtype([("id", "u1"), ("x", "f8"), ("v", "f4", (3,)), ("ok", "?"), ("in", [("a", "i2"), ("b", "f8")])])


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


# -- entries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", [False, True])
def test_index_spaces(queue, blocked):
    def one(i, out):
        out[i] += i + 1

    def two(i, j, out):
        out[i, j] += 10 * i + j + 1

    def three(i, j, k, out):
        out[i, j, k] += 100 * i + 10 * j + k + 1

    for kernel, shape in ((one, (37,)), (two, (5, 7)), (three, (3, 4, 5)), (three, (1, 1, 1)), (one, (1,))):
        out, expected = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for index in np.ndindex(shape):
            kernel(*index, expected)
        run_map(queue, kernel, shape, out, blocked=blocked)
        np.testing.assert_array_equal(out, expected)

    def stepped(i, j, out):
        out[(i - 20) // -3, j + 4] = i * 100 + j

    out = np.zeros((4, 5), np.int64)
    run_map(queue, stepped, (4, 5), out, unit_step=False, starts=(20, -4), steps=(-3, 1), blocked=blocked)
    assert out[3].tolist() == [1100 - 4, 1100 - 3, 1100 - 2, 1100 - 1, 1100]


def partials_of(values, op):
    """The documented order, in plain Python."""
    partials = []
    for start in range(0, len(values), TILE):
        tile = values[start : start + TILE]
        lanes = list(tile[:LANES])
        for k in range(LANES, len(tile)):
            lanes[k % LANES] = op(lanes[k % LANES], tile[k])
        stride = LANES // 2
        while stride:
            for lane in range(stride):
                if lane + stride < len(lanes):
                    lanes[lane] = op(lanes[lane], lanes[lane + stride])
            stride //= 2
        partials.append(lanes[0])
    return np.array(partials)


def run_reduce(queue, elem, op, n, acc, *args, grouped=False, ordered=False, lo=0):
    typed = infer(elem, (types.int64, *(type_of(a) for a in args)))
    combine = infer(op, (value_type(dtype_of(acc)),) * 2)
    text = render_reduce(typed, combine, acc, OPENCL, "entry", grouped=grouped, ordered=ordered)
    partials = np.zeros(-(-(n - lo) // TILE), dtype_of(acc))
    import pyopencl as cl

    buffers = []
    frame = {"partials": fields(cl, queue.context, partials, buffers)["data"], "partials_offset": 0}
    frame |= {"lo": lo, "hi": n}
    launch(queue, text, reduce_parameters(typed.argtypes, OPENCL), frame, args, (96, 32) if grouped else (3, 1))
    cl.enqueue_copy(queue, partials, buffers[0][0]).wait()
    nvrtc(render_reduce(typed, combine, acc, CUDA, "entry", ordered=ordered))
    return partials


@pytest.mark.extra
@pytest.mark.parametrize("grouped", [False, True])
def test_reductions_have_the_documented_bits(queue, grouped):
    def dot(i, x, y):
        return x[i] * y[i]

    def plus(a, b):
        return a + b

    def first(i, x, y):
        return np.int32(x[i] * 1000)

    def weird(a, b):  # neither associative nor commutative
        return 3 * a - b

    def turn(i, x, y):
        return complex(x[i], y[i])

    def times(a, b):
        return a * b

    x, y = np.random.default_rng(0).normal(size=(2, 2 * TILE + 77))
    for n in (1, 2, 3, 17, 31, 32, 33, 63, 65, TILE - 1, TILE, TILE + 1, TILE + 20, len(x)):
        values = list((x * y)[:n])
        got = run_reduce(queue, dot, plus, n, types.float64, x, y, grouped=grouped) if n > TILE - 2 or n < 4 else (
            run_reduce(queue, first, weird, n, types.int32, x, y, grouped=grouped)
        )  # fmt: skip
        if got.dtype == np.int32:
            with np.errstate(over="ignore"):
                values = [np.int32(v * 1000) for v in x[:n]]
                expected = partials_of(values, lambda a, b: np.int32(3) * a - b)
        else:
            expected = partials_of(values, plus)
        np.testing.assert_array_equal(got, expected, err_msg=str(n))
    tail = run_reduce(queue, dot, plus, len(x), types.float64, x, y, grouped=grouped, lo=TILE)
    np.testing.assert_array_equal(tail, partials_of(list(x * y), plus)[1:])
    got = run_reduce(queue, turn, times, 40, types.complex128, x, y, grouped=grouped)
    np.testing.assert_allclose(got, partials_of(list(x[:40] + 1j * y[:40]), times), rtol=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
def test_neighbours_are_combined_by_a_binary_tree(queue, grouped):
    def pair(i, x):
        return x[i], i

    def join(a, b):
        return a[0] * b[0] + b[1] % 7, a[1] - b[1]

    def tree(values):
        while len(values) > 1:
            pairs = [join(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
            values = pairs + ([values[-1]] if len(values) % 2 else [])
        return values[0]

    kind = np.dtype([("f0", "f8"), ("f1", "i8")])
    acc = numba_type(kind)
    x = np.random.default_rng(0).uniform(-1, 1, 2 * TILE + 77)
    for n in (1, 3, 33, BLOCK + 1, 3 * BLOCK + 7, TILE - 1, len(x)):
        got = run_reduce(queue, pair, join, n, acc, x, grouped=grouped, ordered=True)
        values = [(v, k) for k, v in enumerate(x[:n])]
        expected = [tree(values[t : t + TILE]) for t in range(0, n, TILE)]
        np.testing.assert_array_equal(got, np.array(expected, kind), err_msg=str(n))


# -- what cannot be done ------------------------------------------------------------------------------------


def message(kernel, *argtypes):
    with pytest.raises((TypingFailure, RenderFailure)) as caught:
        render([infer(kernel, argtypes)], OPENCL)
    first = kernel.__code__.co_firstlineno
    assert first <= caught.value.line <= first + 5, caught.value
    assert len(caught.value.message) < 200
    return caught.value.message


def test_failures_name_the_line_and_the_remedy():
    vector, integer = array_type(np.float64, 1), types.int64

    def slices(i, a):
        a[1:3] = 0.0

    def row(i, a):
        b = a[i:]
        a[i] = b[0]

    def raises(i, a):
        if a[i] < 0:
            raise ValueError("negative")

    def text(i, a):
        a[i] = "x"

    def unknown(i, a):
        a[i] = np.linalg.norm(a)

    def mixed(i, a):
        x = a if i > 3 else 1.0
        a[i] = x

    def adds(i, a):
        a[i] = "x" + 1

    def attribute(i, a):
        a[i] = a.foo

    def readonly(i, a):
        a[i] = 1.0

    def none(i, a):
        x = None
        if i > 3:
            x = 1.0
        a[i] = x

    def shape(i, a):
        t = private_zeros(i, np.float64)
        a[i] = t[0]

    def sums(i, a):
        a[i] = a.sum()

    def returns(i, a):
        return a

    def half(i, a):
        a[i] += 1

    def where(i, a):
        a[i] = np.where(a[i] > 0, 1.0, 2.0)

    def pairs_of(i, a):
        for k, x in enumerate(a):
            a[k] = x

    assert "loop" in message(slices, integer, vector)
    assert "loop" in message(row, integer, vector)
    assert "raise" in message(raises, integer, vector)
    message(text, integer, vector)
    message(unknown, integer, vector)
    assert "one path" in message(mixed, integer, vector)
    assert "`+`" in message(adds, integer, vector)
    assert "foo" in message(attribute, integer, vector)
    assert "read-only" in message(readonly, integer, array_type(np.float64, 1, readonly=True))
    message(none, integer, vector)
    assert "constant" in message(shape, integer, vector)
    message(sums, integer, vector)
    assert "return" in message(returns, integer, vector)
    message(half, integer, array_type(np.float16, 1))
    assert "if condition else" in message(where, integer, vector)
    assert "enumerate" in message(pairs_of, integer, vector)


def test_recursion_is_refused():
    space = {"njit": njit}
    exec("@njit\ndef f(n):\n    return 1 if n < 2 else n * f(n - 1)\n", space)
    with pytest.raises(TypingFailure, match="itself"):
        infer(space["f"], (types.int64,))


def test_types_go_both_ways():
    for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16", "?"):
        assert dtype_of(numba_type(name)) == np.dtype(name)
    assert dtype_of(array_type(PARTICLE, 2)) == PARTICLE
    assert array_type("f4", 2, contiguous=False).layout == "A"
    assert not array_type("f4", 2, readonly=True).mutable


def test_numba_still_has_what_typing_uses():
    check_numba()


def test_typing_is_done_once():
    def kernel(i, a):
        a[i] = helper_div(i, 2)

    argtypes = (types.int64, array_type(np.int64, 1))
    typed = infer(kernel, argtypes)
    assert infer(kernel, argtypes) is typed
    assert [callee.name for callee in typed.callees.values()] == ["helper_div"]


def test_typing_compiles_nothing():
    import portapar.kernel.jit.native as native

    twice = native.callee(lambda x: x + x)

    def kernel(i, a):
        a[i] = twice(a[i]) + twice(i)

    typed = infer(kernel, (types.int64, array_type(np.float32, 1)))
    assert [callee.return_type for callee in typed.callees.values()] == [types.float32, types.int64]
    assert not twice.overloads
