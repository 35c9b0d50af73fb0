"""How graphs are made: from edges in any order to compressed sparse rows, and what is looked at before.

The edges are sorted, each as one integer (row, then neighbour), so that a build costs what `sort` costs; equal
neighbours are then next to each other, and the one with the smallest weight is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, ops
from portapar.algorithms.by_key import reduce_by_key
from portapar.algorithms.empty_like import empty_like
from portapar.algorithms.find import find_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.reduce import reduce
from portapar.algorithms.search import is_sorted_until
from portapar.algorithms.sort import sort, sort_by_key
from portapar.algorithms.transform import copy, transform
from portapar.algorithms.unique import unique
from portapar.call import resolve
from portapar.devices import threads
from portapar.errors import ArgumentError, PlacementError
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.policy import Policy, auto, par

WIDEST = 2**31  #: vertices that fit an int32


def counted(how: Policy, ends: list[Any], weights: Any, n: int | None) -> int:
    """How many vertices there are; what is given is looked at."""
    m = len(ends[0])
    if n is None:
        n = 1 + max((int(reduce(how, x, op=ops.maximum)) for x in ends), default=-1) if m else 0
        if n > WIDEST:
            raise ArgumentError(f"Graph.from_edges: an edge ends at {n - 1}: must be a vertex below 2**31")
    n = arrays.whole_number("Graph.from_edges: n", n, most=WIDEST, error=ArgumentError)
    for name, x in zip(("sources", "targets"), ends, strict=True):
        check_vertices(how, f"Graph.from_edges: {name}", x, n)
    if weights is not None:
        check_weights(how, "Graph.from_edges: weights", weights)
    return n


def packed(part: LocalPart, ends: list[Any], weights: Any, n: int, directed: bool) -> tuple[Any, Any]:
    """Each edge as one integer, its source above its target, in both directions if need be; and their weights."""
    how, m, shift = part.how, len(ends[0]), bits_of(n)
    keys = part.empty(m if directed else 2 * m, np.uint64)
    for_each(how, m, _pack, shift, n, *ends, keys[:m])
    if not directed:
        for_each(how, m, _pack, shift, n, *ends[::-1], keys[m:])
    if weights is None or directed:
        return keys, weights
    twice = part.empty(2 * m, weights.dtype)
    for half in (twice[:m], twice[m:]):
        copy(how, weights, out=half)
    return keys, twice


def merged(how: Policy, keys: Any, weights: Any, out: Any = None) -> tuple[Any, Any]:
    """The different ones of edges, in order, each with its smallest weight."""
    if weights is None:
        return unique(how, sort(how, keys, out=out), consecutive=True), None
    return reduce_by_key(how, *sort_by_key(how, keys, weights), op=ops.minimum, consecutive=True)


def built(part: LocalPart, ends: list[Any], weights: Any, n: int | None, directed: bool) -> tuple[Any, Any, Any]:
    """Offsets, targets and weights of edges in any order."""
    how = part.how
    n = counted(how, ends, weights, n)
    shift = bits_of(n)
    keys, weights = packed(part, ends, weights, n, directed)
    keys, weights = merged(how, keys, weights, keys)
    if len(keys) and int(arrays.asnumpy(keys[-1:])[0]) >= n << shift:  # what stands for loops
        keys, weights = keys[:-1], None if weights is None else weights[:-1]
    return *rows_of(how, keys, n, shift), weights


def bits_of(n: int) -> int:
    """The bits that a vertex of n takes in the key of an edge."""
    return max(n - 1, 1).bit_length()


def rows_of(how: Policy, keys: Any, n: int, shift: int) -> tuple[Any, Any]:
    """Offsets and targets of sorted edges."""
    offsets = empty_like(how, keys, n + 1, np.int64)
    for_each(how, len(keys) + 1, count_rows, shift, 0, n, keys, offsets)
    targets = empty_like(how, keys, len(keys), np.int32)
    transform(how, keys, out=targets, op=lambda key: unpack(key, shift))
    return offsets, targets


# arrays that the user gave -------------------------------------------------------------------------


def home(x: Any) -> Policy:
    """Where an array of a graph lives; for NumPy's the default executor, if that is one device."""
    if isinstance(x, PartitionedArray):
        return par.on(x.executor)
    where = resolve(auto, (x,), "Graph")[1]
    return par.on(threads() if len(where.members) > 1 or where.kind == "mpi" else where)


def host(x: Any) -> Any:
    return None if x is None else arrays.asnumpy(x)


def fixed(x: Any) -> Any:
    """An array that is not written through; a device's as it is."""
    if not isinstance(x, np.ndarray) or not x.flags.writeable:
        return x
    view = x.view()
    view.flags.writeable = False
    return view


def checked_length(told: str, name: str, x: Any, kinds: str, partitioned: bool = False) -> int:
    """The length of an argument, whose kind is checked."""
    x = arrays.normal(x, name)
    if isinstance(x, PartitionedArray) and not partitioned:
        raise PlacementError(
            f"{told}: {name} is a partitioned array. Graph.from_edges makes a partitioned graph of partitioned edges, "
            "and graph.place(executor) one of a graph in host memory"
        )
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise ArgumentError(f"{told}: {name} is {x!r}: must be an array")
    arrays.spec_of(x, name)
    dtype, shape = np.dtype(x.dtype), tuple(x.shape)
    if len(shape) != 1 or (dtype.kind not in kinds and shape != (0,)):
        wanted = "integers" if kinds == "iu" else "integers or floats"
        raise ArgumentError(f"{told}: {name} has shape {shape} and dtype {dtype}: must be one-dimensional, of {wanted}")
    return shape[0]


def element(x: Any, k: int) -> Any:
    """One element, on the host."""
    return arrays.asnumpy(x)[k] if isinstance(x, PartitionedArray) else arrays.asnumpy(x[k : k + 1])[0]


def converted(how: Policy, x: Any, dtype: Any) -> Any:
    if x.dtype == dtype:
        return x
    out = empty_like(how, x, None, dtype)
    T = np.dtype(dtype).type
    return transform(how, x, out=out, op=lambda v: T(v))


def check_offsets(how: Policy, offsets: Any, m: int) -> None:
    first, last = (int(arrays.asnumpy(offsets[k : k + 1])[0]) for k in (0, len(offsets) - 1))
    if first != 0 or last != m:
        raise ArgumentError(
            f"Graph: offsets begin with {first} and end with {last}: must be 0, and {m}, as many as targets"
        )
    k = is_sorted_until(how, offsets)
    if k < len(offsets):
        here = arrays.asnumpy(offsets[k - 1 : k + 1])
        raise ArgumentError(f"Graph: offsets[{k}] is {here[1]}, after {here[0]}: must not fall")


def check_vertices(how: Policy, told: str, x: Any, n: int) -> None:
    k = find_if(how, x, lambda v: v < 0 or v >= n)
    if k < len(x):
        raise ArgumentError(f"{told}[{k}] is {element(x, k)}: must be a vertex, {_vertices(n)}")


def _vertices(n: int) -> str:
    return f"0 to {n - 1}" if n else "and there are none"


def check_weights(how: Policy, told: str, x: Any) -> None:
    k = find_if(how, x, lambda v: v != v) if x.dtype.kind == "f" else len(x)
    if k < len(x):
        raise ArgumentError(f"{told}[{k}] is NaN")


# kernels ------------------------------------------------------------------------------------------


def _pack(e: Any, shift: Any, n: Any, u: Any, v: Any, keys: Any) -> None:
    """Loops become the last ones."""
    keys[e] = (np.uint64(u[e] if u[e] != v[e] else n) << np.uint64(shift)) | np.uint64(v[e] if u[e] != v[e] else 0)


def pack_row(u: Any, first: Any, shift: Any, offsets: Any, targets: Any, keys: Any) -> None:
    for e in range(offsets[u], offsets[u + 1]):
        keys[e] = (np.uint64(first + u) << np.uint64(shift)) | np.uint64(targets[e])


def turn(u: Any, first: Any, shift: Any, offsets: Any, targets: Any, keys: Any) -> None:
    for e in range(offsets[u], offsets[u + 1]):
        keys[e] = (np.uint64(targets[e]) << np.uint64(shift)) | np.uint64(first + u)


def unpack(key: Any, shift: Any) -> Any:
    return key & ((np.uint64(1) << np.uint64(shift)) - np.uint64(1))


def count_rows(e: Any, shift: Any, first: Any, n: Any, keys: Any, offsets: Any) -> None:
    """Where the rows begin that edge e is the first one of, or of none before it and after the edge before.

    They are `n` rows from `first` on.
    """
    m = len(keys)
    before = np.int64(keys[np.uint64(e - 1)] >> np.uint64(shift)) - first if e > 0 else -1
    here = np.int64(keys[np.uint64(e)] >> np.uint64(shift)) - first if e < m else n
    for u in range(before + 1, here + 1):
        offsets[u] = e
