"""What tests of the C renderer share: kernels run on an OpenCL CPU device, and compared with Python and Numba."""

from __future__ import annotations

import functools
import math
import warnings

import numba
import numpy as np
import pytest
from numba import types

from portapar.errors import BackendUnavailableError
from portapar.kernel.c.dialect import CUDA, OPENCL
from portapar.kernel.c.entries import map_parameters, render_map
from portapar.kernel.jit.typing import array_type, infer, numba_type

njit = numba.njit(error_model="numpy")
INT_MIN = np.iinfo(np.int64).min
INT_MAX = np.iinfo(np.int64).max
PARTICLE = np.dtype([("id", "u1"), ("x", "f8"), ("v", "f4", (3,)), ("ok", "?"), ("in", [("a", "i2"), ("b", "f8")])])


@njit
def helper_div(x, y):
    return x // y if y != 0 else 0


def quickly(text):
    """Compile CUDA text for nobody to run: to PTX, but shared memory is what the assembler may refuse besides."""
    from portapar.backends.cuda.compile import compile_c, nvrtc_version

    fast = ["--Ofast-compile=max"] if nvrtc_version() >= (13, 0) else []
    return compile_c(text, "sm_90" if "__shared__" in text else "compute_90", *fast)


@functools.cache
def nvrtc(text):
    """What NVRTC makes of CUDA text; no GPU is needed."""
    try:
        return quickly(text)
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
    assert nvrtc(render_map(typed, ndim, CUDA, "entry", unit_step=unit_step))
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
