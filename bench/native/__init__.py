"""STREAM as an expert writes it by hand: what portapar is measured against.

Each code has the same six kernels on three arrays (see `Bound`), so that a harness can run portapar and a
native code alternately on the same arrays:

>>> from bench.native import opponents
>>> native = opponents()[0]
>>> if native.available:
...     a, b, c = (native.full(1 << 20, value) for value in (0.1, 0.2, 0.0))
...     kernels = native.bind(a, b, c, 0.4)
...     kernels.triad()
...     native.rest()
"""

from .compilers import BuildError
from .opponents import CUDA, KERNELS, MPI, SCALAR, Bound, Native, OpenCL, opponents

__all__ = ["CUDA", "KERNELS", "MPI", "SCALAR", "Bound", "BuildError", "Native", "OpenCL", "opponents"]
