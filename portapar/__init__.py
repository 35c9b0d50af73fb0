"""portapar: write a loop once in Python; run it as native code on every processor of the machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from portapar import lazy
from portapar.arrays import Range as range
from portapar.arrays import asnumpy
from portapar.call import plan
from portapar.devices import cuda, opencl, simd, threads
from portapar.errors import (
    ArgumentError,
    BackendUnavailableError,
    BoundsError,
    CheckError,
    CommunicationError,
    DeviceMemoryError,
    KernelError,
    PlacementError,
    PolicyError,
    PortaparError,
    PortaparWarning,
)
from portapar.executor import Executor
from portapar.executors import available, executor, mpi
from portapar.future import Future
from portapar.hybrid import hybrid
from portapar.kernel.front import atomic
from portapar.ops import (
    Monoid,
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
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy, auto, par, par_unseq, policy_first, seq, unseq, using
from portapar.trace import profile, trace

if TYPE_CHECKING:
    from portapar.algorithms import batched, graph, irregular, random, sparse
    from portapar.algorithms.by_key import group_by_key, merge_by_key, reduce_by_key, scan_by_key, unique_by_key
    from portapar.algorithms.copy_if import copy_if, pack_index, partition, remove_if
    from portapar.algorithms.count import all_of, any_of, count, count_if, none_of
    from portapar.algorithms.empty_like import empty_like
    from portapar.algorithms.extrema import max_element, min_element, minmax_element
    from portapar.algorithms.find import adjacent_find, equal, find, find_if, find_last_if, mismatch
    from portapar.algorithms.for_each import for_each
    from portapar.algorithms.for_each_segment import for_each_segment
    from portapar.algorithms.histogram import bincount, histogram
    from portapar.algorithms.isin import isin
    from portapar.algorithms.merge import merge
    from portapar.algorithms.moves import gather, reverse, rotate, scatter
    from portapar.algorithms.pairs import adjacent_difference, inner_product
    from portapar.algorithms.reduce import reduce, transform_reduce
    from portapar.algorithms.runs import run_length_encode
    from portapar.algorithms.scan import exclusive_scan, inclusive_scan, transform_scan
    from portapar.algorithms.search import (
        find_first_of,
        is_partitioned,
        is_sorted_until,
        lexicographical_compare,
        search,
    )
    from portapar.algorithms.searchsorted import searchsorted
    from portapar.algorithms.segmented import segmented_reduce, segmented_scan
    from portapar.algorithms.select import kth_smallest, nth_element
    from portapar.algorithms.sets import (
        includes,
        set_difference,
        set_intersection,
        set_symmetric_difference,
        set_union,
    )
    from portapar.algorithms.shifts import gather_if, scatter_if, shift_left, shift_right, transpose
    from portapar.algorithms.sort import argsort, is_sorted, sort, sort_by_key, stable_sort
    from portapar.algorithms.stencil import stencil
    from portapar.algorithms.top import partial_sort, top_k
    from portapar.algorithms.transform import copy, fill, iota, transform
    from portapar.algorithms.unique import unique, unique_count
    from portapar.algorithms.worklist import Worklist, push
    from portapar.inspection import inspect

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BackendUnavailableError",
    "BoundsError",
    "CheckError",
    "CommunicationError",
    "DeviceMemoryError",
    "Executor",
    "Future",
    "KernelError",
    "Monoid",
    "PartitionedArray",
    "PlacementError",
    "Policy",
    "PolicyError",
    "PortaparError",
    "PortaparWarning",
    "Worklist",
    "adjacent_difference",
    "adjacent_find",
    "all_of",
    "any_of",
    "argsort",
    "asnumpy",
    "atomic",
    "auto",
    "available",
    "batched",
    "bincount",
    "bit_and",
    "bit_or",
    "bit_xor",
    "copy",
    "copy_if",
    "count",
    "count_if",
    "cuda",
    "empty_like",
    "equal",
    "exclusive_scan",
    "executor",
    "fill",
    "find",
    "find_first_of",
    "find_if",
    "find_last_if",
    "for_each",
    "for_each_segment",
    "gather",
    "gather_if",
    "graph",
    "group_by_key",
    "histogram",
    "hybrid",
    "includes",
    "inclusive_scan",
    "inner_product",
    "inspect",
    "iota",
    "irregular",
    "is_partitioned",
    "is_sorted",
    "is_sorted_until",
    "isin",
    "kth_smallest",
    "lazy",
    "lexicographical_compare",
    "logical_and",
    "logical_or",
    "max_element",
    "maximum",
    "merge",
    "merge_by_key",
    "min_element",
    "minimum",
    "minmax_element",
    "mismatch",
    "mpi",
    "multiplies",
    "none_of",
    "nth_element",
    "opencl",
    "pack_index",
    "par",
    "par_unseq",
    "partial_sort",
    "partition",
    "plan",
    "plus",
    "profile",
    "push",
    "random",
    "range",
    "reduce",
    "reduce_by_key",
    "remove_if",
    "reverse",
    "rotate",
    "run_length_encode",
    "scan_by_key",
    "scatter",
    "scatter_if",
    "search",
    "searchsorted",
    "segmented_reduce",
    "segmented_scan",
    "seq",
    "set_difference",
    "set_intersection",
    "set_symmetric_difference",
    "set_union",
    "shift_left",
    "shift_right",
    "simd",
    "sort",
    "sort_by_key",
    "sparse",
    "stable_sort",
    "stencil",
    "threads",
    "top_k",
    "trace",
    "transform",
    "transform_reduce",
    "transform_scan",
    "transpose",
    "unique",
    "unique_by_key",
    "unique_count",
    "unseq",
    "using",
]


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__name__", "__version__"]


_ROOMS = {"batched", "graph", "irregular", "random", "sparse"}
#: algorithms by their files; both are imported when they are asked for: more than half of all modules
_ALGORITHMS = {
    "by_key": "group_by_key merge_by_key reduce_by_key scan_by_key unique_by_key",
    "copy_if": "copy_if pack_index partition remove_if",
    "count": "all_of any_of count count_if none_of",
    "extrema": "max_element min_element minmax_element",
    "find": "adjacent_find equal find find_if find_last_if mismatch",
    "histogram": "bincount histogram",
    "moves": "gather reverse rotate scatter",
    "pairs": "adjacent_difference inner_product",
    "reduce": "reduce transform_reduce",
    "runs": "run_length_encode",
    "scan": "exclusive_scan inclusive_scan transform_scan",
    "search": "find_first_of is_partitioned is_sorted_until lexicographical_compare search",
    "segmented": "segmented_reduce segmented_scan",
    "select": "kth_smallest nth_element",
    "sets": "includes set_difference set_intersection set_symmetric_difference set_union",
    "shifts": "gather_if scatter_if shift_left shift_right transpose",
    "sort": "argsort is_sorted sort sort_by_key stable_sort",
    "top": "partial_sort top_k",
    "transform": "copy fill iota transform",
    "unique": "unique unique_count",
    "worklist": "Worklist push",
}

#: what it is called here, by names that users of NumPy look for
_OF_NUMPY = {
    "sum": "reduce(policy, x)", "prod": "reduce(policy, x, pp.multiplies)", "dot": "inner_product(policy, x, y)",
    "min": "reduce(policy, x, pp.minimum)", "max": "reduce(policy, x, pp.maximum)", "argmin": "min_element(policy, x)",
    "argmax": "max_element(policy, x)", "cumsum": "inclusive_scan(policy, x)", "mean": "reduce(policy, x) / len(x)",
    "map": "transform(policy, x, op=…)", "where": "transform(policy, …, op=lambda c, a, b: a if c else b)",
    "scan": "inclusive_scan(policy, x)", "arange": "range(n)", "zeros": "threads().asarray(np.zeros(n))",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        found: Any = importlib.import_module(f"portapar.algorithms.{name}")
    elif name == "inspect":
        from portapar.inspection import inspect as found
    elif name in __all__:
        file = next((file for file, names in _ALGORITHMS.items() if name in names.split()), name)
        found = getattr(importlib.import_module(f"portapar.algorithms.{file}"), name)
        if hasattr(found, "__defaults__"):
            policy_first(found)
    else:
        instead = f". Use pp.{_OF_NUMPY[name]}" if name in _OF_NUMPY else ""
        raise AttributeError(f"module 'portapar' has no attribute {name!r}{instead}")
    globals()[name] = found
    return found
