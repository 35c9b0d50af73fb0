"""OpenCL and CUDA devices: what is theirs alone (for the rest see `test_conformance`)."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
from tasks import (
    ADD,
    F32,
    F64,
    I8,
    I64,
    SIZES,
    SUM,
    array,
    map_program,
    partials_of,
    reduce_program,
    run,
    scalar,
    transform_program,
)

import portapar as pp
from portapar.backend import Program, Task
from portapar.backends import cuda, opencl
from portapar.backends.opencl import pocl
from portapar.errors import BackendUnavailableError
from portapar.kernel.c.dialect import OPENCL
from portapar.kernel.tiles import TILE

gpu_form_kernels: dict = {}


def test_pyopencl_arrays_of_others():
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    import pyopencl as cl
    import pyopencl.array as cl_array

    device = opencl.open(0)
    queue = cl.CommandQueue(device.context)
    x = cl_array.arange(queue, 100, dtype=np.float64)
    assert device.owns(x)
    assert not device.owns(cl_array.zeros(cl.CommandQueue(cl.Context([device.device])), 3, F64))
    program = transform_program("x[i] + 1", "out, x", array(F64), array(F64))
    out = device.empty((100,), F64)
    x += 5  # on the user's queue: must be done before the kernel begins
    device.run(Task(program, (out, x), (0, 0), (100,), (0,), (1,), 0, 100))
    assert np.array_equal(device.asnumpy(out), np.arange(100.0) + 6)


def gathered(i, k, x, y):
    y[i] = x[k[i]] + 1
    y[i] += x[k[i]]


def summed(i, k, x, y):
    for j in range(3):
        y[i] += x[k[i]] * (j + 1)


@pytest.mark.parametrize("kernel", [gathered, summed], ids=lambda kernel: kernel.__name__)
def test_arrays_in_one_memory(kernel):
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    import pyopencl.array as cl_array

    where = pp.executor("opencl:0")

    def region(x):  # a buffer that is a part of another one
        if isinstance(x, np.ndarray):
            return x[: len(x) // 3]
        return cl_array.Array(x.queue, len(x) // 3, x.dtype, data=x.base_data.get_sub_region(0, x.nbytes // 3))

    pairs = {
        "one array": lambda x, n: (x[n : 2 * n],) * 2,
        "two in one place": lambda x, n: (x[n : 2 * n], x[n : 2 * n]),
        "a part": lambda x, n: (x, x[:n]),
        "apart": lambda x, n: (x[n:], x[:n]),
        "a region": lambda x, n: (x, region(x)),
    }
    for n in (1, 63, 64, 65, 201):
        k, a = np.arange(n), np.random.default_rng(1).random(3 * n)
        for name, pair in pairs.items():
            here, there = a.copy(), cl_array.to_device(where.device.queue, a)
            for i in range(n):
                kernel(i, k, *pair(here, n))
            pp.for_each(pp.par.on(where), n, kernel, where.asarray(k), *pair(there, n))
            np.testing.assert_array_equal(there.get(), here, f"{name}, {n}")


def test_reduce_over_a_range():
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    device = opencl.open(0)
    n = 2 * TILE + 5
    x = np.arange(3.0 * n)
    program = Program("reduce", "def elem(i, x):\n    return x[i]\ndef op(x, y):\n    return x + y\n",
                      ("elem", "op"), (array(F64),), unit=False, steps=(0,), acc=F64)  # fmt: skip
    _, partials = run(device, program, (x,), n, start=(3 * n - 2,), step=(-3,))
    assert partials.tobytes() == partials_of(x[3 * n - 2 :: -3][:n], np.add, F64).tobytes()


@pytest.mark.parametrize("n", SIZES)
def test_the_form_for_gpus_on_any_opencl_device(n):
    """One work-item per index and one work-group per tile, where the machine has no OpenCL GPU."""
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    device = opencl.open(0)
    device.dialect, device._kernels = OPENCL, gpu_form_kernels
    x = np.random.default_rng(n).normal(size=n)
    (c, *_), _ = run(device, ADD, (np.zeros(n), x, x, np.float64(3)), n)
    assert np.array_equal(c, x + 3 * x)
    _, partials = run(device, SUM, (x,), n)
    assert partials.tobytes() == partials_of(x, np.add, F64).tobytes()


def test_declarations_are_those_of_opencl_and_more_is_found(monkeypatch):
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    import pyopencl as cl

    import portapar.backends.opencl.device as module
    from portapar.backends.opencl.declarations import DECLARATIONS

    device, n = opencl.open(0), 10
    text = DECLARATIONS + "__kernel void empty(void) {}"
    cl.Program(device.context, text).build()  # after the driver's own: other types would be refused
    for short in (DECLARATIONS, ""):  # without them no text compiles that way
        monkeypatch.setattr(module, "DECLARATIONS", short)
        monkeypatch.setattr(device, "_kernels", {})
        x = np.arange(n) + 0.5
        (c, *_), _ = run(device, ADD, (np.zeros(n), x, x, np.float64(3)), n)
        assert np.array_equal(c, x + 3 * x)


def test_memory_is_kept_for_the_next_array(monkeypatch):
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    import portapar.backends.opencl.device as module

    device = opencl.open(0)
    pool = device.shared.pool
    x = device.asarray(np.ones(1_000_001))
    before = pool.managed_bytes
    del x
    assert pool.managed_bytes == before  # kept
    y, z = device.asarray(np.zeros(1_000_001)), device.asarray(np.full(3, 7.0))
    assert pool.managed_bytes <= before + 4096  # and taken
    assert not device.asnumpy(y).any() and device.asnumpy(z).tolist() == [7.0] * 3
    del y
    monkeypatch.setattr(module, "_KEPT", device.device.global_mem_size)  # nothing may be kept
    device.empty((1,), F64)
    assert pool.managed_bytes <= before - 8_000_000
    monkeypatch.setattr(module, "_LARGE", device.device.global_mem_size // 1000)
    large = device.empty((1_000_001,), F64)
    assert pool.managed_bytes <= before - 8_000_000 and large.nbytes == 8_000_008


def test_a_closed_device_says_so():
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    from portapar.backends.opencl.device import OpenCLDevice

    device = OpenCLDevice("opencl:0", opencl.open(0).device)
    x = device.asarray(np.ones(3))
    device.close()
    with pytest.raises(BackendUnavailableError, match="closed"):
        device.asnumpy(x)
    with pytest.raises(BackendUnavailableError, match="closed"):
        device.empty((3,), F64)


# -- what is missing -------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="only Linux shows a process its memory as a file")
def test_pocl_is_told_the_name_of_a_cpu_it_does_not_know():
    def record(*texts):
        kept.append([ctypes.create_string_buffer(text) for text in texts])
        return (ctypes.c_size_t * 512)(0, 7, 2**64 - 1, *map(ctypes.addressof, kept[-1]))

    kept = []
    unknown = record(b"generic", b"x86_64-unknown-linux-gnu", b"generic", b"pthread")
    assert pocl.name(ctypes.addressof(unknown))
    assert ctypes.string_at(unknown[5]).startswith(b"x86-64")
    assert unknown[3:5] + unknown[6:7] == [ctypes.addressof(text) for text in (*kept[0][:2], kept[0][3])]
    for other in (record(b"x86_64-unknown-linux-gnu", b"znver3"), record(b"aarch64-linux-gnu", b"generic")):
        before = list(other)
        assert not pocl.name(ctypes.addressof(other))
        assert list(other) == before


def test_a_device_whose_compiler_knows_no_cpu_is_not_here(monkeypatch):
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    monkeypatch.setattr(pocl, "names_cpu", lambda device: False)
    monkeypatch.setattr(opencl, "devices", opencl.devices.__wrapped__)
    told = opencl.probe()[0]
    assert not told.available
    assert "does not know this CPU" in told.reason
    assert "driver" in told.remedy


def test_importing_a_backend_imports_no_driver():
    code = (
        "import sys, portapar.backends.opencl, portapar.backends.cuda;"
        "assert not {'pyopencl', 'cupy', 'numba'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_driver_and_no_such_device():
    infos = cuda.probe()
    if not infos[0].available:
        assert infos[0].reason and infos[0].remedy
        with pytest.raises(BackendUnavailableError, match=r"cuda.*is not available: .*\. \w+"):
            cuda.open(0)
    for backend in (opencl, cuda):
        with pytest.raises(BackendUnavailableError, match="is not available"):
            backend.open(99)


def test_missing_packages(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    info = opencl.probe()[0]
    assert not info.available and "portapar[opencl]" in info.remedy
    with pytest.raises(BackendUnavailableError, match=r"pip install 'portapar\[opencl\]'"):
        opencl.open()


# -- CUDA text without a GPU -----------------------------------------------------------------------------

PROGRAMS = {
    "transform": ADD,
    "transform float32": transform_program("a[i] * s", "c, a, s", array(F32), array(F32), scalar(F32)),
    "map 3-D, range": map_program(
        "def body(i, j, k, x):\n    x[i, j, k] = i + k\n", array(I64, 3, contiguous=False), ndim=3, unit=False
    ),
    "records": map_program("def body(i, r):\n    r[i].a = r[i].b\n", array([("a", "f8"), ("b", "i4")])),
    "complex": transform_program("a[i] * s", "c, a, s", array("c16"), array("c16"), scalar("c16")),
    "bool": transform_program("a[i] and s", "c, a, s", array("?"), array("?"), scalar("?")),
    "dot": reduce_program("x[i] * y[i]", "x, y", array(F64), array(F64), acc=F64),
    "complex product": reduce_program("x[i]", "x", array("c16"), acc="c16", op="x * y"),
    "minimum of int8": reduce_program("x[i]", "x", array(I8), acc=I8, op="min(x, y)"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_cuda_text_compiles(name):
    from portapar.backends.cuda.compile import nvrtc

    try:
        nvrtc()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    binary = cuda.compile_text(PROGRAMS[name], "sm_90")
    assert binary.startswith(b"\x7fELF") and b"portapar_" in binary
