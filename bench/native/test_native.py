"""The native codes compute what they claim: ``pytest bench/native``, and under ``mpirun -n 2`` for MPI."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench.native import KERNELS, MPI, Native, OpenCL, compilers, opponents
from bench.native.opponents import CUDA

SIZES = [0, 1, 7, 1000, 4097, 2**15, 10_000_000]
NATIVES = {native.key: native for native in opponents(threads=2)}
S = 0.4


def _need(key: str) -> Native:
    native = NATIVES[key]
    if not native.available:
        pytest.skip(native.reason)
    return native


def _expected(kernel: str, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> dict[str, np.ndarray]:
    s = a.dtype.type(S)
    return {
        "copy": lambda: {"c": a},
        "scale": lambda: {"b": s * c},
        "add": lambda: {"c": a + b},
        "triad": lambda: {"a": b + s * c},
        "nstream": lambda: {"a": a + (b + s * c)},
        "dot": dict,
    }[kernel]()


def _verify(native: Native, host: dict[str, np.ndarray], device: dict[str, object]) -> None:
    bound = native.bind(device["a"], device["b"], device["c"], S)
    tolerance = 4 * np.finfo(host["a"].dtype).eps
    for kernel in KERNELS:
        result = getattr(bound, kernel)()
        if kernel == "dot":
            exact = float(np.dot(host["a"].astype(np.float64), host["b"].astype(np.float64)))
            if isinstance(native, MPI):
                exact *= native.comm.size  # every rank has the same part here
            relative = 1e-12 if host["a"].dtype == np.float64 else 2e-3
            assert result == pytest.approx(exact, rel=relative, abs=1e-12)
            continue
        host.update(_expected(kernel, host["a"], host["b"], host["c"]))
        for name in "abc":  # also those that the kernel must leave alone
            np.testing.assert_allclose(native.asnumpy(device[name]), host[name], rtol=tolerance, atol=0)
            host[name] = native.asnumpy(device[name]).copy()


def _host(n: int, dtype: type) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {name: random.random(n).astype(dtype) + dtype(0.5) for name in "abc"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("key", list(NATIVES))
def test_kernels(key: str, n: int, dtype: type) -> None:
    native = _need(key)
    host = _host(n, dtype)
    device = {name: native.full(n, 0.0, dtype) for name in "abc"}
    for name, x in device.items():
        if isinstance(x, np.ndarray):
            x[:] = host[name]
        elif n:
            x.set(host[name])
    _verify(native, host, device)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("offsets", [(1, 2, 3), (0, 1, 0), (7, 0, 5)])
@pytest.mark.parametrize("n", [7, 1000, 6_000_000])
@pytest.mark.parametrize("key", ["openmp", "streaming", "fast", "serial", "mpi"])
def test_unaligned_and_no_write_outside(key: str, n: int, offsets: tuple[int, ...], dtype: type) -> None:
    native = _need(key)
    raw = {name: native.full(n + 16, -1.0, dtype) for name in "abc"}
    host = _host(n, dtype)
    inside = {name: raw[name][offset : offset + n] for name, offset in zip("abc", offsets, strict=True)}
    for name in "abc":
        inside[name][:] = host[name]
    _verify(native, host, inside)
    for name, offset in zip("abc", offsets, strict=True):
        assert (raw[name][:offset] == -1).all() and (raw[name][offset + n :] == -1).all()


@pytest.mark.parametrize("threads", [1, 3, 5])
def test_threads_and_rest(threads: int) -> None:
    for key in ("openmp", "streaming", "fast"):
        native = next(one for one in opponents(threads) if one.key == key)
        if native.available:
            host = _host(10_007, np.float64)
            _verify(native, host, {name: x.copy() for name, x in host.items()})
            native.rest()
            native.threads = threads + 1
            _verify(native, host, {name: x.copy() for name, x in host.items()})


def test_strided_opencl_dot() -> None:
    _need("opencl")
    native = OpenCL(dot="strided")
    x = native.full(100_003, 0.5)
    assert native.bind(x, x, native.full(100_003, 0.0)).dot() == pytest.approx(100_003 / 4)


def test_fast_math_leaves_denormals_alone() -> None:
    native = _need("fast")
    x = native.full(8, 1.0)
    native.bind(x, x, x).dot()
    assert np.float64(1e-310) * np.float64(0.5) != 0


def test_bad_arrays() -> None:
    native = _need("openmp")
    x = native.full(8, 1.0)
    with pytest.raises(TypeError, match="int64"):
        native.bind(x.astype(np.int64), x, x)
    with pytest.raises(ValueError, match="c is"):
        native.bind(x, x, x[:4])
    with pytest.raises(ValueError, match="stride"):
        native.bind(np.ones(16)[::2], np.ones(8), np.ones(8))
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        native.bind(x, x, x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cuda_compiles_without_a_gpu(dtype: type) -> None:
    try:
        compilers.cuda_compiler()
    except compilers.BuildError as error:
        pytest.skip(str(error))
    assert CUDA().compile(dtype).exists()


def test_absent_compilers_are_reported() -> None:
    code = """
from bench.native import opponents
for x in opponents():
    print(x.key, x.available, x.reason, x.command, x.note)
"""
    env = {**os.environ, "CC": "no-such-cc", "MPICC": "no-such-mpicc", "PATH": "", "CUDA_HOME": "/none"}
    root = compilers.HERE.parent.parent
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True)
    text = done.stdout
    assert "openmp False CC=no-such-cc is not an executable; set CC" in text
    assert "mpi False" in text and "cuda False no nvcc" in text


def test_many_builds_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _need("openmp")
    monkeypatch.setattr(compilers, "BUILD", tmp_path / "build")
    make = lambda _: compilers.library("stream_openmp.c", compilers.c_compiler(), ["-O1", "-fPIC"], ["-shared"])
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1
    assert len(list((tmp_path / "build").iterdir())) == 1


def test_mpi_dot_sums_over_ranks() -> None:
    native = _need("mpi")
    assert isinstance(native, MPI)
    x = native.full(1000, 2.0)
    assert native.bind(x, x, native.full(1000, 0.0)).dot() == 4000.0 * native.comm.size
