"""The C renderer: its text, run on an OpenCL CPU device, against plain Python and Numba; and through NVRTC.

`check` runs one kernel three ways and compares the arrays bit by bit (or closely, where math libraries
may differ), so each test packs many constructs of one kind into one kernel.
"""

from __future__ import annotations

import math
import warnings
from collections import namedtuple

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import types

from portapar.kernel.cforms import map_parameters, reduce_parameters, render_map, render_reduce
from portapar.kernel.crender import CUDA, OPENCL, RenderFailure, render
from portapar.kernel.forms import LANES, TILE
from portapar.kernel.private import private_empty, private_full, private_zeros
from portapar.kernel.typing import TypingFailure, array_type, check_numba, dtype_of, infer, numba_type

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


def nvrtc(text):
    """Compile CUDA text for sm_90; no GPU is needed."""
    core = pytest.importorskip("cuda.core", reason="no cuda-core and cuda-bindings: CUDA text cannot be compiled")
    options = core.ProgramOptions(arch="sm_90", fma=False)
    return core.Program(text, "c++", options).compile("cubin")


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
        kernel = cl.Program(queue.context, text).build().entry
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


def check(queue, kernel, n, *args, plain=True, rtol=0.0, **options):
    """The device, Numba and (if `plain`) Python agree on every array."""
    expected = copied(args)
    compiled = njit(kernel)
    for i in range(n):
        compiled(i, *expected)
    if plain:
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
        out[i, 22] = round(x) + int(x) + np.sign(x) + np.minimum(x, y) + np.maximum(x, y)
        out[i, 23] = math.gcd(x >> 1, y >> 1)
        out[i, 24] = x**-1 if x != 0 else 0

    a, b = pairs(INTEGERS, np.int64)
    check(queue, kernel, len(a), a, b, np.zeros((len(a), 25), np.int64), plain=False)

    def narrow(i, a, b, u, v, out):
        out[i, 0] = a[i] + b[i]  # int8
        out[i, 1] = a[i] * b[i] // (u[i] + 1)
        out[i, 2] = u[i] - v[i]  # uint8
        out[i, 3] = np.add(a[i], b[i])
        out[i, 4] = np.multiply(u[i], v[i])
        out[i, 5] = -u[i]
        out[i, 6] = ~u[i]
        out[i, 7] = np.int8(a[i] + 200)
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
    check(queue, narrow, len(a), a, b, a.astype(np.uint8), b.astype(np.uint8), np.zeros((len(a), 14), np.int64), plain=False)


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
        out[i, 14] = np.sign(x)
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
        for k in range(0):
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
