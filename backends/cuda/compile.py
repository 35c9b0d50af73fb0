"""CUDA C to a binary for one architecture, by NVRTC: needs neither a GPU nor a driver.

NVRTC is called through its C interface and not by CuPy's `RawModule`: that one asks the driver first, so
that nothing could be compiled on a machine without a GPU, and always adds ``-ftz=true``, which flushes
small float32 numbers to zero and so gives other bits than the CPU.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from portapar.errors import BackendUnavailableError
from portapar.kernel.c.dialect import CUDA
from portapar.kernel.c.program import Rejected, c_text, rejection
from portapar.kernel.program import Program

__all__ = ["OPTIONS", "compile_c", "compile_text", "nvrtc", "nvrtc_version"]

# No contraction, no approximation: results must have the bits that the CPU gives.
OPTIONS = ("--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true", "--std=c++17")


def compile_text(program: Program, arch: str = "sm_90") -> bytes:
    """Compile a program's CUDA text.

    Parameters
    ----------
    program : Program
    arch : str
        A real architecture, such as ``"sm_90"`` for Hopper.

    Returns
    -------
    bytes
        The cubin.

    Raises
    ------
    BackendUnavailableError
        If NVRTC is not installed.
    KernelError
        If NVRTC rejects the text (a mistake of the renderer) or the architecture.
    """
    try:
        return compile_c(c_text(program, CUDA), arch)
    except Rejected as error:
        raise rejection(program, CUDA, error) from error


def compile_c(text: str, arch: str, *more: str) -> bytes:
    """Compile CUDA C to a cubin, or to PTX for a virtual architecture such as ``"compute_90"``; `more` are options."""
    library = nvrtc()
    handle = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(handle), text.encode(), b"portapar.cu", 0, None, None)
    try:
        options = [option.encode() for option in (f"--gpu-architecture={arch}", *OPTIONS, *more)]
        code = library.nvrtcCompileProgram(handle, len(options), (ctypes.c_char_p * len(options))(*options))
        if code != 0:
            log = _output(library, "ProgramLog", handle).rstrip(b"\0").decode(errors="replace")
            raise Rejected(f"NVRTC cannot compile this kernel for {arch} (error {code})", log, text)
        return _output(library, "PTX" if arch.startswith("compute_") else "CUBIN", handle)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(handle))


def _output(library: ctypes.CDLL, what: str, handle: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(handle, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(handle, buffer)
    return buffer.raw


def nvrtc_version() -> tuple[int, int]:
    """The version of NVRTC, on which binaries depend."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


@functools.cache
def nvrtc() -> ctypes.CDLL:
    """The NVRTC library: of the `nvidia-cuda-nvrtc` wheel, the CUDA toolkit, or the system.

    Raises
    ------
    BackendUnavailableError
        If there is none.
    """
    candidates = []
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        candidates.append(load_nvidia_dynamic_lib("nvrtc").abs_path)
    except (ImportError, RuntimeError):  # pathfinder's "not found" is a RuntimeError
        pass
    candidates += ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if variable in os.environ:
            candidates.append(str(Path(os.environ[variable]) / "lib64" / "libnvrtc.so"))
    for candidate in filter(None, candidates):
        try:
            return ctypes.CDLL(candidate)
        except OSError:
            continue
    raise BackendUnavailableError(
        "NVRTC, the CUDA compiler, is not installed. pip install nvidia-cuda-nvrtc, or install the toolkit"
    )
