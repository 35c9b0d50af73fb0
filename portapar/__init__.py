"""portapar: write a loop once in Python; run it as native code on every processor of the machine."""

from __future__ import annotations

from portapar.algorithms.for_each import for_each
from portapar.algorithms.reduce import reduce, transform_reduce
from portapar.algorithms.transform import copy, fill, iota, transform
from portapar.arrays import PartitionedArray, asnumpy
from portapar.call import inspect, plan
from portapar.errors import (
    BackendUnavailableError,
    CommunicationError,
    DeviceMemoryError,
    KernelError,
    PlacementError,
    PolicyError,
    PortaparError,
)
from portapar.executor import Executor, cuda, opencl, simd, threads
from portapar.executors import available, executor, mpi
from portapar.future import Future
from portapar.hybrid import hybrid
from portapar.kernel import atomic
from portapar.ops import (
    bit_and,
    bit_or,
    bit_xor,
    logical_and,
    logical_or,
    maximum,
    minimum,
    multiplies,
    plus,
)
from portapar.policy import Policy, auto, par, par_unseq, seq, unseq, using
from portapar.problem import Range as range

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "CommunicationError",
    "DeviceMemoryError",
    "Executor",
    "Future",
    "KernelError",
    "PartitionedArray",
    "PlacementError",
    "Policy",
    "PolicyError",
    "PortaparError",
    "asnumpy",
    "atomic",
    "auto",
    "available",
    "bit_and",
    "bit_or",
    "bit_xor",
    "copy",
    "cuda",
    "executor",
    "fill",
    "for_each",
    "hybrid",
    "inspect",
    "iota",
    "logical_and",
    "logical_or",
    "maximum",
    "minimum",
    "mpi",
    "multiplies",
    "opencl",
    "par",
    "par_unseq",
    "plan",
    "plus",
    "range",
    "reduce",
    "seq",
    "simd",
    "threads",
    "transform",
    "transform_reduce",
    "unseq",
    "using",
]
