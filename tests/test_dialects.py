"""The dialects of C: all that differs between them is in `Dialect`."""

import dataclasses
import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, cuda_words, executor
from numba import types

import portapar as pp
import portapar.backends.cuda.compile as cuda
from portapar.kernel.c.dialect import CUDA, HIP, OPENCL, OPENCL_CPU, Dialect
from portapar.kernel.c.entries import render_map
from portapar.kernel.c.reductions import render_reduce
from portapar.kernel.cpu.device import HostDevice
from portapar.kernel.jit.typing import array_type, infer


def body(i, x, y):
    y[i] = np.float32(x[i]) * 2 + x[i] * x[i]


def elem(i, x):
    return x[i] * 0.5


def plus(a, b):
    return a + b


def texts(dialect):
    vector = array_type(np.float64, 1)
    acc = types.float64
    functions = infer(elem, (types.int64, vector)), infer(plus, (acc, acc))
    return [
        render_map(infer(body, (types.int64, vector, vector)), 1, dialect, "entry"),
        *(render_reduce(*functions, acc, dialect, "entry", ordered=ordered) for ordered in (False, True)),
    ]


def test_hip_is_cuda_in_other_words():
    for hip, other in zip(texts(HIP), texts(CUDA), strict=True):
        assert hip != other and cuda_words(hip) == other
        assert "contract(off)" in hip  # sums have the same bits everywhere
    assert any("__shfl_down(" in text for text in texts(HIP))


@pytest.mark.parametrize("dialect", [OPENCL, CUDA, HIP], ids=lambda d: d.name)
def test_texts_hold_no_words_of_another_dialect(dialect):
    foreign = r"blockIdx|__shfl|__syncthreads|__global__" if dialect is OPENCL else r"get_global_id|__kernel|barrier\("
    for text in texts(dialect):
        assert not re.search(foreign, text)


def steps(i, x, y):
    v = x[i]
    for _ in range(20):
        v = v * 0.5 + math.exp(v)
    y[i] = abs(v)


def test_only_cpus_are_given_text_that_is_made_for_vectors():
    vector = array_type(np.float64, 1)
    typed = infer(steps, (types.int64, vector, vector))
    for dialect in (OPENCL, OPENCL_CPU, CUDA, HIP):
        text = render_map(typed, 1, dialect, "entry", blocked=dialect.serial)
        for word in ("unroll", "exp_f64", "__builtin_fabs", "interleave", "always_inline"):
            assert (word in text) == dialect.serial, (dialect.name, word)


def test_nobody_asks_for_a_dialect_by_name():
    for file in (ROOT / "portapar" / "kernel" / "c").glob("*.py"):
        found = re.findall(r"dialect(?:\.name)? (?:is|==) .*", Path(file).read_text())
        assert not found, f"{file.name}: {found}"


# what a compiler of C does not take ------------------------------------------------------------------


def deeper(x):
    y = x + 1
    return np.floor(y)


def nested(i, x, out):
    v = x[i]
    for k in range(i):
        if v > k:
            v = deeper(v * 2)
    out[i] = v


def stored(i, x, out):
    out[i, 0] = x[i]
    if x[i] > 2:
        out[i, 1] = np.floor(x[i])


class Wrong(Dialect):
    """A dialect with a mistake: floor has another name."""

    def math(self, name, ctype):
        return "no_such_function" if name == "floor" else super().math(name, ctype)


def wrong(dialect):
    return Wrong(**{field.name: getattr(dialect, field.name) for field in dataclasses.fields(dialect)})


def calls():
    """(a call, the line of the user's that has floor)."""
    x, out = np.ones(5), np.ones((5, 2))
    above = lambda v: np.floor(v) > 2
    folded = lambda a, b: a + np.floor(b)
    here = inspect.currentframe().f_lineno
    return [
        (lambda policy: pp.for_each(policy, 5, nested, x, x.copy()), inspect.getsourcelines(deeper)[1] + 2),
        (lambda policy: pp.for_each(policy, 5, stored, x, out), inspect.getsourcelines(stored)[1] + 3),
        (lambda policy: pp.count_if(policy, x, above), here - 2),
        (lambda policy: pp.reduce(policy, x, op=folded), here - 1),
    ]


def assert_told(error, line):
    shown = Path(__file__).read_text().split("\n")[line - 1].strip()
    assert f"{__file__}:{line}): " in str(error) and shown in str(error), str(error)
    assert "no_such_function" in str(error) and "Instead:" in str(error)


@pytest.mark.parametrize("name", ["opencl:0", "cuda:0"])
@pytest.mark.parametrize("number", range(4))
def test_a_text_that_does_not_compile_is_told_at_the_users_line(number, name, monkeypatch):
    call, line = calls()[number]
    where = executor(name)
    device = where.device
    monkeypatch.setattr(device, "dialect", wrong(device.dialect))
    monkeypatch.setattr(device, "_kernels", {})
    monkeypatch.setattr(device, "_texts", {})
    with pytest.raises(pp.KernelError) as caught:
        call(pp.par.on(where))
    assert_told(caught.value, line)


@pytest.mark.parametrize("number", range(4))
def test_a_text_that_nvrtc_does_not_compile_is_told_at_the_users_line(number, monkeypatch):
    try:
        cuda.nvrtc()
    except pp.BackendUnavailableError as error:
        pytest.skip(str(error))
    call, line = calls()[number]
    programs = []
    monkeypatch.setattr(HostDevice, "run", lambda device, task: programs.append(task.program) or device.no_such_thing)
    with pytest.raises(AttributeError):
        call(pp.unseq)
    monkeypatch.setattr(cuda, "CUDA", wrong(CUDA))
    with pytest.raises(pp.KernelError) as caught:
        cuda.compile_text(programs[0])
    assert_told(caught.value, line)
