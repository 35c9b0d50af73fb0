"""The dialects of C: all that differs between them is in `Dialect`."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, cuda_words
from numba import types

from portapar.kernel.c.dialect import CUDA, HIP, OPENCL
from portapar.kernel.c.entries import render_map
from portapar.kernel.c.reductions import render_reduce
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
    for hip, cuda in zip(texts(HIP), texts(CUDA), strict=True):
        assert hip != cuda and cuda_words(hip) == cuda
        assert "contract(off)" in hip  # sums have the same bits everywhere
    assert any("__shfl_down(" in text for text in texts(HIP))


@pytest.mark.parametrize("dialect", [OPENCL, CUDA, HIP], ids=lambda d: d.name)
def test_texts_hold_no_words_of_another_dialect(dialect):
    foreign = r"blockIdx|__shfl|__syncthreads|__global__" if dialect is OPENCL else r"get_global_id|__kernel|barrier\("
    for text in texts(dialect):
        assert not re.search(foreign, text)


def test_nobody_asks_for_a_dialect_by_name():
    for file in (ROOT / "portapar" / "kernel" / "c").glob("*.py"):
        found = re.findall(r"dialect(?:\.name)? (?:is|==) .*", Path(file).read_text())
        assert not found, f"{file.name}: {found}"
