"""The native codes behind one interface: `opponents` lists them, `Native.bind` makes them callable."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portapar.backends import opencl

from . import compilers
from .compilers import BuildError

#: Each kernel, with the number of arrays that it moves (McCalpin's and BabelStream's count).
KERNELS = {"copy": 2, "scale": 2, "add": 3, "triad": 3, "dot": 2, "nstream": 4}

#: BabelStream's scalar.
SCALAR = 0.4

_DTYPES = {np.dtype(np.float64): ctypes.c_double, np.dtype(np.float32): ctypes.c_float}


@dataclass(frozen=True)
class Bound:
    """The six kernels on given arrays: no arguments, complete on return.

    ==========  ===================
    ``copy``    ``c = a``
    ``scale``   ``b = s*c``
    ``add``     ``c = a + b``
    ``triad``   ``a = b + s*c``
    ``nstream`` ``a += b + s*c``
    ``dot``     returns ``sum(a*b)`` as a float, summed in the arrays' own type
    ==========  ===================
    """

    copy: Callable[[], Any]
    scale: Callable[[], Any]
    add: Callable[[], Any]
    triad: Callable[[], Any]
    nstream: Callable[[], Any]
    dot: Callable[[], float]


def _check(arrays: tuple[Any, Any, Any]) -> tuple[np.dtype[Any], int]:
    a = arrays[0]
    dtype = np.dtype(a.dtype)
    if dtype not in _DTYPES:
        raise TypeError(f"the native STREAM takes float64 and float32 arrays, not {dtype}")
    for name, x in zip("abc", arrays, strict=True):
        if x.dtype != dtype or x.ndim != 1 or x.shape != a.shape:
            raise ValueError(
                f"a, b and c must be 1-D arrays of one size and dtype: a is {dtype}{a.shape}, "
                f"{name} is {x.dtype}{x.shape}"
            )
        if x.size > 1 and x.strides[0] != dtype.itemsize:
            raise ValueError(f"{name} must be contiguous; its stride is {x.strides[0]} bytes")
    return dtype, int(a.size)


class Native:
    """One native code. Subclasses say how it is built, bound and given memory.

    Attributes
    ----------
    key : str
        A short name that stays the same on every machine, for files and options.
    name : str
        For readers; says which compiler was used.
    threads : int or None
        CPU threads of its kernels; may be set. None where that is the device's affair.
    """

    key = ""
    name = ""
    threads: int | None = None

    @property
    def command(self) -> str:
        """What built it, as typed in ``bench/native``; empty if its compiler is missing."""
        return ""

    @property
    def note(self) -> str:
        """What a reader of its numbers must know, such as a missing instruction set; else empty."""
        return ""

    @functools.cached_property
    def problem(self) -> BuildError | None:
        """Why it cannot run here, or None. The first look builds it."""
        try:
            self._prepare()
        except BuildError as error:
            return error
        return None

    @property
    def available(self) -> bool:
        """Whether it can run here."""
        return self.problem is None

    @property
    def reason(self) -> str:
        """What is missing and the remedy; empty if it is available."""
        return str(self.problem or "")

    def bind(self, a: Any, b: Any, c: Any, s: float = SCALAR) -> Bound:
        """Fix the arrays and the scalar, so that a call costs next to nothing.

        Parameters
        ----------
        a, b, c : array
            1-D, contiguous, of one size and dtype (float64 or float32), not overlapping: NumPy for the C
            codes, PyOpenCL or CuPy for the others. Changed in place, and kept alive by the result.
        s : float
            The scalar.

        Raises
        ------
        BuildError
            If the code is not available.
        TypeError, ValueError
            If the arrays don't fit.
        """
        if self.problem is not None:
            raise self.problem
        dtype, n = _check((a, b, c))
        return self._bind(a, b, c, s, dtype, n)

    def full(self, n: int, value: float, dtype: Any = np.float64) -> Any:
        """Return a new array of n values where this code works best (alignment, NUMA node, device)."""
        raise NotImplementedError

    def asnumpy(self, x: Any) -> np.ndarray:
        """Return the contents of an array of this code's kind."""
        return np.asarray(x)

    def rest(self) -> None:
        """Leave the cores to others: call it before something else is timed.

        The workers of OpenMP spin after a region in the hope of a next one (libgomp: about 9 ms), on the
        cores of what is timed next. This ends them, in about 0.4 ms; the next call starts them anew, 0.04 ms
        once, so call a kernel untimed first. The alternative, OMP_WAIT_POLICY=passive, would weaken the
        code itself: a region then costs 13 us instead of 2. Where another library of this process uses the
        same OpenMP runtime from the same Python thread (Numba's ``omp`` layer), its workers end as well.
        """

    def _prepare(self) -> None:
        raise NotImplementedError

    def _bind(self, a: Any, b: Any, c: Any, s: float, dtype: np.dtype[Any], n: int) -> Bound:
        raise NotImplementedError


class _C(Native):
    """A C source, on NumPy arrays."""

    def __init__(self, key: str, label: str, source: str, flags: list[str], link: list[str], threads: int) -> None:
        self.key, self._label, self._source = key, label, source
        self._flags, self._link = flags, link
        self._libraries: dict[np.dtype[Any], ctypes.CDLL] = {}
        self._threads = threads

    @property
    def name(self) -> str:  # type: ignore[override]
        try:
            return f"{compilers.c_compiler().family} {self._label}"
        except BuildError:
            return f"C {self._label}"

    @property
    def threads(self) -> int:
        return self._threads

    @threads.setter
    def threads(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"threads={count}: at least one")
        self._threads = count
        for lib in self._libraries.values():
            lib.stream_set_threads(count)

    def _compiler(self) -> compilers.Compiler:
        return compilers.c_compiler()

    def _env(self) -> dict[str, str] | None:
        return None

    def _all_flags(self) -> list[str]:
        return ["-O3", *compilers.native_flags()[0], "-fPIC", *self._flags]

    @property
    def command(self) -> str:
        try:
            parts = [self._compiler().path, *self._all_flags(), "-shared", self._source]
        except BuildError:
            return ""
        return compilers.shown(parts)

    @property
    def note(self) -> str:
        if self.problem is not None:
            return ""
        own = self._library(np.dtype(np.float64)).stream_note().decode()
        return "; ".join(part for part in (compilers.native_flags()[1], own) if part)

    def _prepare(self) -> None:
        self._library(np.dtype(np.float64))

    def _library(self, dtype: np.dtype[Any]) -> ctypes.CDLL:
        if dtype in self._libraries:
            return self._libraries[dtype]
        flags = self._all_flags() + (["-DSTREAM_FLOAT"] if dtype == np.float32 else [])
        path = compilers.library(self._source, self._compiler(), flags, ["-shared", *self._link], self._env())
        lib = _load(path)
        real = _DTYPES[dtype]
        for kernel in KERNELS:
            function = getattr(lib, f"stream_{kernel}")
            function.argtypes = [ctypes.c_void_p] * 3 + [real, ctypes.c_int64]
            function.restype = real if kernel == "dot" else None
        lib.stream_fill.argtypes = [ctypes.c_void_p, real, ctypes.c_int64]
        lib.stream_fill.restype = None
        lib.stream_note.restype = ctypes.c_char_p
        lib.stream_set_threads(self._threads)
        self._libraries[dtype] = lib
        return lib

    def _bind(self, a: Any, b: Any, c: Any, s: float, dtype: np.dtype[Any], n: int) -> Bound:
        for name, x in zip("abc", (a, b, c), strict=True):
            if not isinstance(x, np.ndarray):
                raise TypeError(f"{self.name} takes NumPy arrays; {name} is {type(x).__name__}")
            if not x.flags.writeable:
                raise ValueError(f"{name} is read-only")
        lib = self._library(dtype)
        # Ready-made ctypes objects spare each call the conversions.
        args = (*(ctypes.c_void_p(x.ctypes.data) for x in (a, b, c)), _DTYPES[dtype](s), ctypes.c_int64(n))
        calls = {kernel: functools.partial(getattr(lib, f"stream_{kernel}"), *args) for kernel in KERNELS}
        for call in calls.values():
            call.__dict__["arrays"] = (a, b, c)  # keeps them alive
        return Bound(**calls)

    def full(self, n: int, value: float, dtype: Any = np.float64) -> np.ndarray:
        if self.problem is not None:
            raise self.problem
        dtype = np.dtype(dtype)
        raw = np.empty(n * dtype.itemsize + 64, np.uint8)
        start = -raw.ctypes.data % 64
        x = raw[start : start + n * dtype.itemsize].view(dtype)
        self._library(dtype).stream_fill(x.ctypes.data, value, n)
        return x

    def rest(self) -> None:
        for lib in self._libraries.values():
            lib.stream_rest()


def _load(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        text = str(error).replace(str(path), path.name)
        raise BuildError(f"the built library does not load: {text}", "install what it names") from error


class MPI(_C):
    """C with MPI, on each rank's part of the arrays; every rank calls every kernel.

    Only ``dot`` communicates; it returns the sum over all ranks. The other kernels hold no barrier: who
    takes the time puts one before it, and takes the slowest rank.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        By default ``MPI.COMM_WORLD``, looked up when first needed, since looking starts MPI.
    """

    def __init__(self, comm: Any = None) -> None:
        super().__init__("mpi", "with MPI", "stream_mpi.c", ["-fopenmp"], ["-fopenmp"], threads=1)
        self._comm = comm

    @property
    def name(self) -> str:  # type: ignore[override]
        return "C with MPI"

    @property
    def comm(self) -> Any:
        """The communicator."""
        if self._comm is None:
            from mpi4py import MPI as mpi

            self._comm = mpi.COMM_WORLD
        return self._comm

    def _compiler(self) -> compilers.Compiler:
        return compilers.mpi_compiler()

    def _env(self) -> dict[str, str]:
        # Open MPI's and MPICH's (also Intel's) names for the compiler behind the wrapper.
        return {"OMPI_CC": compilers.c_compiler().path, "MPICH_CC": compilers.c_compiler().path}

    def _prepare(self) -> None:
        if importlib.util.find_spec("mpi4py") is None:
            raise BuildError("no mpi4py", 'pip install "portapar[mpi]"')
        super()._prepare()

    @functools.cached_property
    def _mismatch(self) -> BuildError | None:
        from mpi4py import MPI as mpi

        text = ctypes.create_string_buffer(65536)
        self._library(np.dtype(np.float64)).stream_mpi_version(text)
        ours, theirs = text.value.decode().strip(), mpi.Get_library_version().strip().strip("\0")
        if ours == theirs:
            return None
        return BuildError(
            f"mpicc belongs to {ours.splitlines()[0]!r}, mpi4py uses {theirs.splitlines()[0]!r}",
            "set MPICC to the mpicc of mpi4py's MPI",
        )

    def _bind(self, a: Any, b: Any, c: Any, s: float, dtype: np.dtype[Any], n: int) -> Bound:
        if self._mismatch is not None:
            raise self._mismatch
        bound = super()._bind(a, b, c, s, dtype, n)
        dot = self._library(dtype).stream_dot_mpi
        dot.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int64, ctypes.c_int]
        dot.restype = _DTYPES[dtype]
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (a, b)]
        call = functools.partial(dot, *pointers, ctypes.c_int64(n), ctypes.c_int(self.comm.py2f()))
        call.__dict__["arrays"] = (a, b)
        return Bound(bound.copy, bound.scale, bound.add, bound.triad, bound.nstream, call)


class OpenCL(Native):
    """Hand-written OpenCL C through PyOpenCL.

    Parameters
    ----------
    queue : pyopencl.CommandQueue, optional
        By default an in-order queue on the first device of the first platform. `bind` uses the arrays' own
        queue where they have one.
    dot : {"best", "strided"}
        "strided" is the usual tree reduction also on CPUs, where "best" reads contiguous parts instead.
    """

    key = "opencl"
    name = "OpenCL C"

    def __init__(self, queue: Any = None, dot: str = "best") -> None:
        self._queue = queue
        self._dot = dot
        self._programs: dict[tuple[Any, np.dtype[Any]], Any] = {}

    @property
    def command(self) -> str:
        return "pyopencl.Program(context, stream_opencl.cl).build()"

    @property
    def note(self) -> str:
        return "" if self.problem is not None else self._queue.device.name.strip()

    @property
    def queue(self) -> Any:
        """The command queue; BuildError if there is no device."""
        if self._queue is None:
            try:
                import pyopencl as cl
            except ImportError as error:
                raise BuildError("no pyopencl", 'pip install "portapar[opencl]"') from error
            try:
                devices = opencl.devices()
            except (cl.Error, RuntimeError) as error:
                raise BuildError(f"no OpenCL device ({error})", 'pip install "portapar[opencl]"') from error
            if not devices:
                raise BuildError("no OpenCL device", 'pip install "portapar[opencl]", which brings PoCL')
            self._queue = cl.CommandQueue(cl.Context([devices[0]]))
        return self._queue

    def _prepare(self) -> None:
        queue = self.queue
        double = "cl_khr_fp64" in queue.device.extensions
        self._program(queue, np.dtype(np.float64 if double else np.float32))

    def _program(self, queue: Any, dtype: np.dtype[Any]) -> Any:
        import pyopencl as cl

        if dtype == np.float64 and "cl_khr_fp64" not in queue.device.extensions:
            raise BuildError(f"{queue.device.name.strip()} has no float64", "use float32")
        key = (queue.context, dtype)
        if key not in self._programs:
            source = (compilers.HERE / "stream_opencl.cl").read_text()
            options = ["-DSTREAM_FLOAT"] if dtype == np.float32 else []
            try:
                self._programs[key] = cl.Program(queue.context, source).build(options)
            except cl.Error as error:
                raise BuildError(f"stream_opencl.cl: {error}", "update the OpenCL driver") from error
        return self._programs[key]

    def _bind(self, a: Any, b: Any, c: Any, s: float, dtype: np.dtype[Any], n: int) -> Bound:
        import pyopencl as cl

        queue = a.queue or self.queue
        program = self._program(queue, dtype)
        if n == 0:
            nothing = lambda: None
            return Bound(nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
        cpu = bool(queue.device.type & cl.device_type.CPU)
        # One group of the largest size is best on CPUs; a divisor of n spares the second launch.
        limit = min(queue.device.max_work_group_size, 4096 if cpu else 256)
        local = limit
        while local > 64 and n % local:
            local //= 2
        local = local if n % local == 0 else limit
        whole = n - n % local

        def elementwise(name: str) -> Callable[[], None]:
            kernel = cl.Kernel(program, name)
            kernel.set_args(a.data, b.data, c.data, dtype.type(s))
            launch, finish = cl.enqueue_nd_range_kernel, queue.finish

            def call() -> None:
                if whole:
                    launch(queue, kernel, (whole,), (local,))
                if whole < n:
                    launch(queue, kernel, (n - whole,), None, (whole,))
                finish()

            return call

        units = queue.device.max_compute_units
        blocked = cpu and self._dot == "best"
        groups, size = (4 * units, 1) if blocked else (4 * units, limit)
        sums = np.empty(groups, dtype)
        partial = cl.Buffer(queue.context, cl.mem_flags.WRITE_ONLY, sums.nbytes)
        kernel = cl.Kernel(program, "dot_blocked" if blocked else "dot_strided")
        local_sums: Any = cl.LocalMemory(size * dtype.itemsize)
        kernel.set_args(a.data, b.data, partial, local_sums, np.int64(n))

        def dot() -> float:
            cl.enqueue_nd_range_kernel(queue, kernel, (groups * size,), (size,))
            cl.enqueue_copy(queue, sums, partial, is_blocking=True)
            return float(sums.sum())

        return Bound(dot=dot, **{name: elementwise(name) for name in KERNELS if name != "dot"})

    def full(self, n: int, value: float, dtype: Any = np.float64) -> Any:
        import pyopencl.array as cla

        x = cla.empty(self.queue, n, dtype)
        if n:
            x.fill(np.dtype(dtype).type(value))
            self.queue.finish()
        return x

    def asnumpy(self, x: Any) -> np.ndarray:
        return x.get() if x.size else np.empty(0, x.dtype)


class CUDA(Native):
    """CUDA C++ by nvcc, on CuPy arrays of the current device, in the legacy default stream."""

    key = "cuda"
    name = "CUDA C++"

    def __init__(self) -> None:
        self._libraries: dict[np.dtype[Any], ctypes.CDLL] = {}

    def _flags(self) -> list[str]:
        return ["-O3", "-arch=native" if _gpu() else "-arch=sm_90", "-Xcompiler=-fPIC"]

    @property
    def command(self) -> str:
        try:
            return compilers.shown([compilers.cuda_compiler().path, *self._flags(), "-shared", "stream_cuda.cu"])
        except BuildError:
            return ""

    def compile(self, dtype: Any = np.float64) -> Path:
        """Compile without needing a GPU (for sm_90 where there is none) and return the library."""
        flags = self._flags() + (["-DSTREAM_FLOAT"] if np.dtype(dtype) == np.float32 else [])
        arch = flags[1]
        return compilers.library("stream_cuda.cu", compilers.cuda_compiler(), flags, ["-shared", arch], _gpu_key())

    def _prepare(self) -> None:
        compiled = self.compile()  # also without a GPU: a source that does not compile must show
        if not _gpu():
            raise BuildError("no CUDA GPU or driver", "run on a machine with an NVIDIA GPU")
        if importlib.util.find_spec("cupy") is None:
            raise BuildError("no CuPy, which holds the arrays", 'pip install "portapar[cuda13]"')
        self._bind_library(np.dtype(np.float64), compiled)

    def _bind_library(self, dtype: np.dtype[Any], path: Path) -> ctypes.CDLL:
        lib = self._libraries[dtype] = _load(path)
        for kernel in KERNELS:
            function = getattr(lib, f"stream_{kernel}")
            function.argtypes = [ctypes.c_void_p] * 3 + [_DTYPES[dtype], ctypes.c_int64]
        lib.stream_dot.argtypes = [*lib.stream_dot.argtypes, ctypes.c_void_p]
        lib.stream_error.restype = ctypes.c_char_p
        return lib

    def _bind(self, a: Any, b: Any, c: Any, s: float, dtype: np.dtype[Any], n: int) -> Bound:
        lib = self._libraries.get(dtype) or self._bind_library(dtype, self.compile(dtype))
        real = _DTYPES[dtype]
        args = (*(ctypes.c_void_p(x.data.ptr) for x in (a, b, c)), real(s), ctypes.c_int64(n))
        arrays = (a, b, c)  # kept alive by the closures below
        synchronize = lib.stream_synchronize

        def check(code: int) -> None:
            if code:
                text = lib.stream_error(code).decode()
                raise RuntimeError(f"CUDA error {code} on {arrays[0].device}: {text}")

        def elementwise(name: str) -> Callable[[], None]:
            launch = functools.partial(getattr(lib, f"stream_{name}"), *args)

            def call() -> None:
                check(launch() or synchronize())

            return call

        result = real()
        reduce = functools.partial(lib.stream_dot, *args, ctypes.byref(result))

        def dot() -> float:
            check(reduce())
            return result.value

        return Bound(dot=dot, **{name: elementwise(name) for name in KERNELS if name != "dot"})

    def full(self, n: int, value: float, dtype: Any = np.float64) -> Any:
        import cupy

        return cupy.full(n, value, dtype)

    def asnumpy(self, x: Any) -> np.ndarray:
        return x.get()


@functools.cache
def _gpu() -> bool:
    with contextlib.suppress(OSError):
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int()
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value > 0
    return False


def _gpu_key() -> dict[str, str] | None:
    """Name the GPU in the build's key, since ``-arch=native`` reads the same for all of them."""
    if not _gpu():
        return None
    driver = ctypes.CDLL("libcuda.so.1")
    numbers = (ctypes.c_int(), ctypes.c_int())
    for attribute, number in zip((75, 76), numbers, strict=True):  # compute capability, major and minor
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, 0)
    return {"STREAM_GPU": f"sm_{numbers[0].value}{numbers[1].value}"}


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def opponents(threads: int | None = None, queue: Any = None, comm: Any = None) -> list[Native]:
    """Return all native codes, also those that cannot run here.

    Parameters
    ----------
    threads : int, optional
        For the OpenMP codes; by default all CPUs of this process. The serial code keeps one, and each MPI
        rank has one.
    queue : pyopencl.CommandQueue, optional
        See `OpenCL`.
    comm : mpi4py.MPI.Comm, optional
        See `MPI`.

    Returns
    -------
    list of Native
        With the keys openmp, streaming, fast, serial, opencl, cuda, mpi.
    """
    threads = threads or cpu_count()
    omp = ["-fopenmp"]
    return [
        _C("openmp", "OpenMP", "stream_openmp.c", omp, omp, threads),
        _C("streaming", "OpenMP streaming stores", "stream_nt.c", omp, omp, threads),
        _C("fast", "OpenMP -ffast-math", "stream_openmp.c", [*omp, "-ffast-math"], omp, threads),
        _C("serial", "serial", "stream_openmp.c", ["-fopenmp-simd"], [], 1),
        OpenCL(queue),
        CUDA(),
        MPI(comm),
    ]
