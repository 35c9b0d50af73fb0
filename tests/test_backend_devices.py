"""The devices that run C text, OpenCL and CUDA: each test runs on every such device of the machine."""

import math
import subprocess
import sys
import threading

import numpy as np
import pytest

from portapar.backend import Task
from portapar.backends import cuda, opencl
from portapar.errors import BackendUnavailableError, DeviceMemoryError
from portapar.kernel.program import Program, Spec
from portapar.kernel.tiles import LANES, TILE

F64, F32, I64, I8 = (np.dtype(d) for d in ("f8", "f4", "i8", "i1"))
SIZES = (0, 1, 2, 1001, TILE, TILE + 1, 5 * TILE, 5 * TILE + 37)


def devices():
    """Names of the devices that are here."""
    return [info.name for backend in (opencl, cuda) for info in backend.probe() if info.available]


@pytest.fixture(params=devices())
def device(request):
    backend, index = request.param.split(":")
    return {"opencl": opencl, "cuda": cuda}[backend].open(int(index))


def array(dtype, ndim=1, **more):
    return Spec(np.dtype(dtype), ndim, **more)


def scalar(dtype):
    return Spec(np.dtype(dtype))


def map_program(text, *specs, ndim=1, unit=True):
    return Program("map", text, ("body",), specs, ndim, unit)


def transform_program(expression, parameters, *specs, out=0):
    """``a{out}[i] = expression``, as the front end writes it: `elem`, and `body` which stores it."""
    text = (
        f"def elem(i, {parameters}):\n    return {expression}\n"
        f"def body(i, {parameters}):\n    {parameters.split(', ')[out]}[i] = elem(i, {parameters})\n"
    )
    return Program("transform", text, ("elem", "body"), specs, out=out)


def reduce_program(expression, parameters, *specs, acc, op="x + y"):
    text = f"def elem(i, {parameters}):\n    return {expression}\ndef op(x, y):\n    return {op}\n"
    return Program("reduce", text, ("elem", "op"), specs, acc=np.dtype(acc))


def run(device, program, values, n, lo=0, hi=None, firsts=None, start=None, step=None, chunk=0):
    """Run a task on host values; the arrays come back as the device left them, then the partials."""
    extent = n if isinstance(n, tuple) else (n,)
    on_device = [device.asarray(v) if spec.is_array else v for v, spec in zip(values, program.specs, strict=True)]
    hi = math.prod(extent) if hi is None else hi
    task = Task(
        program, tuple(on_device), firsts or (0,) * len(values), extent, start or (0,) * len(extent),
        step or (1,) * len(extent), lo, hi, chunk=chunk,
    )  # fmt: skip
    partials = device.run(task)
    back = [device.asnumpy(x) if s.is_array else x for x, s in zip(on_device, program.specs, strict=True)]
    return back, partials


def partials_of(x, op, acc):
    """What a reduction must return: tiles in order, in each the lanes in order, then halves."""
    partials = []
    for first in range(0, len(x), TILE):
        tile = x[first : first + TILE].astype(acc)
        lanes = tile[:LANES].copy()
        for row in range(LANES, len(tile), LANES):
            more = tile[row : row + LANES]
            lanes[: len(more)] = op(lanes[: len(more)], more)
        half = LANES // 2
        while half:
            count = max(0, min(half, len(lanes) - half))
            lanes[:count] = op(lanes[:count], lanes[half : half + count])
            half //= 2
        partials.append(lanes[0])
    return np.array(partials, acc)


# -- memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 0, 2), (4, 5)])
@pytest.mark.parametrize("dtype", ["f8", "c16", "?", "i1", [("a", "f4"), ("b", "i2")]])
def test_arrays_travel(device, shape, dtype):
    x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    y = device.asarray(x)
    assert device.owns(y) and not device.owns(x)
    assert y.shape == shape and y.dtype == x.dtype
    assert np.array_equal(device.asnumpy(y), x)
    out = np.empty_like(x)
    assert device.asnumpy(y, out) is out and np.array_equal(out, x)
    assert device.empty(shape, x.dtype).shape == shape


def test_strided_arrays_travel(device):
    x = np.arange(60.0).reshape(6, 10)
    assert np.array_equal(device.asnumpy(device.asarray(x[::2, ::3])), x[::2, ::3])
    assert np.array_equal(device.asnumpy(device.asarray(x)[1::2, 2:9]), x[1::2, 2:9])
    out = np.zeros((6, 20))[:, ::2]
    assert np.array_equal(device.asnumpy(device.asarray(x), out), x) and np.array_equal(out, x)


def test_no_room(device):
    with pytest.raises(DeviceMemoryError, match=f"{device.name}.*bytes"):
        device.empty((2**50,), I8)


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


# -- maps ------------------------------------------------------------------------------------------------

ADD = transform_program("a[i] + s * b[i]", "c, a, b, s", array(F64), array(F64), array(F64), scalar(F64))


@pytest.mark.parametrize("n", SIZES)
def test_transform(device, n):
    a, b = np.arange(n, dtype=F64), np.linspace(-1, 1, n)
    (c, *_), partials = run(device, ADD, (np.zeros(n), a, b, np.float64(3)), n)
    assert partials is None
    assert np.array_equal(c, a + 3 * b)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"])
def test_scalars_have_their_own_type(device, dtype):
    s = np.dtype(dtype).type(-3 if np.dtype(dtype).kind != "u" else 250)
    text = "def body(i, x, s, k):\n    x[i] = s\n    x[i + 3] = k\n"
    program = map_program(text, array(dtype), scalar(dtype), scalar("i1"))
    (x, *_), _ = run(device, program, (np.zeros(6, dtype), s, np.int8(5)), 3)
    assert np.array_equal(x, np.array([s, s, s, 5, 5, 5], dtype))


def test_bool_scalar_and_array(device):
    program = map_program("def body(i, x, y, s):\n    y[i] = x[i] != s\n", *map(array, "??"), scalar("?"))
    x = np.array([True, False, True, True])
    (_, y, _), _ = run(device, program, (x, np.zeros(4, "?"), np.bool_(True)), 4)
    assert np.array_equal(y, ~x)


def test_records(device):
    dtype = np.dtype([("a", "f4"), ("b", "i8")], align=True)
    program = map_program("def body(i, r):\n    r[i].b = r[i].b + int(2 * r[i].a)\n", array(dtype))
    r = np.array([(0.5, 1), (1.5, 10)], dtype)
    (out,), _ = run(device, program, (r,), 2)
    assert out["b"].tolist() == [2, 13]


@pytest.mark.parametrize(("lo", "hi"), [(0, 1000), (0, 0), (17, 18), (100, 900), (999, 1000)])
def test_a_part_with_firsts(device, lo, hi):
    """The device holds rows lo to hi of `c` and `a`, and the rows from lo - 1 on of `b`."""
    n = 1000
    a, b, c = np.arange(n, dtype=F64), np.arange(n, dtype=F64) ** 2, np.full(n, -1.0)
    begin = max(0, lo - 1)
    values = (c[lo:hi], a[lo:hi], b[begin:hi], np.float64(2))
    (part, *_), _ = run(device, ADD, values, n, lo, hi, firsts=(lo, lo, begin, 0))
    assert np.array_equal(part, (a + 2 * b)[lo:hi])


@pytest.mark.parametrize("shape", [(5, 7), (1, 3000), (3000, 1), (3, 4, 5), (2, 1, 2000), (0, 3), (4, 0, 2)])
def test_boxes(device, shape):
    index = ["i", "j", "k"][: len(shape)]
    value = " + ".join(f"{10.0 ** (3 * d)} * {name}" for d, name in enumerate(index))
    text = f"def body({', '.join(index)}, x):\n    x[{', '.join(index)}] = {value}\n"
    program = map_program(text, array(F64, len(shape)), ndim=len(shape))
    expected = sum(10.0 ** (3 * d) * g for d, g in enumerate(np.indices(shape)))
    (x,), _ = run(device, program, (np.zeros(shape),), shape)
    assert np.array_equal(x, expected)
    total = math.prod(shape)
    lo, hi = total // 3, total - total // 4
    (x,), _ = run(device, program, (np.full(shape, -1.0),), shape, lo, hi)
    flat = np.full(total, -1.0)
    flat[lo:hi] = expected.ravel()[lo:hi]
    assert np.array_equal(x.ravel(), flat)


def test_start_and_step(device):
    text = "def body(i, j, x):\n    x[i, j] = 100 * i + j\n"
    program = map_program(text, array(I64, 2), ndim=2, unit=False)
    (x,), _ = run(device, program, (np.zeros((20, 30), I64),), (4, 5), start=(18, 3), step=(-3, 4))
    expected = np.zeros((20, 30), I64)
    for i in range(18, 18 - 12, -3):
        for j in range(3, 23, 4):
            expected[i, j] = 100 * i + j
    assert np.array_equal(x, expected)


@pytest.mark.parametrize("chunk", [0, 1, 7, 10_000])
def test_chunk_size(device, chunk):
    ones = np.ones(1000)
    (c, *_), _ = run(device, ADD, (np.zeros(1000), ones, ones, np.float64(2)), 1000, chunk=chunk)
    assert np.array_equal(c, np.full(1000, 3.0))


def test_strided_device_arrays(device):
    """Views of device arrays, also from an offset, with a step and backwards."""
    specs = (array(F64, ndim, contiguous=False) for ndim in (1, 1, 2))
    program = transform_program("x[i] + y[i, 1]", "out, x, y", *specs)
    x, y = np.arange(40.0), np.arange(60.0).reshape(10, 6)
    out, dx, dy = device.empty((30,), F64)[5:25:2], device.asarray(x)[35:5:-3], device.asarray(y)[:, 1::2]
    device.run(Task(program, (out, dx, dy), (0, 0, 0), (10,), (0,), (1,), 0, 10))
    assert np.array_equal(device.asnumpy(out), x[35:5:-3] + y[:, 3])


def test_more_than_2_31_elements(device):
    """64-bit index arithmetic, with an array of a few bytes: only its last rows are on the device."""
    program = map_program("def body(i, x):\n    x[i] = i % 100\n", array(I8))
    lo, hi = 2**33 - 50, 2**33
    (x,), _ = run(device, program, (np.zeros(50, I8),), 2**33, lo, hi, firsts=(lo,))
    assert np.array_equal(x, (np.arange(lo, hi) % 100).astype(I8))


# -- reductions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", (*SIZES, 31, 32, 33, 48, 63, TILE - 1))
def test_sum_has_the_same_bits(device, n, dtype):
    x = np.random.default_rng(n).normal(size=n).astype(dtype) * np.dtype(dtype).type(1e3)
    _, partials = run(device, reduce_program("x[i]", "x", array(dtype), acc=dtype), (x,), n)
    expected = partials_of(x, np.add, dtype)
    assert partials.dtype == dtype and partials.shape == expected.shape
    assert partials.tobytes() == expected.tobytes()


def test_subnormal_numbers_are_kept(device):
    """CUDA compilers like to flush them to zero, and then the bits differ from the CPU's."""
    x, half = np.full(100, 1e-40, np.float32), np.float32(0.5)
    program = reduce_program("x[i] * s", "x, s", array(F32), scalar(F32), acc=F32)
    _, partials = run(device, program, (x, half), 100)
    assert partials.tobytes() == partials_of(x * half, np.add, F32).tobytes() != bytes(4)


def test_dot_of_a_part(device):
    """The tiles of [lo, hi), whatever part of the arrays the device holds; no contraction to FMA."""
    n, lo = 10 * TILE + 11, 3 * TILE
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=n), rng.normal(size=n)
    program = reduce_program("x[i] * y[i]", "x, y", array(F64), array(F64), acc=F64)
    expected = partials_of(x * y, np.add, F64)
    _, partials = run(device, program, (x[lo:], y[lo:]), n, lo, n, firsts=(lo, lo))
    assert partials.tobytes() == expected[3:].tobytes()
    _, partials = run(device, program, (x, y), n, lo, 5 * TILE)
    assert partials.tobytes() == expected[3:5].tobytes()


@pytest.mark.parametrize(("op", "acc", "oracle"), [
    ("x if x < y else y", "i4", np.minimum), ("x * y", "c16", np.multiply), ("x ^ y", "u1", np.bitwise_xor),
])  # fmt: skip
def test_other_operators(device, op, acc, oracle):
    n = TILE + 77
    x = (np.random.default_rng(1).normal(size=n) * 100).astype(np.int64).astype(acc)
    if acc == "c16":
        x = np.exp(1j * x)
    _, partials = run(device, reduce_program("x[i]", "x", array(acc), acc=acc, op=op), (x,), n)
    assert np.allclose(partials, partials_of(x, oracle, acc), rtol=1e-12)


def test_reduce_over_a_range(device):
    n = 2 * TILE + 5
    x = np.arange(3.0 * n)
    program = Program("reduce", "def elem(i, x):\n    return x[i]\ndef op(x, y):\n    return x + y\n",
                      ("elem", "op"), (array(F64),), unit=False, acc=F64)  # fmt: skip
    _, partials = run(device, program, (x,), n, start=(3 * n - 2,), step=(-3,))
    assert partials.tobytes() == partials_of(x[3 * n - 2 :: -3][:n], np.add, F64).tobytes()


@pytest.mark.parametrize("n", SIZES)
def test_the_form_for_gpus_on_any_opencl_device(n):
    """One work-item per index and one work-group per tile, where the machine has no OpenCL GPU."""
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    device = opencl.open(0)
    device.serial, device._kernels = False, gpu_form_kernels
    x = np.random.default_rng(n).normal(size=n)
    (c, *_), _ = run(device, ADD, (np.zeros(n), x, x, np.float64(3)), n)
    assert np.array_equal(c, x + 3 * x)
    _, partials = run(device, SUM, (x,), n)
    assert partials.tobytes() == partials_of(x, np.add, F64).tobytes()


gpu_form_kernels: dict = {}
SUM = reduce_program("x[i]", "x", array(F64), acc=F64)


# -- the device itself -----------------------------------------------------------------------------------


def test_two_threads_at_once(device):
    """Each thread runs its own programs, and one that they share, with its own arguments."""
    failures = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=50_000)
        total = reduce_program("x[i]", "x", array(F64), acc=F64)
        own = transform_program(f"a[i] + {seed}.0", "c, a", array(F64), array(F64))
        for s in range(25):
            (c, *_), _ = run(device, ADD, (np.zeros(x.size), x, x, np.float64(s + seed)), x.size)
            (d, *_), _ = run(device, own, (np.zeros(x.size), x), x.size)
            _, partials = run(device, total, (x,), x.size)
            if not (
                np.array_equal(c, x + (s + seed) * x)
                and np.array_equal(d, x + seed)
                and np.array_equal(partials, partials_of(x, np.add, F64))
            ):
                failures.append((seed, s))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_inspect(device):
    code = device.inspect(ADD)
    assert any("for (" in text or "if (" in text for text in code.values())
    assert all(isinstance(text, str) and text for text in code.values())


def test_check_accepts(device):
    assert device.check(ADD) is None
    device.synchronize()


def test_no_float64():
    if not opencl.probe()[0].available:
        pytest.skip("no OpenCL device")
    device = opencl.open(0)
    device.extensions = frozenset({"cl_khr_byte_addressable_store"})
    double = transform_program("a[i] + 17.25", "c, a", array(F64), array(F64))
    message = device.check(double)
    assert message is not None and "no float64" in message and "float32" in message and "opencl:0" in message
    inside = transform_program("np.float32(a[i] * 17.25)", "c, a", array(F32), array(F32))
    assert "no float64" in device.check(inside)
    single = transform_program("a[i] + s", "c, a, s", array(F32), array(F32), scalar(F32))
    assert device.check(single) is None


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
